//! Whether the tests left the working tree as they found it.

use std::path::Path;
use std::process::Command;

use crate::child;

/// What git sees, changes included. `None` outside of a checkout.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Tree {
    status: String,
    changes: String,
}

impl Tree {
    pub(crate) fn look(root: &Path) -> Option<Self> {
        let git = |arguments: &[&str]| {
            child::answer(Command::new("git").current_dir(root).args(arguments))
        };
        Some(Self {
            status: git(&["status", "--porcelain", "--untracked-files=all"])?,
            changes: git(&["diff", "--no-ext-diff"])?,
        })
    }

    /// What is different in `after`, if anything.
    pub(crate) fn difference(&self, after: &Self) -> Option<String> {
        let before: Vec<&str> = self.status.lines().collect();
        let mut new: Vec<&str> =
            after.status.lines().filter(|line| !before.contains(line)).map(str::trim).collect();
        if new.is_empty() && self != after {
            new.push("a file that was changed already has changed again");
        }
        (!new.is_empty()).then(|| format!("git status changed: {}", new.join(", ")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tree(status: &str, changes: &str) -> Tree {
        Tree { status: status.into(), changes: changes.into() }
    }

    #[test]
    fn a_clean_tree_that_stays_clean() {
        assert_eq!(tree("", "").difference(&tree("", "")), None);
    }

    #[test]
    fn a_new_change_is_named() {
        let said = tree(" M a", "x").difference(&tree(" M a\n?? b", "x")).unwrap();
        assert_eq!(said, "git status changed: ?? b");
    }

    #[test]
    fn a_change_to_a_changed_file_counts() {
        assert!(tree(" M a", "x").difference(&tree(" M a", "y")).is_some());
    }
}
