//! How the house is built: which crate may depend on which, and what every crate has from the
//! workspace.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
    process::Command,
    sync::LazyLock,
};

use serde_json::Value;

/// Each library crate, and the crates of this repository that it may depend on. A new crate gets
/// a row here, in the direction that is drawn in `ARCHITECTURE.md`.
const MAY_DEPEND_ON: &[(&str, &[&str])] = &[
    ("primus-core", &[]),
    ("primus-library", &["primus-core"]),
    ("primus-http", &["primus-core", "primus-library"]),
    ("primus-websocket", &["primus-core", "primus-http"]),
    ("primus-sse", &["primus-core", "primus-http"]),
    ("primus-polling", &["primus-core", "primus-http"]),
    ("primus-browserchannel", &["primus-core", "primus-http"]),
    ("primus-engineio", &["primus-core", "primus-http", "primus-websocket"]),
    ("primus-socketio", &["primus-core", "primus-engineio"]),
    ("primus-actioncable", &["primus-core", "primus-websocket"]),
    ("primus-sockjs", &["primus-core", "primus-http", "primus-websocket"]),
    ("primus-bayeux", &["primus-core", "primus-http", "primus-websocket"]),
    (
        "primus-rs",
        &[
            "primus-browserchannel",
            "primus-actioncable",
            "primus-core",
            "primus-engineio",
            "primus-http",
            "primus-library",
            "primus-polling",
            "primus-socketio",
            "primus-sockjs",
            "primus-bayeux",
            "primus-sse",
            "primus-websocket",
        ],
    ),
];

/// Direct dependencies of ours of which a second version is in the tree, and who holds it back.
const HELD_BACK: &[(&str, &str)] =
    &[("getrandom", "ring"), ("base64", "metrics-exporter-prometheus")];

/// What some have had holes in, and the first version without those that concern a server: RUSTSEC-2026-0007,
/// 2026-0258, 2024-0399, 2023-0065, 2021-0079.
const MENDED: &[(&str, [u64; 3])] = &[
    ("bytes", [1, 11, 1]),
    ("h2", [0, 4, 16]),
    ("rustls", [0, 23, 18]),
    ("tungstenite", [0, 20, 1]),
    ("hyper", [0, 14, 10]),
];

static ROOT: LazyLock<PathBuf> = LazyLock::new(|| {
    let tests = Path::new(env!("CARGO_MANIFEST_DIR"));
    tests.parent().expect("tests/ is in the workspace").to_owned()
});

static METADATA: LazyLock<Value> = LazyLock::new(|| {
    let rustc = Command::new("rustc").arg("-vV").output().expect("rustc runs").stdout;
    let rustc = String::from_utf8(rustc).expect("UTF-8");
    let host = rustc.lines().find_map(|line| line.strip_prefix("host: ")).expect("a host");
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--format-version", "1", "--locked", "--filter-platform", host])
        .current_dir(&*ROOT)
        .output()
        .expect("cargo runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).expect("JSON")
});

/// One package of the tree.
struct Package {
    name: &'static str,
    json: &'static Value,
}

fn text(value: &'static Value) -> &'static str {
    value.as_str().unwrap_or_default()
}

fn list(value: &'static Value) -> impl Iterator<Item = &'static Value> {
    value.as_array().into_iter().flatten()
}

/// The packages of this workspace.
fn members() -> Vec<Package> {
    let ids: BTreeSet<&str> = list(&METADATA["workspace_members"]).map(text).collect();
    list(&METADATA["packages"])
        .filter(|json| ids.contains(text(&json["id"])))
        .map(|json| Package { name: text(&json["name"]), json })
        .collect()
}

impl Package {
    fn manifest(&self) -> &'static Path {
        Path::new(text(&self.json["manifest_path"]))
    }

    /// Whether it is one of `crates/`, which others use.
    fn is_library(&self) -> bool {
        self.manifest().starts_with(ROOT.join("crates"))
    }

    /// The names of what it depends on, tests aside.
    fn dependencies(&self) -> BTreeSet<&'static str> {
        list(&self.json["dependencies"])
            .filter(|dependency| dependency["kind"] != "dev")
            .map(|dependency| text(&dependency["name"]))
            .collect()
    }

    /// The names of everything that is built with it, tests aside.
    fn tree(&self) -> BTreeSet<&'static str> {
        let nodes: BTreeMap<&str, &Value> =
            list(&METADATA["resolve"]["nodes"]).map(|node| (text(&node["id"]), node)).collect();
        let mut seen = BTreeSet::new();
        let mut next = vec![text(&self.json["id"])];
        while let Some(id) = next.pop() {
            if !seen.insert(id) {
                continue;
            }
            let dependencies = list(&nodes[id]["deps"]).filter(|dependency| {
                list(&dependency["dep_kinds"]).any(|kind| kind["kind"] != "dev")
            });
            next.extend(dependencies.map(|dependency| text(&dependency["pkg"])));
        }
        list(&METADATA["packages"])
            .filter(|json| seen.contains(text(&json["id"])))
            .map(|json| text(&json["name"]))
            .collect()
    }
}

