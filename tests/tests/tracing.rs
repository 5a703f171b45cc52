//! Every connection has a span, so that what is logged on its behalf says whose it was.

use std::{
    io,
    sync::{Mutex, PoisonError},
};

use primus::Primus;
use primus_tests::{peer::Peer, server::Server};

static LOGGED: Mutex<Vec<u8>> = Mutex::new(Vec::new());

struct Writer;

impl io::Write for Writer {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        LOGGED.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn connections_have_spans_on_every_transport() {
    tracing_subscriber::fmt()
        .with_max_level(tracing_subscriber::filter::LevelFilter::DEBUG)
        .with_writer(|| Writer)
        .with_ansi(false)
        .init();
    let server = Server::echo(Primus::builder()).await;
    for transport in ["websocket", "sse", "polling"] {
        let _peer = Peer::connect(server.address(), transport).await;
        let mut id = None;
        let _: Option<()> = server.for_each(|spark| {
            if spark.transformer() == transport {
                id = Some(spark.id().to_string());
            }
            std::ops::ControlFlow::Continue(())
        });
        let id = id.expect("a spark of this transport");
        let log = LOGGED.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let log = String::from_utf8(log).unwrap();
        let opened = log.lines().find(|line| line.contains("open") && line.contains(&id));
        let opened = opened.unwrap_or_else(|| panic!("no line of {id} in\n{log}"));
        let span = if transport == "websocket" { "websocket{" } else { "request{" };
        assert!(opened.contains(span) && opened.contains("address=Some(127.0.0.1)"), "{opened}");
    }
}
