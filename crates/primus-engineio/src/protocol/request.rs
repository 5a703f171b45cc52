//! What a request asks for, and what is wrong with one: codes and messages of Engine.IO.

use http::{Method, StatusCode};
use primus_core::Query;

use super::Version;

/// What is wrong with a request. The numbers are the protocol's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum RequestError {
    /// 0: there is no such transport.
    #[error("Transport unknown")]
    UnknownTransport,
    /// 1: there is no such connection, or not any more.
    #[error("Session ID unknown")]
    UnknownSid,
    /// 2: a handshake is a GET.
    #[error("Bad handshake method")]
    BadHandshakeMethod,
    /// 3: it does not fit the connection: its transport, its version, another request of it.
    #[error("Bad request")]
    BadRequest,
    /// 5: `EIO` is not a version that is spoken here.
    #[error("Unsupported protocol version")]
    UnsupportedVersion,
}

/// The code of a refusal by the application.
pub const FORBIDDEN: u8 = 4;

impl RequestError {
    /// The number in the answer.
    pub fn code(self) -> u8 {
        match self {
            Self::UnknownTransport => 0,
            Self::UnknownSid => 1,
            Self::BadHandshakeMethod => 2,
            Self::BadRequest => 3,
            Self::UnsupportedVersion => 5,
        }
    }

    /// The status of the answer.
    pub fn status(self) -> StatusCode {
        StatusCode::BAD_REQUEST
    }
}

/// How a client is reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Transport {
    /// Requests that are held.
    Polling,
    /// A WebSocket.
    WebSocket,
}

/// The query of a request, read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asked {
    /// `transport`.
    pub transport: Transport,
    /// `EIO`, if it is a version.
    pub version: Option<Version>,
    /// `sid`: of a connection that there is.
    pub sid: Option<Box<str>>,
    /// `b64`: the client takes no binary.
    pub base64: bool,
    /// `j`, its digits: the number of the callback of a JSONP answer.
    pub jsonp: Option<Box<str>>,
}

impl Asked {
    /// Reads the query. Of equal names the last counts.
    ///
    /// # Errors
    /// When the transport is missing or none.
    pub fn read(query: &Query) -> Result<Self, RequestError> {
        let last = |name| query.iter().filter(|(key, _)| *key == name).last().map(|(_, it)| it);
        let transport = match last("transport") {
            Some("polling") => Transport::Polling,
            Some("websocket") => Transport::WebSocket,
            _ => return Err(RequestError::UnknownTransport),
        };
        let digits = |text: &str| text.chars().filter(char::is_ascii_digit).collect();
        Ok(Self {
            transport,
            version: last("EIO").and_then(Version::read),
            sid: last("sid").map(Into::into),
            base64: matches!(last("b64"), Some("1" | "true")),
            jsonp: last("j").map(digits),
        })
    }

    /// Checks a request for a new connection. `v3`: version 3 is spoken here, too.
    ///
    /// # Errors
    /// The first thing that is wrong, in the order of the protocol's reference.
    pub fn handshake(
        &self,
        method: &Method,
        upgrade: bool,
        v3: bool,
    ) -> Result<Version, RequestError> {
        if *method != Method::GET && !upgrade {
            return Err(RequestError::BadHandshakeMethod);
        }
        if (self.transport == Transport::WebSocket) != upgrade {
            return Err(RequestError::BadRequest);
        }
        match self.version {
            Some(Version::V3) if !v3 => Err(RequestError::UnsupportedVersion),
            Some(version) => Ok(version),
            None => Err(RequestError::UnsupportedVersion),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(query: &str) -> Result<Asked, RequestError> {
        Asked::read(&Query::parse(query))
    }

    #[test]
    fn transports_are_two() {
        for bad in ["", "transport", "transport=", "transport=abc", "transport=__proto__"] {
            assert_eq!(asked(bad), Err(RequestError::UnknownTransport), "{bad}");
        }
        for bad in ["transport=constructor", "transport=webtransport", "transport=Polling"] {
            assert_eq!(asked(bad), Err(RequestError::UnknownTransport), "{bad}");
        }
        let last = asked("transport=abc&transport=polling&sid=a&sid=b").unwrap();
        assert_eq!((last.transport, last.sid.as_deref()), (Transport::Polling, Some("b")));
    }

    #[test]
    fn versions_are_literals() {
        let version = |query: &str, v3| {
            asked(&format!("transport=polling&{query}")).unwrap().handshake(&Method::GET, false, v3)
        };
        assert_eq!(version("EIO=4", false), Ok(Version::V4));
        assert_eq!(version("EIO=3", true), Ok(Version::V3));
        for (query, v3) in
            [("EIO=3", false), ("", true), ("EIO=abc", true), ("EIO=4.0", true), ("EIO=04", true)]
        {
            assert_eq!(version(query, v3), Err(RequestError::UnsupportedVersion), "{query}");
        }
    }

    #[test]
    fn what_is_wrong_is_said_in_order() {
        let polling = asked("transport=polling").unwrap();
        let post = polling.handshake(&Method::POST, false, false);
        assert_eq!(post, Err(RequestError::BadHandshakeMethod));
        let socket = asked("transport=websocket").unwrap();
        assert_eq!(socket.handshake(&Method::GET, false, false), Err(RequestError::BadRequest));
        assert_eq!(polling.handshake(&Method::GET, true, false), Err(RequestError::BadRequest));
    }

    #[test]
    fn a_callback_is_a_number() {
        let j = asked("transport=polling&j=1);alert(2").unwrap().jsonp;
        assert_eq!(j.as_deref(), Some("12"));
    }
}
