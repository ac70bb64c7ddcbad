//! From the tree to [`Settings`]: which key has which kind and which range.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::time::Duration;

use toml::Value as Leaf;

use super::fault::Fault;
use super::layers::Layers;
use super::settings::{
    FormatChoice, Gateway, GatewayUrl, Guard, Input, Limits, Output, Retry, Run, Sandbox, Settings, Trailer,
};
use super::tree::{Node, join};
use super::url;
use super::values::{self as v, Parsed, Wrong, wrong, wrong_so};
use crate::io::folder;
use crate::wire::SettingFault;

const MS: Duration = Duration::from_millis(1);
const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3_600);
const DAY: Duration = Duration::from_secs(86_400);

/// Reads everything and notes everything that is wrong. Where there is a fault, the settings have the default in its
/// place, and [`Layers::finish`] does not let them out.
pub(super) fn settings(layers: &mut Layers<'_>, base: &Path) -> Settings {
    layers.require("name", "it names the folder of the job's runs: name = \"nightly-points\"");
    layers.require("dialect", "the wire form of the gateway: dialect = \"alipayhk-card\"");
    layers.require("input.files", "the files to read: files = [\"inbox/points-{date}.csv\"]; or give --input FILE");
    layers.require("gateway.url", "https://host[:port], or \"sandbox\" for a gateway of our own");
    let gateway = gateway(layers, base);
    let insecure_loopback = gateway.insecure_loopback;
    Settings {
        name: layers.get("name", v::name),
        dialect: layers.get("dialect", v::text),
        base: base.to_owned(),
        input: input(layers, base),
        gateway,
        limits: limits(layers),
        retry: retry(layers),
        run: run(layers),
        guard: guard(layers),
        output: output(layers, base),
        ledger: layers.get("ledger.url", ledger(base)),
        metrics_textfile: layers.get("metrics.textfile", v::unless("", textfile(base))),
        metrics_otlp: layers.get("metrics.otlp", v::unless("", url::web(insecure_loopback))),
        notify_url: layers.get("notify.url", v::unless("", url::webhook(base, insecure_loopback))),
        notify_on: layers.get("notify.on", v::list(exit_code)),
        sandbox: Sandbox {
            seed: layers.get("sandbox.seed", v::whole(0..=i64::MAX)),
            faults: layers.get("sandbox.faults", v::text),
            quota: layers.get("sandbox.quota", v::unless("", v::quota)),
        },
        in_force: in_force(&layers.root),
    }
}

fn input(layers: &mut Layers<'_>, base: &Path) -> Input {
    let (timezone, timezone_name) = layers.get("input.timezone", v::zone);
    Input {
        files: layers.get("input.files", v::list(input_file(base))),
        format: layers.get(
            "input.format",
            v::word(&[("auto", FormatChoice::Auto), ("csv", FormatChoice::Csv), ("parquet", FormatChoice::Parquet)]),
        ),
        encoding: layers.get("input.encoding", encoding),
        delimiter: layers.get("input.delimiter", v::unless("", delimiter)),
        timezone,
        timezone_name,
        date_offset_days: layers.get("input.date_offset", v::days),
        bill_key: layers.get("input.bill_key", bill_key),
        require_bill_no: layers.get("input.require_bill_no", v::flag),
        rejects_max: layers.get("input.rejects_max", v::share),
        rows_min: layers.get("input.rows_min", v::whole(0..=i64::MAX)),
        control: layers.get("input.control", v::unless("", v::path_with(base, &["{date}", "{stem}"]))),
        trailer: trailer(layers),
        ready: layers.get("input.ready", v::unless("", v::path_with(base, &["{date}"]))),
        wait_for: layers.get("input.wait_for", v::duration(Duration::ZERO..=DAY * 7)),
        null_values: layers.get("input.null_values", v::list(v::text)),
        defaults_fill_empty: layers.get("input.defaults_fill_empty", v::flag),
        negative_points: layers.get("input.negative_points", v::flag),
        ignore: layers.get("input.ignore", v::list(v::filled)),
        verbatim: layers.get("input.verbatim", v::list(v::filled)),
        columns: layers.get_columns("input.columns", v::filled),
        defaults: layers.get_columns("input.defaults", v::text),
    }
}

