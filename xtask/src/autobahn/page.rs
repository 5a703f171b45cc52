//! The page about a full run. It has no date and no times: it says which commit was tested, and what came of it.

use std::fmt::Write as _;

use super::cases::{CHAPTERS, Chapter};
use super::results::{Case, Verdict};

/// Of what took part.
pub(super) struct Versions {
    /// Of this project.
    pub(super) commit: String,
    pub(super) suite: String,
    pub(super) python: String,
    pub(super) rust: String,
}

pub(super) fn write(cases: &[Case], versions: &Versions) -> String {
    let mut page = format!(
        "\
# Autobahn

[Autobahn](https://github.com/crossbario/autobahn-testsuite) asks a WebSocket server {} questions about RFC 6455 and RFC 7692. `cargo xtask autobahn` asks them
all, of the echo example in an optimized build, and writes this page:

```sh
cargo xtask autobahn                        # every case: about a quarter of an hour, most of it compression
cargo xtask autobahn --cases '6.*,7.9.1'    # some, and the page stays as it is
```

It needs Python 2.7, the only one that Autobahn runs on: on the `PATH`, among the versions of pyenv, or named in `XTASK_PYTHON27`. The packages, in exactly
the versions of `tests/autobahn/`, go into an environment of their own in the user's cache. Where there is a Python 2.7, `cargo xtask test` runs chapters 1 to 7 and 10.

What is not the default there: the server takes messages in 65,537 fragments, which a case sends; it compresses, however small a message is; and it
does so with context takeover unless the case rules that out.

What passes is OK, or informational, which is said of cases without a right and a wrong. Anything else fails, non-strict too.

| cases | about | OK | informational | failed |
|---|---|--:|--:|--:|
",
        cases.len()
    );
    for chapter in CHAPTERS {
        let _ = writeln!(page, "{}", row(chapter, cases));
    }
    let count = |verdict| cases.iter().filter(|case| case.verdict() == verdict).count();
    let (ok, informational, failed) =
        (count(Verdict::Ok), count(Verdict::Informational), count(Verdict::Failed));
    let _ = writeln!(page, "| **all** | | **{ok}** | **{informational}** | **{failed}** |");
    let named = |verdict| {
        let named = cases.iter().filter(move |case| case.verdict() == verdict);
        named.map(Case::name).collect::<Vec<String>>().join(", ")
    };
    if informational > 0 {
        let _ = writeln!(page, "\nInformational: {}.", named(Verdict::Informational));
    }
    if failed > 0 {
        let _ = writeln!(page, "\nFailed:\n\n{}", failures(cases));
    }
    let Versions { commit, suite, python, rust } = versions;
    let _ = writeln!(
        page,
        "\nTested: commit {commit}. autobahntestsuite {suite}, Python {python}, {rust}."
    );
    page
}

fn row(chapter: &Chapter, cases: &[Case]) -> String {
    let count = |verdict| {
        let its = cases.iter().filter(|case| case.chapter() == chapter.number);
        match its.filter(|case| case.verdict() == verdict).count() {
            0 => String::new(),
            some => some.to_string(),
        }
    };
    format!(
        "| {}.* | {} | {} | {} | {} |",
        chapter.number,
        chapter.what,
        count(Verdict::Ok),
        count(Verdict::Informational),
        count(Verdict::Failed),
    )
}

/// A line for each thing that Autobahn called cases which failed.
fn failures(cases: &[Case]) -> String {
    let mut called: Vec<(String, Vec<String>)> = Vec::new();
    for case in cases.iter().filter(|case| case.verdict() == Verdict::Failed) {
        let word = case.called();
        match called.iter_mut().find(|(known, _)| *known == word) {
            Some((_, names)) => names.push(case.name()),
            None => called.push((word, vec![case.name()])),
        }
    }
    let lines: Vec<String> =
        called.iter().map(|(word, names)| format!("- {word}: {}", names.join(", "))).collect();
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::autobahn::results::read;

    fn page(printed: &str) -> String {
        let versions = Versions {
            commit: "1234abc with changes".into(),
            suite: "25.10.1".into(),
            python: "2.7.18".into(),
            rust: "rustc 1.95".into(),
        };
        write(&read(printed).unwrap(), &versions)
    }

    #[test]
    fn it_has_a_row_for_each_chapter_and_a_sum() {
        let page = page("1.1.1\tOK\tOK\t\t\n1.1.2\tOK\tOK\t\t\n7.1.6\tINFORMATIONAL\tOK\t\t\n");
        assert!(page.contains("| 1.* | framing | 2 |  |  |"), "{page}");
        assert!(page.contains("| 7.* | closing |  | 1 |  |"), "{page}");
        assert!(
            page.contains("| **all** | | **2** | **1** | **0** |\n\nInformational: 7.1.6.\n"),
            "{page}"
        );
        assert!(
            page.ends_with(
                "\nTested: commit 1234abc with changes. autobahntestsuite 25.10.1, Python 2.7.18, rustc 1.95.\n"
            ),
            "{page}"
        );
        assert!(!page.contains("Failed:"), "{page}");
    }

    #[test]
    fn failures_are_named_by_what_they_were_called() {
        let page = page(
            "6.4.1\tNON-STRICT\tOK\t\t\n6.4.2\tNON-STRICT\tOK\t\t\n12.1.1\tUNIMPLEMENTED\tOK\t\t\n2.9\tOK\tUNCLEAN\t\t\n",
        );
        let failed = "Failed:\n\n- OK, closing UNCLEAN: 2.9\n- NON-STRICT: 6.4.1, 6.4.2\n- UNIMPLEMENTED: 12.1.1\n";
        assert!(page.contains(failed), "{page}");
    }
}
