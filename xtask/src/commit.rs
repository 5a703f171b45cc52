//! Which commit a page was made from.

use std::path::Path;
use std::process::Command;

use crate::child::answer;

/// Its short name, `with changes` if the tree has some, `unknown` where git knows nothing.
pub(crate) fn of(root: &Path) -> String {
    let git = |arguments: &[&str]| answer(Command::new("git").args(arguments).current_dir(root));
    shown(git(&["rev-parse", "--short", "HEAD"]), git(&["status", "--porcelain"]))
}

/// `changes`: what git says has changed.
fn shown(commit: Option<String>, changes: Option<String>) -> String {
    match (commit.filter(|commit| !commit.is_empty()), changes) {
        (None, _) => "unknown".to_owned(),
        (Some(commit), Some(changes)) if changes.is_empty() => commit,
        (Some(commit), _) => commit + " with changes",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_commit_has_its_name_and_whether_the_tree_has_changes() {
        let shown = |commit: &str, changes: &str| shown(Some(commit.into()), Some(changes.into()));
        assert_eq!(shown("1234abc", ""), "1234abc");
        assert_eq!(shown("1234abc", " M a"), "1234abc with changes");
        assert_eq!(shown("1234abc", "?? b"), "1234abc with changes");
    }

    #[test]
    fn without_git_the_commit_is_unknown() {
        assert_eq!(shown(None, None), "unknown");
        assert_eq!(shown(Some(String::new()), Some(String::new())), "unknown");
        // A folder that is not there is no checkout.
        assert_eq!(of(Path::new("/nowhere/at/all")), "unknown");
    }
}