fn trailer(layers: &mut Layers<'_>) -> Option<Trailer> {
    // As many fields as the reader keeps of a trailer.
    const FIELD: RangeInclusive<i64> = 0..=64;
    let trailer = Trailer {
        mark: layers.get("input.trailer.mark", v::text).trim().to_owned(),
        rows: layers.get("input.trailer.rows", v::whole(FIELD)),
        sum: layers.get("input.trailer.sum", v::whole(FIELD)),
        hash_total: layers.get("input.trailer.hash_total", v::whole(FIELD)),
    };
    let fields = [("rows", trailer.rows), ("sum", trailer.sum), ("hash_total", trailer.hash_total)];
    if !trailer.mark.is_empty() {
        return Some(trailer);
    }
    if let Some((name, _)) = fields.into_iter().find(|(_, field)| *field > 0) {
        let help = "say how a trailer is known: mark = \"TRL\"";
        layers.fault(&format!("input.trailer.{name}"), "has no effect without input.trailer.mark", "alone", Some(help));
    }
    None
}

fn gateway(layers: &mut Layers<'_>, base: &Path) -> Gateway {
    let insecure_loopback = layers.get("gateway.allow_insecure_loopback", v::flag);
    let gateway = Gateway {
        url: layers.get("gateway.url", url::gateway(insecure_loopback)),
        private_key: layers.get("gateway.private_key", v::unless("", v::secret(base))),
        platform_keys: layers.get("gateway.platform_keys", v::list(v::secret(base))),
        connect_timeout: layers.get("gateway.connect_timeout", v::duration(MS..=MINUTE * 10)),
        request_timeout: layers.get("gateway.request_timeout", v::duration(MS..=MINUTE * 10)),
        max_skew: layers.get("gateway.max_skew", v::unless("off", v::duration(MS..=DAY))),
        proxy: layers.get("gateway.proxy", v::unless("", url::proxy)),
        ca_file: layers.get("gateway.ca_file", v::unless("", v::path(base))),
        insecure_loopback,
        table: dialect_table(layers, base),
    };
    layers.check_dialect(&gateway.table);
    if gateway.url != GatewayUrl::Sandbox {
        if gateway.private_key.is_none() {
            layers.missing("gateway.private_key", "calls are signed with it: \"file:keys/merchant.pem\"");
        }
        if gateway.platform_keys.is_empty() && !gateway.table.contains_key("certificates") {
            layers.missing("gateway.platform_keys", "replies are verified with them: [\"file:keys/platform.pem\"]");
        }
    }
    gateway
}

fn limits(layers: &mut Layers<'_>) -> Limits {
    let (quota, quota_window) = layers.get("limits.quota", v::quota);
    Limits {
        quota,
        quota_window,
        quota_strict: layers.get("limits.quota_mode", v::word(&[("strict", true), ("paced", false)])),
        concurrency: layers.get("limits.concurrency", v::whole(1..=4_096)),
    }
}

fn retry(layers: &mut Layers<'_>) -> Retry {
    let retry = Retry {
        attempts_max: layers.get("retry.attempts_max", v::whole(1..=100)),
        backoff_base: layers.get("retry.backoff_base", v::duration(MS..=HOUR)),
        backoff_max: layers.get("retry.backoff_max", v::duration(MS..=DAY)),
        schedule: layers.get("retry.schedule", v::list(v::duration(Duration::ZERO..=DAY))),
        budget: layers.get("retry.budget", v::share),
    };
    if retry.backoff_max < retry.backoff_base {
        let base = v::show_duration(retry.backoff_base);
        layers.fault(
            "retry.backoff_max",
            &format!("expected at least backoff_base, which is {base}"),
            "less than backoff_base",
            None,
        );
    }
    retry
}

fn run(layers: &mut Layers<'_>) -> Run {
    let run = Run {
        finish_by: layers.get("run.finish_by", v::unless("", v::time_of_day)),
        hold_on_doubt: layers.get("run.on_in_doubt", v::word(&[("hold", true), ("continue", false)])),
        coalesce: layers.get("run.coalesce", v::flag),
        coalesce_bills: layers.get("run.coalesce_bills", v::flag),
        replay_open: layers.get("run.replay_open", v::flag),
        halt_after_errors: layers.get("run.halt_after_errors", v::unless("off", v::share)),
    };
    if run.coalesce_bills && !run.coalesce {
        let help = "set run.coalesce = true as well, or leave coalesce_bills away";
        layers.fault("run.coalesce_bills", "has no effect without run.coalesce", "alone", Some(help));
    }
    run
}

fn guard(layers: &mut Layers<'_>) -> Guard {
    Guard {
        statuses: layers.get("guard.statuses", v::some(v::status)),
        closing_max: layers.get("guard.closing_max", v::whole(0..=i64::MAX)),
        points_max: layers.get("guard.points_max", v::unless("", v::amount)),
        change_max: layers.get("guard.change_max", v::unless("", v::amount)),
        volume_percent: layers.get("guard.volume", v::unless("off", v::percent)),
    }
}

