//! An answer of one frame: `xhr` and `jsonp`.

use std::{future::poll_fn, time::Duration};

use bytes::Bytes;
use tokio::time::timeout;

use crate::{
    protocol::frame::HEARTBEAT,
    receiver::{Next, Receiver},
};

/// Waits for the next frame; without one for so long it is a heartbeat.
pub(crate) async fn poll(mut receiver: Receiver, heartbeat: Duration) -> Bytes {
    let next = poll_fn(|cx| receiver.poll_next(cx));
    let next = if heartbeat.is_zero() { Ok(next.await) } else { timeout(heartbeat, next).await };
    match next {
        Ok(Next::Frame(frame)) => {
            receiver.park();
            frame
        }
        Ok(Next::Last(frame)) => {
            receiver.finish();
            frame
        }
        Err(_) => {
            let frame = receiver.wrapping.wrap(HEARTBEAT);
            receiver.park();
            frame
        }
    }
}
