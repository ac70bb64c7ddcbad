//! `passync explain`: what a word of ours or of a gateway means, and what to do about it.

use std::fmt::Write as _;

use clap::Args;
use serde::Serialize;

use super::{CliError, Screen};
use crate::model::{Exit, Outcome, Rule};
use crate::run::meaning::{self, Meaning};
use crate::wire::{Code, DIALECTS};

/// Say what a rule, an outcome, an exit code or a result code means, and what to do
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  passync explain R012                          a rule, by code or by name
  passync explain held                          an outcome
  passync explain 3                             an exit code
  passync explain PASS_STATUS_ILLEGAL           a code of a gateway, or of ours
  passync explain 40004/SYSTEM_ERROR --dialect marketing-card --json
  passync explain                               everything there is")]
pub struct Explain {
    /// A rule, an outcome, an exit code or a result code; without it everything is listed
    topic: Option<String>,
    /// Codes of this dialect alone
    #[arg(long, value_name = "DIALECT", value_parser = dialect)]
    dialect: Option<&'static str>,
    /// Print it as JSON
    #[arg(long)]
    json: bool,
}

fn dialect(text: &str) -> Result<&'static str, String> {
    let names = || DIALECTS.iter().map(|entry| entry.name);
    names().find(|name| *name == text).ok_or_else(|| format!("expected {}", names().collect::<Vec<_>>().join(", ")))
}

/// What one word means.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
struct Explanation {
    /// `rule`, `outcome`, `exit` or `code`.
    kind: &'static str,
    /// The word.
    word: String,
    /// Its other name, where it has one.
    name: &'static str,
    /// Whose code it is: a dialect; empty for ours.
    dialect: &'static str,
    /// What a verified reply with the code means: a verdict; empty for all else.
    verdict: &'static str,
    /// What it means.
    what: String,
    /// What to do.
    advice: String,
    /// The page that says so.
    source: &'static str,
}

impl Explanation {
    fn new(kind: &'static str, word: &str, meaning: Meaning) -> Explanation {
        let (what, advice) = (meaning.what.to_owned(), meaning.advice.to_owned());
        let word = word.to_owned();
        Explanation { kind, word, name: "", dialect: "", verdict: "", what, advice, source: "" }
    }

    fn of_rule(rule: Rule) -> Explanation {
        let meaning = Meaning { what: rule.text(), advice: meaning::of_rule(rule) };
        Explanation { name: rule.slug(), ..Explanation::new("rule", rule.code(), meaning) }
    }

    fn of_code(dialect: &'static str, code: &Code) -> Explanation {
        let meaning = Meaning { what: code.meaning, advice: code.advice };
        let verdict = code.verdict.as_str();
        Explanation { dialect, verdict, source: code.source, ..Explanation::new("code", code.code, meaning) }
    }

    /// Whether a person may mean it by this word.
    fn is_meant(&self, word: &str) -> bool {
        let sub_code = self.word.split_once('/').map(|(_, sub_code)| sub_code);
        let mut names = [Some(self.word.as_str()), Some(self.name), sub_code].into_iter().flatten();
        names.any(|name| !name.is_empty() && name.eq_ignore_ascii_case(word))
    }
}

/// Everything, in the order of the index.
fn all() -> Vec<Explanation> {
    let rules = Rule::ALL.iter().map(|rule| Explanation::of_rule(*rule));
    let outcomes = Outcome::ALL.iter().map(|o| Explanation::new("outcome", o.as_str(), meaning::of_outcome(*o)));
    let exits = EXITS.iter().map(|exit| Explanation::new("exit", &exit.code().to_string(), meaning::of_exit(*exit)));
    let ours = meaning::OURS.iter().map(|(code, meaning)| Explanation::new("code", code, *meaning));
    let listed =
        DIALECTS.iter().flat_map(|entry| entry.codes.iter().map(|code| Explanation::of_code(entry.name, code)));
    rules.chain(outcomes).chain(exits).chain(ours).chain(listed).collect()
}

const EXITS: [Exit; 8] =
    [Exit::Clean, Exit::Failures, Exit::Usage, Exit::Input, Exit::Halted, Exit::Stopped, Exit::Storage, Exit::Busy];

impl Explain {
    pub(super) fn execute(self, screen: Screen) -> Result<Exit, CliError> {
        let mut known = all();
        if let Some(dialect) = self.dialect {
            known.retain(|one| one.dialect == dialect);
        }
        let found = match &self.topic {
            Some(topic) => find(&known, topic)?,
            None => known,
        };
        if self.json {
            screen.print_json(&found)?;
        } else if self.topic.is_some() {
            screen.print(&found.iter().map(text).collect::<Vec<_>>().join("\n"))?;
        } else {
            screen.print(&index(&found))?;
        }
        Ok(Exit::Clean)
    }
}

