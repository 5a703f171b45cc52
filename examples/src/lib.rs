//! Small applications of Primus for Rust; see the folders beside `src`.