fn output(layers: &mut Layers<'_>, base: &Path) -> Output {
    Output {
        dir: layers.get("output.dir", v::path(base)),
        parquet: layers.get("output.format", v::word(&[("csv", false), ("parquet", true)])),
        keep: layers.get("output.keep", v::unless("", v::duration(DAY..=DAY * 3_660))),
    }
}

/// `ledger.url`, as a path. Log, lock and surveys lie beside the file itself, whatever link leads there.
fn ledger(base: &Path) -> impl Fn(&Node) -> Parsed<PathBuf> {
    move |node| {
        let url = v::filled(node)?;
        let path = url.strip_prefix("sqlite://").or_else(|| url.strip_prefix("sqlite:")).unwrap_or(&url);
        if url.starts_with("postgres://") || url.starts_with("postgresql://") {
            let expected = "a path such as \"state/ledger.db\"";
            return v::wrong_secret(
                node,
                expected,
                "PostgreSQL is not built yet: the ledger is a file on a local disk",
            );
        }
        if path.contains("://") || path.starts_with(':') || path.ends_with('/') || path.is_empty() {
            return wrong_so(node, "a path such as \"state/ledger.db\"", "the ledger is a file on a local disk");
        }
        Ok(folder::behind_link(base.join(path)))
    }
}

/// `metrics.textfile`: the collector passes over files of other names without a word.
fn textfile(base: &Path) -> impl Fn(&Node) -> Parsed<PathBuf> {
    let path = v::path(base);
    move |node| match path(node)? {
        path if path.extension().is_some_and(|end| end == "prom") => Ok(path),
        _ => wrong_so(node, "a path that ends in .prom", "node_exporter reads *.prom alone"),
    }
}

fn input_file(base: &Path) -> impl Fn(&Node) -> Parsed<String> {
    let pattern = v::pattern(base);
    move |node| if node.text() == Some("-") { Ok("-".to_owned()) } else { pattern(node) }
}

fn encoding(node: &Node) -> Parsed<String> {
    const ENCODINGS: [&str; 4] = ["utf-8", "gbk", "gb18030", "big5"];
    let label = node.text().unwrap_or_default().to_lowercase();
    if ENCODINGS.contains(&label.as_str()) { Ok(label) } else { wrong(node, "utf-8, gbk, gb18030 or big5") }
}

fn delimiter(node: &Node) -> Parsed<u8> {
    match node.text().map(str::as_bytes) {
        Some([byte]) if byte.is_ascii() && !b"\"\r\n".contains(byte) && !byte.is_ascii_alphanumeric() => Ok(*byte),
        _ => wrong(node, "one character such as \",\", \";\", \"|\" or \"\\t\""),
    }
}

fn bill_key(node: &Node) -> Parsed<Vec<String>> {
    let columns = v::some(v::filled)(node)?;
    let twice = (1..columns.len()).any(|at| columns[..at].contains(&columns[at]));
    if twice || !columns.iter().any(|column| column == "bill_no") {
        return wrong(node, "columns that name a bill: bill_no, and others once each");
    }
    Ok(columns)
}

fn exit_code(node: &Node) -> Parsed<u8> {
    v::whole::<u8>(0..=6)(node)
        .or_else(|_| v::whole(75..=75)(node))
        .or_else(|_| wrong(node, "an exit code: 0 to 6, or 75"))
}

/// `[gateway]` for the dialect: as it stands, but files of secrets are absolute.
fn dialect_table(layers: &mut Layers<'_>, base: &Path) -> toml::Table {
    const SECRETS: [&str; 4] = ["aes_key", "app_auth_token", "peer_key", "private_key"];
    let node = layers.root.at("gateway").expect("the defaults have [gateway]").clone();
    node.walk("gateway", &mut |path, node| {
        let name = path.rsplit('.').next().unwrap_or_default();
        if SECRETS.contains(&name) {
            layers.read(path, node, v::unless("", v::secret(base)));
        }
    });
    let mut all = node.bare();
    root_references(&mut all, base);
    if let Leaf::Table(table) = all { table } else { unreachable!("a layer cannot turn a table into a value") }
}

fn root_references(leaf: &mut Leaf, base: &Path) {
    match leaf {
        Leaf::String(text) => {
            if let Some(path) = text.strip_prefix("file:") {
                *text = format!("file:{}", base.join(path).display());
            }
        }
        Leaf::Array(items) => items.iter_mut().for_each(|item| root_references(item, base)),
        Leaf::Table(table) => table.iter_mut().for_each(|(_, value)| root_references(value, base)),
        _ => {}
    }
}

