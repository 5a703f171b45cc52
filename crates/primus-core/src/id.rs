//! Ids and secrets: 128 bits from the operating system, written as 22 characters of base64url.

use std::{
    fmt,
    hash::{Hash, Hasher},
    str::FromStr,
};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use subtle::ConstantTimeEq as _;

/// Several at once cost the operating system no more than one.
fn random<const N: usize>() -> [[u8; 16]; N] {
    #[cfg(test)]
    if let Some(first) = crate::simulation::next_id() {
        let mut first = Some(first);
        let next = |_| first.take().or_else(crate::simulation::next_id).unwrap_or_default();
        return std::array::from_fn(next);
    }
    let mut all = [[0; 16]; N];
    #[expect(clippy::expect_used, reason = "without randomness no session may be made")]
    getrandom::fill(all.as_flattened_mut()).expect("the operating system gives no randomness");
    all
}

/// What a new session is called, and its key.
pub(crate) fn id_and_key() -> (SparkId, Secret) {
    let [id, key] = random();
    (SparkId(id), Secret(key))
}

fn parse(text: &str) -> Option<[u8; 16]> {
    let mut bytes = [0; 16];
    let length = URL_SAFE_NO_PAD.decode_slice(text, &mut bytes).ok()?;
    (length == 16).then_some(bytes)
}

/// The public id of a spark, for as long as its session lives.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct SparkId([u8; 16]);

impl SparkId {
    pub(crate) fn random() -> Self {
        let [id] = random();
        Self(id)
    }

    /// Which of `n` shards holds it.
    pub(crate) fn shard(self, n: usize) -> usize {
        usize::from(self.0[0]) % n
    }
}

impl fmt::Display for SparkId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = [0; 22];
        let length = URL_SAFE_NO_PAD.encode_slice(self.0, &mut text).unwrap_or(0);
        f.pad(std::str::from_utf8(&text[..length]).unwrap_or_default())
    }
}

impl fmt::Debug for SparkId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SparkId({self})")
    }
}

/// A text is not the id of a spark: 22 characters of base64url.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a spark id: expected 22 characters of base64url")]
pub struct ParseIdError;

impl FromStr for SparkId {
    type Err = ParseIdError;

    fn from_str(text: &str) -> Result<Self, ParseIdError> {
        parse(text).map(Self).ok_or(ParseIdError)
    }
}

/// A secret of a session: its key, or the token of an HTTP carrier. Never logged, compared in
/// constant time.
#[derive(Clone, Copy)]
pub struct Secret([u8; 16]);

impl Secret {
    pub(crate) fn random() -> Self {
        let [secret] = random();
        Self(secret)
    }

    /// Reads what a client presented.
    pub fn parse(text: &str) -> Option<Self> {
        parse(text).map(Self)
    }

    /// The form that goes over the wire, and nowhere else.
    pub fn reveal(&self) -> String {
        URL_SAFE_NO_PAD.encode(self.0)
    }
}

impl PartialEq for Secret {
    fn eq(&self, other: &Self) -> bool {
        self.0.ct_eq(&other.0).into()
    }
}

impl Eq for Secret {}

impl Hash for Secret {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.hash(state);
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_round_trip() {
        let id = SparkId::random();
        assert_eq!(id.to_string().len(), 22);
        assert_eq!(id.to_string().parse(), Ok(id));
        for bad in ["", "x", "%%%%%%%%%%%%%%%%%%%%%%", &"A".repeat(23)] {
            assert_eq!(bad.parse::<SparkId>(), Err(ParseIdError));
        }
    }

    #[test]
    fn secrets_are_not_shown() {
        let secret = Secret::random();
        assert_eq!(format!("{secret:?}"), "Secret(…)");
        assert_eq!(Secret::parse(&secret.reveal()), Some(secret));
    }
}
