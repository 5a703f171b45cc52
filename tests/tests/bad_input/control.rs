//! Control frames of the protocol that are none, and text that looks like one.

use std::time::Duration;

use primus::Primus;
use primus_tests::{
    server::Server,
    ws::{Client, Raw, WsMessage, frame, opcode},
};
use serde_json::Value;

use super::{claim, vectors, websocket};

#[tokio::test]
async fn malformed_control_frames_are_4400_and_never_reach_the_handler() {
    let server = Server::echo(websocket()).await;
    let mut bystander = Client::resumable(server.address()).await;
    let vectors = vectors();
    let invalid = vectors["invalid_frames"].as_array().unwrap();
    assert!(invalid.len() > 20);
    // Once attached is attached, and refusing is not the client's part.
    let more = [Value::from("primus::attach::{}"), Value::from("primus::refuse::{}")];
    for text in invalid.iter().chain(&more).map(|text| text.as_str().unwrap()) {
        let mut client = Client::resumable(server.address()).await;
        client.echoes("good").await;
        client.send(text).await;
        let (texts, closed) = client.rest().await;
        assert_eq!(closed.code, 4400, "{text}");
        let [end] = &texts[..] else { panic!("{text}: {texts:?}") };
        let end: Value = serde_json::from_str(end.strip_prefix("primus::end::").unwrap()).unwrap();
        assert_eq!((&end["code"], &end["reconnect"]), (&4400.into(), &true.into()), "{text}");
        bystander.echoes("still here").await;
    }
}

#[tokio::test]
async fn bad_attaches_are_refused_with_400() {
    let server = Server::echo(websocket()).await;
    for first in [
        WsMessage::text("hello"),
        WsMessage::text(""),
        WsMessage::text("primus::ping:1::"),
        WsMessage::text("primus::attach::"),
        WsMessage::text("primus::attach::[1]"),
        WsMessage::text("primus::attach::{\"recv\":-1}"),
        WsMessage::text("primus::attach::{\"session\":{}}"),
        WsMessage::text(format!("primus::attach::{{\"auth\":{}", "[".repeat(5000))),
        WsMessage::binary(b"primus::attach::{}".to_vec()),
    ] {
        let mut client = Client::pending(server.address()).await;
        client.send_message(first.clone()).await;
        let (texts, closed) = client.rest().await;
        let refusal: Value =
            serde_json::from_str(texts[0].strip_prefix("primus::refuse::").unwrap()).unwrap();
        assert_eq!((&refusal["status"], closed.code), (&400.into(), 4400), "{first:?}");
        assert!(!refusal["error"].as_str().unwrap().is_empty());
    }
    assert_eq!(server.sessions(), 0);
}

#[tokio::test]
async fn faults_before_the_attach_have_their_code() {
    let server = Server::echo(websocket().max_fragments(4)).await;
    let many = [frame(0x01, ""), frame(0, ""), frame(0, ""), frame(0, ""), frame(0, "")].concat();
    for (what, bytes, code) in [
        ("a reserved bit", frame(0xc1, "x"), 1002),
        ("no UTF-8", frame(opcode::TEXT, b"\xff"), 1007),
        ("too big", claim(1 << 62), 1009),
        ("too many fragments", many, 1008),
    ] {
        let mut raw =
            Raw::open_as(server.address(), "/primus", "sec-websocket-protocol: primus.2\r\n").await;
        raw.send(bytes).await;
        assert_eq!(raw.closed().await.map(|closed| closed.code), Some(code), "{what}");
    }
    // Pings are answered while the attach is awaited.
    let mut client = Client::pending(server.address()).await;
    client.send_message(WsMessage::Ping("early".into())).await;
    assert_eq!(client.message().await, Some(WsMessage::Pong("early".into())));
    client.send("primus::attach::{}").await;
    assert!(client.text().await.starts_with("primus::attach::"));
}

