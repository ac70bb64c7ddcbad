//! What is wrong with a job, shown where it was said: in the job file, in the environment, on the command line.

use std::fmt;

use super::settings::Settings;
use miette::{GraphicalReportHandler, GraphicalTheme, LabeledSpan, MietteDiagnostic, NamedSource, Report};

/// Each is shown with the text around it: a file that is no job file at all would fill screens with thousands, and take
/// minutes for it.
const FAULTS_SHOWN: usize = 20;

/// A text in which settings were said.
#[derive(Clone, Debug)]
struct Text {
    /// The job file's path, `environment` or `command line`.
    name: String,
    body: String,
}

/// Every text in which settings were said, in the order of precedence: the defaults, the job file, then one text for
/// each variable and each flag. A [`Spot`] points into one of them.
#[derive(Clone, Debug, Default)]
pub struct Texts(Vec<Text>);

/// Where a key or a value was said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Spot {
    text: usize,
    start: usize,
    end: usize,
}

impl Texts {
    /// Takes a text in; the answer spans all of it.
    pub fn add(&mut self, name: &str, body: &str) -> Spot {
        self.0.push(Text { name: name.to_owned(), body: body.to_owned() });
        Spot { text: self.0.len() - 1, start: 0, end: body.len() }
    }

    /// What stands at `spot`.
    pub fn slice(&self, spot: Spot) -> &str {
        &self.0[spot.text].body[spot.start..spot.end]
    }

    /// Overwrites the bytes at `spot`, line breaks apart, so that no picture shows them; every other spot stays true.
    pub fn hide(&mut self, spot: Spot) {
        let body = &mut self.0[spot.text].body;
        let stars =
            body[spot.start..spot.end].bytes().map(|byte| if byte == b'\n' { '\n' } else { '*' }).collect::<String>();
        body.replace_range(spot.start..spot.end, &stars);
    }

    /// Hides what looks like a key wherever it stands: runs of base64 longer than any path or id of a job.
    fn hide_long_runs(&mut self) {
        const PEM_LINE: usize = 64;
        for text in 0..self.0.len() {
            let is_key_letter = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/' | b'=');
            let bytes = self.0[text].body.clone().into_bytes();
            let mut start = 0;
            for run in bytes.split(|byte| !is_key_letter(byte)) {
                if run.len() >= PEM_LINE {
                    self.hide(Spot { text, start, end: start + run.len() });
                }
                start += run.len() + 1;
            }
        }
    }

    /// Hides the tails of addresses: webhooks carry their token in the path.
    fn hide_tails(&mut self) {
        for text in 0..self.0.len() {
            let body = self.0[text].body.clone();
            for (scheme, _) in body.match_indices("://") {
                let rest = &body[scheme..];
                let end = rest.find(|c: char| c.is_whitespace() || matches!(c, '"' | '\'')).unwrap_or(rest.len());
                let tail = rest[3..end].find(['/', '?', '#']).map_or(end, |at| at + 4);
                self.hide(Spot { text, start: scheme + tail.min(end), end: scheme + end });
            }
        }
    }

    /// Hides what is given to names of secrets, line by line: where the text is no TOML nothing else tells what is one.
    fn hide_by_name(&mut self) {
        for text in 0..self.0.len() {
            let body = self.0[text].body.clone();
            let mut start = 0;
            for line in body.split_inclusive('\n') {
                let end = start + line.trim_end().len();
                if let Some(at) = line.find('=')
                    && names_secret(&line[..at])
                    && !is_reference(&line[at + 1..])
                {
                    self.hide(Spot { text, start: start + at + 1, end: end.max(start + at + 1) });
                }
                start += line.len();
            }
        }
    }

    /// `file:line:column`, the column in characters.
    fn locate(&self, spot: Spot) -> String {
        let Text { name, body } = &self.0[spot.text];
        let before = &body[..spot.start];
        let line = before.matches('\n').count() + 1;
        let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
        format!("{name}:{line}:{column}")
    }
}

/// Whether a setting is named as secrets are, or nearly so.
pub(super) fn names_secret(path: &str) -> bool {
    const WORDS: [&str; 4] = ["key", "secret", "token", "password"];
    const KEYS: [&str; 4] = ["private_key", "platform_keys", "aes_key", "app_auth_token"];
    let name = path.rsplit('.').next().unwrap_or_default().trim().trim_matches(['"', '\'']).to_lowercase();
    let is_near = || KEYS.iter().any(|key| strsim::osa_distance(key, &name) <= 2);
    let is_open = ["bill_key", "key_version", "key_wrap"].iter().any(|open| name.ends_with(open));
    !is_open && (WORDS.iter().any(|word| name.contains(word)) || is_near())
}

