//! Finds what a request is for, and answers it.

use std::sync::Arc;

use http::{HeaderValue, Method, StatusCode, header};
use primus_core::{
    BoxFuture, Head, Mount, Primus, Request, Response, Transformer,
    request::{full, json, text},
};
use primus_library::{Library, LibraryConfig};
use serde::Serialize;
use tracing::{Instrument as _, instrument::Instrumented};

use crate::{cors, forwarded, options::Options, post::is_ours, scripts::Scripts};

/// One Primus with its HTTP options. A cheap clone.
#[derive(Clone)]
pub struct App {
    inner: Arc<Inner>,
}

struct Inner {
    primus: Primus,
    mounts: Vec<Mounted>,
    options: Options,
}

/// A mount and the client library for it.
struct Mounted {
    mount: Arc<Mount>,
    library: Option<Scripts>,
}

/// What a request of ours is for.
pub(crate) enum Route {
    Library {
        library: Library,
        immutable: bool,
    },
    /// The immutable URL of a client library that this server does not have.
    OtherLibrary,
    Spec {
        mount: usize,
    },
    Preflight,
    /// A preflight to a transformer that answers it.
    OwnPreflight {
        mount: usize,
        transformer: Arc<dyn Transformer>,
    },
    Transform {
        mount: usize,
        transformer: Arc<dyn Transformer>,
    },
}

