//! The inputs in `seeds/` go through, those that once were findings too.

use std::{
    path::Path,
    sync::{Mutex, PoisonError},
};

/// One at a time: what is allocated is counted for the whole process.
static TURN: Mutex<()> = Mutex::new(());

fn seeds(target: &str, run: fn(&[u8])) {
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("seeds").join(target);
    let inputs = primus_fuzz::replay(&folder, run).expect("a folder of inputs");
    assert!(inputs > 0);
}

#[test]
fn the_driver_takes_its_seeds_as_tungstenite_does() {
    seeds("driver", primus_fuzz::driver);
}

#[test]
fn compressed_seeds_are_what_another_library_says() {
    seeds("deflate", primus_fuzz::deflate);
}

#[test]
fn seeds_of_handshakes_get_what_they_ask_for() {
    seeds("handshake", primus_fuzz::handshake);
}

#[test]
fn seeds_of_frames_survive() {
    seeds("frames", primus_fuzz::frames);
}

#[test]
fn seeds_of_batches_are_delivered_once() {
    seeds("batches", primus_fuzz::batches);
}

#[test]
fn seeds_of_engine_io_are_cut_as_javascript_would() {
    seeds("engineio", primus_fuzz::engineio);
}

#[test]
fn seeds_of_socket_io_say_what_another_reader_finds() {
    seeds("socketio", primus_fuzz::socketio);
}

#[test]
fn seeds_of_sockjs_are_the_messages_that_another_reader_finds() {
    seeds("sockjs", primus_fuzz::sockjs);
}

#[test]
fn seeds_of_bayeux_are_the_messages_that_another_reader_finds() {
    seeds("bayeux", primus_fuzz::bayeux);
}

#[test]
fn seeds_of_browserchannel_are_the_same_when_they_are_written_again() {
    seeds("browserchannel", primus_fuzz::browserchannel);
}

#[test]
fn seeds_of_actioncable_say_what_another_reader_finds() {
    seeds("actioncable", primus_fuzz::actioncable);
}
