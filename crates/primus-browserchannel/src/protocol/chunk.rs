//! What goes down the back channel: lists of numbered arrays, one after the other.

use bytes::Bytes;

use super::json::script_string;

/// What the browser reads them with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// A request of a script.
    Xhr,
    /// A page in a frame, for browsers that show a script no answer before it is whole.
    Html,
}

/// Some browsers show a page only from so many bytes on.
const NOISE: usize = 300;

/// The numbered values as one list: `[[7,{"a":1}],[8,"x"]]` and a line end. The first has the number `first`.
pub fn list<'a>(first: u64, values: impl IntoIterator<Item = &'a [u8]>) -> String {
    let mut out = String::from("[");
    for (id, value) in (first..).zip(values) {
        if out.len() > 1 {
            out.push(',');
        }
        // They were JSON.
        out.push_str(&format!("[{id},{}]", std::str::from_utf8(value).unwrap_or("null")));
    }
    out.push_str("]\n");
    out
}

/// A text with its length before it, as scripts count it: in units of UTF-16.
pub fn chunk(text: &str) -> Bytes {
    let length: usize = text.chars().map(char::len_utf16).sum();
    format!("{length}\n{text}").into()
}

impl Form {
    /// The media type of an answer.
    pub fn content_type(self) -> &'static str {
        match self {
            Self::Xhr => "text/plain",
            Self::Html => "text/html",
        }
    }

    /// How an answer begins. With `domain` the page says that it is of that domain, so that the page around it,
    /// which says the same, may be spoken to.
    pub fn begin(self, domain: Option<&str>) -> Bytes {
        match (self, domain) {
            (Self::Xhr, _) => Bytes::new(),
            (Self::Html, None) => "<html><body>".into(),
            (Self::Html, Some(domain)) => format!(
                "<html><body><script>try{{document.domain={};}}catch(e){{}}</script>\n",
                script_string(domain)
            )
            .into(),
        }
    }

    /// One text for the client; `first`: it is the first of the answer.
    pub fn message(self, text: &str, first: bool) -> Bytes {
        match self {
            Self::Xhr => chunk(text),
            Self::Html => self.raw(text, first),
        }
    }

    /// The same without its length.
    pub fn raw(self, text: &str, first: bool) -> Bytes {
        match self {
            Self::Xhr => Bytes::copy_from_slice(text.as_bytes()),
            Self::Html => {
                let noise = if first { format!("{}\n", "x".repeat(NOISE)) } else { String::new() };
                let text = script_string(text);
                format!("<script>try {{parent.m({text})}} catch(e) {{}}</script>\n{noise}").into()
            }
        }
    }

    /// How an answer ends.
    pub fn end(self) -> Bytes {
        match self {
            Self::Xhr => Bytes::new(),
            Self::Html => "<script>try  {parent.d(); }catch (e){}</script>\n".into(),
        }
    }

    /// The script by which a page says what is wrong: of its status nobody hears.
    pub fn error(error: &str) -> Bytes {
        let error = script_string(error);
        format!("<html><body><script>try {{parent.rpcClose({error})}} catch(e) {{}}</script>\n")
            .into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_and_lengths() {
        assert_eq!(list(7, [&b"{\"a\":1}"[..], b"\"x\""]), "[[7,{\"a\":1}],[8,\"x\"]]\n");
        assert_eq!(list(0, []), "[]\n");
        assert_eq!(chunk("[0,1,0]"), "7\n[0,1,0]");
        assert_eq!(chunk("\u{e4}\u{1f980}\n"), "4\n\u{e4}\u{1f980}\n".to_owned());
        assert_eq!(chunk(""), "0\n");
    }

    #[test]
    fn pages_are_scripts() {
        let noise = "x".repeat(300);
        assert_eq!(
            Form::Html.message("[[1,\"</script>\u{e4}\"]]\n", true),
            format!(
                "<script>try {{parent.m(\"[[1,\\\"\\u003c/script\\u003e\\u00e4\\\"]]\\n\")}} catch(e) {{}}</script>\n{noise}\n"
            )
        );
        assert_eq!(
            Form::Html.message("[]\n", false),
            "<script>try {parent.m(\"[]\\n\")} catch(e) {}</script>\n"
        );
        assert_eq!(
            Form::Html.begin(Some("a.test")),
            "<html><body><script>try{document.domain=\"a.test\";}catch(e){}</script>\n"
        );
        assert_eq!(Form::Xhr.begin(Some("a.test")), "");
    }
}
