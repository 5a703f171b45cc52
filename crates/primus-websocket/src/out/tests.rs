use super::*;

/// A socket that takes at most `step` bytes at a time, and is full after each `rests` of them.
struct Narrow {
    step: usize,
    rests: usize,
    calls: usize,
    taken: Vec<u8>,
}

impl AsyncWrite for Narrow {
    fn poll_write(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.calls += 1;
        if self.calls.is_multiple_of(self.rests) {
            return Poll::Pending;
        }
        let step = self.step.min(bytes.len());
        self.taken.extend_from_slice(&bytes[..step]);
        Poll::Ready(Ok(step))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

/// A socket that takes everything, and passes it on when it is flushed, so much at a time.
#[derive(Default)]
struct Holding {
    held: usize,
    passed: usize,
}

impl AsyncWrite for Holding {
    fn poll_write(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.held += bytes.len();
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        let step = self.held.min(100);
        self.held -= step;
        self.passed += step;
        if self.held == 0 { Poll::Ready(Ok(())) } else { Poll::Pending }
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

#[test]
fn what_a_socket_holds_back_is_flushed_out_of_it() {
    let mut cx = Context::from_waker(std::task::Waker::noop());
    let (mut out, mut socket) = (Out::default(), Holding::default());
    out.push_message(&"x".repeat(348).into());
    for passed in [100, 200, 300] {
        assert!(out.poll_write(&mut cx, &mut socket).is_pending());
        assert_eq!((socket.passed, out.len(), out.is_empty()), (passed, 0, false));
        assert!(out.buffers.is_none());
    }
    assert!(out.poll_write(&mut cx, &mut socket).is_ready());
    assert_eq!((socket.passed, out.is_empty()), (352, true));
}

fn spare() -> usize {
    let buffers = SPARE.take();
    let capacity = buffers.as_ref().map_or(0, |buffers| buffers.tail.capacity());
    SPARE.set(buffers);
    capacity
}

/// What came out, as whole frames and nothing between them.
fn frames(mut taken: &[u8]) -> Vec<(u8, Vec<u8>)> {
    let mut frames = Vec::new();
    while let Some((&[first, short], rest)) = taken.split_first_chunk() {
        let (length, rest) = match short {
            126 => rest.split_at(2),
            127 => rest.split_at(8),
            _ => (&taken[1..2], rest),
        };
        let length = length.iter().fold(0, |sum, byte| sum << 8 | usize::from(*byte));
        let (payload, rest) = rest.split_at(length);
        frames.push((first, payload.to_vec()));
        taken = rest;
    }
    assert!(taken.is_empty());
    frames
}

#[test]
fn order_is_kept_through_partial_writes_and_full_sockets() {
    for (step, rests) in [(1, 7), (3, 2), (100, 3), (100, usize::MAX), (100_000, 2)] {
        let mut out = Out::default();
        let mut socket = Narrow { step, rests, calls: 0, taken: Vec::new() };
        let mut cx = Context::from_waker(std::task::Waker::noop());
        let (mut expected, mut length) = (Vec::new(), 0);
        for index in 0..200_usize {
            let text = index.to_string().repeat(1 + index * index / 20);
            let payload = Payload::from(text.clone());
            if index % 3 == 0 {
                out.push(frame::message(&payload));
            } else {
                out.push_message(&payload);
            }
            length += frame::message(&payload).len();
            expected.push((0x81, text.into_bytes()));
            assert_eq!(out.len(), length - socket.taken.len());
            if index % 5 == 0 {
                let _ = out.poll_write(&mut cx, &mut socket);
            }
        }
        while out.poll_write(&mut cx, &mut socket).is_pending() {}
        assert!(out.is_empty());
        assert!(frames(&socket.taken) == expected, "step {step}, rests {rests}");
    }
}

#[test]
fn control_frames_stand_between_whole_frames_also_while_one_is_half_written() {
    let messages = [
        ("shared", true, 300),
        ("small", false, 300),
        ("shared and large", true, 3 * COPY),
        ("large", false, 3 * COPY),
    ];
    for (what, shared, length) in messages {
        for step in 1..=100 {
            let mut socket = Narrow { step, rests: 2, calls: 0, taken: Vec::new() };
            let mut cx = Context::from_waker(std::task::Waker::noop());
            let mut out = Out::default();
            let mut expected = Vec::new();
            for round in 0..4_u8 {
                let payload = Payload::from(vec![round; length]);
                if shared {
                    out.push(frame::message(&payload));
                } else {
                    out.push_message(&payload);
                }
                assert!(out.poll_write(&mut cx, &mut socket).is_pending());
                assert!(!socket.taken.is_empty() && !out.is_empty(), "it is half written");
                out.push_ping();
                let pong = [0x8a, 2, round, 0xff];
                io::Write::write_all(&mut out, &pong).unwrap(); // as tungstenite does
                assert!(out.poll_write(&mut cx, &mut socket).is_pending());
                expected.extend([
                    (0x82, vec![round; length]),
                    (0x89, vec![]),
                    (0x8a, vec![round, 0xff]),
                ]);
            }
            while out.poll_write(&mut cx, &mut socket).is_pending() {}
            assert!(frames(&socket.taken) == expected, "{what}, {step} at a time");
        }
    }
}

/// A socket that takes everything, and keeps where it lay.
#[derive(Default)]
struct Places(Vec<(*const u8, usize)>);

impl AsyncWrite for Places {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.poll_write_vectored(cx, &[IoSlice::new(bytes)])
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        pieces: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let places = pieces.iter().filter(|piece| !piece.is_empty());
        self.0.extend(places.map(|piece| (piece.as_ptr(), piece.len())));
        Poll::Ready(Ok(pieces.iter().map(|piece| piece.len()).sum()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

impl Places {
    /// Where the bytes of `out` lie, as a socket gets them.
    fn of(mut out: Out) -> Vec<(*const u8, usize)> {
        let mut places = Self::default();
        let mut cx = Context::from_waker(std::task::Waker::noop());
        assert!(out.poll_write(&mut cx, &mut places).is_ready());
        places.0
    }
}

fn place(bytes: &[u8]) -> (*const u8, usize) {
    (bytes.as_ptr(), bytes.len())
}

#[test]
fn a_shared_frame_is_referred_to_not_copied() {
    // However small it is, also behind something small, and behind another.
    for length in [1, 100, COPY, 100 * COPY] {
        let frames = [b'a', b'b'].map(|byte| frame::message(&vec![byte; length].into()));
        let whole = frames.each_ref().map(|frame| place(frame));
        for _ in 0..2 {
            let mut alone = Out::default();
            alone.push(frames[0].clone());
            assert_eq!(Places::of(alone), whole[..1]);
            let mut behind = Out::default();
            behind.push_ping();
            frames.iter().for_each(|frame| behind.push(frame.clone()));
            assert_eq!(Places::of(behind)[1..], whole);
        }
    }
}

#[test]
fn a_message_of_ones_own_is_copied_behind_its_header_up_to_four_kib_and_then_referred_to() {
    for (length, copied) in [(1, true), (4095, true), (4096, false), (400_000, false)] {
        let body = Bytes::from(vec![b'x'; length]);
        let mut out = Out::default();
        out.push_message(&body.clone().into());
        let places = Places::of(out);
        assert_eq!(places.contains(&place(&body)), !copied, "{length}");
        assert_eq!(places.len(), if copied { 1 } else { 2 }, "{length}");
    }
}

#[test]
fn the_buffers_are_the_threads_and_those_who_have_nothing_to_write_leave_them_there() {
    let mut cx = Context::from_waker(std::task::Waker::noop());
    let mut socket = Vec::new();
    let mut out = Out::default();
    out.push_message(&"x".repeat(1000).into());
    assert!(out.poll_write(&mut cx, &mut socket).is_ready());
    assert!(out.buffers.is_none());
    let kept = spare();
    assert!(kept >= 1000);
    assert!(Out::default().poll_write(&mut cx, &mut socket).is_ready());
    assert_eq!(spare(), kept);
    // What is left for a socket that is full is in a piece of its own size.
    let mut full = Narrow { step: 10, rests: 2, calls: 0, taken: Vec::new() };
    out.push_message(&"y".repeat(100).into());
    assert!(out.poll_write(&mut cx, &mut full).is_pending());
    let left = out.buffers.as_ref().unwrap();
    assert_eq!((out.len(), left.pieces[0].len(), left.tail.capacity()), (92, 92, 0));
}
