//! What must hold whenever the power fails, and after the recovery. Only files, tables and what the gateway saw count.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use passync::model::{Outcome, Settled};
use passync::sandbox::Breach;
use sha2::{Digest, Sha256};

use super::disk::Event;
use super::image::{Image, Thing};
use super::reel::{CONCURRENCY, Moment, Stage, Tape};
use super::stage::Delta;

/// What a ledger knows of what left the machine.
#[derive(Debug, Default)]
pub struct Known {
    /// Bodies that may have been sent.
    bodies: BTreeSet<Vec<u8>>,
    /// Bills that were settled by a run that is closed.
    closed: BTreeSet<String>,
    /// Bills that the gateway has confirmed.
    applied: BTreeSet<String>,
}

/// Reads the ledger of an image as SQLite recovers it, away from the place where the program will.
pub fn known(image: &Image, stage: &Stage) -> Known {
    let Some(ledger) = image.file("state/ledger.db") else { return Known::default() };
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("ledger.db"), ledger).unwrap();
    if let Some(log) = image.file("state/ledger.db-wal") {
        std::fs::write(dir.path().join("ledger.db-wal"), log).unwrap();
    }
    let db = rusqlite::Connection::open(dir.path().join("ledger.db")).unwrap();
    let query = "SELECT row, json_extract(detail, '$.inputs[0].name'), data FROM journal \
                 JOIN runs ON ordinal = run WHERE settled";
    let mut known = Known::default();
    each(&db, query, |row| {
        let rows = if row.get::<_, String>(1).unwrap() == "in.csv" { stage.rows(0) } else { stage.rows(1) };
        let settled: Settled = postcard::from_bytes(&row.get::<_, Vec<u8>>(2).unwrap()).unwrap();
        if settled.outcome == Outcome::Applied {
            known.applied.insert(rows[row.get::<_, usize>(0).unwrap()].bill.clone());
        }
    });
    each(&db, "SELECT body FROM intents", |row| known.bodies.extend([row.get::<_, Vec<u8>>(0).unwrap()]));
    each(&db, "SELECT bill_no FROM bills", |row| known.closed.extend([row.get::<_, String>(0).unwrap()]));
    let mut sound = String::new();
    each(&db, "PRAGMA integrity_check", |row| sound += &row.get::<_, String>(0).unwrap());
    assert_eq!(sound, "ok");
    known
}

fn each(db: &rusqlite::Connection, query: &str, mut take: impl FnMut(&rusqlite::Row<'_>)) {
    let mut statement = db.prepare(query).unwrap_or_else(|error| panic!("{query}: {error}"));
    let mut rows = statement.query([]).unwrap();
    while let Some(row) = rows.next().unwrap() {
        take(row);
    }
}

impl Known {
    /// Law 5: whatever the gateway may have heard is in doubt or done.
    fn has_heard_of(&self, request: &[u8], stage: &Stage) {
        let (body, row) = (body_of(request), row_of(request, stage));
        let is_known =
            self.bodies.contains(body) || self.applied.contains(&row.bill) || self.closed.contains(&row.bill);
        assert!(is_known, "bill {} was sent, and would count as unsent", row.bill);
    }

    fn has_not_lost(&self, earlier: &Known) {
        let lost: Vec<_> = earlier.applied.difference(&self.applied).collect();
        assert!(lost.is_empty(), "outcomes were durable and are lost: {lost:?}");
    }
}

fn body_of(request: &[u8]) -> &[u8] {
    let head = request.windows(4).position(|end| end == b"\r\n\r\n").expect("a request has an end of its head");
    let length = String::from_utf8_lossy(&request[..head]).to_lowercase();
    let length = length.lines().find_map(|line| line.strip_prefix("content-length: ")).expect("the length of its body");
    let body = &request[head + 4..];
    assert_eq!(length, body.len().to_string(), "a request in one piece");
    body
}

fn row_of<'a>(request: &[u8], stage: &'a Stage) -> &'a Delta {
    let body = String::from_utf8_lossy(body_of(request));
    let mut rows = [0, 1].into_iter().flat_map(|night| stage.rows(night));
    rows.find(|row| body.contains(&row.bill)).expect("a bill of ours")
}

/// What must hold of a recording itself, if nothing but what was synced had reached the disk: at each send its body is
/// known, and so are the ends of the bills that went before it on its card; what a command said at its end is true.
pub fn keeps_its_promises(tape: &Tape, stage: &Stage) {
    let mut earlier = Known::default();
    tape.walk(|moment, next| {
        let Event::Sent { request } = next else {
            if let Event::Ended { exit } = next {
                has_told_the_truth(moment, *exit, stage);
            }
            return;
        };
        let known = known(&moment.disk.as_synced(), stage);
        known.has_heard_of(request, stage);
        known.has_not_lost(&earlier);
        let row = row_of(request, stage);
        for before in moment.heard.iter().map(|request| row_of(request, stage)) {
            let is_done = before.card != row.card || before.bill == row.bill || known.applied.contains(&before.bill);
            assert!(is_done, "bill {} was sent before the end of {} on its card was durable", row.bill, before.bill);
        }
        earlier = known;
    });
}

fn has_told_the_truth(moment: &Moment, exit: i32, stage: &Stage) {
    let image = moment.disk.as_synced();
    let manifest = manifest_of_latest(&image).expect("a command that ended has closed its run for good");
    let is_stopped = exit == 5;
    assert_eq!(manifest["exit"], if is_stopped { 5 } else { 0 });
    files_are_those_of_manifests(&image);
    if !is_stopped {
        let applied = known(&image, stage).applied;
        let rows = stage.rows(moment.command.night);
        assert!(rows.iter().all(|row| applied.contains(&row.bill)), "exit 0 came before the outcomes were durable");
    }
}

