//! The `attaches` of docs/protocol-vectors.json, run by real sessions.

use std::{
    ops::RangeInclusive,
    task::{Context, Waker},
};

use http::{Method, Uri};
use serde_json::{Value, json};

use crate::{
    authorize::Rejection,
    handle::Spark,
    mount::Attached,
    native::ClientAttach,
    packet::Outgoing,
    primus::Primus,
    request::Head,
    session::{Carriage, Carrier},
    settings::{MountSettings, Settings},
    transform::Transforms,
};

const TRANSPORT: &str = "websocket";

/// A server that keeps so many messages for a client.
fn server(kept: usize) -> Primus {
    let mut mount = MountSettings::new("p");
    mount.limits.resume_messages = kept.max(1);
    Primus::new(Settings::default(), Transforms::default(), [(mount, vec![])])
}

async fn attach(primus: &Primus, asked: &Value) -> Result<Attached, Rejection> {
    let head = Head::new(Method::GET, Uri::from_static("/p"));
    let asked = ClientAttach::parse(&asked.to_string()).unwrap();
    primus.mounts()[0].attach(TRANSPORT, &head, asked, Carriage::DRIVER, false).await
}

fn answer(attached: &Attached) -> Value {
    let frame = attached.answer.to_frame();
    serde_json::from_str(frame.strip_prefix("primus::attach::").unwrap()).unwrap()
}

/// What the server writes on this carrier: every message is its own number.
fn written(carrier: &mut Carrier) -> Vec<u64> {
    let mut cx = Context::from_waker(Waker::noop());
    let mut messages = Vec::new();
    let mut each = |outgoing: &Outgoing| messages.push(outgoing.envelope().body());
    while carrier.poll_take(&mut cx, usize::MAX, &mut each).is_ready() {}
    messages.iter().map(|payload| payload.as_text().unwrap().parse().unwrap()).collect()
}

fn send(carrier: &mut Carrier, numbers: RangeInclusive<u64>) {
    for number in numbers {
        carrier.deliver(number.to_string()).unwrap();
    }
}

/// Brings a session to the state of a vector. Returns its carrier and its last attach frame.
async fn set_up(primus: &Primus, state: &Value) -> (Carrier, Value) {
    let number = |name: &str| state[name].as_u64().unwrap();
    let generation = number("generation");
    let mut session = Value::Null;
    let mut carrier = None;
    for attach_number in 1..=generation {
        let (client, attempt) = if attach_number == generation {
            (number("client"), number("attempt"))
        } else {
            (1000 + attach_number, 1)
        };
        let asked = json!({"client": client, "attempt": attempt, "session": session});
        let attached = attach(primus, &asked).await.unwrap();
        session = answer(&attached);
        assert_eq!(session["generation"], attach_number);
        carrier = Some(attached.carrier);
    }
    let mut carrier = carrier.unwrap();
    send(&mut carrier, 1..=number("recv"));
    let spark = Spark::from_session(carrier.session());
    for sent in 1..=number("sent") {
        spark.write_message(sent.to_string()).unwrap();
    }
    assert_eq!(written(&mut carrier), (1..=number("sent")).collect::<Vec<_>>());
    if state["kept"] == json!([]) {
        carrier.acked(number("sent"), None).unwrap();
    }
    // Else the first ones have made room for those.
    (carrier, session)
}

async fn run(row: &Value) {
    let primus = server(row["server"]["kept"].as_array().unwrap().len());
    let (older, session) = set_up(&primus, &row["server"]).await;
    let had = std::sync::Arc::clone(older.session());
    let mut asked = row["client"].clone();
    asked["session"] = session;
    asked["session"]["generation"] = asked["generation"].take();
    let attached = match attach(&primus, &asked).await {
        Ok(attached) => attached,
        Err(rejection) => {
            assert_eq!(row["refused"], rejection.status().as_u16());
            assert_eq!(had.generation(), older.generation(), "a refusal changes nothing");
            return;
        }
    };
    let got = answer(&attached);
    for (name, value) in row["answer"].as_object().expect("it should have been refused") {
        assert_eq!(got[name], *value, "{name}");
    }
    assert_eq!(got.get("reason"), row["answer"].get("reason"));
    let mut carrier = attached.carrier;
    assert_eq!(json!(written(&mut carrier)), *row.get("server_sends").unwrap_or(&json!([])));

    // What the client repeats at once, from `next` on, and then what it says of its position.
    let asked = |name: &str| asked[name].as_u64().unwrap();
    let before = carrier.session().recv();
    send(&mut carrier, asked("next")..=asked("sent"));
    if row["answer"]["resumed"] == true {
        assert_eq!(carrier.session().recv(), asked("sent").max(before));
        let sends: Vec<_> = (before.max(asked("next") - 1) + 1..=asked("sent")).collect();
        assert_eq!(row["client_sends"], json!(sends));
    } else {
        assert_eq!(carrier.session().recv(), 0, "what was meant for the lost session is dropped");
        let lost: Vec<_> = (asked("next")..=asked("sent")).collect();
        assert_eq!(row["lost"], json!(lost));
        carrier.acked(0, Some(1)).unwrap();
        send(&mut carrier, 1..=1);
        assert_eq!(carrier.session().recv(), 1);
    }
}

#[tokio::test]
async fn attaches_of_the_vectors() {
    let vectors: Value =
        serde_json::from_str(include_str!("../../../../docs/protocol-vectors.json")).unwrap();
    let rows = vectors["attaches"].as_array().unwrap();
    assert!(rows.len() >= 10);
    for row in rows {
        println!("{}", row["what"]);
        run(row).await;
    }
}
