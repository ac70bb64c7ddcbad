//! The house rules that a machine can check.

use std::collections::{BTreeMap, BTreeSet};
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

/// The modules of its floor that a file names, by `crate::floor::module` or from inside. `depth`: 1 for a file of the floor, 2 for one in
/// a folder of it.
fn modules_named(floor: &str, depth: usize, text: &str) -> BTreeSet<String> {
    let leads = [format!("crate::{floor}::"), "super::".repeat(depth)];
    let mut named = BTreeSet::new();
    for lead in &leads {
        let found = text.match_indices(lead).filter(|(at, _)| !text[..*at].ends_with("super::"));
        for rest in found.map(|(at, lead)| &text[at + lead.len()..]) {
            let listed = rest.strip_prefix('{').and_then(|rest| rest.split_once('}'));
            let names = listed.map_or(rest, |(names, _)| names).split(',').take(if listed.is_some() { 99 } else { 1 });
            let first =
                |name: &str| name.trim().split(|c: char| !c.is_alphanumeric() && c != '_').next().map(str::to_owned);
            named.extend(names.filter_map(first).filter(|name| name != "super"));
        }
    }
    named
}

/// Takes away whatever leads nowhere, and whatever nothing leads to; what stays goes round in circles, or lies between two.
fn circles(mut names: BTreeMap<String, BTreeSet<String>>) -> Vec<String> {
    loop {
        let before = names.len();
        let left: BTreeSet<String> = names.keys().cloned().collect();
        names.retain(|own, named| named.iter().any(|name| name != own && left.contains(name)));
        let led_to: BTreeSet<String> =
            names.iter().flat_map(|(own, named)| named.iter().filter(move |name| *name != own)).cloned().collect();
        names.retain(|own, _| led_to.contains(own));
        if names.len() == before {
            return names.into_keys().collect();
        }
    }
}

#[test]
fn no_modules_of_a_floor_go_round_in_a_circle() {
    for floor in FLOORS.concat() {
        let mut names: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        for (path, text) in sources(&format!("src/{floor}")) {
            let parts: Vec<&str> = path.iter().skip(2).map(|part| part.to_str().unwrap()).collect();
            let module = parts[0].trim_end_matches(".rs");
            if module == "mod" || is_tests(&path) {
                continue;
            }
            let before_tests = text.split("#[cfg(test)]\nmod tests {").next().unwrap();
            // The file of a folder stands at the door: what it calls `super` is the floor.
            let depth = if parts.last() == Some(&"mod.rs") { parts.len() - 1 } else { parts.len() };
            names.entry(module.to_owned()).or_default().extend(modules_named(floor, depth, before_tests));
        }
        let round = circles(names);
        assert!(round.is_empty(), "src/{floor}: {round:?} name each other in a circle");
    }
}

#[test]
fn the_circles_test_can_fail() {
    let text = "use super::{Fault, a::B, c};\nuse super::super::d::E;\nuse crate::run::f::G;\nlet h = super::h::i();";
    let named = |depth| modules_named("run", depth, text).into_iter().collect::<Vec<_>>().join(" ");
    assert_eq!((named(1).as_str(), named(2).as_str()), ("Fault a c f h", "d f"));
    let ring = |pairs: &[(&str, &str)]| {
        let mut names: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        for (own, other) in pairs {
            names.entry((*own).to_owned()).or_default().insert((*other).to_owned());
        }
        circles(names)
    };
    assert_eq!(ring(&[("a", "b"), ("b", "c"), ("a", "a")]), Vec::<String>::new());
    assert_eq!(ring(&[("a", "b"), ("b", "c"), ("c", "b"), ("d", "a")]), ["b", "c"]);
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
