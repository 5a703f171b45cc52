//! What the suites of Socket.IO ask for: that of protocol 5, and that of its client.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use bytes::Bytes;
use primus::{
    AuthorizeRequest, Builder, ChannelRequest, ChannelRules, Message, NameError, Payload, Primus,
    Rejection, Spark,
    core::{BoxFuture, Subject},
    engine_io::{Caller, EngineIo, Greeting, Language},
    socket_io::SocketIo,
};
use primus_examples::Result;
use serde::Deserialize;
use serde_json::{Value, json};

fn base(builder: Builder) -> Builder {
    builder.path("/socket.io").transformers(["socket.io"]).origins(["*"])
}

/// Says who comes, and sends back what is said.
pub(crate) fn protocol(builder: Builder) -> Result<Primus> {
    let primus = base(builder)
        .ping_interval(Duration::from_millis(300))
        .ping_timeout(Duration::from_millis(200))
        .max_message(1_000_000)
        .socket_io_connect_timeout(Duration::from_secs(1))
        .build()?;
    primus.authorize(async |request: AuthorizeRequest| Ok(request.auth));
    primus.on_connection(greet);
    primus.on("message-with-ack", async |_: Spark, args: Message| Payload::from(args))?;
    let custom = primus.channel("/custom")?;
    custom.authorize(async |request: ChannelRequest| Ok(request.auth));
    custom.on_connection(greet);
    Ok(primus)
}

async fn greet(mut spark: Spark) -> primus::Result {
    let auth = spark.user::<Value>().filter(|auth| !auth.is_null()).cloned();
    spark.emit("auth", &auth.unwrap_or_else(|| json!({})))?;
    while let Some(message) = spark.next().await {
        spark.emit_message("message-back", message)?;
    }
    Ok(())
}

/// Knows the words of the client's tests.
pub(crate) fn client(builder: Builder) -> Result<Primus> {
    let primus = base(builder)
        .add_transformer(EngineIo::speaking(Late))
        .ping_interval(Duration::from_secs(2))
        .ping_timeout(Duration::from_secs(20))
        .socket_io_recovery(true)
        .build()?;
    primus.authorize(async |request: AuthorizeRequest| match request.query("fail") {
        Some(_) => Err(Rejection::forbidden("Auth failed (main namespace)")),
        None => Ok(request.auth),
    });
    for name in ["/timeout_socket", "/valid", "/asd"] {
        primus.channel(name)?.on_connection(stay);
    }
    let ids = primus.channel("/foo")?;
    ids.on_connection(stay);
    ids.on("getId", async |spark: Spark, (): ()| spark.id().to_string())?;
    let abc = primus.channel("/abc")?;
    abc.authorize(async |request: ChannelRequest| Ok(request.auth));
    abc.on_connection(async |spark: Spark| {
        spark.emit("handshake", &handshake(&spark))?;
        stay(spark).await
    });
    let no = primus.channel("/no")?;
    no.authorize(async |_| Err::<(), _>(Rejection::forbidden("Auth failed (custom namespace)")));
    primus.on_connection(stay);
    listen_to_texts(primus.root())?;
    listen_to_bytes(primus.root())?;
    Ok(primus)
}

async fn stay(mut spark: Spark) -> primus::Result {
    while spark.next().await.is_some() {}
    Ok(())
}

fn listen_to_texts(root: &ChannelRules) -> std::result::Result<(), NameError> {
    root.on("hi", async |spark: Spark, _: Message| drop(spark.emit("hi", &())))?;
    root.on("echo", async |_: Spark, args: Message| Payload::from(args))?;
    // Nobody is ever answered.
    root.on("unknown", async |_: Spark, asked: Message| never(&asked).await)?;
    root.on("ack", async |spark: Spark, asked: Message| {
        tokio::spawn(async move {
            if let Ok((5, test)) = spark.request::<(u8, Value)>("ack", &()).await
                && test["test"] == true
            {
                let _ = spark.emit("got it", &());
            }
        });
        never(&asked).await;
    })?;
    root.on("getAckDate", async |_: Spark, _: Message| now())?;
    root.on("getDate", async |spark: Spark, _: Message| drop(spark.emit("takeDate", &now())))?;
    root.on("getDateObj", async |spark: Spark, _: Message| {
        let _ = spark.emit("takeDateObj", &json!({ "date": now() }));
    })?;
    root.on("getUtf8", async |spark: Spark, _: Message| {
        for text in ["てすと", "Я Б Г Д Ж Й", "Ä ä Ü ü ß", "utf8 — string", "utf8 — string"]
        {
            let _ = spark.emit("takeUtf8", text);
        }
    })?;
    root.on("false", async |spark: Spark, _: Message| drop(spark.emit("false", &false)))?;
    root.on("getHandshake", async |spark: Spark, (): ()| handshake(&spark))?;
    root.on("getId", async |spark: Spark, (): ()| spark.id().to_string())
}

