//! Which setting wins: flag over environment over job file over default. And which keys exist at all.

use std::collections::BTreeSet;
use std::path::{Path, absolute};

use toml::Value as Leaf;

use super::fault::{Fault, JobFault, Spot, Texts, is_reference, names_secret};
use super::settings::Settings;
use super::tree::{Member, Node, Value, join};
use crate::wire::Entry;

/// What the command line and the environment say about a job, beside its file.
#[derive(Clone, Debug, Default)]
pub struct Overrides {
    /// The environment's variables named `PASSYNC_...`.
    pub environment: Vec<(String, String)>,
    /// `--set section.key=value`, as given.
    pub set: Vec<String>,
    /// `--input`: files or "-", in place of `input.files`; relative to the working directory.
    pub inputs: Vec<String>,
    /// `--out`, in place of `output.dir`; relative to the working directory.
    pub out: Option<String>,
    /// `--state`, in place of the folder of `ledger.url`; relative to the working directory.
    pub state: Option<String>,
}

/// The layers of a job over one another, and what is wrong with them.
pub(super) struct Layers<'a> {
    pub texts: Texts,
    pub faults: Vec<Fault>,
    pub root: Node,
    /// The defaults alone: they parse, whatever was said.
    pub defaults: Node,
    /// The job's dialect, where there is such a one.
    pub dialect: Option<&'a Entry>,
    pub dialects: &'a [Entry],
}

