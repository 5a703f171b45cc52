//! What has no session: the greeting, the information, the page of the iframe transports.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};

use http::{HeaderValue, StatusCode, header};
use primus_core::{
    Head, Response,
    request::{full, status},
};
use primus_http::cors;

use crate::{
    headers::{allow, keep, no_cache, text, typed},
    options::SockJsOptions,
};

pub(crate) fn greeting() -> Response {
    text(StatusCode::OK, "Welcome to SockJS!\n")
}

/// What the client asks first: what there is, and something random for its ids.
pub(crate) fn info(head: &Head, options: &SockJsOptions) -> Response {
    let SockJsOptions { websocket, cookie, .. } = options;
    let entropy = getrandom::u32().unwrap_or_default();
    let info = format!(
        r#"{{"websocket":{websocket},"origins":["*:*"],"cookie_needed":{cookie},"entropy":{entropy}}}"#
    );
    let mut response = typed(StatusCode::OK, "application/json; charset=UTF-8", full(info));
    no_cache(response.headers_mut());
    allow(cors::page(head), response.headers_mut());
    response
}

/// The page that talks to us for pages of other origins: always the same.
pub(crate) fn iframe(head: &Head, options: &SockJsOptions) -> Response {
    let url = options.sockjs_url.replace('&', "&amp;").replace('"', "&quot;").replace('<', "&lt;");
    let page = format!(
        "<!DOCTYPE html>\n\
         <html>\n\
         <head>\n\
         \x20 <meta http-equiv=\"X-UA-Compatible\" content=\"IE=edge\" />\n\
         \x20 <meta http-equiv=\"Content-Type\" content=\"text/html; charset=UTF-8\" />\n\
         \x20 <script src=\"{url}\"></script>\n\
         \x20 <script>\n\
         \x20   document.domain = document.domain;\n\
         \x20   SockJS.bootstrap_iframe();\n\
         \x20 </script>\n\
         </head>\n\
         <body>\n\
         \x20 <h2>Don't panic!</h2>\n\
         \x20 <p>This is a SockJS hidden iframe. It's used for cross domain magic.</p>\n\
         </body>\n\
         </html>"
    );
    let mut hash = DefaultHasher::new();
    page.hash(&mut hash);
    let tag = format!("\"{:016x}\"", hash.finish());
    let mut response = if head.header(header::IF_NONE_MATCH) == Some(&*tag) {
        status(StatusCode::NOT_MODIFIED)
    } else {
        typed(StatusCode::OK, "text/html; charset=UTF-8", full(page))
    };
    keep(response.headers_mut());
    if let Ok(tag) = HeaderValue::try_from(tag) {
        response.headers_mut().insert(header::ETAG, tag);
    }
    response
}
