//! Messages that come compressed (RFC 7692 §7.2.2).

use std::cell::Cell;

use flate2::{Decompress, Status};
use primus_core::CloseReason;

use super::{Agreed, FlushDecompress, TAIL};

/// An empty last block: what can be read behind a message that is whole, and nowhere else.
const LAST: [u8; 2] = [0x03, 0x00];
/// Last blocks in one message. One is what anybody sends; each costs as much as a message, and nothing of it
/// counts for the size.
const MOST_LASTS: usize = 64;
/// What is reserved at first, at least.
const SMALL: usize = 256;

thread_local! {
    /// For messages that stand for themselves: this thread inflates one after the other.
    static SPARE: Cell<Option<Box<Decompress>>> = const { Cell::new(None) };
}

/// Inflates the messages of one client.
#[derive(Debug)]
pub(crate) enum Inflate {
    /// Each stands for itself.
    Each,
    /// They refer to those before. The window, 32 KiB, is there from the first on.
    Kept(Option<Box<Decompress>>),
}

impl Inflate {
    pub(crate) fn new(agreed: Agreed) -> Self {
        if agreed.theirs_take_over { Self::Kept(None) } else { Self::Each }
    }

    /// Inflates a message, which `feed` gives piece by piece, to `max` bytes at most.
    ///
    /// # Errors
    /// 1009 as soon as it has more than `max` bytes, 1007 when it is not compressed data.
    pub(crate) fn message(
        &mut self,
        max: usize,
        feed: impl FnOnce(&mut Inflating<'_>) -> Result<(), CloseReason>,
    ) -> Result<Vec<u8>, CloseReason> {
        match self {
            Self::Each => {
                let mut state = SPARE.take().unwrap_or_else(fresh);
                state.reset(false);
                let message = run(&mut state, max, feed, true);
                SPARE.set(Some(state));
                message
            }
            Self::Kept(state) => run(state.get_or_insert_with(fresh), max, feed, false),
        }
    }
}

fn fresh() -> Box<Decompress> {
    Box::new(Decompress::new(false))
}

/// How many bytes a message of `max` may have while it is compressed: what does not compress grows, by an
/// eighth at most whatever zlib's settings are.
pub(crate) fn compressed_bound(max: usize) -> usize {
    max.saturating_add(max / 8).saturating_add(max / 64).saturating_add(64)
}

fn run(
    state: &mut Decompress,
    max: usize,
    feed: impl FnOnce(&mut Inflating<'_>) -> Result<(), CloseReason>,
    last: bool,
) -> Result<Vec<u8>, CloseReason> {
    let mut inflating =
        Inflating { state, message: Vec::new(), max, ended: false, lasts: 0, empty: true };
    feed(&mut inflating)?;
    // Strictly there is a byte in an empty message, and one behind a last block, but not everybody sends it.
    if !inflating.empty && !inflating.ended {
        inflating.push(&TAIL)?;
        if last {
            inflating.end()?;
        }
    }
    let mut message = inflating.message;
    message.shrink_to_fit();
    Ok(message)
}

/// A message that is being inflated.
#[derive(Debug)]
pub(crate) struct Inflating<'a> {
    state: &'a mut Decompress,
    message: Vec<u8>,
    max: usize,
    /// A last block was read just now.
    ended: bool,
    /// How many there have been.
    lasts: usize,
    /// Nothing has come yet.
    empty: bool,
}

impl Inflating<'_> {
    /// Goes on with the next piece.
    pub(crate) fn push(&mut self, mut piece: &[u8]) -> Result<(), CloseReason> {
        self.empty &= piece.is_empty();
        loop {
            // When the room is used up, there may be more to come of what has been read.
            let full = self.message.len() == self.message.capacity();
            if piece.is_empty() && !full {
                return Ok(());
            }
            if full {
                self.grow(piece.len());
            }
            let (read, written) = (self.state.total_in(), self.message.len());
            let status = self.state.decompress_vec(piece, &mut self.message, FlushDecompress::Sync);
            let status = status.map_err(|_| invalid())?;
            if self.message.len() > self.max {
                return Err(CloseReason::TOO_BIG);
            }
            let read = usize::try_from(self.state.total_in() - read).unwrap_or(usize::MAX);
            piece = piece.get(read..).unwrap_or_default();
            self.ended = status == Status::StreamEnd;
            if self.ended {
                // Others may follow a block that says that it is the last (RFC 7692 §7.2.3.4). Who makes such
                // blocks begins anew with the next.
                self.lasts += 1;
                if self.lasts > MOST_LASTS {
                    return Err(invalid());
                }
                self.state.reset(false);
                if piece.is_empty() {
                    return Ok(());
                }
            } else if read == 0 && self.message.len() == written {
                return Ok(());
            }
        }
    }

