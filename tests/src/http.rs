//! A small HTTP client: HTTP/1.1 and HTTP/2 by hyper, and requests as bare bytes.

use std::{convert::Infallible, net::SocketAddr};

use bytes::{Bytes, BytesMut};
use futures_util::stream;
use http::{HeaderMap, Method, Request, StatusCode, Uri, header};
use http_body_util::{BodyExt as _, Full, StreamBody, combinators::UnsyncBoxBody};
use hyper::{
    body::{Frame, Incoming},
    client::conn::{http1, http2},
    ext::Protocol,
    upgrade::Upgraded,
};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _},
    net::TcpStream,
    sync::mpsc,
};

use crate::server::soon;

type Body = UnsyncBoxBody<Bytes, Infallible>;

/// A request that is being put together.
pub struct Call {
    request: Request<Body>,
}

/// `GET` a path.
pub fn get(path: &str) -> Call {
    Call::new(Method::GET, path, "")
}

/// `POST` a body to a path.
pub fn post(path: &str, body: impl Into<Bytes>) -> Call {
    Call::new(Method::POST, path, body)
}

/// `POST` a body that comes piece by piece, until the sender is dropped.
pub fn post_stream(path: &str) -> (Call, mpsc::Sender<Bytes>) {
    let (sender, receiver) = mpsc::channel::<Bytes>(16);
    let pieces = stream::unfold(receiver, async |mut receiver| {
        let piece = receiver.recv().await?;
        Some((Ok(Frame::data(piece)), receiver))
    });
    let mut call = post(path, "");
    *call.request.body_mut() = StreamBody::new(pieces).boxed_unsync();
    (call, sender)
}

impl Call {
    /// A request of any method.
    pub fn new(method: Method, path: &str, body: impl Into<Bytes>) -> Self {
        let mut request = Request::new(Full::new(body.into()).boxed_unsync());
        *request.method_mut() = method;
        *request.uri_mut() = path.parse().expect("a path");
        Self { request }
    }

    /// Adds a header.
    #[must_use]
    pub fn header(mut self, name: &'static str, value: &str) -> Self {
        self.request.headers_mut().append(name, value.parse().expect("a header's value"));
        self
    }

    /// Sends it on a connection of its own by HTTP/1.1, and reads the whole answer.
    pub async fn send(self, to: SocketAddr) -> Answer {
        self.open(to).await.whole().await
    }

    /// As [`send`](Self::send), with the body of the answer still to be read.
    pub async fn open(self, to: SocketAddr) -> Open {
        self.open_on(&mut Connection::one(to).await).await
    }

    /// Sends it on a connection that is there, and reads the whole answer.
    pub async fn send_on(self, connection: &mut Connection) -> Answer {
        self.open_on(connection).await.whole().await
    }

    /// As [`send_on`](Self::send_on), with the body of the answer still to be read.
    pub async fn open_on(mut self, connection: &mut Connection) -> Open {
        let response = match connection {
            Connection::One { sender, host } => {
                let headers = self.request.headers_mut();
                headers.entry(header::HOST).or_insert_with(|| host.parse().expect("a host"));
                soon(sender.ready()).await.expect("the connection lives");
                soon(sender.send_request(self.request)).await
            }
            Connection::Two { sender, host } => {
                make_absolute(&mut self.request, host);
                soon(sender.ready()).await.expect("the connection lives");
                soon(sender.send_request(self.request)).await
            }
        };
        let (parts, body) = response.expect("an answer").into_parts();
        Open { status: parts.status, headers: parts.headers, body, read: BytesMut::new() }
    }
}

/// HTTP/2 has the host in the URI. A `Host` header stands in for it.
fn make_absolute<B>(request: &mut Request<B>, host: &str) {
    let named = request.headers_mut().remove(header::HOST);
    let host = named.as_ref().and_then(|named| named.to_str().ok()).unwrap_or(host);
    let path = request.uri().path_and_query().map_or("/", |path| path.as_str());
    *request.uri_mut() = format!("http://{host}{path}").parse::<Uri>().expect("a URI");
}

/// A connection to a server. It is closed when this is dropped.
pub enum Connection {
    /// By HTTP/1.1: one request after the other.
    One {
        /// Takes the requests.
        sender: http1::SendRequest<Body>,
        /// What requests name as their host.
        host: String,
    },
    /// By HTTP/2: many at once.
    Two {
        /// Takes the requests.
        sender: http2::SendRequest<Body>,
        /// What requests name as their host.
        host: String,
    },
}

impl Connection {
    /// By HTTP/1.1.
    pub async fn one(to: SocketAddr) -> Self {
        Self::one_over(connect(to).await, &to.to_string()).await
    }

    /// By HTTP/1.1 over any socket.
    pub async fn one_over(
        io: impl AsyncRead + AsyncWrite + Send + Unpin + 'static,
        host: &str,
    ) -> Self {
        let handshake = http1::handshake(TokioIo::new(io));
        let (sender, connection) = soon(handshake).await.expect("HTTP/1.1");
        tokio::spawn(connection.with_upgrades());
        Self::One { sender, host: host.to_owned() }
    }

    /// By HTTP/2 with prior knowledge.
    pub async fn two(to: SocketAddr) -> Self {
        Self::two_over(connect(to).await, &to.to_string()).await
    }

