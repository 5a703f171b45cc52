//! What it was measured on.

use std::fs;
use std::path::Path;
use std::process::Command;

use crate::child::answer;
use crate::setup::Tools;

/// Machine, system and compilers, and the version of every peer, one a line.
pub(super) fn describe(root: &Path, tools: &Tools) -> Vec<String> {
    let read = |file: &str| fs::read_to_string(file).unwrap_or_default();
    let (cpu, memory) = (read("/proc/cpuinfo"), read("/proc/meminfo"));
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let gib = first(&memory, "MemTotal:").and_then(|kb| kb.split(' ').next()?.parse::<u64>().ok());
    let peers = root.join("benches/peers");
    let lock = read(&peers.join("Cargo.lock").to_string_lossy());
    let packages = read(&peers.join("node/package.json").to_string_lossy());
    let crates = ["tokio", "tokio-tungstenite", "axum", "fastwebsockets", "socketioxide"];
    let crates = crates.map(|name| format!("{name} {}", locked(&lock, name).unwrap_or("?")));
    let npm = ["ws", "primus", "socket.io", "sockjs"];
    let npm = npm.map(|name| format!("{name} {}", pinned(&packages, name).unwrap_or("?")));
    let node = answer(tools.command("node", root).arg("--version")).unwrap_or_default();
    vec![
        format!(
            "{}, {cores} cores, {} GiB, Linux {}",
            first(&cpu, "model name\t:").unwrap_or("unknown processor"),
            gib.unwrap_or_default().div_ceil(1 << 20),
            read("/proc/sys/kernel/osrelease").trim(),
        ),
        format!(
            "{}, release with fat LTO and one codegen unit; Node {node}",
            answer(Command::new("rustc").arg("--version")).unwrap_or_default()
        ),
        format!("crates: {}", crates.join(", ")),
        format!("npm: {}", npm.join(", ")),
    ]
}

fn first<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    text.lines().find_map(|line| line.strip_prefix(name)).map(str::trim)
}

/// The version of a crate in a `Cargo.lock`. Of several the latest: older ones are wanted by others than the peers.
fn locked<'a>(lock: &'a str, name: &str) -> Option<&'a str> {
    let (_, rest) = lock.rsplit_once(&format!("name = \"{name}\"\nversion = \""))?;
    rest.split('"').next()
}

/// The version of a package in a `package.json` that names exact ones.
fn pinned<'a>(packages: &'a str, name: &str) -> Option<&'a str> {
    let (_, rest) = packages.split_once(&format!("\"{name}\": \""))?;
    rest.split('"').next()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_those_of_the_lock_files() {
        let lock = "[[package]]\nname = \"axum-core\"\nversion = \"0.5.0\"\n\n[[package]]\nname = \"axum\"\nversion = \"0.8.9\"\n";
        assert_eq!(locked(lock, "axum"), Some("0.8.9"));
        let both = lock.replace("axum-core", "axum");
        assert_eq!(locked(&both, "axum"), Some("0.8.9"));
        assert_eq!(locked(lock, "hyper"), None);
        assert_eq!(pinned("{\"ws\": \"8.23.0\"}", "ws"), Some("8.23.0"));
        assert_eq!(first("MemTotal:       24 kB\n", "MemTotal:"), Some("24 kB"));
    }
}