    /// Room for what is next, never more than one byte over what is allowed.
    fn grow(&mut self, piece: usize) {
        let room = self.message.len().max(piece.saturating_mul(4)).max(SMALL);
        let left = self.max.saturating_add(1) - self.message.len();
        self.message.reserve_exact(room.min(left));
    }

    /// Whether the message was whole: zlib reads on in silence, and a message that was cut would be another.
    fn end(&mut self) -> Result<(), CloseReason> {
        let length = self.message.len();
        self.lasts = 0; // it does not count
        self.push(&LAST)?;
        if self.ended && self.message.len() == length { Ok(()) } else { Err(invalid()) }
    }
}

fn invalid() -> CloseReason {
    CloseReason::INVALID_TEXT.with_text("invalid compressed data")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::deflate::{FlushCompress, Level};

    fn compressed(payload: &[u8]) -> Vec<u8> {
        let mut state = flate2::Compress::new(Level::new(9), false);
        let mut out = Vec::with_capacity(payload.len() + 1000);
        state.compress_vec(payload, &mut out, FlushCompress::Sync).unwrap();
        out.truncate(out.len() - TAIL.len());
        out
    }

    #[test]
    fn a_bomb_takes_no_more_memory_than_a_message_may() {
        const MAX: usize = 64 << 10;
        let bomb = compressed(&vec![0; 10 << 20]);
        assert!(bomb.len() < 20_000);
        for takeover in [false, true] {
            for size in [1, 100, bomb.len()] {
                let mut inflate = if takeover { Inflate::Kept(None) } else { Inflate::Each };
                let mut peak = 0;
                let refused = inflate.message(MAX, |inflating| {
                    bomb.chunks(size).try_for_each(|piece| {
                        let pushed = inflating.push(piece);
                        peak = peak.max(inflating.message.capacity());
                        pushed
                    })
                });
                assert_eq!(refused, Err(CloseReason::TOO_BIG));
                assert!((MAX..MAX + 64).contains(&peak), "{peak}");
            }
        }
        // A bomb in a bomb's place: nothing is left of the last in the thread's state.
        let small = compressed(b"small");
        assert_eq!(Inflate::Each.message(5, |it| it.push(&small)), Ok(b"small".to_vec()));
        assert_eq!(Inflate::Each.message(4, |it| it.push(&small)), Err(CloseReason::TOO_BIG));
    }

    #[test]
    fn what_a_message_keeps_is_its_own_size() {
        for length in [0, 1, 255, 256, 257, 5000, 100_000] {
            let payload = vec![b'x'; length];
            let piece = compressed(&payload);
            let message = Inflate::Each.message(1 << 20, |it| it.push(&piece)).unwrap();
            assert_eq!((&message, message.capacity()), (&payload, length));
        }
    }

    #[test]
    fn a_message_may_be_as_large_as_memory() {
        let piece = compressed(&[7; 5000]);
        assert_eq!(Inflate::Each.message(usize::MAX, |it| it.push(&piece)), Ok(vec![7; 5000]));
        assert_eq!(compressed_bound(usize::MAX), usize::MAX);
    }

    #[test]
    fn a_message_has_so_many_last_blocks_and_no_more() {
        let inflated = |blocks: usize| {
            let blocks = LAST.repeat(blocks);
            Inflate::Each.message(1 << 20, |it| it.push(&[&blocks[..], &[0]].concat()))
        };
        assert_eq!(inflated(MOST_LASTS), Ok(Vec::new()));
        assert_eq!(inflated(MOST_LASTS + 1), Err(invalid()));
    }
}
