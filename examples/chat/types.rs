//! Prints `events.d.ts`. `cargo xtask types` writes it; the test says when that is due.

#[allow(dead_code, reason = "only the types are needed here")]
mod events;

use primus_examples::types::declarations;

use crate::events::{ClientEvents, ServerEvents};

fn main() {
    print!("{}", declarations::<ServerEvents, ClientEvents>());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_typescript_knows_of_the_events_is_not_stale() {
        let fresh = declarations::<ServerEvents, ClientEvents>();
        assert_eq!(include_str!("events.d.ts"), fresh, "run `cargo xtask types` and commit it");
    }
}
