//! HTTP middleware: named layers that see every request for a transformer, in order, before it does.
//!
//! The client library, the spec and preflights are answered before; the origin has been checked.

use std::sync::Arc;

use async_trait::async_trait;

use crate::{
    request::{Head, Response},
    snapshot::Snapshot,
};

/// Which requests a layer sees.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Kind {
    /// Requests and upgrades.
    #[default]
    Both,
    /// Plain requests only.
    Request,
    /// Upgrades only (HTTP/1.1 `Upgrade` and HTTP/2 `CONNECT`).
    Upgrade,
}

/// One layer: looks at a request's head, may change it, and may answer in the server's place.
#[async_trait]
pub trait Middleware: Send + Sync + 'static {
    /// `Some` answers the request and stops the chain.
    async fn call(&self, head: &mut Head) -> Option<Response>;
}

/// A layer from a closure that never waits.
///
/// ```
/// # fn f(primus: &primus_core::Primus) -> Result<(), primus_core::UnknownLayer> {
/// use primus_core::{FromFn, Kind, Place, request::status};
/// let closed = FromFn::new(|head| {
///     head.headers.contains_key("x-maintenance").then(|| status(http::StatusCode::IM_A_TEAPOT))
/// });
/// primus.middleware().add("maintenance", Kind::Both, Place::Last, closed)
/// # }
/// ```
pub struct FromFn<F>(pub F);

impl<F> FromFn<F>
where
    F: Fn(&mut Head) -> Option<Response> + Send + Sync + 'static,
{
    /// The layer.
    pub fn new(f: F) -> Self {
        Self(f)
    }
}

#[async_trait]
impl<F> Middleware for FromFn<F>
where
    F: Fn(&mut Head) -> Option<Response> + Send + Sync + 'static,
{
    async fn call(&self, head: &mut Head) -> Option<Response> {
        (self.0)(head)
    }
}

#[derive(Clone)]
struct Layer {
    name: Arc<str>,
    kind: Kind,
    enabled: bool,
    run: Arc<dyn Middleware>,
}