fn find(known: &[Explanation], topic: &str) -> Result<Vec<Explanation>, CliError> {
    let topic = topic.trim();
    // As messages print a rule: `R012 id-scientific-notation`.
    let word = topic.strip_prefix("exit ").unwrap_or(topic).split_whitespace().next().unwrap_or_default();
    let found: Vec<_> = known.iter().filter(|one| one.is_meant(word)).cloned().collect();
    if !found.is_empty() {
        return Ok(found);
    }
    if let Some(meaning) = meaning::of(word, &[]) {
        return Ok(vec![Explanation::new("code", word, meaning)]); // HTTP_503 and its kin
    }
    if let Some(signal) = word.parse::<u8>().ok().and_then(|code| code.checked_sub(128)) {
        let what = format!("ended at once by a second signal, number {signal}: nothing durable is lost");
        let advice = "run the job again: it goes on from disk".to_owned();
        return Ok(vec![Explanation {
            what,
            advice,
            ..Explanation::new("exit", word, Meaning { what: "", advice: "" })
        }]);
    }
    let names = known.iter().flat_map(|one| [one.word.as_str(), one.name]).filter(|name| !name.is_empty());
    let distance = |name: &str| strsim::osa_distance(&name.to_lowercase(), &word.to_lowercase());
    let nearest = names.min_by_key(|name| distance(name)).filter(|name| distance(name) <= 3);
    let nearest = nearest.map(|name| format!("did you mean `{name}`? ")).unwrap_or_default();
    Err(CliError::usage(format!("nobody told us of {word:?}"))
        .help(format!("{nearest}`passync explain` lists all; a code that it has not is on none of the vendor's pages")))
}

fn text(one: &Explanation) -> String {
    let Explanation { kind, word, name, dialect, verdict, what, advice, source } = one;
    let of = if dialect.is_empty() { (*kind).to_owned() } else { format!("{kind} of {dialect}") };
    let name = if name.is_empty() { String::new() } else { format!(" {name}") };
    let mut text = format!("{word}{name} ({of})\n  means    {what}\n");
    if !verdict.is_empty() {
        let _ = writeln!(text, "  verdict  {verdict}");
    }
    let _ = writeln!(text, "  do       {advice}");
    if !source.is_empty() {
        let _ = writeln!(text, "  source   {source}");
    }
    text
}

fn index(known: &[Explanation]) -> String {
    let mut text = String::new();
    let mut heading = String::new();
    for one in known {
        let own = if one.dialect.is_empty() { format!("{}s", one.kind) } else { format!("codes of {}", one.dialect) };
        if own != heading {
            let _ = writeln!(text, "{}{own}", if heading.is_empty() { "" } else { "\n" });
            heading = own;
        }
        let word = format!("{} {}", one.word, one.name);
        let _ = writeln!(text, "  {:<40} {}", word.trim_end(), one.what);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_has_a_meaning_and_an_advice() {
        for one in all() {
            assert!(!one.what.is_empty() && !one.advice.is_empty(), "{one:?}");
        }
    }

    #[test]
    fn words_are_found_by_any_of_their_names() {
        let word = |topic: &str| find(&all(), topic).unwrap().iter().map(|one| one.word.clone()).collect::<Vec<_>>();
        for topic in ["R012", "r012", "id-scientific-notation", "R012 id-scientific-notation"] {
            assert_eq!(word(topic), ["R012"], "{topic}");
        }
        assert_eq!(word("held"), ["held", "HELD"], "an outcome, and the code of its rows");
        assert_eq!(
            (word("75"), word("exit 3"), word("HTTP_503")),
            (vec!["75".into()], vec!["3".into()], vec!["HTTP_503".into()])
        );
        assert_eq!(word("40004/INVALID_PARAMETER"), ["40004/INVALID_PARAMETER"]);
        assert_eq!(word("invalid_parameter"), ["40004/INVALID_PARAMETER"], "a sub_code by itself");
        assert_eq!(find(&all(), "PARAM_ILLEGAL").unwrap().len(), 2, "of both dialects that have it");
        assert!(find(&all(), "143").unwrap()[0].what.contains("number 15"));
        let unknown = find(&all(), "PARAM_ILEGAL").unwrap_err().to_string();
        assert!(unknown.contains("did you mean `PARAM_ILLEGAL`?"), "{unknown}");
    }

    #[test]
    fn the_index_lists_all() {
        let text = index(&all());
        for line in ["rules\n  R001 record-width ", "\noutcomes\n  applied ", "\nexits\n  0 ", "\ncodes of intl-pass\n"]
        {
            assert!(text.contains(line), "{line:?}\n{text}");
        }
    }
}
