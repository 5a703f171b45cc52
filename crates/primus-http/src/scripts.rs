//! The client library of one mount, as its plugins are at this moment.

use std::sync::{PoisonError, RwLock};

use primus_core::Primus;
use primus_library::{Library, LibraryConfig, PluginScript};

/// Assembles the library anew when the plugins have changed since, at the next request for it.
pub(crate) struct Scripts {
    config: LibraryConfig,
    /// The newest, and the generation of the plugins that it was made of.
    made: RwLock<Option<(u64, Library)>>,
}

impl Scripts {
    pub(crate) fn new(config: LibraryConfig) -> Self {
        Self { config, made: RwLock::new(None) }
    }

    pub(crate) fn current(&self, primus: &Primus) -> Library {
        let plugins = primus.plugins();
        let generation = plugins.generation();
        let up_to_date = |made: &Option<(u64, Library)>| match made {
            Some((of, library)) if *of >= generation => Some(library.clone()),
            _ => None,
        };
        if let Some(library) = up_to_date(&self.made.read().unwrap_or_else(PoisonError::into_inner))
        {
            return library;
        }
        let mut made = self.made.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(library) = up_to_date(&made) {
            return library; // somebody else was quicker
        }
        let (generation, scripts) = plugins.client_scripts();
        let mut config = self.config.clone();
        config.plugins.extend(scripts.into_iter().map(|plugin| PluginScript {
            script: plugin.script.as_ref().to_owned(),
            options: plugin.options,
        }));
        let mut library = Library::new(config).unwrap_or_else(|error| {
            tracing::error!(path = self.config.path, %error, "there is no client library");
            Library::unavailable(&error)
        });
        if let Some((_, old)) = &*made
            && old.hash() == library.hash()
        {
            library = old.clone(); // and what has been compressed of it
        }
        *made = Some((generation, library.clone()));
        library
    }
}