/// What has become of a request.
enum Answer {
    /// Answered, and no page of another origin may read it.
    Closed(Response),
    /// Answered, and pages that may connect may read it.
    Open(Response),
    /// As `Open`, in time.
    Awaited(Instrumented<BoxFuture<'static, Response>>),
    /// In time, and the transformer says who may read it.
    AwaitedAsItIs(Instrumented<BoxFuture<'static, Response>>),
}

impl App {
    /// `libraries` has what the client library of each mount is made from, in order; none for a
    /// mount whose transformers have no client of ours. The scripts of the server's plugins are
    /// added to it, as they are when the library is asked for.
    pub fn new(
        primus: Primus,
        libraries: impl IntoIterator<Item = Option<LibraryConfig>>,
        options: Options,
    ) -> Self {
        let libraries = libraries.into_iter().chain(std::iter::repeat_with(|| None));
        let mut mounts: Vec<Mounted> = primus
            .mounts()
            .iter()
            .cloned()
            .zip(libraries)
            .map(|(mount, library)| Mounted { mount, library: library.map(Scripts::new) })
            .collect();
        // The longest path is asked first, so that `/` does not hide the others.
        mounts.sort_by_key(|mounted| std::cmp::Reverse(mounted.mount.settings().path.len()));
        Self { inner: Arc::new(Inner { primus, mounts, options }) }
    }

    /// The server behind it.
    pub fn primus(&self) -> &Primus {
        &self.inner.primus
    }

    /// The HTTP options.
    pub fn options(&self) -> &Options {
        &self.inner.options
    }

    /// The client library of the mount at `path`, with the plugins of this moment.
    pub fn library(&self, path: &str) -> Option<Library> {
        let mounted = self.inner.mounts.iter().find(|m| &*m.mount.settings().path == path)?;
        Some(mounted.library.as_ref()?.current(&self.inner.primus))
    }

    /// What a request is for; `None` if it is not ours.
    pub(crate) fn route(&self, head: &Head) -> Option<Route> {
        self.inner.mounts.iter().enumerate().find_map(|(index, mounted)| {
            let tail = tail(head.uri.path(), &mounted.mount.settings().path)?;
            mounted.route(&self.inner.primus, index, head, tail)
        })
    }

    /// Answers a request that [`route`](Self::route) found to be ours. While a transformer takes its
    /// time, nothing of the request is kept but what that needs of it.
    pub(crate) fn answer(
        &self,
        route: Route,
        request: Request,
    ) -> impl Future<Output = Response> + Send + use<> {
        let page = cors::page(&request.head);
        let app = self.clone();
        let answer = Box::pin(self.clone().begin(route, request));
        async move {
            let answer = answer.await;
            let mut response = match answer {
                Answer::Closed(response) => return response,
                Answer::Open(response) => response,
                Answer::Awaited(response) => response.await,
                Answer::AwaitedAsItIs(response) => return response.await,
            };
            cors::allow(page, &app.options().origins, response.headers_mut());
            response
        }
    }

    async fn begin(self, route: Route, mut request: Request) -> Answer {
        let Inner { primus, mounts, options } = &*self.inner;
        let head = &mut request.head;
        forwarded::resolve(head, &options.trusted_proxies);
        if head.headers.len() > options.max_headers {
            let error = format!("more than {} headers (max_headers)", options.max_headers);
            return Answer::Closed(refuse(StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE, &error));
        }
        match route {
            Route::Library { library, immutable } => {
                Answer::Closed(library.respond(&head.method, &head.headers, immutable).map(full))
            }
            Route::OtherLibrary => {
                let error = "this is the URL of another client library; load primus.js";
                Answer::Closed(refuse(StatusCode::NOT_FOUND, error))
            }
            Route::Spec { mount } => {
                let spec = mounts[mount].spec(primus);
                if options.origins.check(head).is_err() {
                    // No secret, and nothing for scripts of that origin either.
                    return Answer::Closed(spec);
                }
                Answer::Open(spec)
            }
            Route::Preflight => match options.origins.check(head) {
                Ok(()) => Answer::Open(cors::answer_preflight()),
                Err(error) => Answer::Closed(refuse(StatusCode::FORBIDDEN, &error)),
            },
            Route::OwnPreflight { mount, transformer } => match options.origins.check(head) {
                Ok(()) => transform(transformer, request, &mounts[mount].mount),
                Err(error) => Answer::Closed(refuse(StatusCode::FORBIDDEN, &error)),
            },
            Route::Transform { mount, transformer } => {
                if let Err(error) = options.origins.check(head) {
                    // A page cannot read why; whoever runs the server can.
                    tracing::warn!(address = ?head.address, "{error}");
                    return Answer::Closed(refuse(StatusCode::FORBIDDEN, &error));
                }
                if let Some(response) = primus.middleware().run(head).await {
                    return Answer::Open(response);
                }
                transform(transformer, request, &mounts[mount].mount)
            }
        }
    }

    /// The answer where nobody is behind us.
    pub(crate) fn not_found(&self, head: &Head) -> Response {
        let websocket_only = self.inner.mounts.iter().any(|mounted| {
            matches!(tail(head.uri.path(), &mounted.mount.settings().path), Some("" | "/"))
                && mounted.mount.transformers().iter().all(|t| t.name() == "websocket")
        });
        let mut response = if websocket_only && head.method == Method::GET {
            let mut response = text(StatusCode::UPGRADE_REQUIRED, "Upgrade Required");
            let websocket = HeaderValue::from_static("websocket");
            response.headers_mut().insert(header::UPGRADE, websocket);
            response
        } else {
            let paths = self.inner.mounts.iter().map(|mounted| &*mounted.mount.settings().path);
            let paths = paths.collect::<Vec<_>>().join(", ");
            refuse(StatusCode::NOT_FOUND, &format!("nothing is here; Primus is at {paths}"))
        };
        if head.wants_websocket() && head.connect_protocol.is_none() {
            // Nobody will speak on it any more.
            let close = HeaderValue::from_static("close");
            response.headers_mut().insert(header::CONNECTION, close);
        }
        response
    }
}

/// Lets a transformer answer.
fn transform(transformer: Arc<dyn Transformer>, request: Request, mount: &Arc<Mount>) -> Answer {
    let head = &request.head;
    // Without the query, which may hold a token.
    let span = tracing::debug_span!(
        "request",
        transformer = transformer.name(),
        method = %head.method,
        path = head.uri.path(),
        address = ?head.address,
    );
    let as_it_is = transformer.answers_cors();
    let answer = span.in_scope(|| transformer.serve(request, Arc::clone(mount))).instrument(span);
    if as_it_is { Answer::AwaitedAsItIs(answer) } else { Answer::Awaited(answer) }
}

impl Mounted {
    fn route(&self, primus: &Primus, mount: usize, head: &Head, tail: &str) -> Option<Route> {
        let readable = matches!(head.method, Method::GET | Method::HEAD);
        if tail == "/spec" && readable {
            return Some(Route::Spec { mount });
        }
        if let Some(library) = self.library.as_ref().filter(|_| readable)
            && let Some(name) = tail.strip_prefix("/primus.")
        {
            if name == "js" {
                let library = library.current(primus);
                return Some(Route::Library { library, immutable: false });
            }
            if let Some(hash) = name.strip_suffix(".js").filter(|hash| is_hash(hash)) {
                let library = library.current(primus);
                let known = hash == library.hash();
                let library = Route::Library { library, immutable: true };
                return Some(if known { library } else { Route::OtherLibrary });
            }
        }
        let claims = |head: &Head| self.claims(head, tail);
        if let Some(method) = cors::preflight(head) {
            let mut wanted = head.clone();
            wanted.method = method;
            let transformer = Arc::clone(claims(&wanted)?);
            return Some(if transformer.answers_cors() {
                Route::OwnPreflight { mount, transformer }
            } else {
                Route::Preflight
            });
        }
        let transformer = Arc::clone(claims(head)?);
        Some(Route::Transform { mount, transformer })
    }

    /// Who serves this. Requests of our own client are for our own transformers; others are first for those
    /// that know theirs by more than the path, and ours take what is left.
    fn claims(&self, head: &Head, tail: &str) -> Option<&Arc<dyn Transformer>> {
        let all = self.mount.transformers();
        let find = |ours| {
            all.iter().find(|one| one.client_module().is_some() == ours && one.claims(head, tail))
        };
        let ours = is_ours(head);
        find(ours).or_else(|| find(!ours))
    }

    fn spec(&self, primus: &Primus) -> Response {
        let settings = self.mount.settings();
        let names: Vec<_> = self.mount.transformers().iter().map(|t| t.name()).collect();
        // The name that Primus 8 gives to its WebSocket transformer. Where clients of others come first, it is
        // not for those of Primus 8.
        let ours = self.mount.transformers()[0].client_module().is_some();
        let first = if ours && names.contains(&"websocket") { "websockets" } else { names[0] };
        let interval = primus.settings().ping_interval.as_millis();
        let spec = Spec {
            ping_interval: u64::try_from(interval).unwrap_or(u64::MAX),
            pathname: &settings.path,
            version: env!("CARGO_PKG_VERSION"),
            parser: settings.parser.name(),
            transformer: first,
            transports: &names,
        };
        let mut response = json(StatusCode::OK, &spec);
        let no_store = HeaderValue::from_static("no-store");
        response.headers_mut().insert(header::CACHE_CONTROL, no_store);
        response
    }
}

/// What `/spec` answers: the five fields of Primus 8, in its order, and one of ours.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Spec<'a> {
    ping_interval: u64,
    pathname: &'a str,
    version: &'a str,
    parser: &'a str,
    transformer: &'a str,
    transports: &'a [&'a str],
}

/// The rest of `path` behind a mount's, by segment: empty or beginning with `/`.
fn tail<'a>(path: &'a str, mount: &str) -> Option<&'a str> {
    if mount == "/" {
        return Some(path);
    }
    path.strip_prefix(mount).filter(|tail| tail.is_empty() || tail.starts_with('/'))
}

/// Whether this could stand in the immutable URL of a client library.
fn is_hash(text: &str) -> bool {
    text.len() == 32 && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// An error as docs/protocol.md §4 has it.
pub(crate) fn refuse(status: StatusCode, error: &str) -> Response {
    json(status, &serde_json::json!({ "error": error }))
}

#[cfg(test)]
mod tests {
    use super::tail;

    #[test]
    fn paths_match_by_segment() {
        assert_eq!(tail("/primus", "/primus"), Some(""));
        assert_eq!(tail("/primus/", "/primus"), Some("/"));
        assert_eq!(tail("/primus/sse", "/primus"), Some("/sse"));
        assert_eq!(tail("/primusx", "/primus"), None);
        assert_eq!(tail("/x/primus", "/primus"), None);
        assert_eq!(tail("/sse", "/"), Some("/sse"));
    }
}
