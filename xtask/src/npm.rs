//! The npm packages of `client-js/`, `tests/` and the examples' pages with stock clients, and the client's build.

use std::fs;
use std::path::Path;
use std::process::Command;

use crate::setup::{Tools, step};

/// `npm ci`, unless what is installed is what the lock file says.
pub(crate) fn install(root: &Path, folder: &str, tools: &Tools) -> Result<(), String> {
    let folder_path = root.join(folder);
    let lock = fs::read_to_string(folder_path.join("package-lock.json"))
        .map_err(|e| format!("{folder}/package-lock.json: {e}"))?;
    let stamp = folder_path.join("node_modules/.installed-lock.json");
    if fs::read_to_string(&stamp).is_ok_and(|installed| installed == lock) {
        return Ok(());
    }
    let mut command = tools.npm(&folder_path);
    command.args(["ci", "--no-audit", "--no-fund"]);
    must(&mut command, &format!("npm ci in {folder}/"))?;
    let folder = stamp.parent().unwrap_or(&folder_path);
    fs::create_dir_all(folder)
        .and_then(|()| fs::write(&stamp, lock))
        .map_err(|e| format!("{}: {e}", stamp.display()))
}

pub(crate) fn build_client(root: &Path, tools: &Tools) -> Result<(), String> {
    must(tools.npm(&root.join("client-js")).args(["run", "build"]), "npm run build in client-js/")
}

fn must(command: &mut Command, what: &str) -> Result<(), String> {
    step(what);
    match command.status() {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(format!("{what}: {status}")),
        Err(error) => Err(format!("{what}: {error}")),
    }
}
