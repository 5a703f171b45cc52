//! TypeScript from Rust: the declarations that a page needs to be checked against the events of its
//! server.

use std::{collections::BTreeMap, marker::PhantomData};

use ts_rs::{Config, TS, TypeVisitor};

/// A field of a map of events that is a request: a function of its arguments that gives the answer.
pub struct Request<Args, Answer>(PhantomData<fn(Args) -> Answer>);

impl<Args: TS + 'static, Answer: TS + 'static> TS for Request<Args, Answer> {
    type WithoutGenerics = Self;
    type OptionInnerType = Self;

    fn name(config: &Config) -> String {
        format!("(args: {}) => {}", Args::name(config), Answer::name(config))
    }

    fn inline(config: &Config) -> String {
        Self::name(config)
    }

    fn visit_dependencies(visitor: &mut impl TypeVisitor) {
        visitor.visit::<Args>();
        visitor.visit::<Answer>();
        Args::visit_generics(visitor);
        Answer::visit_generics(visitor);
    }
}

/// The declarations of the two maps of events, and of all that they use, in the order of their names.
pub fn declarations<ServerEvents: TS + 'static, ClientEvents: TS + 'static>() -> String {
    // Whatever JSON holds is read as a number.
    let mut found = Found { config: Config::new().with_large_int("number"), all: BTreeMap::new() };
    found.visit::<ServerEvents>();
    found.visit::<ClientEvents>();
    let all = found.all.into_values().collect::<String>();
    format!("// Written by `cargo xtask types`. Change the Rust types instead.\n{all}")
}

struct Found {
    config: Config,
    all: BTreeMap<String, String>,
}

impl TypeVisitor for Found {
    fn visit<T: TS + 'static + ?Sized>(&mut self) {
        let name = T::ident(&self.config);
        // What has a file of its own in ts-rs is declared; all else is only made of other types.
        if T::output_path().is_none() || self.all.contains_key(&name) {
            return T::visit_dependencies(self);
        }
        let docs = T::docs().unwrap_or_default();
        let declaration = format!("\n{docs}export {}\n", T::decl(&self.config));
        self.all.insert(name, declaration);
        T::visit_dependencies(self);
    }
}
