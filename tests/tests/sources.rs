//! What the libraries may not do, by their sources: what tests of behaviour would see too late, or never.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

/// What would give the library a thread or a runtime of its own, or block a thread of the caller's.
const OWN: &[&str] = &[
    "thread::spawn",
    "thread::scope",
    "thread::Builder",
    "Runtime::new",
    "runtime::Builder",
    "new_multi_thread",
    "new_current_thread",
    "block_on(",
];

/// The Rust files below a folder.
fn files(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            files(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

/// A source without what is for tests, and the modules in files of their own that are.
fn split(path: &Path) -> (String, Vec<PathBuf>) {
    let source = fs::read_to_string(path).expect("UTF-8");
    let is_root = ["lib.rs", "mod.rs"].iter().any(|root| path.ends_with(root));
    let folder = if is_root { path.with_file_name("") } else { path.with_extension("") };
    let (mut kept, mut modules) = (String::new(), Vec::new());
    let mut lines = source.lines();
    while let Some(line) = lines.next() {
        if line != "#[cfg(test)]" {
            kept += line;
            kept.push('\n');
            continue;
        }
        let what = lines.next().expect("what is for tests");
        let module = what.split_once("mod ").map(|(_, module)| module);
        if let Some(module) = module.and_then(|module| module.strip_suffix(';')) {
            modules.push(folder.join(module));
        } else if what.ends_with('{') {
            lines.find(|line| *line == "}").expect("its end");
        }
    }
    (kept, modules)
}

/// The sources of the libraries, without what is for tests.
fn sources() -> Vec<(PathBuf, String)> {
    let crates = Path::new(env!("CARGO_MANIFEST_DIR")).with_file_name("crates");
    let mut paths = Vec::new();
    for entry in fs::read_dir(crates).expect("the crates") {
        files(&entry.expect("an entry").path().join("src"), &mut paths);
    }
    let split: Vec<_> = paths.iter().map(|path| split(path)).collect();
    let tests: BTreeSet<_> = split.iter().flat_map(|(_, modules)| modules).collect();
    let is_test =
        |path: &Path| path.with_extension("").ancestors().any(|it| tests.contains(&it.to_owned()));
    let sources = paths.iter().zip(&split).filter(|(path, _)| !is_test(path));
    sources.map(|(path, (source, _))| (path.clone(), source.clone())).collect()
}

#[test]
fn no_library_has_a_thread_or_a_runtime_of_its_own() {
    let sources = sources();
    let spawns = sources.iter().filter(|(_, source)| source.contains("tokio::spawn(")).count();
    assert!(spawns > 3, "sources are found, and those that spawn tasks");
    for (path, source) in sources {
        for own in OWN {
            assert!(!source.contains(own), "{} has `{own}`", path.display());
        }
    }
}
