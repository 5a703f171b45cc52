//! The attach of the resumable dialect (docs/protocol.md §4), which authorizes after the handshake, so
//! that a browser learns why it is refused.

use std::sync::Arc;

use crate::connection::Connection;
use primus_core::{
    Attached, BoxError, Carriage, Carrier, CloseReason, Head, Mount, Payload, Rejection,
    native::{self, ClientAttach, Frame},
};

/// The first frame, `authorize` or `reauthorize`, the answer. `None`: it was refused, and the client told so.
pub(crate) async fn attach(
    mut connection: Connection,
    head: &Head,
    mount: &Arc<Mount>,
) -> Option<(Connection, Carrier)> {
    let limits = &mount.settings().limits;
    let first = connection.receive(limits.max_attach);
    let (asked, rejection) = match tokio::time::timeout(limits.attach_timeout, first).await {
        Err(_) => {
            let late = http::StatusCode::REQUEST_TIMEOUT;
            (None, Rejection::new(late, "no attach frame in time (attach_timeout)"))
        }
        Ok(Err(reason)) => {
            connection.refuse(None, &reason, limits.close_timeout).await;
            return None;
        }
        Ok(Ok(message)) => match read_attach(message) {
            Ok(asked) => (Some(asked), Rejection::from(http::StatusCode::BAD_REQUEST)),
            Err(error) => (None, Rejection::new(http::StatusCode::BAD_REQUEST, error.to_string())),
        },
    };
    let attached = match asked {
        None => Err(rejection),
        Some(asked) => mount.attach("websocket", head, asked, Carriage::DRIVER, false).await,
    };
    match attached {
        Ok(Attached { carrier, answer }) => {
            connection.send(&answer.to_frame().into());
            Some((connection, carrier))
        }
        Err(rejection) => {
            let code = 4000 + rejection.status().as_u16();
            let words = native::refuse_frame(&rejection).into();
            let reason = CloseReason::from_code(code, "refused");
            connection.refuse(Some(words), &reason, limits.close_timeout).await;
            None
        }
    }
}

fn read_attach(first: Payload) -> Result<ClientAttach, BoxError> {
    let Payload::Text(text) = first else {
        return Err("the first frame must be an attach frame".into());
    };
    match native::parse(text)? {
        Frame::Attach(body) => Ok(ClientAttach::parse(&body)?),
        _ => Err("the first frame must be an attach frame".into()),
    }
}
