//! The plugins of a running server: the list that can be changed, and the calls of their hooks.

use std::{
    panic::{AssertUnwindSafe, catch_unwind, resume_unwind},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use serde_json::Value;

use crate::{
    close::CloseReason, handle::Spark, message::Message, plugin::Plugin, primus::Primus,
    snapshot::Snapshot, transform::Flow,
};

/// A plugin could not be added.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PluginError {
    /// There is one of this name already, or it is just being added or removed.
    #[error(
        "there is a plugin named `{0}` already; give each a name of its own, or remove it first"
    )]
    SameName(String),
    /// Its client script has nothing in it.
    #[error("the client script of the plugin `{0}` is empty; return None from `client_script`")]
    EmptyScript(String),
    /// It panicked while it was installed, and has not been added.
    #[error("the plugin `{0}` panicked while it was installed")]
    Panicked(String),
}

/// The client's half of a plugin.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct ClientScript {
    /// A JavaScript function expression.
    pub script: Arc<str>,
    /// Its third argument.
    pub options: Option<Value>,
}

/// The plugins of a Primus, by [`Primus::plugins`]. They can be changed while it runs; a message
/// that is under way keeps the plugins that it began with.
///
/// `primus.js` shows the plugins of the moment at which it is asked for: pages that are open keep
/// what they have loaded.
#[derive(Clone, Copy)]
pub struct Plugins<'a> {
    primus: &'a Primus,
}

impl<'a> Plugins<'a> {
    pub(crate) fn of(primus: &'a Primus) -> Self {
        Self { primus }
    }

    fn list(&self) -> &'a Installed {
        &self.primus.shared.transforms.plugins
    }

    /// Installs a plugin behind those that are there.
    ///
    /// # Errors
    /// When there is one of the same name, its client script is empty, or it panics. Then it is
    /// not there.
    pub fn add(&self, plugin: impl Plugin) -> Result<(), PluginError> {
        self.add_shared(Arc::new(plugin))
    }

    /// As [`add`](Self::add), for one that is shared.
    ///
    /// # Errors
    /// As [`add`](Self::add).
    pub fn add_shared(&self, plugin: Arc<dyn Plugin>) -> Result<(), PluginError> {
        let name: Arc<str> = plugin.name().into();
        let list = self.list();
        let _place = list.reserve(&name)?;
        let client = client_script(&*plugin)?;
        // Outside of the lock: it may ask for other plugins.
        guarded(&name, "install", || plugin.install(self.primus))
            .map_err(|_| PluginError::Panicked(name.to_string()))?;
        list.push(Entry { name: Arc::clone(&name), plugin, client });
        Ok(())
    }

    /// Takes a plugin out; false if it is not there. Calls of its hooks that have begun end
    /// later.
    pub fn remove(&self, name: &str) -> bool {
        let list = self.list();
        // Until `uninstall` has returned nobody else gets the name.
        let Some((entry, _place)) = list.take(name) else { return false };
        let _ = guarded(name, "uninstall", || entry.plugin.uninstall(self.primus));
        true
    }

    /// The names, in order.
    pub fn names(&self) -> Vec<Arc<str>> {
        self.list().now().entries.iter().map(|entry| Arc::clone(&entry.name)).collect()
    }

    /// The plugin of this name, if it is there.
    pub fn get(&self, name: &str) -> Option<Arc<dyn Plugin>> {
        let list = self.list().now();
        list.entries
            .iter()
            .find(|entry| &*entry.name == name)
            .map(|entry| Arc::clone(&entry.plugin))
    }

    /// Counts the changes. Who has made something of [`client_scripts`](Self::client_scripts) sees
    /// by it whether that is still up to date.
    pub fn generation(&self) -> u64 {
        self.list().now().generation
    }

    /// The clients' halves, in order, and the generation that they are of.
    pub fn client_scripts(&self) -> (u64, Vec<ClientScript>) {
        let list = self.list().now();
        let scripts = list.entries.iter().filter_map(|entry| entry.client.clone()).collect();
        (list.generation, scripts)
    }
}

impl std::fmt::Debug for Plugins<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Plugins").field(&self.names()).finish()
    }
}

fn client_script(plugin: &dyn Plugin) -> Result<Option<ClientScript>, PluginError> {
    let Some(script) = plugin.client_script() else { return Ok(None) };
    if script.trim_matches(|sign: char| sign.is_whitespace() || sign == ';').is_empty() {
        return Err(PluginError::EmptyScript(plugin.name().to_owned()));
    }
    Ok(Some(ClientScript { script: script.into(), options: plugin.client_options() }))
}

/// The list. Without a plugin a hook costs one atomic load.
#[derive(Default)]
pub(crate) struct Installed {
    any: AtomicBool,
    list: Snapshot<List>,
}

