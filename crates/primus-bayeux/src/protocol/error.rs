//! The strings by which errors are told: `code:arguments:text`.

/// What went wrong with a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Code {
    /// 301: no way to carry messages that both sides know.
    ConnectionTypes,
    /// 401: there is no such client, or not any more.
    UnknownClient,
    /// 402: a field is missing.
    Missing,
    /// 403: nobody may do that with this channel, or this client may not.
    Forbidden,
    /// 405: the name is none for a channel, or not for this.
    Invalid,
    /// 407: the application did not take it.
    PublishFailed,
    /// 413: it is over `max_message`.
    TooLarge,
}

impl Code {
    fn parts(self) -> (u16, &'static str) {
        match self {
            Self::ConnectionTypes => (301, "Connection types not supported"),
            Self::UnknownClient => (401, "Unknown client"),
            Self::Missing => (402, "Missing required parameter"),
            Self::Forbidden => (403, "Forbidden channel"),
            Self::Invalid => (405, "Invalid channel"),
            Self::PublishFailed => (407, "Failed to publish"),
            Self::TooLarge => (413, "Message too large"),
        }
    }

    /// The string, about `argument`.
    ///
    /// ```
    /// use primus_bayeux::protocol::error::Code;
    /// assert_eq!(Code::Missing.about("version"), "402:version:Missing required parameter");
    /// ```
    pub fn about(self, argument: &str) -> String {
        let (code, text) = self.parts();
        custom(code, argument, text)
    }
}

/// As [`Code::about`], with a code and words of the application's.
pub fn custom(code: u16, argument: &str, text: &str) -> String {
    // What a client said is told back to it, not all of it.
    let argument: String = argument.chars().take(256).collect();
    format!("{code}:{argument}:{text}")
}
