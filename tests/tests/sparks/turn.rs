//! What a handler reads and writes in one turn is at hand, and nothing is different for it.

use std::{
    future::{Future as _, poll_fn},
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
        mpsc,
    },
    task::{Context, Waker},
    thread,
    time::Duration,
};

use primus::{CloseReason, Spark, WriteError};
use primus_tests::{
    server::{Server, soon},
    ws::{Raw, frame, opcode},
};
use tokio::sync::Notify;

use super::websocket;

/// One after the other, in another thread.
fn elsewhere(work: impl FnOnce() + Send) {
    thread::scope(|scope| scope.spawn(work).join().unwrap());
}

fn write(spark: &Spark, text: String) {
    spark.write_message(text).unwrap();
}

/// The texts of the next frames.
async fn texts(raw: &mut Raw, count: usize) -> Vec<String> {
    let mut texts = Vec::new();
    for _ in 0..count {
        let frame = raw.frame().await.unwrap();
        assert_eq!(frame.first, opcode::TEXT);
        texts.push(String::from_utf8(frame.payload).unwrap());
    }
    texts
}

/// Sends so many messages in one piece.
async fn burst(raw: &mut Raw, count: usize) {
    let burst = (0..count).flat_map(|n| frame(opcode::TEXT, n.to_string()));
    raw.send(burst.collect::<Vec<u8>>()).await;
}

#[tokio::test]
async fn what_two_threads_write_by_turns_is_sent_in_that_order() {
    let server = Server::start(websocket()).await;
    server.on_connection(|mut spark| async move {
        while let Some(message) = spark.next().await {
            let text = message.as_text().unwrap().to_owned();
            let say = |what: &str| write(&spark, format!("{text}{what}"));
            let first: usize = text.parse()?;
            // Who begins, and whether the other one says something at all, differs.
            if first.is_multiple_of(3) {
                elsewhere(|| say("a"));
            }
            say("b");
            say("c");
            if first.is_multiple_of(2) {
                elsewhere(|| say("d"));
                say("e");
                elsewhere(|| say("f"));
            }
            say("g");
        }
        Ok(())
    });
    let mut raw = Raw::open(server.address(), "/primus").await;
    for round in [1, 2, 7, 40] {
        burst(&mut raw, round).await;
        let said = (0..round).flat_map(|n| {
            let all = [
                ("a", n % 3 == 0),
                ("b", true),
                ("c", true),
                ("d", n % 2 == 0),
                ("e", n % 2 == 0),
                ("f", n % 2 == 0),
                ("g", true),
            ];
            all.into_iter().filter(|(_, said)| *said).map(move |(what, _)| format!("{n}{what}"))
        });
        let expected: Vec<String> = said.collect();
        assert_eq!(texts(&mut raw, expected.len()).await, expected);
    }
}

#[tokio::test]
async fn what_is_sent_to_all_goes_between_what_the_handler_writes_before_and_behind_it() {
    let server = Server::start(websocket()).await;
    server.on_connection(|mut spark| async move {
        while spark.next().await.is_some() {
            write(&spark, "before".to_owned());
            spark.mount().write_message("to all");
            write(&spark, "behind".to_owned());
        }
        Ok(())
    });
    let mut raw = Raw::open(server.address(), "/primus").await;
    burst(&mut raw, 3).await;
    let expected = ["before", "to all", "behind"].repeat(3);
    assert_eq!(texts(&mut raw, 9).await, expected);
}

#[tokio::test]
async fn what_a_handler_has_written_waits_for_it_to_see() {
    let server = Server::start(websocket()).await;
    server.on_connection(|mut spark| async move {
        while spark.next().await.is_some() {
            write(&spark, "one".to_owned());
            write(&spark, "three".to_owned());
            let queued = spark.queued();
            write(&spark, queued.to_string());
        }
        Ok(())
    });
    let mut raw = Raw::open(server.address(), "/primus").await;
    burst(&mut raw, 1).await;
    assert_eq!(texts(&mut raw, 3).await, ["one", "three", "8"]);
}

#[tokio::test]
async fn a_thousand_answers_to_one_message_are_in_order() {
    let server = Server::start(websocket()).await;
    server.on_connection(|mut spark| async move {
        while spark.next().await.is_some() {
            (0..1000).for_each(|n| write(&spark, n.to_string()));
        }
        Ok(())
    });
    let mut raw = Raw::open(server.address(), "/primus").await;
    burst(&mut raw, 2).await;
    let thousand = || (0..1000).map(|n| n.to_string());
    let expected: Vec<String> = thousand().chain(thousand()).collect();
    assert_eq!(texts(&mut raw, 2000).await, expected);
}