/// Every setting with its value. Secrets are references by now; only the path of an address may hold a token.
fn in_force(root: &Node) -> serde_json::Value {
    let mut all = serde_json::to_value(root.bare()).expect("a tree of TOML values is JSON");
    for (section, key) in [("notify", "url"), ("metrics", "otlp")] {
        if let Some(text) = root.at(&join(section, key)).and_then(Node::text).filter(|text| !text.is_empty()) {
            all[section][key] = url::masked(text).into();
        }
    }
    all
}

impl Layers<'_> {
    /// The value of a key that has a default.
    fn get<T>(&mut self, path: &str, parse: impl Fn(&Node) -> Parsed<T>) -> T {
        let node = self.root.at(path).expect("a key that is read has a default").clone();
        self.read(path, &node, &parse).unwrap_or_else(|| {
            let default = self.defaults.at(path).expect("a key that is read has a default");
            parse(default).expect("a default is valid")
        })
    }

    fn read<T>(&mut self, path: &str, node: &Node, parse: impl Fn(&Node) -> Parsed<T>) -> Option<T> {
        let Wrong { spot, expected, found, help } = match parse(node) {
            Ok(value) => return Some(value),
            Err(wrong) => wrong,
        };
        let found = found.map(|found| format!(", found {found}")).unwrap_or_default();
        let title = format!("{path}: expected {expected}{found}");
        self.faults.push(Fault { spot: Some(spot), title, label: "here".to_owned(), help });
        None
    }

    /// A table of columns. TOML reads `level.zh_HK = "..."` as a table in a table; here it is one name.
    fn get_columns(&mut self, path: &str, parse: impl Fn(&Node) -> Parsed<String>) -> Vec<(String, String)> {
        let table = self.root.at(path).expect("the defaults have the table").clone();
        let mut nodes: BTreeMap<String, &Node> = BTreeMap::new();
        table.walk("", &mut |name, node| {
            let known = nodes.entry(name.to_owned()).or_insert(node);
            if node.spot.outranks(known.spot) {
                *known = node;
            }
        });
        let read =
            |(name, node): (String, &Node)| Some((name.clone(), self.read(&format!("{path}.{name}"), node, &parse)?));
        nodes.into_iter().filter_map(read).collect()
    }

    /// A fault of a key's value in the light of another.
    fn fault(&mut self, path: &str, text: &str, label: &str, help: Option<&str>) {
        let spot = self.root.at(path).map(|node| node.spot);
        let (title, label, help) = (format!("{path}: {text}"), label.to_owned(), help.map(str::to_owned));
        self.faults.push(Fault { spot, title, label, help });
    }

    fn require(&mut self, path: &str, help: &str) {
        if self.root.at(path).is_none_or(|node| node.spot.is_default()) {
            self.missing(path, help);
        }
    }

    fn missing(&mut self, path: &str, help: &str) {
        self.absent(path, "missing", Some(help));
    }

    /// A key that is not there is missed at the head of its section, or at the head of the file.
    fn absent(&mut self, path: &str, text: &str, help: Option<&str>) {
        let (section, key) = path.rsplit_once('.').unwrap_or(("", path));
        let head = self.root.at(section).map(|section| section.spot).filter(|spot| !spot.is_default());
        let missed = if head.is_none() && !section.is_empty() { format!("[{section}] {key}") } else { key.to_owned() };
        self.faults.push(Fault {
            spot: Some(head.unwrap_or(self.root.spot.part(0..0))),
            title: format!("{path}: {text}"),
            label: format!("`{missed}` is missing"),
            help: help.map(str::to_owned),
        });
    }

    /// Whether the dialect exists and can be built from its keys.
    fn check_dialect(&mut self, table: &toml::Table) {
        let Some(dialect) = self.dialect else {
            let node = self.root.at("dialect").expect("it has a default").clone();
            let names = self.dialects.iter().map(|entry| entry.name).collect::<Vec<_>>().join(", ");
            if !node.spot.is_default() {
                self.read("dialect", &node, |node| wrong::<()>(node, format!("one of the dialects ({names})")));
            }
            return;
        };
        let Err(SettingFault { key, text }) = dialect.check(table) else { return };
        let path = format!("gateway.{key}");
        if self.root.at(&path).is_some() {
            self.fault(&path, &text, "here", None);
        } else {
            self.absent(&path, &text, None);
        }
    }
}
