//! The script as an HTTP answer.

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, Response, StatusCode, header};

use crate::{encoding::Encoding, etag, library::Library};

impl Library {
    /// Answers a request for the script by its method and headers.
    ///
    /// `immutable` is whether the URL has the [`hash`](Self::hash) in it, so that the answer may
    /// be kept for ever; under the plain URL a cache asks each time, and is told 304 while
    /// nothing has changed.
    ///
    /// The body is compressed as `Accept-Encoding` likes it; each form has an entity tag of its
    /// own. An answer to `HEAD` has the headers of the answer to `GET`, `Content-Length`
    /// included, and no body. Other methods get 405.
    pub fn respond(
        &self,
        method: &Method,
        headers: &HeaderMap,
        immutable: bool,
    ) -> Response<Bytes> {
        let mut response = Response::new(Bytes::new());
        if method != Method::GET && method != Method::HEAD {
            *response.status_mut() = StatusCode::METHOD_NOT_ALLOWED;
            response.headers_mut().insert(header::ALLOW, HeaderValue::from_static("GET, HEAD"));
            response.headers_mut().insert(header::CONTENT_LENGTH, HeaderValue::from(0));
            return response;
        }

        let encoding = Encoding::negotiate(headers);
        let etag = self.etag_of(encoding);
        let known = etag::is_known(headers, &etag);
        let out = response.headers_mut();
        let mut set = |name, value| out.insert(name, HeaderValue::from_static(value));
        set(header::VARY, "accept-encoding");
        set(header::X_CONTENT_TYPE_OPTIONS, "nosniff");
        set(
            header::CACHE_CONTROL,
            if immutable { "public, max-age=31536000, immutable" } else { "no-cache" },
        );
        if !known {
            set(header::CONTENT_TYPE, "text/javascript; charset=utf-8");
            if let Some(name) = encoding.name() {
                set(header::CONTENT_ENCODING, name);
            }
        }
        if let Ok(etag) = HeaderValue::from_str(&etag) {
            out.insert(header::ETAG, etag);
        }
        if known {
            *response.status_mut() = StatusCode::NOT_MODIFIED;
            return response;
        }

        let body = self.body(encoding);
        out.insert(header::CONTENT_LENGTH, HeaderValue::from(body.len()));
        if method == Method::GET {
            *response.body_mut() = body;
        }
        response
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SCRIPT: &str = "publish([ws],{});publish([ws],{});publish([ws],{});";

    fn request(pairs: &[(&'static str, &str)]) -> HeaderMap {
        let pairs = pairs.iter().map(|(name, value)| {
            (header::HeaderName::from_static(name), HeaderValue::from_str(value).unwrap())
        });
        pairs.collect()
    }

    fn shown(response: &Response<Bytes>) -> Vec<String> {
        let mut lines: Vec<_> = response
            .headers()
            .iter()
            .map(|(name, value)| format!("{name}: {}", value.to_str().unwrap()))
            .collect();
        lines.sort();
        lines
    }

    fn library() -> Library {
        Library::from_script(SCRIPT.to_owned())
    }

    #[test]
    fn the_plain_url_is_revalidated() {
        let library = library();
        let response = library.respond(&Method::GET, &HeaderMap::new(), false);
        assert_eq!(response.status(), 200);
        assert_eq!(
            shown(&response),
            [
                "cache-control: no-cache".to_owned(),
                format!("content-length: {}", SCRIPT.len()),
                "content-type: text/javascript; charset=utf-8".to_owned(),
                format!("etag: \"{}\"", library.hash()),
                "vary: accept-encoding".to_owned(),
                "x-content-type-options: nosniff".to_owned(),
            ]
        );
        assert_eq!(response.body(), SCRIPT.as_bytes());
    }

    #[test]
    fn the_hashed_url_is_for_ever() {
        let response = library().respond(&Method::GET, &HeaderMap::new(), true);
        assert_eq!(
            response.headers()[header::CACHE_CONTROL],
            "public, max-age=31536000, immutable"
        );
    }

    #[test]
    fn each_encoding_has_its_tag_and_validates_by_it() {
        let library = library();
        let forms = [
            ("identity", "", None, Bytes::from_static(SCRIPT.as_bytes())),
            ("gzip", "-gzip", Some("gzip"), library.gzip()),
            ("gzip, br", "-br", Some("br"), library.brotli()),
        ];
        let tags = forms.each_ref().map(|form| format!("\"{}{}\"", library.hash(), form.1));
        for (accept, suffix, name, body) in &forms {
            let response =
                library.respond(&Method::GET, &request(&[("accept-encoding", accept)]), false);
            let etag = format!("\"{}{suffix}\"", library.hash());
            assert_eq!(response.status(), 200);
            assert_eq!(response.headers()[header::ETAG], etag);
            let encoding = response.headers().get(header::CONTENT_ENCODING);
            assert_eq!(encoding.map(|value| value.to_str().unwrap()), *name);
            assert_eq!(response.body(), body);
            for known in &tags {
                let headers = request(&[("accept-encoding", accept), ("if-none-match", known)]);
                let status = library.respond(&Method::GET, &headers, false).status();
                assert_eq!(status, if *known == etag { 304 } else { 200 }, "{accept} {known}");
            }
        }
    }

    #[test]
    fn not_modified_has_the_headers_of_caching_and_nothing_else() {
        let library = library();
        let weak = format!("\"x\", W/{}", library.etag());
        for known in [&*weak, "*"] {
            for method in [Method::GET, Method::HEAD] {
                let response =
                    library.respond(&method, &request(&[("if-none-match", known)]), false);
                assert_eq!(response.status(), 304);
                assert_eq!(
                    shown(&response),
                    [
                        "cache-control: no-cache".to_owned(),
                        format!("etag: {}", library.etag()),
                        "vary: accept-encoding".to_owned(),
                        "x-content-type-options: nosniff".to_owned(),
                    ]
                );
                assert!(response.body().is_empty());
            }
        }
    }

    #[test]
    fn head_is_get_without_the_body() {
        let library = library();
        let headers = request(&[("accept-encoding", "gzip")]);
        let get = library.respond(&Method::GET, &headers, false);
        let head = library.respond(&Method::HEAD, &headers, false);
        assert_eq!((head.status(), shown(&head)), (get.status(), shown(&get)));
        assert!(head.body().is_empty());
        assert_eq!(head.headers()[header::CONTENT_LENGTH], library.gzip().len().to_string());
    }

    #[test]
    fn other_methods_are_told_which_there_are() {
        let response = library().respond(&Method::POST, &HeaderMap::new(), false);
        assert_eq!(response.status(), 405);
        assert_eq!(shown(&response), ["allow: GET, HEAD", "content-length: 0"]);
    }
}
