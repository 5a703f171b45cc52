//! Python 2.7, which is all that Autobahn runs on, and an environment of it with what Autobahn needs.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use crate::child;
use crate::processes::Processes;
use crate::setup::step;

/// Where the pinned versions are; the files are installed in the order of their names.
const REQUIREMENTS: &str = "tests/autobahn";
const VIRTUALENV: &str = "1-virtualenv.txt";
const BUILD: &str = "2-build.txt";
const SUITE: &str = "3-suite.txt";

/// Some packages are built from source.
const INSTALL: Duration = Duration::from_mins(15);

pub(super) const HOW_TO_GET_IT: &str = "no Python 2.7, which Autobahn needs: install it (`pyenv install 2.7.18` is one way), \
     or name one that is elsewhere in XTASK_PYTHON27";

/// An interpreter that answered.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Python {
    pub(super) program: PathBuf,
    /// `2.7.18`
    pub(super) version: String,
}

impl Python {
    /// On the `PATH`, or one of pyenv's, which need not be chosen.
    pub(super) fn find() -> Option<Self> {
        candidates().into_iter().find_map(Self::at)
    }

    /// The shims of pyenv are files too, and fail for a version that is not chosen: so it is asked.
    fn at(program: PathBuf) -> Option<Self> {
        let version = "import sys; print('%d.%d.%d' % sys.version_info[:3])";
        let version = child::answer(Command::new(&program).args(["-c", version]))?;
        version.starts_with("2.7.").then_some(Self { program, version })
    }
}

fn candidates() -> Vec<PathBuf> {
    if let Some(given) = std::env::var_os("XTASK_PYTHON27") {
        return vec![PathBuf::from(given)];
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut found: Vec<PathBuf> =
        std::env::split_paths(&path).map(|folder| folder.join("python2.7")).collect();
    let pyenv = std::env::var_os("PYENV_ROOT").map(PathBuf::from);
    if let Some(pyenv) = pyenv.or_else(|| home().map(|home| home.join(".pyenv"))) {
        found.extend(of_pyenv(&pyenv));
    }
    found.retain(|program| program.is_file());
    found
}

fn of_pyenv(pyenv: &Path) -> Vec<PathBuf> {
    let mut versions: Vec<PathBuf> = fs::read_dir(pyenv.join("versions"))
        .into_iter()
        .flatten()
        .flatten()
        .filter(|entry| entry.file_name().to_string_lossy().starts_with("2.7"))
        .map(|entry| entry.path().join("bin/python2.7"))
        .collect();
    versions.sort_unstable();
    versions.reverse();
    versions
}

/// Where `wstest` is, after it was installed if it was not yet.
pub(super) struct Environment {
    folder: PathBuf,
}

impl Environment {
    /// In the user's cache, so that a fresh checkout does not install it again.
    pub(super) fn prepare(
        root: &Path,
        python: &Python,
        processes: &Processes,
    ) -> Result<Self, String> {
        let folder = cache().ok_or("neither XDG_CACHE_HOME nor HOME is set")?.join("autobahn");
        fs::create_dir_all(&folder).map_err(|e| format!("{}: {e}", folder.display()))?;
        // Until the end of this function: two runs at a time would install into each other.
        let lock = folder.join("lock");
        let lock =
            File::create(&lock).and_then(|file| file.lock().map(|()| file)).map_err(|error| {
                format!("{}: {error}; remove the folder if it is not yours", lock.display())
            })?;
        let wanted = stamp(root, python)?;
        let stamp = folder.join("installed.txt");
        if fs::read_to_string(&stamp).is_ok_and(|installed| installed == wanted) {
            return Ok(Self { folder });
        }
        let _ = fs::remove_file(&stamp);
        let install = Install { root, python, processes, folder: &folder };
        install.everything().map_err(|problem| {
            format!(
                "Autobahn could not be installed: {problem}. It needs PyPI or a mirror of it (see `pip config`), and a \
                 C compiler with the headers of Python 2.7; what it has so far is in {}",
                folder.display()
            )
        })?;
        fs::write(&stamp, wanted).map_err(|e| format!("{}: {e}", stamp.display()))?;
        drop(lock);
        Ok(Self { folder })
    }

    pub(super) fn command(&self, program: &str) -> Command {
        clean(&self.folder.join("env/bin").join(program))
    }
}

/// Steps into one folder.
struct Install<'a> {
    root: &'a Path,
    python: &'a Python,
    processes: &'a Processes,
    folder: &'a Path,
}

