//! A text as a list of letters with names, in the order of the server. `text.js` is the same.
//!
//! An edit says behind which letter it inserts, and which letters go, never where that is: so it means
//! the same to everybody, whatever others have written meanwhile, and however often it comes. A letter
//! that is gone stays in the list, for edits that were made before their author knew.

use std::collections::HashMap;

use serde::{Deserialize, Serialize};

/// The name of a letter: who wrote it, and its number among his.
pub(crate) type Id = (u32, u32);

/// What stands before the first letter.
const START: Id = (0, 0);

/// The most letters of a text, those that are gone included.
const MOST: u32 = 32_768;

/// What somebody did at once.
#[derive(Deserialize, Serialize)]
pub(crate) struct Edit {
    by: u32,
    /// Its number among his.
    n: u32,
    /// These come behind this letter; the first of them is named so.
    text: String,
    after: Id,
    first: u32,
    /// These go: whose, from which on, how many.
    gone: Vec<(u32, u32, u32)>,
}

struct Letter {
    next: Option<Id>,
    letter: Option<char>,
}

pub(crate) struct Text {
    letters: HashMap<Id, Letter>,
}

/// Letters in a row, as they travel: whose, from which on, and which, or how many that are gone.
#[derive(Serialize)]
pub(crate) struct Run(u32, u32, Piece);

#[derive(Serialize)]
#[serde(untagged)]
enum Piece {
    Text(String),
    Gone(u32),
}

impl Default for Text {
    fn default() -> Self {
        Self { letters: HashMap::from([(START, Letter { next: None, letter: None })]) }
    }
}

impl Text {
    /// Makes an edit. What of it cannot be made is taken out of it.
    pub(crate) fn apply(&mut self, edit: &mut Edit) {
        let count = edit.text.chars().count() as u32;
        let ids = edit.first..edit.first.saturating_add(count);
        let known = ids.clone().filter(|n| self.letters.contains_key(&(edit.by, *n))).count();
        let fits = ids.len() == count as usize && self.letters.len() as u32 + count <= MOST;
        if known == 0 && fits && self.letters.contains_key(&edit.after) {
            let mut at = edit.after;
            for (n, letter) in ids.zip(edit.text.chars()) {
                let before = self.letters.get_mut(&at).expect("it is there");
                at = (edit.by, n);
                let letter = Letter { next: before.next.replace(at), letter: Some(letter) };
                self.letters.insert(at, letter);
            }
        } else if known < count as usize {
            edit.text.clear();
        }
        if edit.gone.iter().map(|run| u64::from(run.2)).sum::<u64>() > MOST.into() {
            edit.gone.clear();
        }
        for &(by, first, count) in &edit.gone {
            for n in first..first.saturating_add(count) {
                if let Some(letter) = self.letters.get_mut(&(by, n)) {
                    letter.letter = None;
                }
            }
        }
    }

    /// All letters but the start, in their order.
    fn letters(&self) -> impl Iterator<Item = (Id, Option<char>)> {
        let next = |id: &Id| self.letters[id].next;
        std::iter::successors(next(&START), move |id| next(id))
            .map(|id| (id, self.letters[&id].letter))
    }

    pub(crate) fn read(&self) -> String {
        self.letters().filter_map(|(_, letter)| letter).collect()
    }

    /// Everything, in as few runs as there are.
    pub(crate) fn runs(&self) -> Vec<Run> {
        let mut runs: Vec<Run> = Vec::new();
        let mut expected = START;
        for (id, letter) in self.letters() {
            match (runs.last_mut().filter(|_| id == expected), letter) {
                (Some(Run(.., Piece::Text(text))), Some(letter)) => text.push(letter),
                (Some(Run(.., Piece::Gone(count))), None) => *count += 1,
                (_, Some(letter)) => runs.push(Run(id.0, id.1, Piece::Text(letter.into()))),
                (_, None) => runs.push(Run(id.0, id.1, Piece::Gone(1))),
            }
            expected = (id.0, id.1.wrapping_add(1));
        }
        runs
    }
}
