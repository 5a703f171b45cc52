//! Two halves of a session that talk over carriers which come, break and straggle: what one side
//! has received is always a prefix of what the other has sent, and in the end all of it.

use std::collections::VecDeque;

use proptest::prelude::*;

use super::{Beyond, Caps, Claim, Entry, Intake, Receipt, Ring};
use crate::packet::{Delivery, Outgoing};

/// So little that it is always nearly full.
const CAPS: Caps = Caps { messages: 6, bytes: 40 };

#[derive(Debug, Clone, Copy)]
enum Frame {
    Data(u64),
    Ack(u64),
}

/// One side.
#[derive(Default)]
struct Half {
    ring: Ring,
    intake: Intake,
    sent: u64,
    received: Vec<u64>,
}

/// A carrier as one side sees it: what is on its way to it, and the number of the next message.
#[derive(Default)]
struct Lane {
    frames: VecDeque<Frame>,
    expected: u64,
}

#[derive(Default)]
struct Talk {
    halves: [Half; 2],
    claim: Claim,
    attempt: u64,
    /// All carriers that there were, the newest last, with a lane to either side.
    carriers: Vec<[Lane; 2]>,
}

impl Talk {
    fn generation(&self) -> u64 {
        self.claim.generation
    }

    /// Both sides say what they have and what comes next, and go on from there. The client's
    /// numbers are fixed when its attach leaves.
    fn attach(&mut self) {
        self.attempt += 1;
        let asked = Claim { generation: self.generation(), client: 1, attempt: self.attempt };
        self.claim.check(&asked).expect("the client's own latest attempt is good");
        self.claim = self.claim.taken_by(&asked);
        let generation = self.claim.generation;
        let recv = [0, 1].map(|side| self.halves[side].intake.fence(generation));
        let lanes = [0, 1].map(|side| {
            let half = &mut self.halves[side];
            half.ring.rewind(recv[1 - side]).expect("nothing had to make room");
            Lane { frames: VecDeque::new(), expected: half.ring.next() }
        });
        self.carriers.push(lanes);
    }

    /// The application of one side writes, unless it had better wait.
    fn write(&mut self, side: usize) {
        let half = &mut self.halves[side];
        if half.ring.len() < CAPS.messages && half.ring.bytes() <= CAPS.bytes {
            half.sent += 1;
            let outgoing = Outgoing::Own(half.sent.to_string().into());
            half.ring.push(Entry { outgoing, delivery: Delivery::Reliable });
        }
    }

    /// One side puts its next message on the newest carrier.
    fn take(&mut self, side: usize) -> bool {
        let Some(outgoing) = self.halves[side].ring.take(Some(CAPS), Outgoing::clone) else {
            return false;
        };
        let number = outgoing.envelope().body().as_text().unwrap().parse().unwrap();
        self.lane(side).push_back(Frame::Data(number));
        true
    }

    fn ack(&mut self, side: usize) {
        let recv = self.halves[side].intake.recv();
        self.lane(side).push_back(Frame::Ack(recv));
    }

    /// The newest carrier, away from `side`.
    fn lane(&mut self, side: usize) -> &mut VecDeque<Frame> {
        &mut self.carriers.last_mut().unwrap()[side].frames
    }

    /// One frame arrives, on whichever carrier. What comes by an old one changes nothing.
    fn arrive(&mut self, carrier: usize, from: usize) -> bool {
        let generation = carrier as u64 + 1;
        let current = generation == self.generation();
        let lane = &mut self.carriers[carrier][from];
        let Some(frame) = lane.frames.pop_front() else { return false };
        let half = &mut self.halves[1 - from];
        match frame {
            Frame::Ack(recv) if current => {
                assert_ne!(half.ring.ack(recv), Err(Beyond));
            }
            Frame::Ack(_) => {}
            Frame::Data(said) => {
                let number = lane.expected;
                lane.expected += 1;
                match half.intake.judge(generation, number) {
                    Receipt::New => {
                        assert!(current, "a fenced carrier delivered");
                        half.intake.took(number);
                        half.received.push(said);
                    }
                    Receipt::Duplicate => assert!(current && half.received.contains(&said)),
                    Receipt::Fenced => assert!(!current),
                    Receipt::Gap => panic!("{number} behind {}", half.intake.recv()),
                }
            }
        }
        true
    }

    fn check(&self) {
        for side in [0, 1] {
            let (from, to) = (&self.halves[side], &self.halves[1 - side]);
            assert!(to.received.iter().copied().eq(1..=to.received.len() as u64));
            assert!(to.received.len() as u64 <= from.sent);
            assert!(from.ring.len() <= CAPS.messages);
            assert!(from.ring.bytes() <= CAPS.bytes + 20);
        }
    }
}

proptest! {
    #[test]
    fn what_is_received_is_a_prefix_and_in_the_end_all(
        steps in proptest::collection::vec((0u8..16, 0usize..2, any::<prop::sample::Index>()), 0..300)
    ) {
        let mut talk = Talk::default();
        talk.attach();
        for (step, side, index) in steps {
            match step {
                0 => talk.attach(),
                1..=4 => talk.write(side),
                5..=8 => drop(talk.take(side)),
                9 => talk.ack(side),
                // What is in flight on a carrier gets lost behind some point: it breaks there.
                10 => {
                    let carrier = index.index(talk.carriers.len());
                    let frames = &mut talk.carriers[carrier][side].frames;
                    frames.truncate(frames.len() / 2);
                    if carrier + 1 == talk.carriers.len() {
                        talk.attach();
                    }
                }
                11 => drop(talk.arrive(index.index(talk.carriers.len()), side)),
                _ => drop(talk.arrive(talk.carriers.len() - 1, side)),
            }
            talk.check();
        }
        // The network heals.
        talk.attach();
        for side in [0, 1] {
            while talk.take(side) {}
            while talk.arrive(talk.carriers.len() - 1, side) {}
            talk.ack(1 - side);
            while talk.arrive(talk.carriers.len() - 1, 1 - side) {}
        }
        talk.check();
        for side in [0, 1] {
            prop_assert_eq!(talk.halves[1 - side].received.len() as u64, talk.halves[side].sent);
            prop_assert_eq!((talk.halves[side].ring.len(), talk.halves[side].ring.bytes()), (0, 0));
        }
    }
}