/// Every content that an output ever had under its name.
pub type Versions = BTreeMap<PathBuf, Vec<Vec<u8>>>;

pub fn versions(tape: &Tape) -> Versions {
    let mut versions = Versions::new();
    let mut add = |image: Image| {
        for (path, thing) in image.0 {
            let Thing::File(bytes) = thing else { continue };
            let known = versions.entry(path).or_default();
            if !known.contains(&bytes) {
                known.push(bytes);
            }
        }
    };
    add(tape.start().clone());
    let is_rename = |event: &Event| matches!(event, Event::Renamed { .. });
    for at in (0..tape.events.len()).filter(|at| is_rename(&tape.events[*at])) {
        add(tape.moment(at + 1).disk.as_seen());
    }
    versions
}

/// Before the recovery: each output is whole or absent, nothing is forgotten.
pub fn after_power_loss(image: &Image, moment: &Moment, versions: &Versions, stage: &Stage) {
    for (path, thing) in outputs(image) {
        let Thing::File(bytes) = thing else { continue };
        let is_whole = versions.get(path).is_some_and(|versions| versions.contains(bytes));
        assert!(is_whole, "{} has {} bytes, but not such as it was ever given", path.display(), bytes.len());
    }
    files_are_those_of_manifests(image);
    if image.0.contains_key(Path::new("out/night/latest")) {
        manifest_of_latest(image).expect("`latest` leads to a closed run");
    }
    let known = known(image, stage);
    known.has_not_lost(&self::known(&moment.disk.as_synced(), stage));
    moment.heard.iter().for_each(|request| known.has_heard_of(request, stage));
}

/// After the recovery: every row of the night has its outcome, no card is the worse for it, and no more was sent than
/// must be.
pub fn after_recovery(stage: &Stage, moment: &Moment, judged: usize) {
    let night = &stage.night;
    let rows = stage.rows(moment.command.night);
    let outcomes = night.outcomes();
    let bills: Vec<_> = outcomes.iter().map(|line| &line["bill_no"]).collect();
    assert_eq!(bills, rows.iter().map(|row| &row.bill[..]).collect::<Vec<_>>());
    assert!(outcomes.iter().all(|line| line["outcome"] == *"applied"), "{outcomes:?}");
    night.expect(0, &["reconcile", "out/night/latest"]);

    let image = stage.image();
    files_are_those_of_manifests(&image);
    let known = known(&image, stage);
    assert!(rows.iter().all(|row| known.applied.contains(&row.bill) && known.closed.contains(&row.bill)));

    let durable = self::known(&moment.disk.as_synced(), stage).applied;
    let judgements = night.server.look(|gateway| gateway.judgements().kept().to_vec());
    let (double, others): (Vec<_>, Vec<_>) =
        judgements.into_iter().skip(judged).partition(|judgement| judgement.breach == Breach::DoubleSend);
    assert!(others.is_empty(), "{others:?}");
    let resent: BTreeSet<_> = double.into_iter().filter_map(|judgement| judgement.bill_no).collect();
    assert!(resent.len() <= CONCURRENCY, "more than {CONCURRENCY} were sent again: {resent:?}");
    assert!(resent.is_disjoint(&durable), "sent again though their outcomes were durable: {resent:?}");

    let newest: BTreeMap<_, _> =
        stage.rows_until(moment.command.night).into_iter().map(|row| (row.card.clone(), row)).collect();
    for (card, row) in newest {
        assert_eq!(night.points(&card), Some(row.points.to_string()), "card {card}");
    }
}

/// The files of the runs; temporary ones are nobody's yet.
fn outputs(image: &Image) -> impl Iterator<Item = (&PathBuf, &Thing)> {
    let is_hidden = |path: &Path| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with('.'));
    image.0.iter().filter(move |(path, _)| path.starts_with("out") && !is_hidden(path))
}

fn manifest_of_latest(image: &Image) -> Option<serde_json::Value> {
    let Some(Thing::Link(run)) = image.0.get(Path::new("out/night/latest")) else { return None };
    let text = image.file(Path::new("out/night").join(run).join("manifest.json"))?;
    Some(serde_json::from_slice(text).expect("a manifest is whole"))
}

/// Where there is a manifest, there are the files that it has digested, and no others.
fn files_are_those_of_manifests(image: &Image) {
    for (path, manifest) in outputs(image).filter(|(path, _)| path.ends_with("manifest.json")) {
        let Thing::File(text) = manifest else { panic!("{} is no file", path.display()) };
        let manifest: serde_json::Value = serde_json::from_slice(text).expect("a manifest is whole");
        let files = manifest["files"].as_object().unwrap();
        let dir = path.parent().unwrap();
        for (name, fact) in files {
            let bytes = image.file(dir.join(name)).unwrap_or_else(|| panic!("{name} of a closed run is gone"));
            let hex = Sha256::digest(bytes).iter().fold(String::new(), |hex, byte| format!("{hex}{byte:02x}"));
            assert_eq!(fact["sha256"], hex, "{name} of a closed run");
        }
        let beside = outputs(image).filter(|(other, _)| other.parent() == Some(dir)).count();
        assert_eq!(beside, files.len() + 1, "nothing else lies in {}", dir.display());
    }
}