impl<'a> Layers<'a> {
    /// Lays the environment over the job file over the defaults, and the flags over all. A file that is not TOML is
    /// not looked at any further: what is missing from it may stand behind the fault.
    pub fn stack(name: &str, file: &str, overrides: &Overrides, dialects: &'a [Entry]) -> Result<Layers<'a>, JobFault> {
        const DEFAULTS: &str = include_str!("defaults.toml");
        let (mut texts, mut faults) = (Texts::default(), Vec::new());
        let defaults = Node::document(DEFAULTS, texts.add("defaults", DEFAULTS), &mut faults);
        let file = Node::document(file, texts.add(name, file), &mut faults);
        if !faults.is_empty() {
            hide_secrets(&file, &mut texts);
            return Err(JobFault::new(texts, faults));
        }
        let mut layers = Layers { texts, faults, root: defaults.clone(), defaults, dialect: None, dialects };

        let referred = environment_references(&file, &overrides.set);
        let variable = |(name, value): &(String, String)| layers.variable(name, value, &referred);
        let environment = overrides.environment.iter().filter_map(variable).collect::<Vec<_>>();
        let flags = overrides.set.iter().filter_map(|flag| layers.flag(flag)).collect::<Vec<_>>();
        let stack = [file].into_iter().chain(environment).chain(flags).collect::<Vec<_>>();
        let dialect = stack.iter().rev().find_map(|layer| layer.at("dialect")?.text());
        layers.dialect = dialects.iter().find(|entry| Some(entry.name) == dialect);
        for layer in stack {
            layers.lay(layer);
        }
        layers.lay_short_flags(overrides);
        Ok(layers)
    }

    /// The settings, or everything that is wrong.
    pub fn finish(self, settings: Settings) -> Result<Settings, JobFault> {
        if self.faults.is_empty() {
            return Ok(settings);
        }
        let is_known = ["name", "dialect"].into_iter().all(|key| self.is_sound(key));
        let fault = JobFault::new(self.texts, self.faults);
        Err(if is_known { fault.within(settings) } else { fault })
    }

    /// Whether somebody said it, and nothing is wrong with it.
    fn is_sound(&self, path: &str) -> bool {
        let spot = self.root.at(path).map(|node| node.spot).filter(|spot| !spot.is_default());
        spot.is_some_and(|spot| !self.faults.iter().any(|fault| fault.spot == Some(spot)))
    }

    /// `--set section.key=value` as a layer of its own.
    fn flag(&mut self, flag: &str) -> Option<Node> {
        const LEAD: &str = "--set ";
        let spot = self.texts.add("command line", &format!("{LEAD}{flag}")).part(LEAD.len()..usize::MAX);
        let Some((path, value)) = flag.split_once('=') else {
            self.faults.push(Fault {
                spot: Some(spot),
                title: format!("--set {flag}: expected section.key=value"),
                label: "no `=`".to_owned(),
                help: Some("for example --set limits.quota=20/1s".to_owned()),
            });
            return None;
        };
        let key = spot.part(0..path.len());
        let value = Node::said(value, spot.part(path.len() + 1..usize::MAX));
        Some(path.trim().rsplit('.').fold(value, |node, name| Node::of_member(name.trim(), key, node)))
    }

    /// `PASSYNC_SECTION_KEY=value` as a layer of its own; `None` where the variable is not ours.
    fn variable(&mut self, name: &str, value: &str, referred: &[String]) -> Option<Node> {
        const NOT_SETTINGS: [&str; 2] = ["PASSYNC_FAULT", "PASSYNC_LOG"];
        if NOT_SETTINGS.contains(&name) || referred.iter().any(|known| known == name) {
            return None;
        }
        let paths = self.paths();
        let Some(path) = paths.iter().find(|path| variable_of(path) == name) else {
            let names = paths.iter().map(|path| variable_of(path)).collect::<Vec<_>>();
            let nearest = nearest(name, names.iter().map(String::as_str)).map(|name| format!("did you mean {name}?"));
            self.faults.push(Fault {
                // Only the name: a variable that we do not know may hold a secret.
                spot: Some(self.texts.add("environment", name)),
                title: format!("{name}: no setting has this variable"),
                label: "unknown".to_owned(),
                help: nearest.or(Some("settings are PASSYNC_<SECTION>_<KEY>, such as PASSYNC_LIMITS_QUOTA".to_owned())),
            });
            return None;
        };
        let spot = self.texts.add("environment", &format!("{name}={value}"));
        let value = Node::said(value, spot.part(name.len() + 1..usize::MAX));
        Some(path.rsplit('.').fold(value, |node, key| Node::of_member(key, spot.part(0..name.len()), node)))
    }

    /// `--input`, `--out` and `--state`: paths of the shell, not of the job file.
    fn lay_short_flags(&mut self, overrides: &Overrides) {
        let Overrides { inputs, out, state, .. } = overrides;
        if !inputs.is_empty() {
            let patterns =
                inputs.iter().map(|input| if input == "-" { input.clone() } else { glob_of(&from_shell(input)) });
            let spot = self.texts.add("command line", &format!("--input {}", inputs.join(" --input ")));
            let files = Value::List(patterns.map(|pattern| Node::of_text(&pattern, spot)).collect());
            self.lay_at("input", "files", Node { spot, value: files });
        }
        if let Some(dir) = out {
            let spot = self.texts.add("command line", &format!("--out {dir}"));
            self.lay_at("output", "dir", Node::of_text(&from_shell(dir), spot));
        }
        if let Some(dir) = state {
            let spot = self.texts.add("command line", &format!("--state {dir}"));
            let ledger = self.root.at("ledger.url").and_then(Node::text).unwrap_or_default().to_owned();
            let name = Path::new(&ledger).file_name().and_then(|name| name.to_str()).unwrap_or("ledger.db");
            self.lay_at("ledger", "url", Node::of_text(&format!("{}/{name}", from_shell(dir)), spot));
        }
    }

    fn lay_at(&mut self, section: &str, key: &str, node: Node) {
        let spot = node.spot;
        self.lay(Node::of_member(section, spot, Node::of_member(key, spot, node)));
    }

    /// Lays one layer over those below.
    fn lay(&mut self, layer: Node) {
        hide_secrets(&layer, &mut self.texts);
        let mut root = self.root.clone();
        self.lay_node(&mut root, layer, "");
        self.root = root;
    }

    fn lay_node(&mut self, under: &mut Node, over: Node, path: &str) {
        let shape = std::mem::replace(&mut under.value, Value::List(Vec::new()));
        under.value = match (shape, over.value) {
            (Value::Table(mut below), Value::Table(above)) => {
                if under.spot.is_default() {
                    under.spot = over.spot;
                }
                for (key, member) in above {
                    let inner = join(path, &key);
                    match below.get_mut(&key) {
                        Some(known) => {
                            known.key = member.key;
                            self.lay_node(&mut known.node, member.node, &inner);
                        }
                        None if self.exists(path, &key) => drop(below.insert(key, self.as_id(member))),
                        None => self.faults.push(self.unknown(path, &key, member.key, below.keys())),
                    }
                }
                Value::Table(below)
            }
            (table @ Value::Table(_), _) => {
                self.faults.push(Fault {
                    spot: Some(over.spot),
                    title: format!("{path}: expected a table of keys"),
                    label: "not a table".to_owned(),
                    help: Some(format!("write [{path}] and its keys below it")),
                });
                table
            }
            (shape, value) => {
                under.spot = over.spot;
                if over.spot.is_override() { self.shaped(value, &shape, over.spot) } else { value }
            }
        };
    }

    /// An override is typed in a shell, where quotes are lost: it takes the shape of what it replaces. `2110` is text
    /// where text stood, and a single value where a list stood is a list of one.
    fn shaped(&self, value: Value, shape: &Value, spot: Spot) -> Value {
        match (value, shape) {
            (Value::Leaf(leaf), Value::Leaf(Leaf::String(_))) if !leaf.is_str() => {
                Value::Leaf(Leaf::String(self.texts.slice(spot).to_owned()))
            }
            (value @ Value::Leaf(_), Value::List(items)) => {
                let text = Value::Leaf(Leaf::String(String::new()));
                let shape = items.first().map_or(&text, |item| &item.value);
                Value::List(vec![Node { spot, value: self.shaped(value, shape, spot) }])
            }
            (value, _) => value,
        }
    }

    /// An override of a key without a default has no shape to take. But no number among the settings has ten digits,
    /// and ids do.
    fn as_id(&self, member: Member) -> Member {
        let Member { key, node: Node { spot, value } } = member;
        let text = self.texts.slice(spot);
        let id = spot.is_override() && matches!(value, Value::Leaf(Leaf::Integer(_))) && text.len() >= 10;
        Member { key, node: if id { Node::of_text(text, spot) } else { Node { spot, value } } }
    }

    /// Whether a key that has no default exists: a column, or a key of the dialect and all below it.
    fn exists(&self, path: &str, key: &str) -> bool {
        match path {
            "gateway" => self.dialect.is_none_or(|dialect| dialect.has_key(key)),
            _ => ["input.columns", "input.defaults", "gateway."].iter().any(|open| path.starts_with(open)),
        }
    }

    fn unknown<'k>(&self, path: &str, key: &str, spot: Spot, known: impl Iterator<Item = &'k String>) -> Fault {
        let section = if path.is_empty() { "a job file".to_owned() } else { format!("[{path}]") };
        let dialect_keys = self.dialect.filter(|_| path == "gateway").map_or(&[][..], |dialect| dialect.keys);
        let known = known.map(String::as_str).chain(dialect_keys.iter().map(|key| key.name)).collect::<BTreeSet<_>>();
        let elsewhere = self.paths().into_iter().find(|path| path.rsplit('.').next() == Some(key));
        let other = self.dialects.iter().find(|other| path == "gateway" && other.has_key(key));
        let help = if let Some(near) = nearest(key, known.iter().copied()) {
            format!("did you mean `{near}`?")
        } else if let Some(other) = other {
            format!("only the dialect {} has this key", other.name)
        } else if let Some((section, key)) = elsewhere.as_deref().and_then(|path| path.rsplit_once('.')) {
            format!("`{key}` is a key of [{section}]")
        } else {
            format!("the keys of {section} are {}", known.into_iter().collect::<Vec<_>>().join(", "))
        };
        Fault {
            spot: Some(spot),
            title: format!("{}: unknown key", join(path, key)),
            label: format!("{section} has no such key"),
            help: Some(help),
        }
    }