#[derive(Default, Clone)]
struct List {
    entries: Vec<Entry>,
    /// Counts the changes of these.
    generation: u64,
    /// The names of those that are being added or removed.
    busy: Vec<Arc<str>>,
}

#[derive(Clone)]
struct Entry {
    name: Arc<str>,
    plugin: Arc<dyn Plugin>,
    client: Option<ClientScript>,
}

/// Keeps a name from being taken, until it is dropped.
struct Reserved<'a> {
    list: &'a Installed,
    name: Arc<str>,
}

impl Drop for Reserved<'_> {
    fn drop(&mut self) {
        self.list.list.edit(|list| list.busy.retain(|name| *name != self.name));
    }
}

impl Installed {
    fn now(&self) -> Arc<List> {
        self.list.get().unwrap_or_default()
    }

    fn reserve(&self, name: &Arc<str>) -> Result<Reserved<'_>, PluginError> {
        self.list.edit(|list| {
            if list.busy.contains(name) || list.entries.iter().any(|entry| entry.name == *name) {
                return Err(PluginError::SameName(name.to_string()));
            }
            list.busy.push(Arc::clone(name));
            Ok(())
        })?;
        Ok(Reserved { list: self, name: Arc::clone(name) })
    }

    fn take(&self, name: &str) -> Option<(Entry, Reserved<'_>)> {
        let entry = self.list.edit(|list| {
            let at = list.entries.iter().position(|entry| &*entry.name == name)?;
            let entry = self.change(list, |entries| entries.remove(at));
            list.busy.push(Arc::clone(&entry.name));
            Some(entry)
        })?;
        let name = Arc::clone(&entry.name);
        Some((entry, Reserved { list: self, name }))
    }

    fn push(&self, entry: Entry) {
        self.list.edit(|list| self.change(list, |entries| entries.push(entry)));
    }

    fn change<T>(&self, list: &mut List, change: impl FnOnce(&mut Vec<Entry>) -> T) -> T {
        let changed = change(&mut list.entries);
        self.any.store(!list.entries.is_empty(), Ordering::Relaxed);
        list.generation += 1;
        changed
    }

    pub(crate) fn is_empty(&self) -> bool {
        !self.any.load(Ordering::Relaxed)
    }

    // ---- hooks ----

    pub(crate) fn on_connection(&self, spark: &Spark) {
        if self.is_empty() {
            return;
        }
        let list = self.list.look();
        for Entry { name, plugin, .. } in list.iter().flat_map(|list| &list.entries) {
            guarded(name, "on_connection", || plugin.on_connection(spark))
                .unwrap_or_else(|panic| resume_unwind(panic));
        }
    }

    /// One that panics does not keep the others from hearing it.
    pub(crate) fn on_disconnection(&self, spark: &Spark, reason: &CloseReason) {
        if self.is_empty() {
            return;
        }
        let list = self.list.look();
        for Entry { name, plugin, .. } in list.iter().flat_map(|list| &list.entries) {
            let _ = guarded(name, "on_disconnection", || plugin.on_disconnection(spark, reason));
        }
    }

    pub(crate) fn incoming(&self, spark: &Spark, message: &mut Message) -> Flow {
        if self.is_empty() {
            return Flow::Pass;
        }
        let list = self.list.look();
        for Entry { name, plugin, .. } in list.iter().flat_map(|list| &list.entries) {
            let flow = guarded(name, "incoming", || plugin.incoming(spark, message))
                .unwrap_or_else(|panic| resume_unwind(panic));
            if flow == Flow::Drop {
                return Flow::Drop;
            }
        }
        Flow::Pass
    }

    /// Who writes may be anybody, and is not to suffer from a panic.
    pub(crate) fn outgoing(&self, message: &mut Message) -> Flow {
        if self.is_empty() {
            return Flow::Pass;
        }
        let list = self.list.look();
        for Entry { name, plugin, .. } in list.iter().flat_map(|list| &list.entries) {
            let flow = guarded(name, "outgoing", || plugin.outgoing(message));
            if flow.unwrap_or(Flow::Drop) == Flow::Drop {
                return Flow::Drop;
            }
        }
        Flow::Pass
    }
}