/// Whether a value, in quotes and brackets or without, says where a secret lies.
pub(super) fn is_reference(value: &str) -> bool {
    let value = value.trim_start_matches([' ', '\t', '[', '"', '\'']);
    ["file:", "env:", "cred:"].iter().any(|prefix| value.starts_with(prefix))
}

impl Spot {
    /// The part `start..end` (bytes) of what this spot spans, cut at its end.
    pub fn part(self, range: std::ops::Range<usize>) -> Spot {
        Spot {
            text: self.text,
            start: self.start + range.start,
            end: self.start.saturating_add(range.end).min(self.end),
        }
    }

    /// Whether nobody said it: it points into the defaults.
    pub fn is_default(self) -> bool {
        self.text == 0
    }

    /// Whether a variable or a flag said it.
    pub fn is_override(self) -> bool {
        self.text >= 2
    }

    /// Whether `other` has no higher precedence.
    pub fn outranks(self, other: Spot) -> bool {
        self.text >= other.text
    }
}

/// One fault of a job.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// Where; `None` where the fault is about a whole file.
    pub spot: Option<Spot>,
    /// Which key, what was expected, what was found.
    pub title: String,
    /// What is written under the spot.
    pub label: String,
    /// What to do.
    pub help: Option<String>,
}

/// Everything that is wrong with a job. Nothing was sent, nothing was read but the job.
#[derive(Clone, Debug, thiserror::Error)]
pub struct JobFault {
    texts: Texts,
    /// In the order of their texts, the job file first; no more than are shown.
    faults: Vec<Fault>,
    /// With defaults in the place of what is wrong.
    settings: Option<Box<Settings>>,
}

impl JobFault {
    pub(super) fn new(mut texts: Texts, mut faults: Vec<Fault>) -> JobFault {
        texts.hide_long_runs();
        texts.hide_tails();
        texts.hide_by_name();
        faults.sort_by_key(|fault| fault.spot.map(|spot| (spot.text, spot.start, spot.end)));
        faults.dedup();
        let more = faults.len().saturating_sub(FAULTS_SHOWN);
        faults.truncate(FAULTS_SHOWN);
        faults.extend((more > 0).then(|| Fault {
            spot: None,
            title: format!("and {more} more"),
            label: String::new(),
            help: Some("mend these first".to_owned()),
        }));
        JobFault { texts, faults, settings: None }
    }

    /// A fault of the file as a whole.
    pub(super) fn of_file(title: String, help: &str) -> JobFault {
        let fault = Fault { spot: None, title, label: String::new(), help: Some(help.to_owned()) };
        JobFault { texts: Texts::default(), faults: vec![fault], settings: None }
    }

    /// `settings` without what stands there as it was written: a key may have been, and that may be the fault.
    pub(super) fn within(self, mut settings: Settings) -> JobFault {
        settings.in_force = serde_json::Value::Null;
        settings.gateway.table = toml::Table::new();
        JobFault { settings: Some(Box::new(settings)), ..self }
    }

    /// The job as far as it can be read, with defaults in the place of what is wrong: enough to tell those who are to be
    /// told of the fault, and for nothing else. `None` where not even its name and its dialect are known.
    pub fn settings(&self) -> Option<&Settings> {
        self.settings.as_deref()
    }

    /// Every fault, one after the other.
    pub fn faults(&self) -> &[Fault] {
        &self.faults
    }

    /// The faults with pictures of the texts around them.
    pub fn render(&self, color: bool) -> String {
        let theme = if color { GraphicalTheme::unicode() } else { GraphicalTheme::unicode_nocolor() };
        let handler = GraphicalReportHandler::new_themed(theme).with_width(110).with_links(false);
        let picture = |fault: &Fault| {
            let mut picture = String::new();
            handler.render_report(&mut picture, self.report(fault).as_ref()).expect("a String takes every text");
            picture
        };
        self.faults.iter().map(picture).collect::<Vec<_>>().join("\n")
    }

    fn report(&self, fault: &Fault) -> Report {
        let mut diagnostic = MietteDiagnostic::new(&fault.title);
        diagnostic.help.clone_from(&fault.help);
        let Some(spot) = fault.spot else { return Report::new(diagnostic) };
        let label = LabeledSpan::new(Some(fault.label.clone()), spot.start, spot.end - spot.start);
        let Text { name, body } = &self.texts.0[spot.text];
        Report::new(diagnostic.with_label(label)).with_source_code(NamedSource::new(name, body.clone()))
    }
}

impl fmt::Display for JobFault {
    /// One line a fault, for logs.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, fault) in self.faults.iter().enumerate() {
            let lead = if at == 0 { "" } else { "\n" };
            let place = fault.spot.map(|spot| self.texts.locate(spot) + ": ").unwrap_or_default();
            write!(f, "{lead}{place}{}", fault.title)?;
            if let Some(help) = &fault.help {
                write!(f, "; {help}")?;
            }
        }
        Ok(())
    }
}
