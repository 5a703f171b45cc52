//! The graceful end of a server: whom it tells what, and that nobody can hold it up.

mod held_up;
mod listening;
mod options;

use std::time::Duration;

use primus::{End, EndReport};

fn report(report: EndReport) -> [usize; 4] {
    [report.ended, report.cut, report.left, report.connections_cut]
}

/// What an `End` that must be done soon begins with.
fn quick() -> End {
    End { deadline: Duration::from_secs(5), ..End::default() }
}
