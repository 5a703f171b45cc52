//! What is measured, a file each.

mod broadcast;
mod churn;
mod echo;
mod idle;
mod opening;
mod run;
mod window;

pub use self::run::run;
