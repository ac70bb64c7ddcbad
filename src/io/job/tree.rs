//! Settings as a tree in which every key and every value remembers where it was said.

use std::collections::BTreeMap;

use toml::Value as Leaf;
use toml::de::{DeTable, DeValue};

use super::fault::{Fault, Spot};

/// A value and where it was said.
#[derive(Clone, Debug)]
pub struct Node {
    /// Where.
    pub spot: Spot,
    /// What.
    pub value: Value,
}

/// A value. A leaf is neither a list nor a table.
#[derive(Clone, Debug)]
pub enum Value {
    /// Keys and their values.
    Table(Table),
    /// Values in their order.
    List(Vec<Node>),
    /// Text, number, boolean or time.
    Leaf(Leaf),
}

/// Keys and their values.
pub type Table = BTreeMap<String, Member>;

/// A value under a key.
#[derive(Clone, Debug)]
pub struct Member {
    /// Where the key stands.
    pub key: Spot,
    /// Its value.
    pub node: Node,
}

impl Node {
    /// Reads a TOML document that `text` spans. What cannot be read is a fault; the rest is there.
    pub fn document(document: &str, text: Spot, faults: &mut Vec<Fault>) -> Node {
        let (root, errors) = DeTable::parse_recoverable(document);
        faults.extend(errors.iter().map(|error| Fault {
            spot: Some(text.part(error.span().unwrap_or(0..0))),
            title: format!("not TOML: {}", error.message()),
            label: "here".to_owned(),
            help: None,
        }));
        node(DeValue::Table(root.into_inner()), text, text, faults)
    }

    /// Reads what a flag or a variable says: TOML where it is TOML, else text as it stands.
    pub fn said(said: &str, spot: Spot) -> Node {
        let mut faults = Vec::new();
        let parsed = DeValue::parse(said).ok().map(|value| node(value.into_inner(), spot, spot, &mut faults));
        match parsed {
            Some(node) if faults.is_empty() => node,
            _ => Node::of_text(said, spot),
        }
    }

    /// A text.
    pub fn of_text(text: &str, spot: Spot) -> Node {
        Node { spot, value: Value::Leaf(Leaf::String(text.to_owned())) }
    }

    /// A table of one key.
    pub fn of_member(name: &str, key: Spot, node: Node) -> Node {
        Node { spot: key, value: Value::Table(Table::from([(name.to_owned(), Member { key, node })])) }
    }

    /// The value under a dotted path.
    pub fn at(&self, path: &str) -> Option<&Node> {
        path.split('.').try_fold(self, |node, key| node.table()?.get(key).map(|member| &member.node))
    }

    /// The keys, where this is a table.
    pub fn table(&self) -> Option<&Table> {
        if let Value::Table(table) = &self.value { Some(table) } else { None }
    }

    /// The text, where this is text.
    pub fn text(&self) -> Option<&str> {
        if let Value::Leaf(Leaf::String(text)) = &self.value { Some(text) } else { None }
    }

    /// The same without its spots.
    pub fn bare(&self) -> Leaf {
        match &self.value {
            Value::Leaf(leaf) => leaf.clone(),
            Value::List(items) => Leaf::Array(items.iter().map(Node::bare).collect()),
            Value::Table(table) => {
                Leaf::Table(table.iter().map(|(key, member)| (key.clone(), member.node.bare())).collect())
            }
        }
    }

    /// Calls `visit` with the dotted path and the node of every leaf and every list, tables being walked through.
    pub fn walk<'a>(&'a self, path: &str, visit: &mut dyn FnMut(&str, &'a Node)) {
        match self.table() {
            Some(table) => table.iter().for_each(|(key, member)| member.node.walk(&join(path, key), visit)),
            None => visit(path, self),
        }
    }
}

/// `path.key`, or `key` at the root.
pub fn join(path: &str, key: &str) -> String {
    if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") }
}

/// `spot` spans the value; the parser counts from the start of `text`.
fn node(value: DeValue<'_>, spot: Spot, text: Spot, faults: &mut Vec<Fault>) -> Node {
    let value = match value {
        DeValue::Table(table) => {
            let mut members = Table::new();
            for (key, value) in table {
                let (key_spot, spot) = (text.part(key.span()), text.part(value.span()));
                let node = node(value.into_inner(), spot, text, faults);
                members.insert(key.into_inner().into_owned(), Member { key: key_spot, node });
            }
            Value::Table(members)
        }
        DeValue::Array(items) => {
            let mut list = Vec::with_capacity(items.len());
            for item in items {
                let spot = text.part(item.span());
                list.push(node(item.into_inner(), spot, text, faults));
            }
            Value::List(list)
        }
        DeValue::String(text) => Value::Leaf(Leaf::String(text.into_owned())),
        DeValue::Boolean(flag) => Value::Leaf(Leaf::Boolean(flag)),
        DeValue::Datetime(time) => Value::Leaf(Leaf::Datetime(time)),
        DeValue::Float(float) => Value::Leaf(Leaf::Float(float.as_str().parse().unwrap_or(f64::NAN))),
        DeValue::Integer(integer) => {
            let parsed = i64::from_str_radix(integer.as_str(), integer.radix());
            if parsed.is_err() {
                faults.push(Fault {
                    spot: Some(spot),
                    title: "a number of more than 18 digits".to_owned(),
                    label: "too long for a number".to_owned(),
                    help: Some("ids are text: write them in quotes".to_owned()),
                });
            }
            Value::Leaf(Leaf::Integer(parsed.unwrap_or_default()))
        }
    };
    Node { spot, value }
}
