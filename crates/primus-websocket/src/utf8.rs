//! UTF-8 that comes in pieces (RFC 6455 §8.1): what is wrong is seen with its first wrong byte.

use simdutf8::compat::from_utf8;

/// Follows a text. It keeps at most the three bytes of a character whose end is still to come.
#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct Utf8 {
    begun: [u8; 3],
    have: u8,
}

impl Utf8 {
    /// Goes on. False: whatever follows, this is no UTF-8.
    #[must_use]
    pub(crate) fn push(&mut self, mut bytes: &[u8]) -> bool {
        while self.have > 0 {
            let Some((byte, rest)) = bytes.split_first() else { return true };
            let have = usize::from(self.have);
            let mut character = [0; 4];
            character[..have].copy_from_slice(&self.begun[..have]);
            character[have] = *byte;
            if !self.judge(&character[..=have]) {
                return false;
            }
            bytes = rest;
        }
        self.judge(bytes)
    }

    /// Looks at bytes that begin at a character, and keeps what is begun of the last one.
    fn judge(&mut self, bytes: &[u8]) -> bool {
        let Err(error) = from_utf8(bytes) else {
            self.have = 0;
            return true;
        };
        // Four bytes are a character or wrong, so no more than three are kept.
        let begun = &bytes[error.valid_up_to()..];
        if error.error_len().is_some() || begun.len() > self.begun.len() {
            return false;
        }
        self.begun[..begun.len()].copy_from_slice(begun);
        self.have = begun.len() as u8;
        true
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The byte that is refused, of a text that comes in pieces of this size.
    fn refused(text: &[u8], size: usize) -> Option<usize> {
        let mut utf8 = Utf8::default();
        text.chunks(size).position(|piece| !utf8.push(piece)).map(|piece| piece * size)
    }

    /// The same, by what the standard library says of the whole.
    fn expected(text: &[u8]) -> Option<usize> {
        (1..=text.len())
            .find(|end| from_utf8(&text[..*end]).is_err_and(|error| error.error_len().is_some()))
            .map(|end| end - 1)
    }

    #[test]
    fn the_first_wrong_byte_is_refused() {
        for (text, at) in [
            (&b"\xce\xba\xe1\xbd\xb9\xf4\x90\x80\x80edited"[..], Some(6)), // above U+10FFFF
            (b"a\xed\xa0\x80", Some(2)),                                   // a surrogate
            (b"\xc0\xaf", Some(0)),                                        // longer than need be
            (b"\xe2\x82a", Some(2)), // cut by another character
            (b"\xf0\x9f\x98", None), // may go on
            ("😀é€".as_bytes(), None),
            (b"\xff", Some(0)),
        ] {
            assert_eq!(refused(text, 1), at, "{text:?}");
            assert_eq!(expected(text), at, "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn text_in_pieces_is_judged_as_the_whole(
            parts in proptest::collection::vec(
                prop_oneof![
                    4 => "[a-zé€😀]{0,9}".prop_map(String::into_bytes),
                    1 => proptest::collection::vec(any::<u8>(), 0..3),
                ],
                0..6,
            ),
            size in 1..9usize,
        ) {
            let text = parts.concat();
            let wrong = expected(&text);
            prop_assert_eq!(refused(&text, 1), wrong);
            prop_assert_eq!(refused(&text, size), wrong.map(|at| at / size * size));
        }
    }
}
