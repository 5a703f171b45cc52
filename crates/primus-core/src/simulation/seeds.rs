//! Many seeds, and those that have to find something.

use std::{sync::Mutex, time::Instant};

use super::{faults::Coverage, run::run};
use crate::resume::{DEFECTS, Defect, with_defect};

/// A deliberate defect has to be found within so many seeds.
const FOUND_WITHIN: u64 = 2000;

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

/// Runs seeds on two threads, up to the first that fails.
fn run_all(seeds: u64) -> Coverage {
    let (total, failure) = (Mutex::new(Coverage::default()), Mutex::new(None));
    std::thread::scope(|scope| {
        for half in 0..2 {
            let (total, failure) = (&total, &failure);
            scope.spawn(move || {
                for seed in (half..seeds).step_by(2) {
                    if failure.lock().unwrap().is_some() {
                        return;
                    }
                    match run(seed) {
                        Ok(coverage) => *total.lock().unwrap() += coverage,
                        Err(why) => *failure.lock().unwrap() = Some((seed, why)),
                    }
                }
            });
        }
    });
    if let Some((seed, why)) = failure.into_inner().unwrap() {
        panic!(
            "seed {seed}: {why}\nrun it again: PRIMUS_SEED={seed} cargo test -p primus-core \
             simulation::seeds::nothing -- --nocapture"
        );
    }
    total.into_inner().unwrap()
}

#[test]
fn nothing_is_lost_nothing_twice_and_all_in_order() {
    if let Some(seed) = number("PRIMUS_SEED") {
        let coverage = run(seed).unwrap_or_else(|why| panic!("seed {seed}: {why}"));
        return println!("{coverage}");
    }
    let seeds = number("PRIMUS_SEEDS").unwrap_or(if cfg!(debug_assertions) { 200 } else { 10_000 });
    let began = Instant::now();
    let coverage = run_all(seeds);
    println!("{coverage}  in {:.1} s", began.elapsed().as_secs_f64());
    let shortfalls = coverage.shortfalls();
    assert!(shortfalls.is_empty(), "too little has gone wrong: {shortfalls:?}");
}

#[test]
fn a_seed_repeats_itself() {
    for seed in [3, 15] {
        let [first, second] = [(); 2].map(|()| run(seed).unwrap().to_string());
        assert_eq!(first, second);
    }
}

/// After how many seeds a defect shows, and how; without it the same seed shows nothing.
fn find(defect: Defect) -> (u64, String) {
    let found = with_defect(Some(defect), || {
        (0..FOUND_WITHIN).find_map(|seed| Some((seed, run(seed).err()?)))
    });
    let (seed, why) = found.unwrap_or_else(|| panic!("{defect:?} was not found"));
    assert_eq!(run(seed).err(), None, "seed {seed} fails without {defect:?}, too");
    (seed + 1, why)
}

#[test]
fn deliberate_defects_are_found() {
    assert_eq!(DEFECTS.len(), 10);
    std::thread::scope(|scope| {
        for half in DEFECTS.chunks(5) {
            scope.spawn(move || {
                for defect in half {
                    let (seeds, why) = find(*defect);
                    println!("{defect:?}: found after {seeds} seeds: {why:.160}");
                }
            });
        }
    });
}
