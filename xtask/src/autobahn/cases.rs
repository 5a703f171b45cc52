//! Which cases there are, which of them are run, and the file that tells `wstest`.

use std::fmt::Write as _;
use std::path::Path;

/// How many cases this version of Autobahn has.
pub(super) const ALL: usize = 517;

/// The agent of the spec, and so the key of the results.
pub(super) const AGENT: &str = "primus";

/// The cases whose number begins with the same.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Chapter {
    pub(super) number: u32,
    pub(super) what: &'static str,
    /// In seconds, and so by `cargo xtask test`.
    pub(super) fast: bool,
}

pub(super) const CHAPTERS: &[Chapter] = &[
    Chapter { number: 1, what: "framing", fast: true },
    Chapter { number: 2, what: "pings and pongs", fast: true },
    Chapter { number: 3, what: "reserved bits", fast: true },
    Chapter { number: 4, what: "opcodes", fast: true },
    Chapter { number: 5, what: "fragmentation", fast: true },
    Chapter { number: 6, what: "UTF-8", fast: true },
    Chapter { number: 7, what: "closing", fast: true },
    Chapter { number: 9, what: "limits and performance", fast: false },
    Chapter { number: 10, what: "auto-fragmentation", fast: true },
    Chapter { number: 12, what: "compression of different messages", fast: false },
    Chapter { number: 13, what: "compression with different parameters", fast: false },
];

impl Chapter {
    /// As `docs/features.md` may name it, behind `autobahn::`.
    pub(super) fn name(&self) -> String {
        format!("{} {}", self.number, self.what)
    }

    fn pattern(&self) -> String {
        format!("{}.*", self.number)
    }
}

/// What is run.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Cases {
    pub(super) patterns: Vec<String>,
    /// How many these are, where it is known.
    pub(super) count: Option<usize>,
}

impl Cases {
    pub(super) fn all() -> Self {
        Self { patterns: CHAPTERS.iter().map(Chapter::pattern).collect(), count: Some(ALL) }
    }

    pub(super) fn fast() -> Self {
        let fast = CHAPTERS.iter().filter(|chapter| chapter.fast);
        Self { patterns: fast.map(Chapter::pattern).collect(), count: Some(247) }
    }

    /// The names of the chapters of which these are all cases.
    pub(super) fn chapters(&self) -> Vec<String> {
        let whole = CHAPTERS.iter().filter(|chapter| self.patterns.contains(&chapter.pattern()));
        whole.map(Chapter::name).collect()
    }

    /// What follows `cargo xtask autobahn`: nothing, or `--cases 1.*,6.4.2`.
    pub(super) fn of_arguments(arguments: &[&str]) -> Result<Self, String> {
        let list = match arguments {
            [] => return Ok(Self::all()),
            ["--cases", list] => list,
            [one] if one.starts_with("--cases=") => &one["--cases=".len()..],
            _ => return Err("cargo xtask autobahn [--cases 1.*,6.4.2]".to_owned()),
        };
        let patterns: Vec<String> = list.split(',').map(|one| one.trim().to_owned()).collect();
        let right = |one: &String| {
            !one.is_empty() && one.bytes().all(|b| b.is_ascii_digit() || matches!(b, b'.' | b'*'))
        };
        match patterns.iter().find(|one| !right(one)) {
            Some(wrong) => Err(format!("--cases: `{wrong}` is not such as 6.4.2 or 6.*")),
            None => Ok(Self { patterns, count: None }),
        }
    }

    /// Whether it is every case, and so the page's matter.
    pub(super) fn are_all(&self) -> bool {
        self.count == Some(ALL)
    }

    /// The spec of `wstest -m fuzzingclient`.
    pub(super) fn spec(&self, reports: &Path, url: &str) -> String {
        let patterns: Vec<String> = self.patterns.iter().map(|one| json(one)).collect();
        format!(
            "{{\n  \"outdir\": {},\n  \"servers\": [{{ \"agent\": {}, \"url\": {} }}],\n  \"cases\": [{}],\n  \
             \"exclude-cases\": [],\n  \"exclude-agent-cases\": {{}}\n}}\n",
            json(&reports.to_string_lossy()),
            json(AGENT),
            json(url),
            patterns.join(", "),
        )
    }
}

fn json(text: &str) -> String {
    let mut quoted = String::from('"');
    for character in text.chars() {
        match character {
            '"' | '\\' => quoted.extend(['\\', character]),
            control if control < ' ' => {
                let _ = write!(quoted, "\\u{:04x}", u32::from(control));
            }
            other => quoted.push(other),
        }
    }
    quoted.push('"');
    quoted
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_arguments_it_is_every_case() {
        let all = Cases::of_arguments(&[]).unwrap();
        assert!(all.are_all());
        assert_eq!(all.patterns.len(), CHAPTERS.len());
    }

    #[test]
    fn cases_can_be_chosen() {
        let chosen = Cases::of_arguments(&["--cases", "1.*, 6.4.2"]).unwrap();
        assert_eq!(chosen.patterns, ["1.*", "6.4.2"]);
        assert!(!chosen.are_all());
        assert_eq!(Cases::of_arguments(&["--cases=1.*,6.4.2"]), Ok(chosen));
    }

    #[test]
    fn what_is_no_case_is_refused() {
        let said = Cases::of_arguments(&["--cases", "1.*,all"]).unwrap_err();
        assert_eq!(said, "--cases: `all` is not such as 6.4.2 or 6.*");
        assert!(Cases::of_arguments(&["--cases", ""]).is_err());
        assert!(Cases::of_arguments(&["--fast"]).is_err());
    }

    #[test]
    fn the_fast_ones_leave_out_performance_and_compression() {
        let expected = ["1.*", "2.*", "3.*", "4.*", "5.*", "6.*", "7.*", "10.*"];
        assert_eq!(Cases::fast().patterns, expected);
        assert!(!Cases::fast().are_all());
    }

    #[test]
    fn the_spec_is_json() {
        let cases = Cases { patterns: vec!["1.*".into(), "6.4.2".into()], count: None };
        let spec = cases.spec(Path::new("/a \"b\"\\c"), "ws://127.0.0.1:9/ws");
        assert_eq!(
            spec,
            r#"{
  "outdir": "/a \"b\"\\c",
  "servers": [{ "agent": "primus", "url": "ws://127.0.0.1:9/ws" }],
  "cases": ["1.*", "6.4.2"],
  "exclude-cases": [],
  "exclude-agent-cases": {}
}
"#
        );
    }

    #[test]
    fn control_characters_are_escaped() {
        assert_eq!(json("a\nb"), "\"a\\u000ab\"");
    }
}
