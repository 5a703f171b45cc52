//! Sessions without sockets, for measuring what the machine itself costs; and sockets in memory.

mod sockets;

use std::{
    sync::Arc,
    task::{Context, Waker},
};

use bytes::Bytes;
use http::{Method, Uri};
use primus_core::{
    BoxFuture, Carriage, Carrier, Head, Mount, MountSettings, Opening, Primus, Request, Response,
    Resume, Settings, Transformer, WireForm,
    handle::Spark,
    request::{BoxError, empty},
    transform::Transforms,
};

pub use self::sockets::Sockets;

const FORM: WireForm = WireForm("bench");
/// So many messages a client takes before it acknowledges them.
const ACK: u64 = 128;

/// A transformer that is never asked; sessions are opened by hand.
struct Nothing;

impl Transformer for Nothing {
    fn name(&self) -> &'static str {
        "bench"
    }

    fn claims(&self, _: &Head, _: &str) -> bool {
        false
    }

    fn serve(self: Arc<Self>, _: Request, _: Arc<Mount>) -> BoxFuture<'static, Response> {
        Box::pin(async { Response::new(empty()) })
    }
}

/// A server with so many sessions, each carried by nobody's socket.
pub struct Bench {
    /// The server.
    pub primus: Primus,
    carriers: Vec<Carrier>,
    acknowledges: bool,
}

impl Bench {
    /// Opens the sessions.
    ///
    /// # Errors
    /// When a session is refused, which the defaults do not.
    pub async fn new(sessions: usize, resume: Resume) -> Result<Self, BoxError> {
        let mut settings = Settings::default();
        settings.max_connections = settings.max_connections.max(sessions);
        let mount = (MountSettings::new("/"), vec![Arc::new(Nothing) as Arc<dyn Transformer>]);
        let primus = Primus::new(settings, Transforms::default(), [mount]);
        let head = Head::new(Method::GET, Uri::from_static("/"));
        let mut carriers = Vec::with_capacity(sessions);
        for _ in 0..sessions {
            let opening = Opening { resume, ..Opening::default() };
            let opened = primus.mounts()[0].open("bench", &head, opening).await;
            let session = opened.map_err(|no| no.error().to_string())?;
            carriers.push(session.attach(Carriage::DRIVER));
        }
        Ok(Self { primus, carriers, acknowledges: resume == Resume::Acknowledged })
    }

    /// The spark of each carrier, in their order.
    pub fn sparks(&self) -> Vec<Spark> {
        let ids = self.carriers.iter().map(|carrier| carrier.session().id());
        ids.filter_map(|id| self.primus.spark(id)).collect()
    }

    /// What every carrier would write, framed. Returns how many messages that were.
    pub fn drain(&mut self) -> usize {
        self.drain_first(self.carriers.len())
    }

    /// The same, of so many carriers.
    pub fn drain_first(&mut self, carriers: usize) -> usize {
        let mut cx = Context::from_waker(Waker::noop());
        let mut count = 0;
        for carrier in self.carriers.iter_mut().take(carriers) {
            let _ = carrier.poll_take(&mut cx, usize::MAX, |outgoing| {
                let frame =
                    outgoing.frame(FORM, |envelope| Bytes::copy_from_slice(envelope.body_bytes()));
                count += usize::from(!frame.is_empty());
            });
            let written = carrier.session().next() - 1;
            if self.acknowledges && written % ACK == 0 {
                assert!(carrier.acked(written, None).is_ok());
            }
        }
        count
    }
}