#[test]
fn dependencies_between_the_crates_point_one_way() {
    let ours: BTreeSet<&str> = members().iter().map(|package| package.name).collect();
    let found: BTreeSet<&str> =
        members().iter().filter(|package| package.is_library()).map(|p| p.name).collect();
    let known: BTreeSet<&str> = MAY_DEPEND_ON.iter().map(|(name, _)| *name).collect();
    assert_eq!(found, known, "every crate has a row in this test, and every row a crate");
    for package in members().iter().filter(|package| package.is_library()) {
        let (_, allowed) = MAY_DEPEND_ON.iter().find(|(name, _)| *name == package.name).unwrap();
        for dependency in package.dependencies().intersection(&ours) {
            assert!(
                allowed.contains(dependency),
                "{} may not depend on {dependency}; it may on {allowed:?}",
                package.name
            );
        }
    }
}

#[test]
fn library_crates_pull_in_neither_axum_nor_the_whole_of_tower() {
    for package in members().iter().filter(|package| package.is_library()) {
        let tree = package.tree();
        for heavy in ["axum", "axum-core", "tower", "tower-http", "openssl", "native-tls"] {
            assert!(!tree.contains(heavy), "{} pulls in {heavy}", package.name);
        }
    }
}

#[test]
fn the_core_knows_no_http_server_and_no_sockets() {
    let members = members();
    let core = members.iter().find(|package| package.name == "primus-core").unwrap();
    let tree = core.tree();
    for foreign in ["hyper", "hyper-util", "tungstenite", "tokio-tungstenite", "rustls", "h2"] {
        assert!(!tree.contains(foreign), "primus-core pulls in {foreign}");
    }
    let mut folders = vec![core.manifest().with_file_name("src")];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            let source = std::fs::read_to_string(&path).unwrap();
            assert!(!source.contains("tokio::net"), "{} uses tokio's net", path.display());
        }
    }
}

#[test]
fn there_is_one_version_of_each_direct_dependency() {
    let resolved: BTreeSet<&str> =
        list(&METADATA["resolve"]["nodes"]).map(|node| text(&node["id"])).collect();
    let mut versions: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for package in list(&METADATA["packages"]) {
        if resolved.contains(text(&package["id"])) {
            versions.entry(text(&package["name"])).or_default().insert(text(&package["version"]));
        }
    }
    for package in members() {
        for dependency in list(&package.json["dependencies"]) {
            let name = text(&dependency["name"]);
            // What is for other platforms only is not resolved.
            let Some(versions) = versions.get(name) else { continue };
            let held_back = HELD_BACK.iter().any(|(held, _)| *held == name);
            assert!(
                versions.len() == 1 || held_back,
                "{name}, which {} uses, is there in the versions {versions:?}",
                package.name
            );
        }
    }
    for (name, holder) in HELD_BACK {
        let still = versions[name].len() > 1;
        assert!(still, "{holder} no longer holds {name} back; take it off the list");
    }
}