    /// The dotted path of every key that has a fixed name, in every dialect.
    fn paths(&self) -> Vec<String> {
        let mut paths = Vec::new();
        self.defaults.walk("", &mut |path, _| paths.push(path.to_owned()));
        let dialect_keys =
            self.dialects.iter().flat_map(|dialect| dialect.keys).map(|key| key.name).collect::<BTreeSet<_>>();
        paths.extend(dialect_keys.into_iter().map(|key| join("gateway", key)));
        paths
    }
}

/// The variable that overrides a key.
fn variable_of(path: &str) -> String {
    format!("PASSYNC_{}", path.replace('.', "_").to_uppercase())
}

/// A name that a slip of the finger may have meant.
fn nearest<'n>(name: &str, names: impl Iterator<Item = &'n str>) -> Option<&'n str> {
    let plain = |name: &str| name.to_lowercase().replace(['-', '_', ' '], "");
    let wanted = plain(name);
    // What is much longer than any name is none of them, and the comparison takes room for the product of both lengths.
    const LETTERS_MAX: usize = 100;
    if name.len() > LETTERS_MAX {
        return None;
    }
    // A third of the letters: `qouta` means `quota`, but `x` means nothing.
    let near = (name.chars().count() / 3).min(3);
    names
        .map(|name| (strsim::damerau_levenshtein(&wanted, &plain(name)), name))
        .filter(|(distance, _)| *distance <= near)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, name)| name)
}

/// Variables that hold secrets to which the file or a flag refers: they are no settings, whatever their names.
fn environment_references(file: &Node, flags: &[String]) -> Vec<String> {
    let mut names = Vec::new();
    let mut keep = |text: &str| names.extend(text.strip_prefix("env:").map(str::to_owned));
    file.walk("", &mut |_, node| texts_of(node).filter_map(Node::text).for_each(&mut keep));
    flags.iter().filter_map(|flag| flag.split_once('=')).for_each(|(_, value)| keep(value));
    names
}

/// Hides values that may be secrets and are no references, so that no picture of a neighbouring fault shows them.
fn hide_secrets(layer: &Node, texts: &mut Texts) {
    layer.walk("", &mut |path, node| {
        let named_so = names_secret(path);
        for node in texts_of(node) {
            let text = node.text().unwrap_or_default();
            if named_so && !is_reference(text) || has_userinfo(text) {
                texts.hide(node.spot);
            }
        }
    });
}

/// The texts of a leaf or a list.
fn texts_of(node: &Node) -> impl Iterator<Item = &Node> {
    let items = if let Value::List(items) = &node.value { items.as_slice() } else { std::slice::from_ref(node) };
    items.iter().filter(|item| item.text().is_some())
}

fn has_userinfo(text: &str) -> bool {
    text.split_once("://").is_some_and(|(_, rest)| rest.split('/').next().is_some_and(|host| host.contains('@')))
}

/// A path of the shell, made absolute.
fn from_shell(path: &str) -> String {
    absolute(path).ok().and_then(|path| path.to_str().map(str::to_owned)).unwrap_or_else(|| path.to_owned())
}

/// A path as a pattern that matches it alone; `{date}` stays.
fn glob_of(path: &str) -> String {
    glob::Pattern::escape(path)
}
