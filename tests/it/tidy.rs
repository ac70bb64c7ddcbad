//! The house rules that a machine can check.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Every Rust file below a folder with its text, by path from the root.
fn sources(folder: &str) -> BTreeMap<PathBuf, String> {
    let mut found = BTreeMap::new();
    let mut folders = vec![root().join(folder)];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|end| end == "rs") {
                found.insert(path.strip_prefix(root()).unwrap().to_owned(), fs::read_to_string(&path).unwrap());
            }
        }
    }
    assert!(!found.is_empty(), "{folder}");
    found
}

/// The floors from the ground up. Floors on one line are strangers.
const FLOORS: [&[&str]; 6] = [&["model"], &["wire", "core"], &["io"], &["sandbox"], &["run"], &["cli"]];

fn height(floor: &str) -> Option<usize> {
    FLOORS.iter().position(|line| line.contains(&floor))
}

/// The floors that a text names as `crate::floor`.
fn floors_named(text: &str) -> Vec<&str> {
    let after = text.match_indices("crate::").map(|(at, lead)| &text[at + lead.len()..]);
    let names = after.map(|rest| rest.split(|c: char| !c.is_alphanumeric() && c != '_').next().unwrap_or_default());
    names.filter(|name| height(name).is_some()).collect()
}

fn may_name(own: &str, other: &str) -> bool {
    own == other || height(other) < height(own)
}

#[test]
fn a_floor_names_only_the_floors_below_it() {
    for (path, text) in sources("src") {
        let Some(own) = path.iter().nth(1).and_then(|part| part.to_str()).map(|part| part.trim_end_matches(".rs"))
        else {
            panic!("{}", path.display())
        };
        if height(own).is_none() {
            assert!(["lib", "main"].contains(&own), "{}: on no floor", path.display());
            continue;
        }
        assert!(!text.contains("use crate::{"), "{}: name each floor in a line of its own", path.display());
        for other in floors_named(&text) {
            assert!(may_name(own, other), "{}: {own} may not know {other}", path.display());
        }
    }
}

#[test]
fn the_floors_test_can_fail() {
    assert_eq!(floors_named("use crate::run::Run; let x = crate::io::job::load; crate::Thing"), ["run", "io"]);
    assert!(may_name("cli", "model") && may_name("io", "wire") && may_name("io", "core") && may_name("run", "run"));
    assert!(
        !may_name("wire", "core") && !may_name("core", "wire") && !may_name("io", "run") && !may_name("model", "wire")
    );
}

/// Files that are compiled for tests alone.
fn is_tests(path: &Path) -> bool {
    path.file_stem().is_some_and(|stem| stem == "tests" || stem == "testing")
}

#[test]
fn files_stay_under_five_hundred_lines_before_their_tests() {
    for (path, text) in sources("src") {
        let before_tests = text.split("#[cfg(test)]\nmod tests {").next().unwrap();
        let lines = before_tests.lines().count();
        assert!(is_tests(&path) || lines <= 500, "{}: {lines} lines", path.display());
    }
}

#[test]
fn every_file_says_what_it_is() {
    for (path, text) in sources("src") {
        assert!(is_tests(&path) || text.starts_with("//! "), "{}: begin with `//!`", path.display());
    }
}

#[test]
fn nothing_is_left_behind() {
    // In two parts, so that this file does not find itself.
    let left = [("todo", "!("), ("unimplemented", "!("), ("dbg", "!("), ("FIX", "ME"), ("#[ig", "nore")];
    for (path, text) in sources("src").into_iter().chain(sources("tests")) {
        for (start, end) in left {
            assert!(!text.contains(&format!("{start}{end}")), "{}: {start}{end}", path.display());
        }
    }
}

#[test]
fn every_dependency_is_used_and_says_why() {
    let manifest = fs::read_to_string(root().join("Cargo.toml")).unwrap();
    let parsed: toml::Table = manifest.parse().unwrap();
    let source = sources("src").into_values().collect::<String>();
    let with_tests = source.clone() + &sources("tests").into_values().collect::<String>();
    for (section, text) in [("dependencies", &source), ("dev-dependencies", &with_tests)] {
        let names = parsed[section].as_table().unwrap().keys().collect::<Vec<_>>();
        for name in &names {
            let path = name.replace('-', "_");
            assert!(
                [format!("{path}::"), format!("use {path};")].iter().any(|use_| text.contains(use_)),
                "{name} is not used"
            );
            let line = manifest.lines().find(|line| line.starts_with(&format!("{name} = "))).unwrap();
            assert!(line.contains("} #") || line.contains("\" ") && line.contains('#'), "{name}: say why");
        }
        let start = manifest.find(&format!("[{section}]")).unwrap();
        let listed = manifest[start..].lines().skip(1).take_while(|line| !line.starts_with('['));
        let listed = listed.filter_map(|line| line.split_once(" = ").map(|(name, _)| name)).collect::<Vec<_>>();
        assert!(listed.is_sorted(), "[{section}] is alphabetical");
    }
}

#[test]
fn the_image_is_built_from_the_lock_file_and_runs_as_nobody_in_particular() {
    let dockerfile = fs::read_to_string(root().join("Dockerfile")).unwrap();
    let last = dockerfile.rsplit("\nFROM ").next().unwrap();
    assert!(dockerfile.contains("cargo build --profile dist --locked"));
    assert!(last.contains("\nUSER 10001:10001\n") && last.contains("\nENTRYPOINT [\"passync\"]\n"));
    let version = format!("org.opencontainers.image.version=\"{}\"", env!("CARGO_PKG_VERSION"));
    assert!(last.contains("ca-certificates") && last.contains(&version) && !last.contains("HEALTHCHECK NONE"));
    let lines = dockerfile.lines().filter(|line| !line.starts_with([' ', '#']) && !line.is_empty());
    let known =
        ["FROM", "RUN", "WORKDIR", "COPY", "USER", "VOLUME", "STOPSIGNAL", "HEALTHCHECK", "LABEL", "ENTRYPOINT", "CMD"];
    for line in lines {
        assert!(known.contains(&line.split(' ').next().unwrap()), "{line}");
    }
}