/// Calls a hook, and logs whose it was if it panics.
fn guarded<T>(name: &str, hook: &str, call: impl FnOnce() -> T) -> std::thread::Result<T> {
    let called = catch_unwind(AssertUnwindSafe(call));
    if called.is_err() {
        tracing::error!(plugin = name, hook, "a plugin panicked");
    }
    called
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;
    use crate::{MountSettings, Settings, transform::Transforms};

    fn primus() -> Primus {
        Primus::new(
            Settings::default(),
            Transforms::default(),
            [(MountSettings::new("/primus"), Vec::new())],
        )
    }

    fn names(primus: &Primus) -> Vec<String> {
        primus.plugins().names().iter().map(|name| name.to_string()).collect()
    }

    /// Writes down what becomes of it.
    #[derive(Clone)]
    struct Diary {
        name: &'static str,
        script: Option<&'static str>,
        lines: Arc<Mutex<Vec<String>>>,
    }

    impl Diary {
        fn new(name: &'static str) -> Self {
            Self { name, script: None, lines: Arc::default() }
        }

        fn read(&self) -> Vec<String> {
            std::mem::take(&mut *self.lines.lock().unwrap())
        }

        fn note(&self, what: &str, primus: &Primus) {
            let line = format!("{what} {} among {}", self.name, names(primus).join(" "));
            self.lines.lock().unwrap().push(line.trim_end().to_owned());
            assert_ne!(self.name, "panics", "as asked");
        }
    }

    impl Plugin for Diary {
        fn name(&self) -> &str {
            self.name
        }

        fn install(&self, primus: &Primus) {
            self.note("install", primus);
            assert_eq!(
                primus.plugins().add(self.clone()),
                Err(PluginError::SameName(self.name.to_owned())),
                "its name is taken, and nothing hangs"
            );
        }

        fn uninstall(&self, primus: &Primus) {
            self.note("uninstall", primus);
            assert!(primus.plugins().add(self.clone()).is_err());
        }

        fn client_script(&self) -> Option<&str> {
            self.script
        }

        fn client_options(&self) -> Option<Value> {
            Some(self.name.into())
        }
    }

    #[test]
    fn they_are_added_and_removed_in_order_and_each_name_once() {
        let primus = primus();
        let plugins = primus.plugins();
        let (a, b) = (Diary::new("a"), Diary::new("b"));
        assert_eq!(plugins.generation(), 0);
        plugins.add(a.clone()).unwrap();
        plugins.add(b.clone()).unwrap();
        assert_eq!(plugins.add(Diary::new("a")), Err(PluginError::SameName("a".to_owned())));
        assert_eq!(names(&primus), ["a", "b"]);
        assert_eq!(
            (a.read(), b.read()),
            (vec!["install a among".into()], vec!["install b among a".into()])
        );
        let shared = plugins.get("a").unwrap();
        assert!(plugins.remove("a") && !plugins.remove("a"));
        assert_eq!(a.read(), ["uninstall a among b"]);
        assert!(plugins.get("a").is_none());
        plugins.add(shared).unwrap();
        assert_eq!(names(&primus), ["b", "a"]);
        assert_eq!(plugins.generation(), 4);
        assert_eq!(format!("{plugins:?}"), r#"Plugins(["b", "a"])"#);
    }

    #[test]
    fn one_that_cannot_be_installed_is_not_there() {
        let primus = primus();
        let plugins = primus.plugins();
        let panics = Diary::new("panics");
        let error = plugins.add(panics.clone()).unwrap_err();
        assert_eq!(error.to_string(), "the plugin `panics` panicked while it was installed");
        // And its name is free again.
        assert_eq!(plugins.add(panics).unwrap_err(), error);
        let empty = Diary { script: Some(" ;\n"), ..Diary::new("empty") };
        assert_eq!(
            plugins.add(empty.clone()).unwrap_err().to_string(),
            "the client script of the plugin `empty` is empty; return None from `client_script`"
        );
        assert_eq!(empty.read(), [""; 0]);
        assert_eq!((names(&primus).len(), plugins.generation()), (0, 0));
    }

    #[test]
    fn a_panic_while_it_is_removed_does_not_keep_it() {
        struct Clings;
        impl Plugin for Clings {
            fn name(&self) -> &str {
                "clings"
            }

            fn uninstall(&self, _: &Primus) {
                panic!("as asked");
            }
        }
        let primus = primus();
        for _ in 0..2 {
            primus.plugins().add(Clings).unwrap();
            assert!(primus.plugins().remove("clings"));
            assert!(names(&primus).is_empty());
        }
    }

    #[test]
    fn the_clients_halves_are_those_of_the_moment() {
        let primus = primus();
        let plugins = primus.plugins();
        plugins.add(Diary { script: Some("() => 1"), ..Diary::new("a") }).unwrap();
        plugins.add(Diary::new("b")).unwrap();
        plugins.add(Diary { script: Some("() => 2"), ..Diary::new("c") }).unwrap();
        let script = |script: &str, options: &str| ClientScript {
            script: script.into(),
            options: Some(options.into()),
        };
        assert_eq!(
            plugins.client_scripts(),
            (3, vec![script("() => 1", "a"), script("() => 2", "c")])
        );
        plugins.remove("a");
        assert_eq!(plugins.client_scripts(), (4, vec![script("() => 2", "c")]));
    }
}