#[test]
fn every_crate_has_lints_licence_and_edition_of_the_workspace() {
    for package in members() {
        let manifest = std::fs::read_to_string(package.manifest()).unwrap();
        for wanted in [
            "\n[lints]\nworkspace = true",
            "\nlicense.workspace = true",
            "\nedition.workspace = true",
            "\nversion.workspace = true",
            "\nrust-version.workspace = true",
        ] {
            assert!(manifest.contains(wanted), "{} lacks `{}`", package.name, wanted.trim());
        }
        assert_eq!(package.json["edition"], "2024", "{}", package.name);
        assert_eq!(package.json["license"], "MIT OR Apache-2.0", "{}", package.name);
        assert_eq!(
            package.is_library(),
            package.json["publish"].is_null(),
            "{}: the crates are published, and nothing else is",
            package.name
        );
        assert!(
            !text(&package.json["description"]).is_empty(),
            "{} has no description",
            package.name
        );
    }
}

#[test]
fn versions_of_dependencies_are_declared_in_the_workspace_alone() {
    for package in members() {
        let manifest = std::fs::read_to_string(package.manifest()).unwrap();
        let mut in_dependencies = false;
        for line in manifest.lines() {
            if line.starts_with('[') {
                in_dependencies = line.ends_with("dependencies]");
            } else if in_dependencies && line.contains('=') && !line.starts_with('#') {
                let inherited = line.contains("workspace = true");
                assert!(inherited, "{}: `{line}` is not of the workspace", package.name);
            }
        }
    }
}

/// A file of this repository.
fn file(path: &str) -> String {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    std::fs::read_to_string(root.join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

#[test]
fn each_example_has_150_lines_at_most_and_the_echo_handler_20() {
    for name in ["chat", "echo", "axum", "firehose", "hyper", "notepad", "ticker", "plugins"] {
        let lines = file(&format!("examples/{name}/main.rs")).lines().count();
        assert!(lines <= 150, "{name} has {lines}");
    }
    let parts = [
        ("plugins", &["latency.rs", "redact.rs", "page.html"][..]),
        ("chat", &["events.rs", "people.rs", "presence.rs", "rooms.rs", "talk.rs", "types.rs"]),
    ];
    for (name, files) in parts {
        for part in files {
            let lines = file(&format!("examples/{name}/{part}")).lines().count();
            assert!(lines <= 150, "{name}/{part} has {lines}");
        }
    }
    let echo = file("examples/echo/main.rs");
    let handler = &echo[echo.find("async fn echo(").expect("the handler")..];
    let lines = handler.lines().take_while(|line| *line != "}").count() + 1;
    assert!(lines <= 20, "the handler has {lines}");
}

/// The options that a page of the documentation has methods for.
fn options(page: &str) -> BTreeSet<&str> {
    let methods = page.split('`').filter_map(|quoted| {
        quoted.strip_prefix("Builder::").or_else(|| quoted.strip_prefix("Mount::"))
    });
    methods.collect()
}

#[test]
fn nothing_in_echo_selects_a_special_path() {
    let echo = file("examples/echo/main.rs");
    assert_eq!(echo.matches("on_connection(").count(), 1, "both mounts have one handler");
    assert_eq!(echo.matches(".mount(\"").count(), 1);
    let page = file("docs/configuration.md");
    let options = options(&page);
    assert!(options.len() > 50, "the page names them");
    let set: Vec<_> = options.into_iter().filter(|o| echo.contains(&format!(".{o}("))).collect();
    assert_eq!(set, ["listen", "max_message", "parser"], "everything else is as it comes");
    assert!(echo.contains("Mount::new().parser(\"raw\").max_message(16 << 20);"));
    for special in ["cfg", "env::", "primus::core", "primus::http", "_interval(", "nodelay"] {
        assert!(!echo.contains(special), "`{special}`");
    }
}

#[test]
fn the_readme_shows_the_two_commands_each_alone() {
    let readme = file("README.md");
    for command in ["cargo run --release --example chat", "cargo xtask test"] {
        assert!(readme.contains(&format!("```sh\n{command}\n```")), "{command}");
    }
}

#[test]
fn versions_with_known_holes_are_not_in_the_tree() {
    for (name, mended) in MENDED {
        let versions: Vec<_> = list(&METADATA["packages"])
            .filter(|package| text(&package["name"]) == *name)
            .map(|package| text(&package["version"]))
            .collect();
        assert!(!versions.is_empty(), "{name} is not in the tree");
        for version in versions {
            let numbers: Vec<u64> =
                version.split('.').map(|part| part.parse().expect("a number")).collect();
            assert!(numbers[..] >= mended[..], "{name} {version} is older than {mended:?}");
        }
    }
}
