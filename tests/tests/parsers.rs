//! Values on the wire: `json`, `msgpack`, `raw`, and a parser of one's own.

use std::borrow::Cow;

use bytes::Bytes;
use primus::{
    Builder, DecodeError, EncodeError, Mount, Parser, Payload, Primus,
    core::parser::{Json, Visit},
};
use primus_tests::{
    http::{get, post},
    peer::{Peer, TRANSPORTS},
    server::Server,
    ws,
};
use serde::{Deserialize, Serialize};
use tokio_tungstenite::tungstenite::Message;

/// Binary messages over HTTP are base64.
const ONE_TWO_255: &str = "primus::binary::AQL/";
const TURNED: &str = "primus::binary::/wIB";

/// Sends bytes back the other way round, and values as they are.
async fn turning(builder: Builder) -> Server {
    let server = Server::start(builder).await;
    server.on_connection(async |mut spark| {
        while let Some(message) = spark.next().await {
            if message.is_binary() {
                let mut bytes = message.decode::<Bytes>()?.to_vec();
                bytes.reverse();
                spark.write(&Bytes::from(bytes))?;
            } else {
                spark.write(&message.decode::<serde_json::Value>()?)?;
            }
        }
        Ok(())
    });
    server
}

#[tokio::test]
async fn bytes_are_a_binary_message_of_json_on_every_transport() {
    let server = turning(Primus::builder()).await;
    let mut resumable = ws::Client::resumable(server.address()).await;
    let mut plain = ws::Client::plain(server.address()).await;
    for socket in [&mut resumable, &mut plain] {
        socket.send_message(Message::binary(vec![1, 2, 255])).await;
        assert_eq!(socket.data().await, Message::binary(vec![255, 2, 1]));
        socket.echoes(r#"{"bytes":[1,2]}"#).await;
    }
    let mut peers = Vec::new();
    for transport in ["sse", "polling"] {
        let mut peer = Peer::connect(server.address(), transport).await;
        peer.send(ONE_TWO_255).await;
        assert_eq!(peer.text().await, TURNED, "{transport}");
        peer.send("[1,2]").await;
        assert_eq!(peer.text().await, "[1,2]", "{transport}");
        peers.push(peer);
    }
    let answer = post("/primus", vec![1, 2, 255])
        .header("content-type", "application/octet-stream")
        .send(server.address())
        .await;
    assert_eq!((answer.status.as_u16(), answer.text()), (200, "/wIB\n"));

    // A broadcast of bytes is encoded once, and reaches all of them.
    assert_eq!(server.write(&Bytes::from_static(&[1, 2, 255])).unwrap(), 4);
    assert_eq!(resumable.data().await, Message::binary(vec![1, 2, 255]));
    assert_eq!(plain.data().await, Message::binary(vec![1, 2, 255]));
    for mut peer in peers {
        assert_eq!(peer.text().await, ONE_TWO_255);
    }
    assert_eq!(server.frame_counters().encoded(), 1);
}

#[derive(Debug, Serialize, Deserialize)]
struct User {
    name: String,
    age: u8,
}

/// Greets users; who is none learns what is wrong with it, and where.
async fn greeting(builder: Builder) -> Server {
    let server = Server::start(builder).await;
    server.on_connection(async |mut spark| {
        while let Some(message) = spark.next().await {
            match message.decode::<Vec<User>>() {
                Ok(users) => spark.write(&users)?,
                Err(error) => spark.write(&(error.path(), error.to_string()))?,
            };
        }
        Ok(())
    });
    server
}

/// `[{ name: "Ada", age: 36 }]`, and its fields the other way round.
const ADA: &[u8] = b"\x91\x82\xa4name\xa3Ada\xa3age\x24";
const ADA_TURNED: &[u8] = b"\x91\x82\xa3age\xcc\x24\xa4name\xd9\x03Ada";
const ADA_BASE64: &str = "primus::binary::kYKkbmFtZaNBZGGjYWdlJA==";
const ADA_TURNED_BASE64: &str = "primus::binary::kYKjYWdlzCSkbmFtZdkDQWRh";

#[tokio::test]
async fn msgpack_values_travel_as_binary_messages_on_every_transport() {
    let server = greeting(Primus::builder().parser("msgpack")).await;
    let mut sockets =
        [ws::Client::resumable(server.address()).await, ws::Client::plain(server.address()).await];
    for socket in &mut sockets {
        for sent in [ADA, ADA_TURNED] {
            socket.send_message(Message::binary(sent)).await;
            assert_eq!(socket.data().await, Message::binary(ADA));
        }
    }
    let mut peers = Vec::new();
    for transport in ["sse", "polling"] {
        let mut peer = Peer::connect(server.address(), transport).await;
        peer.send(ADA_TURNED_BASE64).await;
        assert_eq!(peer.text().await, ADA_BASE64, "{transport}");
        peers.push(peer);
    }
    assert_eq!(server.write(&[User { name: "Ada".to_owned(), age: 36 }]).unwrap(), 4);
    for socket in &mut sockets {
        assert_eq!(socket.data().await, Message::binary(ADA));
    }
    for peer in &mut peers {
        assert_eq!(peer.text().await, ADA_BASE64);
    }
}

/// What a msgpack server says to a message.
async fn said(socket: &mut ws::Client, message: Message) -> (Option<String>, String) {
    socket.send_message(message).await;
    let Message::Binary(answer) = socket.data().await else { panic!("msgpack is binary") };
    let answer = primus::Message::new(answer, primus::core::parser::msgpack());
    answer.decode().unwrap()
}

#[tokio::test]
async fn what_is_no_msgpack_is_an_error_and_the_spark_lives() {
    let server = greeting(Primus::builder().parser("msgpack")).await;
    let mut socket = ws::Client::plain(server.address()).await;
    let mut deep = vec![0x91; 100_000];
    deep.push(0xc0);
    let cases = [
        (Message::text("[]"), "it is text, and msgpack is binary"),
        (Message::binary(&b""[..]), "the value breaks off"),
        (Message::binary(&ADA[..15]), "the value breaks off"),
        (Message::binary([ADA, b"\x01"].concat()), "something follows the value"),
        (Message::binary(&b"\xdd\xff\xff\xff\xff"[..]), "the value breaks off"),
        (Message::binary(&b"\xc6\xff\xff\xff\xff"[..]), "the value breaks off"),
        (Message::binary(deep), "the value is nested too deep"),
    ];
    for (message, expected) in cases {
        let error = format!("the message cannot be decoded: {expected}");
        assert_eq!(said(&mut socket, message).await, (None, error));
    }
    let (path, error) =
        said(&mut socket, Message::binary(&b"\x91\x81\xa3age\xcd\x01\x00"[..])).await;
    assert_eq!(path.as_deref(), Some("[0].age"));
    assert_eq!(
        error,
        "the message cannot be decoded: [0].age: invalid value: integer `256`, expected u8"
    );
    socket.send_message(Message::binary(ADA)).await;
    assert_eq!(socket.data().await, Message::binary(ADA));
}

#[tokio::test]
async fn what_does_not_fit_is_told_with_its_place() {
    let server = greeting(Primus::builder()).await;
    for transport in TRANSPORTS {
        let mut peer = Peer::connect(server.address(), transport).await;
        peer.send(r#"[{"name":"Ada","age":36}]"#).await;
        assert_eq!(peer.text().await, r#"[{"name":"Ada","age":36}]"#);
        peer.send(r#"[{"name":"Ada","age":36},{"name":"Bob","age":"x"}]"#).await;
        assert_eq!(
            peer.text().await,
            r#"["[1].age","the message cannot be decoded: [1].age: invalid type: string \"x\", expected u8 at line 1 column 48"]"#
        );
        peer.send("{").await;
        assert_eq!(
            peer.text().await,
            r#"[null,"the message cannot be decoded: invalid type: map, expected a sequence at line 1 column 0"]"#
        );
    }
}

/// JSON turned round. `script` is whether the client gets it, too.
struct Mirror {
    script: bool,
}

impl Parser for Mirror {
    fn name(&self) -> &'static str {
        "mirror"
    }

    fn encode(&self, value: &dyn erased_serde::Serialize) -> Result<Payload, EncodeError> {
        let payload = Json.encode(value)?;
        let turned = payload.as_text().map(|text| text.chars().rev().collect::<String>().into());
        Ok(turned.unwrap_or(payload))
    }

    fn decode<'de>(&self, payload: &'de Payload, visit: Visit<'_, 'de>) -> Result<(), DecodeError> {
        let text = payload.as_text().ok_or_else(|| DecodeError::new("it is binary"))?;
        let turned: String = text.chars().rev().collect();
        // What is decoded may not borrow from what lives no longer than this.
        let value: serde_json::Value = serde_json::from_str(&turned).map_err(DecodeError::new)?;
        visit(&mut <dyn erased_serde::Deserializer<'_>>::erase(value)).map_err(DecodeError::new)
    }

    fn client_script(&self) -> Option<Cow<'static, str>> {
        self.script.then(|| {
            "{
              turn: (text) => [...text].reverse().join(''),
              encoder(value) { return this.turn(JSON.stringify(value)); },
              decoder(text) { return JSON.parse(this.turn(text)); },
            }; // like that"
                .into()
        })
    }
}

/// What stands in a script as the parser.
fn parser_in(script: &str) -> &str {
    let (_, behind) = script.split_once(",\"parser\":").unwrap();
    behind.split_once(",\"version\":").unwrap().0
}

#[tokio::test]
async fn the_script_of_a_parser_of_ones_own_is_in_primus_js() {
    let builder = Primus::builder().parser("mirror").add_parser(Mirror { script: true });
    let mounts = [("/json", "json"), ("/raw", "raw"), ("/msgpack", "msgpack")];
    let builder = mounts.iter().fold(builder, |builder, (path, parser)| {
        builder.mount(*path, Mount::new().parser(*parser))
    });
    let server = turning(builder).await;
    let script = async |path: &str| {
        let answer = get(&format!("{path}/primus.js")).send(server.address()).await;
        assert_eq!(answer.status, 200, "{path}");
        answer.text().to_owned()
    };
    let expected = format!("({}\n)", Mirror { script: true }.client_script().unwrap());
    assert_eq!(parser_in(&script("/primus").await), expected);
    assert!(!script("/json").await.contains("\"parser\":"), "every client has that");
    assert_eq!(parser_in(&script("/raw").await), "\"raw\"");
    let embedded =
        concat!(env!("CARGO_MANIFEST_DIR"), "/../crates/primus-library/client/msgpack.js");
    let embedded = std::fs::read_to_string(embedded).unwrap();
    let embedded = format!("({}\n)", embedded.trim().trim_end_matches(';'));
    assert_eq!(parser_in(&script("/msgpack").await), embedded);
    let spec = get("/primus/spec").send(server.address()).await;
    assert_eq!(spec.json()["parser"], "mirror");

    for transport in TRANSPORTS {
        let mut peer = Peer::connect(server.address(), transport).await;
        peer.send("}1:\"a\"{").await;
        assert_eq!(peer.text().await, "}1:\"a\"{", "{transport}");
    }
}

#[tokio::test]
async fn a_parser_without_a_script_is_named_in_primus_js() {
    let builder = Primus::builder().parser("mirror").add_parser(Mirror { script: false });
    let server = turning(builder).await;
    let script = get("/primus/primus.js").send(server.address()).await;
    assert_eq!((script.status.as_u16(), parser_in(script.text())), (200, "\"mirror\""));
}
