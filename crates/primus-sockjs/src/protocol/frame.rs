//! Frames, and how each transport wraps them.

use std::borrow::Cow;

use bytes::Bytes;
use primus_core::{CloseReason, WireForm};

use super::{
    callback::Callback,
    escape::{quote, script_string},
};

/// The first frame of a session.
pub const OPEN: &str = "o";
/// Says that the server is there.
pub const HEARTBEAT: &str = "h";
/// Of several receivers of one session the first stays.
pub const SECOND: &str = "c[2010,\"Another connection still open\"]";

/// The last frame. Where there is nothing to say of an end, it is called as other servers call it.
pub fn close(reason: &CloseReason) -> String {
    let (code, text) = told(reason);
    let mut frame = format!("c[{code},");
    quote(text, &mut frame);
    frame.push(']');
    frame
}

/// Code and text of an end, as SockJS has them.
fn told(reason: &CloseReason) -> (u16, &str) {
    if *reason == CloseReason::ENDED || *reason == CloseReason::NORMAL {
        (1000, "Normal closure")
    } else if *reason == CloseReason::HEARTBEAT {
        (3000, "No response from heartbeat")
    } else {
        (reason.code(), reason.text())
    }
}

/// The frame of some messages, each quoted as JSON.
pub fn messages<'a>(quoted: impl IntoIterator<Item = &'a str>) -> String {
    let mut frame = String::from("a[");
    for (index, message) in quoted.into_iter().enumerate() {
        if index > 0 {
            frame.push(',');
        }
        frame.push_str(message);
    }
    frame.push(']');
    frame
}

macro_rules! forms {
    ($name:literal) => {
        [WireForm($name), WireForm(concat!($name, ".plain")), WireForm(concat!($name, ".emitted"))]
    };
}

/// How a request's answer wraps its frames. On a WebSocket they are messages as they are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Wrapping {
    /// A line.
    Line,
    /// An event of an event stream.
    Event,
    /// A script in a page.
    Script,
    /// A call in a script of its own.
    Call(Callback),
}

/// Spaces until a browser shows what it has of a page.
const HEAD: usize = 1024 + 14;

impl Wrapping {
    /// A frame on its way.
    pub fn wrap(&self, frame: &str) -> Bytes {
        match self {
            Self::Line => format!("{frame}\n"),
            Self::Event => {
                // The client undoes this; other characters that it would have to undo are in no frame.
                let frame = match frame.contains('%') {
                    true => Cow::Owned(frame.replace('%', "%25")),
                    false => Cow::Borrowed(frame),
                };
                format!("data: {frame}\r\n\r\n")
            }
            Self::Script => {
                let mut script = String::from("<script>\np(");
                script_string(frame, &mut script);
                script + ");\n</script>\r\n"
            }
            Self::Call(callback) => {
                // The comment makes it no other kind of file than a script, whatever the name says.
                let mut script = format!("/**/{}(", callback.name());
                script_string(frame, &mut script);
                script + ");\r\n"
            }
        }
        .into()
    }

    /// Frames of one message that all receivers share: as it is, without its head, as a packet of an emitter.
    pub fn forms(&self) -> Option<[WireForm; 3]> {
        Some(match self {
            Self::Line => forms!("sockjs.line"),
            Self::Event => forms!("sockjs.event"),
            Self::Script => forms!("sockjs.script"),
            Self::Call(_) => return None,
        })
    }

    /// What an answer with such frames is.
    pub fn content_type(&self) -> &'static str {
        match self {
            Self::Line | Self::Call(_) => "application/javascript; charset=UTF-8",
            Self::Event => "text/event-stream",
            Self::Script => "text/html; charset=UTF-8",
        }
    }
}

/// What a stream of lines begins with, so that browsers and proxies pass it on.
pub fn line_prelude() -> Bytes {
    let mut prelude = "h".repeat(2048);
    prelude.push('\n');
    prelude.into()
}

/// What an event stream begins with, for a browser that ate its first line end.
pub const EVENT_PRELUDE: Bytes = Bytes::from_static(b"\r\n");

/// The page that scripts follow.
pub fn script_prelude(callback: &Callback) -> Bytes {
    let page = format!(
        "<!doctype html>\n\
         <html><head>\n\
         \x20 <meta http-equiv=\"X-UA-Compatible\" content=\"IE=edge\" />\n\
         \x20 <meta http-equiv=\"Content-Type\" content=\"text/html; charset=UTF-8\" />\n\
         </head><body><h2>Don't panic!</h2>\n\
         \x20 <script>\n\
         \x20   document.domain = document.domain;\n\
         \x20   var c = parent.{};\n\
         \x20   c.start();\n\
         \x20   function p(d) {{c.message(d);}};\n\
         \x20   window.onload = function() {{c.stop();}};\n\
         \x20 </script>",
        callback.name()
    );
    format!("{page:HEAD$}\r\n\r\n").into()
}

#[cfg(test)]
mod tests {
    use primus_core::Query;

    use super::*;
    use crate::protocol::callback::LONGEST;

    fn callback() -> Callback {
        Callback::of(&Query::parse("c=callback"), LONGEST).unwrap()
    }

    #[test]
    fn frames_on_each_transport() {
        let frame = messages(["\"x\"", "\"100%\""]);
        assert_eq!(frame, r#"a["x","100%"]"#);
        for (wrapping, expected) in [
            (Wrapping::Line, "a[\"x\",\"100%\"]\n"),
            (Wrapping::Event, "data: a[\"x\",\"100%25\"]\r\n\r\n"),
            (Wrapping::Script, "<script>\np(\"a[\\\"x\\\",\\\"100%\\\"]\");\n</script>\r\n"),
            (Wrapping::Call(callback()), "/**/callback(\"a[\\\"x\\\",\\\"100%\\\"]\");\r\n"),
        ] {
            assert_eq!(wrapping.wrap(&frame), expected);
        }
    }

    #[test]
    fn ends_are_told_in_the_words_of_sockjs() {
        assert_eq!(close(&CloseReason::ENDED), "c[1000,\"Normal closure\"]");
        assert_eq!(close(&CloseReason::HEARTBEAT), "c[3000,\"No response from heartbeat\"]");
        assert_eq!(close(&CloseReason::from_code(3000, "Go away!")), "c[3000,\"Go away!\"]");
        assert_eq!(close(&CloseReason::from_code(4100, "\"\n")), "c[4100,\"\\\"\\n\"]");
    }

    #[test]
    fn preludes() {
        assert_eq!(line_prelude().len(), 2049);
        let page = script_prelude(&callback());
        assert!(page.len() > 1024 && page.ends_with(b" \r\n\r\n"), "{}", page.len());
        assert!(
            page.starts_with(
                b"<!doctype html>\n<html><head>\n  <meta http-equiv=\"X-UA-Compatible\""
            )
        );
    }
}