#[tokio::test]
async fn application_text_cannot_be_taken_for_control() {
    let server = Server::echo(websocket()).await;
    let vectors = vectors();
    let control = ["primus::end::", "primus::end::{\"code\":4000}", "primus::ping:1::", "primus::"];
    // As the vectors have it, both ways.
    let mut ours = Client::resumable(server.address()).await;
    for row in vectors["websocket_data"].as_array().unwrap() {
        let Some(text) = row["frame"]["text"].as_str() else { continue };
        ours.echoes(text).await;
    }
    for text in control {
        ours.echoes(&format!("primus::data::{text}")).await;
        ours.echoes(&format!(" {text}")).await;
    }
    // Escaped in vain, it is text all the same.
    ours.send("primus::data::plain").await;
    assert_eq!(ours.text().await, "plain");
    ours.send("primus::data:b64::cHJpbXVzOjpkYXRhOjpwcmltdXM6OmVuZDo6").await;
    assert_eq!(ours.text().await, "primus::data::primus::end::");
    // A broadcast is escaped for those for whom it would be control, and for them alone.
    let mut plain = Client::plain(server.address()).await;
    for text in control {
        plain.echoes(text).await;
    }
    assert_eq!(server.write_message("primus::end::"), 2);
    assert_eq!(plain.text().await, "primus::end::");
    assert_eq!(ours.text().await, "primus::data::primus::end::");
    ours.echoes("still here").await;
}

#[tokio::test]
async fn a_classic_client_is_never_sent_what_it_would_take_for_control() {
    let server = Server::echo(Primus::builder().transformer("websocket")).await;
    let mut client = Client::classic(server.address()).await;
    // Unknown control is ignored, whatever else is data.
    client.send("\"primus::nonsense::\"").await;
    client.send("\"primus::pong::x\"").await;
    client.send("not even JSON").await;
    assert_eq!(client.text().await, "not even JSON");
    client.send("\"primus::id::\"").await;
    let id: String = serde_json::from_str(&client.text().await).unwrap();
    let id = id.strip_prefix("primus::id::").unwrap().parse().unwrap();
    assert!(server.spark(id).is_some());
    server.write("primus::server::close").unwrap();
    server.write("other").unwrap();
    assert_eq!(client.text().await, "\"other\"");
    client.echoes("1").await;
}

#[tokio::test]
async fn control_of_a_classic_client_is_in_the_form_of_the_parser() {
    let builder = Primus::builder().transformer("websocket").parser("msgpack");
    let server = Server::echo(builder.ping_interval(Duration::from_millis(50))).await;
    let mut client = Client::classic(server.address()).await;
    let text = |text: &str| {
        let length = u8::try_from(text.len()).unwrap();
        assert!(length >= 32, "one byte for the kind, and one for the length");
        WsMessage::binary([&[0xd9, length], text.as_bytes()].concat())
    };
    let WsMessage::Binary(ping) = client.data().await else { panic!("msgpack is binary") };
    assert_eq!(&ping[..15], b"\xbbprimus::ping::");
    client.send_message(WsMessage::binary(&b"\xaeprimus::pong::"[..])).await;
    client.send_message(WsMessage::binary(&b"\xacprimus::id::"[..])).await;
    server.write("primus::server::close").unwrap();
    let other = "primus is not what this begins with, but it is in it: primus::";
    server.write(other).unwrap();
    let mut said = Vec::new();
    while said.len() < 2 {
        match client.data().await {
            WsMessage::Binary(bytes) if bytes.starts_with(b"\xbbprimus::ping::") => {}
            message => said.push(message),
        }
    }
    let id = text(&format!("primus::id::{}", server_id(&server)));
    said.sort_by_key(|message| *message != id);
    assert_eq!(said, [id, text(other)], "and neither the pong came back nor the close went out");
    // To a raw parser bytes are bytes, whatever they say.
    let server = Server::echo(Primus::builder().transformer("websocket").parser("raw")).await;
    let mut client = Client::classic(server.address()).await;
    let bytes = WsMessage::binary(&b"primus::id::"[..]);
    client.send_message(bytes.clone()).await;
    assert_eq!(client.data().await, bytes);
}

/// The id of the one spark that there is.
fn server_id(server: &Server) -> primus::SparkId {
    server.for_each(|spark| std::ops::ControlFlow::Break(spark.id())).expect("a spark")
}
