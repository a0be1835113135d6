//! The best of many short turns, as bench/harness/time.ts takes it.

use std::hint::black_box;
use std::time::{Duration, Instant};

const WARM: Duration = Duration::from_millis(60);
const TURN: Duration = Duration::from_millis(4);
const TURNS: u32 = 31;

pub struct Subject {
    /// Operations done by one call.
    pub operations: usize,
    /// Answers a number that depends on every operation.
    pub call: Box<dyn FnMut() -> u64>,
}

/// Nanoseconds per operation, and what the first call answered.
pub fn time(Subject { operations, mut call }: Subject) -> (f64, u64) {
    let checksum = call();
    let start = Instant::now();
    let mut calls = 0;
    while start.elapsed() < WARM {
        black_box(call());
        calls += 1;
    }
    let per_turn = (f64::from(calls) * TURN.as_secs_f64() / WARM.as_secs_f64()).ceil() as u32;
    let best = (0..TURNS)
        .map(|_| {
            let start = Instant::now();
            for _ in 0..per_turn {
                black_box(call());
            }
            start.elapsed().as_nanos() as f64 / f64::from(per_turn)
        })
        .fold(f64::INFINITY, f64::min);
    (best / operations as f64, checksum)
}