    /// By HTTP/2 over any socket.
    pub async fn two_over(
        io: impl AsyncRead + AsyncWrite + Send + Unpin + 'static,
        host: &str,
    ) -> Self {
        let io = TokioIo::new(io);
        let handshake = http2::handshake(TokioExecutor::new(), io);
        let (sender, connection) = soon(handshake).await.expect("HTTP/2");
        tokio::spawn(connection);
        Self::Two { sender, host: host.to_owned() }
    }

    /// Asks for a WebSocket by an extended `CONNECT` (RFC 8441): the answer, and the tunnel if it
    /// was granted.
    ///
    /// # Panics
    /// On a connection that is not HTTP/2.
    pub async fn connect_websocket(
        &mut self,
        path: &str,
        headers: &[(&'static str, &str)],
    ) -> (Answer, Option<TokioIo<Upgraded>>) {
        let mut call = Call::new(Method::CONNECT, path, "");
        for (name, value) in headers {
            call = call.header(name, value);
        }
        call.request.extensions_mut().insert(Protocol::from_static("websocket"));
        let Self::Two { sender, host } = self else { panic!("not HTTP/2") };
        make_absolute(&mut call.request, host);
        soon(sender.ready()).await.expect("the connection lives");
        let mut response = soon(sender.send_request(call.request)).await.expect("an answer");
        if response.status() == StatusCode::OK {
            let tunnel = soon(hyper::upgrade::on(&mut response)).await.expect("a tunnel");
            let (parts, _) = response.into_parts();
            let answer =
                Answer { status: parts.status, headers: parts.headers, body: Bytes::new() };
            return (answer, Some(TokioIo::new(tunnel)));
        }
        let (parts, body) = response.into_parts();
        let open =
            Open { status: parts.status, headers: parts.headers, body, read: BytesMut::new() };
        (open.whole().await, None)
    }
}

/// An answer whose body is being read. The connection goes with it.
#[derive(Debug)]
pub struct Open {
    /// Its status.
    pub status: StatusCode,
    /// Its headers.
    pub headers: HeaderMap,
    body: Incoming,
    read: BytesMut,
}

impl Open {
    /// Reads what is left.
    ///
    /// # Panics
    /// If the body breaks off.
    pub async fn whole(mut self) -> Answer {
        let rest = soon(self.body.collect()).await.expect("the whole body").to_bytes();
        self.read.extend_from_slice(&rest);
        Answer { status: self.status, headers: self.headers, body: self.read.freeze() }
    }

    /// The next line, without its end; `None` behind the last, or if the body breaks off.
    pub async fn line(&mut self) -> Option<String> {
        loop {
            if let Some(end) = self.read.iter().position(|byte| *byte == b'\n') {
                let line = self.read.split_to(end + 1);
                return Some(String::from_utf8_lossy(&line[..end]).into_owned());
            }
            let piece = soon(self.body.frame()).await?.ok()?.into_data().ok()?;
            self.read.extend_from_slice(&piece);
        }
    }

    /// The data of the next server-sent event; comments and other fields are skipped.
    pub async fn event(&mut self) -> Option<String> {
        let mut data: Option<String> = None;
        loop {
            let line = self.line().await?;
            if let Some(part) = line.strip_prefix("data:") {
                let part = part.strip_prefix(' ').unwrap_or(part);
                data = Some(match data {
                    None => part.to_owned(),
                    Some(before) => format!("{before}\n{part}"),
                });
            } else if line.is_empty() && data.is_some() {
                return data;
            }
        }
    }
}

/// A whole answer.
#[derive(Debug)]
pub struct Answer {
    /// Its status.
    pub status: StatusCode,
    /// Its headers.
    pub headers: HeaderMap,
    /// Its body.
    pub body: Bytes,
}

impl Answer {
    /// The body as text.
    ///
    /// # Panics
    /// If it is not UTF-8.
    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.body).expect("UTF-8")
    }

    /// The body as JSON; null if it is none.
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap_or_default()
    }

    /// What `{"error": …}` says; empty if the body is no such thing.
    pub fn error(&self) -> String {
        self.json()["error"].as_str().unwrap_or_default().to_owned()
    }

    /// A header; empty if it is not there, joined by `, ` if it is there several times.
    pub fn header(&self, name: &str) -> String {
        let values = self.headers.get_all(name).iter();
        values.filter_map(|value| value.to_str().ok()).collect::<Vec<_>>().join(", ")
    }
}

/// A TCP connection.
///
/// # Panics
/// If nobody listens there.
pub async fn connect(to: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(to).await.expect("somebody listens");
    stream.set_nodelay(true).expect("a socket");
    stream
}

/// Sends bare bytes, and reads until the server closes.
///
/// # Panics
/// If the connection fails.
pub async fn raw(to: SocketAddr, bytes: impl AsRef<[u8]>) -> String {
    let mut stream = connect(to).await;
    stream.write_all(bytes.as_ref()).await.expect("it is sent");
    let mut answer = Vec::new();
    soon(stream.read_to_end(&mut answer)).await.expect("it closes in good order");
    String::from_utf8_lossy(&answer).into_owned()
}