#[tokio::test]
async fn behind_an_end_that_another_thread_wants_nothing_is_written() {
    let server = Server::start(websocket()).await;
    let (say, said) = mpsc::channel();
    server.on_connection(move |mut spark| {
        let say = say.clone();
        async move {
            while spark.next().await.is_some() {
                write(&spark, "last".to_owned());
                elsewhere(|| spark.end(CloseReason::NORMAL));
                let refused = spark.write_message("too late");
                say.send(matches!(refused, Err(WriteError::Ended(Some(_)))))?;
            }
            Ok(())
        }
    });
    let mut raw = Raw::open(server.address(), "/primus").await;
    burst(&mut raw, 1).await;
    assert_eq!(texts(&mut raw, 1).await, ["last"]);
    assert_eq!(raw.frame().await.unwrap().first, opcode::CLOSE);
    assert_eq!(said.recv_timeout(Duration::from_secs(5)), Ok(true));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_handler_leaves_is_for_who_found_nothing_during_its_turn() {
    for waited in [false, true] {
        left_to_another(false, waited).await;
        // Also where somebody has looked into the inbox before the end of the turn: who serves events.
        left_to_another(true, waited).await;
    }
}

/// `waited`: what comes finds the handler waiting for it.
async fn left_to_another(listens: bool, waited: bool) {
    let server = Server::start(websocket()).await;
    server.on_connection(move |mut spark| async move {
        if listens {
            spark.on("anything", async |_: Spark, (): ()| Ok::<(), primus::Rejection>(()))?;
        }
        if waited {
            spark.next().await;
            write(&spark, "waits".to_owned());
        }
        let message = spark.next().await.unwrap();
        write(&spark, format!("handler: {}", message.as_text().unwrap()));
        let (mut other, answer) = (spark.clone(), spark.clone());
        let (say, said) = mpsc::channel();
        // A thread of its own, as this one waits for it.
        let runtime = tokio::runtime::Handle::current();
        thread::spawn(move || {
            let mut first = true;
            let mut next = async || {
                let mut next = pin!(other.next());
                poll_fn(|cx| {
                    let polled = next.as_mut().poll(cx);
                    if std::mem::take(&mut first) {
                        // While the turn of the handler goes on, which has the others at hand.
                        say.send(polled.is_pending()).unwrap();
                    }
                    polled
                })
                .await
            };
            while let Some(message) = runtime.block_on(next()) {
                let text = message.as_text().unwrap();
                answer.write_message(format!("other: {text}")).unwrap();
            }
        });
        let found_nothing = said.recv()?;
        write(&spark, format!("nothing: {found_nothing}"));
        std::future::pending().await
    });
    let mut raw = Raw::open(server.address(), "/primus").await;
    if waited {
        burst(&mut raw, 1).await;
        assert_eq!(texts(&mut raw, 1).await, ["waits"]);
    }
    burst(&mut raw, 3).await;
    let expected = ["handler: 0", "nothing: true", "other: 1", "other: 2"];
    assert_eq!(texts(&mut raw, 4).await, expected);
}

#[tokio::test]
async fn who_looked_into_the_inbox_between_two_reads_takes_no_message_from_the_second() {
    let server = Server::start(websocket()).await;
    server.on_connection(|mut spark| async move {
        while let Some(message) = spark.next().await {
            write(&spark, message.as_text().unwrap().to_owned());
            let mut other = spark.clone();
            elsewhere(move || {
                let mut next = pin!(other.next());
                let mut cx = Context::from_waker(Waker::noop());
                assert!(next.as_mut().poll(&mut cx).is_pending());
            });
        }
        Ok(())
    });
    let mut raw = Raw::open(server.address(), "/primus").await;
    for text in ["a", "b", "c"] {
        raw.send(frame(opcode::TEXT, text)).await;
        assert_eq!(texts(&mut raw, 1).await, [text]);
    }
}

#[tokio::test]
async fn an_end_that_another_thread_wants_between_two_reads_is_seen_by_the_second() {
    let server = Server::start(websocket()).await;
    let (say, mut said) = tokio::sync::mpsc::channel(2);
    server.on_connection(move |mut spark| {
        let say = say.clone();
        async move {
            say.send(spark.next().await.is_some()).await?;
            elsewhere(|| spark.end(CloseReason::NORMAL));
            say.send(spark.next().await.is_some()).await?;
            Ok(())
        }
    });
    let mut raw = Raw::open(server.address(), "/primus").await;
    raw.send(frame(opcode::TEXT, "a")).await;
    assert_eq!((said.recv().await, said.recv().await), (Some(true), Some(false)));
}

#[tokio::test]
async fn a_handler_that_waits_for_something_else_is_not_polled_for_messages() {
    let server = Server::start(websocket()).await;
    let (polls, go) = (Arc::new(AtomicUsize::new(0)), Arc::new(Notify::new()));
    let (counted, goes) = (Arc::clone(&polls), Arc::clone(&go));
    server.on_connection(move |mut spark| {
        let (polls, go) = (Arc::clone(&counted), Arc::clone(&goes));
        let mut handler = Box::pin(async move {
            while let Some(message) = spark.next().await {
                write(&spark, message.as_text().unwrap().to_owned());
                go.notified().await;
            }
            Ok(())
        });
        poll_fn(move |cx| {
            polls.fetch_add(1, Ordering::Relaxed);
            handler.as_mut().poll(cx)
        })
    });
    let mut raw = Raw::open(server.address(), "/primus").await;
    raw.send(frame(opcode::TEXT, "a")).await;
    assert_eq!(texts(&mut raw, 1).await, ["a"]);
    for text in ["b", "c"] {
        raw.send(frame(opcode::TEXT, text)).await;
        raw.send(frame(opcode::PING, "")).await;
        assert_eq!(raw.frame().await.unwrap().first, opcode::PONG);
    }
    // Once when it began, and once for the first.
    assert_eq!(polls.load(Ordering::Relaxed), 2);
    for (text, polled) in [("b", 3), ("c", 4)] {
        go.notify_one();
        assert_eq!(texts(&mut raw, 1).await, [text]);
        assert_eq!(polls.load(Ordering::Relaxed), polled);
    }
}

/// Reads in a thread of its own, and tells what it read. Returns when it has looked once.
fn read_elsewhere(spark: &Spark, tell: tokio::sync::mpsc::Sender<Option<String>>) -> bool {
    let mut spark = spark.clone();
    let (say, said) = mpsc::channel();
    let runtime = tokio::runtime::Handle::current();
    thread::spawn(move || {
        runtime.block_on(async {
            let mut looked = false;
            loop {
                let mut next = pin!(spark.next());
                let message = poll_fn(|cx| {
                    let polled = next.as_mut().poll(cx);
                    if !std::mem::replace(&mut looked, true) {
                        say.send(polled.is_pending()).unwrap();
                    }
                    polled
                })
                .await;
                let text = message.map(|message| message.as_text().unwrap().to_owned());
                let over = text.is_none();
                tell.send(text).await.unwrap();
                if over {
                    return;
                }
            }
        });
    });
    said.recv().unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_what_a_handler_has_at_hand_nothing_is_lost_to_another_reader_when_the_spark_ends() {
    // So many the handler reads itself, after the other one has found nothing.
    for (itself, waited) in (0..3).flat_map(|itself| [(itself, false), (itself, true)]) {
        // When that is over, all who wait are woken anyway.
        let server = Server::start(websocket().close_timeout(Duration::from_secs(60))).await;
        let (tell, mut told) = tokio::sync::mpsc::channel(8);
        server.on_connection(move |mut spark| {
            let tell = tell.clone();
            async move {
                if waited {
                    spark.next().await;
                    write(&spark, "waits".to_owned());
                }
                let first = spark.next().await.map(|message| message.as_text().unwrap().to_owned());
                tell.send(first).await?;
                elsewhere(|| spark.end(CloseReason::NORMAL));
                assert!(read_elsewhere(&spark, tell.clone()));
                for _ in 0..itself {
                    let message = spark.next().await.unwrap();
                    tell.send(Some(message.as_text().unwrap().to_owned())).await?;
                }
                if itself == 2 {
                    assert!(spark.next().await.is_none());
                    std::future::pending::<()>().await; // so that its return wakes nobody
                }
                Ok(())
            }
        });
        let mut raw = Raw::open(server.address(), "/primus").await;
        if waited {
            burst(&mut raw, 1).await;
            assert_eq!(texts(&mut raw, 1).await, ["waits"]);
        }
        burst(&mut raw, 3).await;
        for text in [Some("0"), Some("1"), Some("2"), None] {
            let told = soon(told.recv()).await.unwrap();
            assert_eq!(told.as_deref(), text, "{itself} by itself, waited: {waited}");
        }
    }
}
