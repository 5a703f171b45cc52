//! A Primus on a free port, and the patience of the tests.

use std::{future::Future, net::SocketAddr, ops::Deref, time::Duration};

use primus::{Builder, CloseReason, Primus, Spark, http::Inner};
use tokio::{sync::mpsc, task::JoinHandle, time::Instant};

/// How long a test waits for what must come.
pub const PATIENCE: Duration = Duration::from_secs(10);

/// A server that listens on a port of its own. It stops when this is dropped.
pub struct Server {
    primus: Primus,
    address: SocketAddr,
    serving: JoinHandle<()>,
}

impl Server {
    /// Starts one without a handler.
    ///
    /// # Panics
    /// If it cannot be built.
    pub async fn start(builder: Builder) -> Self {
        let primus = builder.build().expect("a server that can be built");
        let listener = primus.bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr();
        let serving = tokio::spawn(async { listener.serve().await.expect("it serves") });
        // Now it has the task by which it accepts, so that tests may count.
        tokio::task::yield_now().await;
        Self { primus, address, serving }
    }

    /// Starts one with an application behind it.
    ///
    /// # Panics
    /// If it cannot be built.
    pub async fn start_with(builder: Builder, inner: impl Inner + Sync) -> Self {
        let primus = builder.build().expect("a server that can be built");
        let listener = primus.bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr();
        let serving = tokio::spawn(async { listener.serve_with(inner).await.expect("it serves") });
        // Now it has the task by which it accepts, so that tests may count.
        tokio::task::yield_now().await;
        Self { primus, address, serving }
    }

    /// Starts one whose handler sends back what it gets.
    pub async fn echo(builder: Builder) -> Self {
        let server = Self::start(builder).await;
        server.on_connection(echo);
        server
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The server itself, for tasks.
    pub fn primus(&self) -> Primus {
        self.primus.clone()
    }

    /// The codes by which `on_disconnection` says why.
    ///
    /// # Panics
    /// In the hook, if a hundred wait to be looked at.
    pub fn disconnections(&self) -> mpsc::Receiver<u16> {
        let (sender, receiver) = mpsc::channel(100);
        self.on_disconnection(move |_: Spark, reason: CloseReason| {
            sender.try_send(reason.code()).expect("the test looks at it");
            async {}
        });
        receiver
    }

    /// Waits until the listener has returned.
    ///
    /// # Panics
    /// If it does not, or failed.
    pub async fn returned(&mut self) {
        soon(&mut self.serving).await.expect("the listener returns in peace");
    }

    /// Whether the listener has returned.
    pub fn has_returned(&self) -> bool {
        self.serving.is_finished()
    }
}

impl Deref for Server {
    type Target = Primus;

    fn deref(&self) -> &Primus {
        &self.primus
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

/// A handler that sends back what it gets.
///
/// # Errors
/// When the spark ends meanwhile.
pub async fn echo(mut spark: Spark) -> primus::Result {
    while let Some(message) = spark.next().await {
        spark.write_message(message)?;
    }
    Ok(())
}

/// Waits for what must come.
///
/// # Panics
/// If it does not come.
pub async fn soon<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, future).await.expect("what should come has not come")
}

/// Waits for a state that nobody announces.
///
/// # Panics
/// If it does not come.
pub async fn until(what: &str, reached: impl Fn() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !reached() {
        assert!(Instant::now() < deadline, "{what} has not come");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}
