//! A price feed. The server speaks, clients listen: with `primus.js`, with a bare `EventSource`, with
//! `curl -N http://127.0.0.1:8080/primus/sse`. All of them get the same messages, and each message
//! is encoded once for all of them.

use std::{
    hash::{BuildHasher as _, RandomState},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use primus::{Primus, http::page};
use primus_examples::{Args, listening};
use serde::Serialize;
use tokio::time::{MissedTickBehavior, interval};

const ABOUT: &str = "A price feed that a bare EventSource can read, too.";

/// What is sent: a share, its price in cents, and by how much it has just moved.
#[derive(Clone, Serialize)]
struct Tick {
    name: &'static str,
    cents: u32,
    change: i32,
}

#[tokio::main]
async fn main() -> primus_examples::Result {
    let args = Args::parse(ABOUT, &[]);
    let primus = Primus::builder().build()?;

    let shares = [("Acme", 12_340), ("Globex", 4_210), ("Initech", 780), ("Umbrella", 66_600)];
    let ticks = shares.map(|(name, cents)| Tick { name, cents, change: 0 });
    let market = Arc::new(Mutex::new(ticks));

    let now = Arc::clone(&market);
    primus.on_connection(move |mut spark| {
        let now = Arc::clone(&now);
        async move {
            // Whoever comes begins with the prices of this moment.
            let ticks = now.lock().unwrap_or_else(PoisonError::into_inner).clone();
            for tick in &ticks {
                spark.write(tick)?;
            }
            // Nobody is listened to; a spark ends when its handler returns, so this one waits.
            while spark.next().await.is_some() {}
            Ok(())
        }
    });
    tokio::spawn(trade(primus.clone(), market));

    let listener = primus.bind(args.listen()).await?;
    listening(listener.local_addr());
    Ok(listener.serve_with(page(include_str!("page.html"))).await?)
}

/// Moves one price at a time, by up to two percent, and tells everybody.
async fn trade(primus: Primus, market: Arc<Mutex<[Tick; 4]>>) {
    let mut clock = interval(Duration::from_millis(400));
    clock.set_missed_tick_behavior(MissedTickBehavior::Skip);
    loop {
        clock.tick().await;
        let tick = {
            let mut market = market.lock().unwrap_or_else(PoisonError::into_inner);
            let tick = &mut market[(random() % 4) as usize];
            let most = tick.cents as i32 / 50 + 1;
            let change = random() as i32 % most;
            let cents = tick.cents.saturating_add_signed(change).max(100);
            tick.change = cents as i32 - tick.cents as i32;
            tick.cents = cents;
            tick.clone()
        };
        if let Err(error) = primus.write(&tick) {
            eprintln!("{error}");
        }
    }
}

/// Random enough for a market: the standard library's seed for hash maps.
fn random() -> u32 {
    RandomState::new().hash_one(()) as u32
}
