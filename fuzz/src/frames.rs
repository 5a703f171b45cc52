//! The frames of the native protocol (docs/protocol.md §3), as text, as bytes and as lines.

use primus_core::{
    Envelope, Payload,
    native::{Frame, encode_line, escape, frame, from_client, lines, parse, plain, read_message},
    parser,
};

/// Whatever stands there is a frame or an error. A message is the same when it has been written and read
/// again; and text or bytes of an application never become anything else.
pub fn frames(data: &[u8]) {
    if let Ok(text) = std::str::from_utf8(data) {
        if let Ok(Frame::Message(message)) = parse(text.into()) {
            survives(&message);
        }
        for line in lines(&text.into()) {
            let _ = parse(line);
        }
        survives(&Envelope::from(text));
        let event = Envelope::event(None, text, &Payload::from("[]"));
        event.iter().for_each(survives);
        let data = Envelope::data(Some(text), &Payload::from("[]"));
        let _ = (data.heading(), data.body());
    }
    let bytes = Payload::from(data.to_vec());
    if let Ok(message) = read_message(bytes.clone()) {
        survives(&message);
    }
    survives(&Envelope::from(bytes));
}

fn survives(message: &Envelope) {
    assert_eq!(read_message(frame(message)).as_ref(), Ok(message));
    assert!(escape(message).is_none_or(|escaped| escaped == frame(message)));
    let line = encode_line(message);
    assert!(!line.is_empty() && !line.contains(['\r', '\n']), "{line:?} is a line");
    assert_eq!(parse(line), Ok(Frame::Message(message.clone())));
    let (heading, _) = (message.heading(), plain(message, &*parser::json()));
    let rooms = heading.rooms.is_empty();
    assert_eq!(from_client(message.clone()).is_ok(), rooms);
}
