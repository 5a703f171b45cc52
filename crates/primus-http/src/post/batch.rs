//! A batch of frames: decoded as a whole, then taken one after the other.

use std::sync::Arc;

use bytes::Bytes;
use http::StatusCode;
use primus_core::{
    CloseReason, DeliverError, Envelope, Limits, Rejection, Response, Session,
    native::{Frame, from_client, lines, parse},
};

use super::{
    body::{bad_request, check_items, utf8},
    nothing, offer,
    requests::Requests,
};

/// Reads the frames of a batch. When this fails, nothing of it has been taken. Frames that break
/// the protocol end the session.
pub(super) fn decode(
    bytes: Bytes,
    session: &Arc<Session>,
    generation: u64,
) -> Result<Vec<Frame>, Rejection> {
    let limits = session.limits();
    let text = utf8(bytes)?;
    check_items(lines(&text).count(), limits)?;
    let mut frames: Vec<Frame> = Vec::new();
    for line in lines(&text).filter(|line| !line.is_empty()) {
        let frame = match parse(line) {
            _ if matches!(frames.last(), Some(Frame::End)) => Err("nothing follows the end".into()),
            Ok(Frame::Attach(_) | Frame::Refuse(_)) => {
                Err("a client sends no such frame here".to_owned())
            }
            Ok(Frame::Message(message)) => {
                check_size(&message, limits)?;
                from_client(message).map(Frame::Message).map_err(|error| error.to_string())
            }
            Ok(frame) => Ok(frame),
            Err(error) => Err(error.to_string()),
        };
        frames.push(frame.map_err(|error| {
            let error = format!("{error} (frame {})", frames.len() + 1);
            broken(session, generation, CloseReason::BAD_CONTROL, &error)
        })?);
    }
    Ok(frames)
}

/// The client broke the protocol: the session ends.
fn broken(session: &Arc<Session>, generation: u64, reason: CloseReason, error: &str) -> Rejection {
    session.end_by(generation, reason);
    bad_request(format!("{error}; the session has ended"))
}

fn check_size(message: &Envelope, limits: &Limits) -> Result<(), Rejection> {
    let (size, most) = (message.len(), limits.max_message);
    if size <= most {
        return Ok(());
    }
    let error =
        format!("a message of {size} bytes is over {most} (max_message); send smaller ones");
    Err(Rejection::new(StatusCode::PAYLOAD_TOO_LARGE, error))
}

/// Takes the frames of a carrier of `generation`, in order. While the handler is behind, this
/// waits, for as long as a body may take; then the client has to send the rest again.
pub(super) async fn take(
    session: &Arc<Session>,
    generation: u64,
    frames: Vec<Frame>,
) -> Result<Response, Rejection> {
    // First what may be wrong with the batch as a whole.
    if let Some(recv) = frames.iter().filter_map(acknowledged).max()
        && let Err(reason) = session.acked_by(generation, recv)
    {
        let error = reason.text().to_owned();
        return Err(broken(session, generation, reason, &error));
    }
    let recv = session.recv();
    if has_gap(&frames, recv) {
        return offer::refusal(&DeliverError::Gap { recv }, "recv", recv);
    }

    let deadline = offer::deadline(session);
    let mut next = recv + 1;
    for frame in frames {
        match frame {
            Frame::Ack { next: Some(position), .. } => next = position,
            Frame::Message(message) => {
                let receive = |message| session.receive(generation, next, message);
                if let Err(error) = offer::offer(session, deadline, message, receive).await {
                    return offer::refusal(&error, "recv", session.recv());
                }
                next += 1;
            }
            Frame::Ping(number, _) => {
                if let Some(requests) = session.extension::<Requests>() {
                    requests.owe_pong(generation, number);
                }
            }
            Frame::Pong(..) => session.ponged(),
            Frame::End => session.left(generation),
            Frame::Ack { .. } | Frame::Attach(_) | Frame::Refuse(_) => {}
        }
    }
    Ok(nothing())
}

/// What a frame acknowledges.
fn acknowledged(frame: &Frame) -> Option<u64> {
    match frame {
        Frame::Ack { recv, .. } => Some(*recv),
        Frame::Ping(_, recv) | Frame::Pong(_, recv) => *recv,
        _ => None,
    }
}

/// Whether the batch begins, or goes on, beyond what will have been received by then.
fn has_gap(frames: &[Frame], mut recv: u64) -> bool {
    let mut next = recv + 1;
    frames.iter().any(|frame| match frame {
        Frame::Ack { next: Some(position), .. } => {
            next = *position;
            next > recv + 1
        }
        Frame::Message(_) => {
            recv = recv.max(next);
            next += 1;
            false
        }
        _ => false,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gap_is_what_was_not_and_will_not_be_received() {
        let rows: [(u64, &[&str], bool); 9] = [
            (0, &[], false),
            (3, &["1", "2"], false),
            (3, &["primus::ack:0:4::", "4"], false),
            (3, &["primus::ack:0:1::", "1", "2"], false),
            (3, &["primus::ack:0:5::", "5"], true),
            (3, &["primus::ack:0:5::"], true),
            (3, &["primus::ack:0:3::", "3", "4", "primus::ack:0:5::", "5"], false),
            (3, &["primus::ack:0:3::", "3", "primus::ack:0:5::", "5"], true),
            (3, &["primus::ack:9::", "4", "primus::ack:0:2::", "2"], false),
        ];
        for (recv, frames, gap) in rows {
            let frames: Vec<_> =
                frames.iter().map(|frame| parse((*frame).into()).unwrap()).collect();
            assert_eq!(has_gap(&frames, recv), gap, "{recv} {frames:?}");
        }
    }
}