impl Install<'_> {
    fn everything(&self) -> Result<(), String> {
        let (tool, env) = (self.folder.join("virtualenv"), self.folder.join("env"));
        for old in [&tool, &env] {
            if old.exists() {
                fs::remove_dir_all(old).map_err(|e| format!("{}: {e}", old.display()))?;
            }
        }
        let mut pip = self.pip_of_the_system()?;
        pip.arg("--target").arg(&tool);
        self.install(pip, VIRTUALENV)?;

        let mut virtualenv = clean(&self.python.program);
        virtualenv.args(["-m", "virtualenv", "--no-download"]).arg(&env).env("PYTHONPATH", &tool);
        self.must(virtualenv, "an environment of Python 2.7")?;

        let pip = || clean(&env.join("bin/pip"));
        let mut build = pip();
        build.args(["install", "--no-deps"]);
        self.install(build, BUILD)?;
        let mut suite = pip();
        suite.args(["install", "--no-deps", "--no-build-isolation"]);
        self.install(suite, SUITE)
    }

    /// Debian's Python 2.7 has none, but that of Python 3 can unpack what we want.
    fn pip_of_the_system(&self) -> Result<Command, String> {
        let python3 = PathBuf::from("python3");
        let found = [&self.python.program, &python3]
            .into_iter()
            .find(|python| child::answer(clean(python).args(["-m", "pip", "--version"])).is_some());
        let mut pip = clean(found.ok_or("there is no pip, neither for Python 2.7 nor for 3")?);
        pip.args(["-m", "pip", "install", "--no-deps"]);
        Ok(pip)
    }

    fn install(&self, mut pip: Command, file: &str) -> Result<(), String> {
        pip.arg("--requirement").arg(self.root.join(REQUIREMENTS).join(file));
        self.must(pip, &format!("pip install {REQUIREMENTS}/{file}"))
    }

    fn must(&self, command: Command, what: &str) -> Result<(), String> {
        step(&format!("{what}, into {}", self.folder.display()));
        match child::run(self.processes, command, INSTALL).problem {
            Some(problem) => Err(format!("{what}: {problem}")),
            None => Ok(()),
        }
    }
}

/// Without what the caller's Python would make of it, and without advice to update.
fn clean(program: &Path) -> Command {
    let mut command = Command::new(program);
    command
        .env_remove("PYTHONPATH")
        .env_remove("PYTHONHOME")
        .env("PIP_DISABLE_PIP_VERSION_CHECK", "1")
        .env("PIP_NO_PYTHON_VERSION_WARNING", "1");
    command
}

/// What is installed, if it is this: the interpreter and every version.
fn stamp(root: &Path, python: &Python) -> Result<String, String> {
    let mut stamp = format!("{} {}\n", python.program.display(), python.version);
    for file in [VIRTUALENV, BUILD, SUITE] {
        stamp.push_str(&requirements(root, file)?);
    }
    Ok(stamp)
}

fn requirements(root: &Path, file: &str) -> Result<String, String> {
    let path = root.join(REQUIREMENTS).join(file);
    fs::read_to_string(&path).map_err(|e| format!("{}: {e}", path.display()))
}

/// The version of a package that is pinned.
pub(super) fn pinned(root: &Path, package: &str) -> Result<String, String> {
    let suite = requirements(root, SUITE)?;
    version_of(&suite, package)
        .map(str::to_owned)
        .ok_or_else(|| format!("{SUITE} has no {package}"))
}

fn version_of<'a>(requirements: &'a str, package: &str) -> Option<&'a str> {
    requirements.lines().find_map(|line| line.strip_prefix(package)?.strip_prefix("=="))
}

fn cache() -> Option<PathBuf> {
    let given = std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from);
    let given = given.filter(|folder| folder.is_absolute());
    Some(given.or_else(|| Some(home()?.join(".cache")))?.join("primus-rs"))
}

fn home() -> Option<PathBuf> {
    std::env::var_os("HOME").map(PathBuf::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn root() -> &'static Path {
        Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
    }

    #[test]
    fn every_package_has_its_exact_version() {
        for file in [VIRTUALENV, BUILD, SUITE] {
            let text = requirements(root(), file).unwrap();
            let packages = text.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
            for package in packages {
                let (name, version) = package.split_once("==").unwrap();
                assert!(!name.contains(['<', '>', '[', ' ']), "{file}: {package}");
                assert!(version.starts_with(|c: char| c.is_ascii_digit()), "{file}: {package}");
            }
        }
    }

    #[test]
    fn a_version_is_that_of_the_whole_name() {
        let requirements = "# autobahn==1\nautobahntestsuite==25.10.1\nautobahn==0.10.9\n";
        assert_eq!(version_of(requirements, "autobahn"), Some("0.10.9"));
        assert_eq!(version_of(requirements, "autobahntestsuite"), Some("25.10.1"));
        assert_eq!(version_of(requirements, "Twisted"), None);
    }

    #[test]
    fn another_interpreter_or_version_is_installed_anew() {
        let python = |program: &str| Python { program: program.into(), version: "2.7.18".into() };
        let here = stamp(root(), &python("/a/python2.7")).unwrap();
        assert!(here.contains("autobahntestsuite=="));
        assert_ne!(here, stamp(root(), &python("/b/python2.7")).unwrap());
    }

    #[test]
    fn what_is_no_python_2_7_is_not_found() {
        assert_eq!(Python::at("/no/such/python2.7".into()), None);
        assert_eq!(Python::at("/bin/true".into()), None);
    }
}