/// Leaves a request without an answer.
async fn never(asked: &Message) {
    if matches!(asked.heading().subject, Subject::Request(..)) {
        std::future::pending().await
    }
}

/// Bytes among JSON.
#[derive(Deserialize)]
struct Mixed {
    hello: String,
    message: Bytes,
    goodbye: String,
}

impl Mixed {
    fn is_whole(&self) -> bool {
        self.hello == "lol" && !self.message.is_empty() && self.goodbye == "gotcha"
    }
}

fn listen_to_bytes(root: &ChannelRules) -> std::result::Result<(), NameError> {
    let bytes = Bytes::from_static(b"asdfasdf");
    for (asked, told) in [("doge", "doge"), ("getbin", "takebin")] {
        let bytes = bytes.clone();
        root.on(asked, move |spark: Spark, _: Message| {
            let sent = spark.emit(told, &bytes).is_ok();
            async move { sent }
        })?;
    }
    for (sent, told) in [("buffa", "buffack"), ("blob", "back")] {
        root.on(sent, move |spark: Spark, _: Bytes| async move { drop(spark.emit(told, &())) })?;
    }
    for (sent, told) in [("jsonbuff", "jsonbuff-ack"), ("jsonblob", "jsonblob-ack")] {
        root.on(sent, move |spark: Spark, mixed: Mixed| async move {
            if mixed.is_whole() {
                let _ = spark.emit(told, &());
            }
        })?;
    }
    // They come in their order: how many there have been.
    let (buffers, blobs) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let counts = |count: &Arc<AtomicUsize>| {
        let count = Arc::clone(count);
        move || count.fetch_add(1, Ordering::Relaxed)
    };
    let came = counts(&buffers);
    root.on("abuff1", move |_: Bytes| {
        came();
        async {}
    })?;
    root.on("abuff2", move |spark: Spark, _: Message| {
        let complete = buffers.swap(0, Ordering::Relaxed) == 1;
        async move { complete.then(|| spark.emit("abuff2-ack", &()).is_ok()) }
    })?;
    let came = counts(&blobs);
    root.on("blob1", move |_: Bytes| {
        came();
        async {}
    })?;
    let came = counts(&blobs);
    root.on("blob2", move |text: String| {
        if text == "second" {
            came();
        }
        async {}
    })?;
    root.on("blob3", move |spark: Spark, _: Bytes| {
        let complete = blobs.swap(0, Ordering::Relaxed) == 2;
        async move { complete.then(|| spark.emit("blob3-ack", &()).is_ok()) }
    })
}

fn handshake(spark: &Spark) -> Value {
    let query = spark.query().iter().map(|(name, value)| (name.to_owned(), value.into()));
    let query: serde_json::Map<String, Value> = query.collect();
    let auth = spark.user::<Value>().filter(|auth| !auth.is_null()).cloned();
    json!({ "query": query, "auth": auth.unwrap_or_else(|| json!({})) })
}

/// As JavaScript's `new Date().toJSON()`.
fn now() -> String {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let (seconds, millis) = (since.as_secs(), since.subsec_millis());
    // Days to a date of the Gregorian calendar that begins in March.
    let days = seconds / 86_400 + 719_468;
    let (era, day) = (days / 146_097, days % 146_097);
    let year = (day - day / 1460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let day = day - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    let year = era * 400 + year + u64::from(month <= 2);
    let (hour, minute, second) = (seconds / 3600 % 24, seconds / 60 % 60, seconds % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{millis:03}Z")
}

/// Socket.IO that takes 10 ms for every handshake.
struct Late;

impl Language for Late {
    fn name(&self) -> &'static str {
        SocketIo::default().name()
    }

    fn greet<'a>(
        &'a self,
        caller: Caller<'a>,
    ) -> BoxFuture<'a, std::result::Result<Greeting, Rejection>> {
        Box::pin(async move {
            tokio::time::sleep(Duration::from_millis(10)).await;
            SocketIo::default().greet(caller).await
        })
    }
}
