//! What a key of the job file takes: one description from which the JSON Schema of editors is made.

/// A key and what it takes.
#[derive(Clone, Copy, Debug)]
pub struct Key {
    /// Its name, dotted below its section where it stands in a table of its own.
    pub name: &'static str,
    /// What it takes.
    pub shape: Shape,
    /// What it is for, in a line.
    pub about: &'static str,
}

/// What a key takes.
#[derive(Clone, Copy, Debug)]
pub enum Shape {
    /// Any text.
    Text,
    /// Text of this form (a regular expression of ECMA 262).
    Form(&'static str),
    /// One of these words.
    Word(&'static [&'static str]),
    /// `true` or `false`.
    Flag,
    /// A whole number, both ends included.
    Whole(i64, i64),
    /// A list of texts.
    Texts,
    /// A list of one of these words.
    Words(&'static [&'static str]),
    /// A list of texts of this form.
    Forms(&'static str),
    /// A list of whole numbers, both ends included.
    Wholes(i64, i64),
    /// A number, or text such as `5%` or `off`.
    Share,
    /// A table of texts under names of the file's or the vendor's own.
    Names,
    /// A table of anything.
    Table,
}

impl Shape {
    /// `500ms`, `5s`, `10m`, `2h`, `90d`.
    pub const DURATION: Shape = Shape::Form("^[0-9]+(ms|s|m|h|d)$");
    /// The same, or this word in its place.
    pub const DURATION_OR_OFF: Shape = Shape::Form("^([0-9]+(ms|s|m|h|d)|off)$");
    /// Where a secret is, never the secret itself; empty is none.
    pub const SECRET: Shape = Shape::Form("^((file|env|cred):.+)?$");
    /// A list of those.
    pub const SECRETS: Shape = Shape::Forms("^(file|env|cred):.+$");
}

impl Key {
    /// A key.
    pub const fn new(name: &'static str, shape: Shape, about: &'static str) -> Key {
        Key { name, shape, about }
    }
}