/// Where a new layer goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place<'a> {
    /// Behind all others.
    Last,
    /// In front of all others.
    First,
    /// In front of the layer of this name.
    Before(&'a str),
    /// Behind the layer of this name.
    After(&'a str),
}

/// A layer that was named is not there.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("there is no middleware named `{0}`")]
pub struct UnknownLayer(String);

/// The layers of a Primus. They can be changed while it runs; a request that is under way keeps
/// the layers that it began with.
#[derive(Default)]
pub struct Middlewares {
    layers: Snapshot<Vec<Layer>>,
}

impl Middlewares {
    /// Adds a layer at `place`, for requests of `kind`. One of the same name is replaced where it
    /// stands.
    ///
    /// # Errors
    /// When `place` names a layer that is not there.
    pub fn add(
        &self,
        name: &str,
        kind: Kind,
        place: Place<'_>,
        run: impl Middleware,
    ) -> Result<(), UnknownLayer> {
        let layer = Layer { name: name.into(), kind, enabled: true, run: Arc::new(run) };
        // What is left over is dropped without the lock.
        let (added, _over) = self.layers.edit(|layers| {
            if let Some(same) = layers.iter_mut().find(|layer| &*layer.name == name) {
                return (Ok(()), Some(std::mem::replace(same, layer)));
            }
            let index = |wanted: &str| {
                layers
                    .iter()
                    .position(|layer| &*layer.name == wanted)
                    .ok_or_else(|| UnknownLayer(wanted.to_owned()))
            };
            let at = match place {
                Place::First => Ok(0),
                Place::Last => Ok(layers.len()),
                Place::Before(other) => index(other),
                Place::After(other) => index(other).map(|at| at + 1),
            };
            match at {
                Ok(at) => layers.insert(at, layer),
                Err(unknown) => return (Err(unknown), Some(layer)),
            }
            (Ok(()), None)
        });
        added
    }

    /// Takes a layer out; false if it was not there.
    pub fn remove(&self, name: &str) -> bool {
        let removed = self.layers.edit(|layers| {
            let at = layers.iter().position(|layer| &*layer.name == name)?;
            Some(layers.remove(at))
        });
        removed.is_some()
    }

    /// Lets a disabled layer run again; false if it is not there.
    pub fn enable(&self, name: &str) -> bool {
        self.set_enabled(name, true)
    }

    /// Skips a layer without taking it out; false if it is not there.
    pub fn disable(&self, name: &str) -> bool {
        self.set_enabled(name, false)
    }

    fn set_enabled(&self, name: &str, enabled: bool) -> bool {
        self.layers.edit(|layers| {
            let layer = layers.iter_mut().find(|layer| &*layer.name == name);
            layer.map(|layer| layer.enabled = enabled).is_some()
        })
    }

    /// The names, in order.
    pub fn names(&self) -> Vec<Arc<str>> {
        let layers = self.layers.get().unwrap_or_default();
        layers.iter().map(|layer| Arc::clone(&layer.name)).collect()
    }

    /// Runs the layers on a request; `Some` is the answer of the one that stopped it.
    pub async fn run(&self, head: &mut Head) -> Option<Response> {
        let layers = self.layers.get()?;
        let upgrade = head.wants_websocket();
        for layer in layers.iter().filter(|layer| layer.enabled) {
            let applies = match layer.kind {
                Kind::Both => true,
                Kind::Request => !upgrade,
                Kind::Upgrade => upgrade,
            };
            if applies && let Some(response) = layer.run.call(head).await {
                return Some(response);
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use http::{Method, StatusCode, Uri};

    use super::*;
    use crate::request::status;

    fn mark(name: &'static str) -> FromFn<impl Fn(&mut Head) -> Option<Response>> {
        FromFn::new(move |head: &mut Head| {
            head.headers.append("x-seen", http::HeaderValue::from_static(name));
            None
        })
    }

    async fn seen(layers: &Middlewares, head: Head) -> (Vec<String>, Option<StatusCode>) {
        let mut head = head;
        let answer = layers.run(&mut head).await.map(|response| response.status());
        let seen = head.headers.get_all("x-seen").iter();
        (seen.map(|value| value.to_str().unwrap().to_owned()).collect(), answer)
    }

    #[tokio::test]
    async fn order_names_kinds_and_switches() {
        let layers = Middlewares::default();
        layers.add("b", Kind::Both, Place::Last, mark("b")).unwrap();
        layers.add("d", Kind::Upgrade, Place::Last, mark("d")).unwrap();
        layers.add("a", Kind::Both, Place::Before("b"), mark("a")).unwrap();
        layers.add("c", Kind::Request, Place::After("b"), mark("c")).unwrap();
        layers.add("0", Kind::Both, Place::First, mark("0")).unwrap();
        assert!(layers.add("x", Kind::Both, Place::After("nobody"), mark("x")).is_err());
        let get = Head::new(Method::GET, Uri::from_static("/"));
        assert_eq!(seen(&layers, get.clone()).await.0, ["0", "a", "b", "c"]);
        let mut upgrade = get.clone();
        upgrade.headers.insert("upgrade", http::HeaderValue::from_static("websocket"));
        upgrade.headers.insert("connection", http::HeaderValue::from_static("Upgrade"));
        assert_eq!(seen(&layers, upgrade).await.0, ["0", "a", "b", "d"]);

        assert!(layers.disable("a") && layers.remove("0") && !layers.remove("0"));
        assert_eq!(seen(&layers, get.clone()).await.0, ["b", "c"]);
        assert!(layers.enable("a") && !layers.enable("nobody"));
        let stop = FromFn::new(|_: &mut Head| Some(status(StatusCode::IM_A_TEAPOT)));
        layers.add("b", Kind::Both, Place::Last, stop).unwrap();
        let (names, answer) = seen(&layers, get).await;
        assert_eq!((names, answer), (vec!["a".to_owned()], Some(StatusCode::IM_A_TEAPOT)));
        assert_eq!(layers.names().iter().map(|n| &**n).collect::<Vec<_>>(), ["a", "b", "c", "d"]);
    }
}
