//! A transformer of one's own: lines of text both ways in one chunked request,
//! `POST {path}/lines`. It is written as a crate outside of this repository would be.

use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use futures_util::stream;
use http_body_util::{BodyExt as _, StreamBody};
use hyper::body::Frame;
use primus::core::{
    Body, BoxError, BoxFuture, Carriage, Carrier, CloseReason, DeliverError, Envelope, Mount,
    Opening, Request, Session, WireForm, Work,
};
use primus::{Head, Response, Transformer};

pub(crate) struct Lines;

impl Transformer for Lines {
    fn name(&self) -> &'static str {
        "lines"
    }

    fn claims(&self, head: &Head, tail: &str) -> bool {
        tail == "/lines" && head.method == "POST"
    }

    fn serve(self: Arc<Self>, request: Request, mount: Arc<Mount>) -> BoxFuture<'static, Response> {
        Box::pin(async move {
            match mount.open("lines", &request.head, Opening::default()).await {
                Err(rejection) => rejection.into_response(),
                Ok(session) => {
                    let carrier = session.attach(Carriage::FEED);
                    tokio::spawn(read(session, request.body));
                    let lines = stream::unfold((carrier, None), write);
                    Response::new(StreamBody::new(lines).boxed_unsync())
                }
            }
        })
    }
}

async fn read(session: Arc<Session>, mut body: Body) {
    let mut unread = BytesMut::new();
    while let Some(Ok(frame)) = body.frame().await {
        unread.extend_from_slice(&frame.into_data().unwrap_or_default());
        while let Some(end) = unread.iter().position(|byte| *byte == b'\n') {
            let line = unread.split_to(end + 1);
            let mut message = Envelope::from(String::from_utf8_lossy(&line[..end]).into_owned());
            while let Err(DeliverError::Full(again)) = session.deliver(message) {
                session.room().await;
                message = again;
            }
        }
    }
    session.end_input();
}

type Line = Result<Frame<Bytes>, BoxError>;
type State = (Carrier, Option<CloseReason>);

async fn write((mut carrier, ended): State) -> Option<(Line, State)> {
    if ended.is_some() {
        carrier.finish();
        return None;
    }
    let line = |envelope: &Envelope| [envelope.body_bytes(), b"\n"].concat().into();
    let (line, ended) = match carrier.work().await {
        Work::Message(message) => (message.frame(WireForm("lines"), line), None),
        Work::Ping => (Bytes::from("\n"), None),
        Work::End(reason) => (format!("end: {reason}\n").into(), Some(reason)),
        Work::Gone => return None,
    };
    Some((Ok(Frame::data(line)), (carrier, ended)))
}
