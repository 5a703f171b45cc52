//! Keeps words from going out, whoever writes them and by whichever way. The page learns the words
//! too, so that it can mark them where they are written.

use primus::{Flow, Message, Plugin};
use serde_json::{Value, json};

pub(crate) struct Redact {
    words: Vec<String>,
}

impl Redact {
    /// For words in lower case.
    pub(crate) fn new(words: impl IntoIterator<Item = impl Into<String>>) -> Self {
        Self { words: words.into_iter().map(Into::into).collect() }
    }

    /// Replaces the words, whatever their case, by as many blocks as they have letters.
    fn redacted(&self, text: &str) -> String {
        let mut out = String::with_capacity(text.len());
        for piece in text.split_inclusive(|sign: char| !sign.is_alphanumeric()) {
            let word = piece.trim_end_matches(|sign: char| !sign.is_alphanumeric());
            if self.words.contains(&word.to_lowercase()) {
                out.extend(word.chars().map(|_| '█'));
                out.push_str(&piece[word.len()..]);
            } else {
                out.push_str(piece);
            }
        }
        out
    }

    /// The same within a value.
    fn redact(&self, value: &mut Value) {
        match value {
            Value::String(text) => *text = self.redacted(text),
            Value::Array(items) => items.iter_mut().for_each(|item| self.redact(item)),
            Value::Object(fields) => fields.values_mut().for_each(|field| self.redact(field)),
            _ => {}
        }
    }
}

impl Plugin for Redact {
    fn name(&self) -> &str {
        "redact"
    }

    fn outgoing(&self, message: &mut Message) -> Flow {
        // Words may hide in the escapes of JSON, so what has been decoded is looked at.
        if let Ok(mut value) = message.decode::<Value>() {
            let before = value.clone();
            self.redact(&mut value);
            if value != before && message.replace(&value).is_err() {
                return Flow::Drop;
            }
        }
        Flow::Pass
    }

    fn client_options(&self) -> Option<Value> {
        Some(json!({ "words": self.words }))
    }

    fn client_script(&self) -> Option<&str> {
        Some(CLIENT)
    }
}

/// Gives a page `primus.marked(text)`: the text in pieces, each with whether others do not see it.
const CLIENT: &str = r"
(primus, options, { words }) => {
  primus.marked = (text) =>
    text
      .split(/([\p{L}\p{N}]+)/u)
      .filter(Boolean)
      .map((piece) => [piece, words.includes(piece.toLowerCase())]);
}
";
