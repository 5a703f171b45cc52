//! What the suites of Engine.IO ask for: those of the protocol (versions 3 and 4), and that of its client.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use http::{HeaderMap, HeaderValue, Method, header};
use primus::{
    Builder, Kind, Payload, Place, Primus, Rejection, Spark,
    core::BoxFuture,
    engine_io::{Caller, EngineIo, Greeting, Language, Plain},
};
use primus_examples::Result;

/// Echoes, with short heartbeats.
pub(crate) fn protocol(builder: Builder) -> Result<Primus> {
    let primus = base(builder)
        .ping_interval(Duration::from_millis(300))
        .ping_timeout(Duration::from_millis(200))
        .max_message(1_000_000)
        .build()?;
    primus.on_connection(|mut spark: Spark| async move {
        while let Some(message) = spark.next().await {
            spark.write_message(message)?;
        }
        Ok(())
    });
    Ok(primus)
}

fn base(builder: Builder) -> Builder {
    builder
        .path("/engine.io")
        .transformers(["engine.io"])
        .parser("raw")
        .engine_io_3(true)
        .origins(["*"])
}

/// Greets, echoes, and knows the words of the client's tests.
pub(crate) fn client(builder: Builder) -> Result<Primus> {
    let primus = base(builder)
        .add_transformer(EngineIo::speaking(WithCookies))
        .ping_interval(Duration::from_millis(500))
        .ping_timeout(Duration::from_secs(20))
        .max_message(100)
        .build()?;
    primus.authorize(|request| async move {
        match request.query("deny") {
            Some(_) => Err(Rejection::forbidden("Forbidden")),
            None => Ok(()),
        }
    });
    // The tests send one thing after the other, so the last POST is the one that is meant.
    let posted = Arc::new(Mutex::new(HeaderMap::new()));
    let last = Arc::clone(&posted);
    let keep = primus::FromFn::new(move |head| {
        if head.method == Method::POST
            && let Ok(mut posted) = last.lock()
        {
            posted.clone_from(&head.headers);
        }
        None
    });
    primus.middleware().add("posted", Kind::Both, Place::Last, keep)?;
    primus.on_connection(move |mut spark: Spark| {
        let posted = Arc::clone(&posted);
        async move {
            spark.write_message("hi")?;
            while let Some(message) = spark.next().await {
                let answer = match message.as_text() {
                    Some("give binary") => Payload::from(vec![0, 1, 2, 3, 4]),
                    Some("give utf8") => "пойду спать всем спокойной ночи".into(),
                    Some("sendHeaders") => headers(&posted).into(),
                    _ => message.into(),
                };
                spark.write_message(answer)?;
            }
            Ok(())
        }
    });
    Ok(primus)
}

/// Headers as JSON.
fn headers(posted: &Mutex<HeaderMap>) -> String {
    let headers = posted.lock().map(|headers| headers.clone()).unwrap_or_default();
    let pairs = headers.iter().map(|(name, value)| {
        let value = String::from_utf8_lossy(value.as_bytes()).into_owned();
        (name.to_string(), serde_json::Value::from(value))
    });
    serde_json::Map::from_iter(pairs).into_iter().collect::<serde_json::Value>().to_string()
}

type Greeted = std::result::Result<Greeting, Rejection>;

/// Plain Engine.IO, whose handshakes by polling set four cookies.
struct WithCookies;

impl Language for WithCookies {
    fn name(&self) -> &'static str {
        Plain.name()
    }

    fn greet<'a>(&'a self, caller: Caller<'a>) -> BoxFuture<'a, Greeted> {
        Box::pin(async move {
            let mut greeting = Plain.greet(caller).await?;
            if !caller.head.wants_websocket() {
                for cookie in [
                    "1=1; Max-Age=86400",
                    "2=2; Path=/; HttpOnly; Secure; SameSite=Strict",
                    "3=3; Max-Age=0",
                    "4=4; Expires=Thu, 01 Jan 1970 00:00:00 GMT",
                ] {
                    let cookie = HeaderValue::from_static(cookie);
                    greeting.headers.append(header::SET_COOKIE, cookie);
                }
            }
            Ok(greeting)
        })
    }
}
