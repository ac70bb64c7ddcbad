//! Jobs as texts: what they mean, which layer wins, and how faults look.

use std::path::PathBuf;
use std::time::Duration;

use super::settings::{FormatChoice, GatewayUrl, Secret, Settings, Share};
use super::*;
use crate::model::Status;
use crate::wire::alipayhk_card;
use crate::wire::key::{Key, Shape};

/// The real dialect, and another that has a key of its own.
const DIALECTS: &[Entry] = &[
    alipayhk_card::ENTRY,
    Entry {
        name: "other-card",
        keys: &[Key::new("field_names", Shape::Text, "")],
        signing: alipayhk_card::ENTRY.signing,
        columns: alipayhk_card::ENTRY.columns,
        secrets: &[],
        codes: &[],
        starter: "",
        build: alipayhk_card::ENTRY.build,
    },
];

const MINIMAL: &str = r#"
name = "nightly"
dialect = "alipayhk-card"
[input]
files = ["inbox/points-{date}.csv"]
[gateway]
url = "https://open.alipay.hk"
merchant_id = "2160120036095023"
client_id = "2110200000000044"
private_key = "file:keys/merchant.pem"
platform_keys = ["env:PLATFORM_KEY", "cred:platform"]
"#;

/// Builds `file` at `/srv/jobs`.
fn job(file: &str, overrides: &Overrides) -> Result<Settings, JobFault> {
    build("nightly.toml", file, Path::new("/srv/jobs"), overrides, DIALECTS)
}

fn good(file: &str) -> Settings {
    job(file, &Overrides::default()).unwrap_or_else(|fault| panic!("{}", fault.render(false)))
}

fn with(set: &[&str], environment: &[(&str, &str)]) -> Overrides {
    let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
    Overrides {
        set: set.iter().map(|flag| (*flag).to_owned()).collect(),
        environment: environment.iter().map(owned).collect(),
        ..Overrides::default()
    }
}

/// The faults as lines, with `changed` in the place of a line of the minimal job (or as a line of its own).
fn faults_of(line: &str, changed: &str) -> String {
    let file = if line.is_empty() { format!("{MINIMAL}\n{changed}\n") } else { MINIMAL.replace(line, changed) };
    assert_ne!(file, MINIMAL);
    job(&file, &Overrides::default()).expect_err(changed).to_string()
}

#[test]
fn the_defaults_hold_for_what_is_not_said() {
    let settings = good(MINIMAL);
    assert_eq!(settings.input.files, ["/srv/jobs/inbox/points-{date}.csv"]);
    assert_eq!(settings.input.format, FormatChoice::Auto);
    assert_eq!(settings.input.timezone_name, "Asia/Hong_Kong");
    assert_eq!(settings.input.rejects_max, Share::Percent(1.0));
    assert_eq!(settings.input.null_values, [""]);
    assert_eq!((settings.limits.quota, settings.limits.quota_window), (50, Duration::from_secs(1)));
    assert!(settings.limits.quota_strict && settings.run.hold_on_doubt);
    assert_eq!(settings.retry.backoff_base, Duration::from_millis(500));
    assert_eq!(settings.run.finish_by, None);
    assert_eq!(settings.run.halt_after_errors, Some(Share::Percent(5.0)));
    assert_eq!(settings.guard.statuses, [Status::Update]);
    assert_eq!(settings.gateway.url, GatewayUrl::Url("https://open.alipay.hk".to_owned()));
    assert_eq!(settings.gateway.private_key, Some(Secret::File(PathBuf::from("/srv/jobs/keys/merchant.pem"))));
    assert_eq!(
        settings.gateway.platform_keys,
        [Secret::Env("PLATFORM_KEY".to_owned()), Secret::Cred("platform".to_owned())]
    );
    assert_eq!(settings.gateway.max_skew, Some(Duration::from_secs(300)));
    assert_eq!(settings.ledger, PathBuf::from("/srv/jobs/state/ledger.db"));
    assert_eq!(settings.notify_on, [1, 3, 4, 5, 6]);
}

#[test]
fn every_kind_of_value_is_read() {
    let file = MINIMAL.replace(
        "[gateway]",
        "[input.columns]\nbill_no = \"BILL\"\nlevel.zh_HK = \"等級\"\n[gateway]\nmax_skew = \"off\"",
    ) + r#"
        [gateway.extra]
        bizSerialId = { column = "biz_serial_id", type = "string" }
        [limits]
        quota = "3000/1m"
        quota_mode = "paced"
        [retry]
        schedule = ["2s", "2s", "10m"]
        budget = 250
        [run]
        finish_by = "05:30"
        halt_after_errors = "off"
        [guard]
        statuses = ["UPDATE", "CLOSED"]
        points_max = 100000
        volume = "50%"
        [output]
        keep = "90d"
        [ledger]
        url = "/var/lib/passync/ledger.db"
        "#;
    let settings = good(&file);
    assert_eq!(settings.gateway.max_skew, None);
    let column = |name: &str, file: &str| (name.to_owned(), file.to_owned());
    assert_eq!(settings.input.columns, [column("bill_no", "BILL"), column("level.zh_HK", "等級")]);
    assert_eq!(settings.gateway.table["extra"]["bizSerialId"]["column"].as_str(), Some("biz_serial_id"));
    assert_eq!((settings.limits.quota, settings.limits.quota_window), (3_000, Duration::from_secs(60)));
    assert!(!settings.limits.quota_strict);
    assert_eq!(settings.retry.schedule, [2, 2, 600].map(Duration::from_secs));
    assert_eq!(settings.retry.budget, Share::Count(250));
    assert_eq!(settings.run.finish_by, Some(jiff::civil::time(5, 30, 0, 0)));
    assert_eq!(settings.run.halt_after_errors, None);
    assert_eq!(settings.guard.statuses, [Status::Update, Status::Closed]);
    assert_eq!(settings.guard.points_max.unwrap().to_string(), "100000");
    assert_eq!(settings.guard.volume_percent, Some(50.0));
    assert_eq!(settings.output.keep, Some(Duration::from_secs(90 * 86_400)));
    assert_eq!(settings.ledger, PathBuf::from("/var/lib/passync/ledger.db"));
}

#[test]
fn a_flag_wins_over_the_environment_over_the_file_over_the_default() {
    let file = format!("{MINIMAL}[limits]\nconcurrency = 2\n");
    let concurrency = |set: &[&str], environment: &[(&str, &str)]| {
        job(&file, &with(set, environment)).unwrap_or_else(|fault| panic!("{fault}")).limits.concurrency
    };
    assert_eq!(good(MINIMAL).limits.concurrency, 32);
    assert_eq!(concurrency(&[], &[]), 2);
    assert_eq!(concurrency(&[], &[("PASSYNC_LIMITS_CONCURRENCY", "3")]), 3);
    assert_eq!(concurrency(&["limits.concurrency=4"], &[("PASSYNC_LIMITS_CONCURRENCY", "3")]), 4);
    assert_eq!(concurrency(&["limits.concurrency=4", "limits.concurrency=5"], &[]), 5);
}

#[test]
fn a_shell_loses_quotes_and_the_meaning_stays() {
    let set = [
        "gateway.client_id=0099",
        "gateway.client_id=2110200000000045",
        "input.files=one.csv",
        "input.null_values=[\"\", \"NULL\"]",
        "input.columns.level.zh_HK=LEVEL",
        "limits.quota=20/1s",
        "run.finish_by=05:30",
        "notify.on=4",
        "gateway.extra.type.value=CARD",
    ];
    let settings = job(MINIMAL, &with(&set, &[])).unwrap_or_else(|fault| panic!("{}", fault.render(false)));
    assert_eq!(settings.gateway.table["client_id"].as_str(), Some("2110200000000045"));
    assert_eq!(settings.input.files, ["/srv/jobs/one.csv"]);
    assert_eq!(settings.input.null_values, ["", "NULL"]);
    assert_eq!(settings.input.columns, [("level.zh_HK".to_owned(), "LEVEL".to_owned())]);
    assert_eq!(settings.limits.quota, 20);
    assert_eq!(settings.run.finish_by, Some(jiff::civil::time(5, 30, 0, 0)));
    assert_eq!(settings.notify_on, [4]);
    assert_eq!(settings.gateway.table["extra"]["type"]["value"].as_str(), Some("CARD"));

    let overrides = with(&["gateway.key_version=2"], &[("PASSYNC_GATEWAY_CLIENT_ID", "2110200000000046")]);
    let without_client = MINIMAL.replace("client_id = \"2110200000000044\"\n", "");
    let settings = job(&without_client, &overrides).unwrap_or_else(|fault| panic!("{}", fault.render(false)));
    assert_eq!(settings.gateway.table["client_id"].as_str(), Some("2110200000000046"));
    assert_eq!(settings.gateway.table["key_version"].as_integer(), Some(2));
}

#[test]
fn paths_of_flags_are_those_of_the_shell() {
    let overrides = Overrides {
        inputs: vec!["a[1].csv".to_owned(), "-".to_owned()],
        out: Some("/tmp/out".to_owned()),
        state: Some("/tmp/state".to_owned()),
        ..Overrides::default()
    };
    let settings = job(MINIMAL, &overrides).unwrap();
    let here = std::env::current_dir().unwrap();
    assert_eq!(settings.input.files, [format!("{}/a[[]1[]].csv", here.display()), "-".to_owned()]);
    assert_eq!(settings.output.dir, PathBuf::from("/tmp/out"));
    assert_eq!(settings.ledger, PathBuf::from("/tmp/state/ledger.db"));
}

#[test]
fn faults_are_shown_in_place_all_at_once() {
    let file = MINIMAL.replace("files =", "file =") + "[limits]\nqouta = \"50/1s\"\nconcurrency = 0\n";
    let fault = job(&file, &with(&["retry.attempts_max=many"], &[("PASSYNC_LIMIT_QUOTA", "9")])).unwrap_err();
    let expected = r#"  × input.files: missing
   ╭─[nightly.toml:4:1]
 3 │ dialect = "alipayhk-card"
 4 │ [input]
   · ───┬───
   ·    ╰── `files` is missing
 5 │ file = ["inbox/points-{date}.csv"]
   ╰────
  help: the files to read: files = ["inbox/points-{date}.csv"]; or give --input FILE

  × input.file: unknown key
   ╭─[nightly.toml:5:1]
 4 │ [input]
 5 │ file = ["inbox/points-{date}.csv"]
   · ──┬─
   ·   ╰── [input] has no such key
 6 │ [gateway]
   ╰────
  help: did you mean `files`?

  × limits.qouta: unknown key
    ╭─[nightly.toml:13:1]
 12 │ [limits]
 13 │ qouta = "50/1s"
    · ──┬──
    ·   ╰── [limits] has no such key
 14 │ concurrency = 0
    ╰────
  help: did you mean `quota`?

  × limits.concurrency: expected a whole number from 1 to 4096, found 0
    ╭─[nightly.toml:14:15]
 13 │ qouta = "50/1s"
 14 │ concurrency = 0
    ·               ┬
    ·               ╰── here
    ╰────

  × PASSYNC_LIMIT_QUOTA: no setting has this variable
   ╭─[environment:1:1]
 1 │ PASSYNC_LIMIT_QUOTA
   · ─────────┬─────────
   ·          ╰── unknown
   ╰────
  help: did you mean PASSYNC_LIMITS_QUOTA?

  × retry.attempts_max: expected a whole number from 1 to 100, found "many"
   ╭─[command line:1:26]
 1 │ --set retry.attempts_max=many
   ·                          ──┬─
   ·                            ╰── here
   ╰────
"#;
    assert_eq!(fault.render(false), expected);
}

#[test]
fn unknown_keys_say_what_was_meant() {
    assert_eq!(
        faults_of("", "[limits]\nqouta = \"1/1s\""),
        "nightly.toml:14:1: limits.qouta: unknown key; did you mean `quota`?"
    );
    assert_eq!(
        faults_of("", "[retry]\nconcurrency = 1"),
        "nightly.toml:14:1: retry.concurrency: unknown key; `concurrency` is a key of [limits]"
    );
    assert_eq!(
        faults_of("client_id =", "field_names = \"table\"\nclient_id ="),
        "nightly.toml:9:1: gateway.field_names: unknown key; only the dialect other-card has this key"
    );
    assert_eq!(
        faults_of("", "[output]\nzzz = 1"),
        "nightly.toml:14:1: output.zzz: unknown key; the keys of [output] are dir, format, keep"
    );
    assert_eq!(faults_of("", "[gatway]\nx = 1"), "nightly.toml:13:2: gatway: unknown key; did you mean `gateway`?");
}

#[test]
fn values_out_of_their_range_say_what_was_expected() {
    for (line, changed, expected) in [
        ("", "[limits]\nconcurrency = 0", "limits.concurrency: expected a whole number from 1 to 4096, found 0"),
        ("", "[limits]\nquota = \"0/1s\"", "limits.quota: expected 1 to 100000 calls in a window of 100ms to 1h"),
        ("", "[limits]\nquota = 50", "limits.quota: expected calls in a window, such as \"50/1s\", found 50"),
        ("", "[retry]\nattempts_max = 0", "retry.attempts_max: expected a whole number from 1 to 100, found 0"),
        ("", "[retry]\nbackoff_base = 5", "retry.backoff_base: expected a duration such as"),
        ("", "[retry]\nbackoff_max = \"1ms\"", "retry.backoff_max: expected at least backoff_base, which is 500ms"),
        ("", "[run]\ncoalesce_bills = true", "run.coalesce_bills: has no effect without run.coalesce"),
        ("", "[run]\nfinish_by = \"25:00\"", "run.finish_by: expected a time of day such as \"05:30\", or \"\", found"),
        ("", "[run]\nreplay_open = \"yes\"", "run.replay_open: expected true or false, found \"yes\""),
        ("", "[guard]\nstatuses = [\"UPDATE\", \"GONE\"]", "nightly.toml:14:23: guard.statuses: expected \"UPDATE\","),
        ("", "[ledger]\nurl = \"postgres://db/x\"", "PostgreSQL is not built yet"),
        ("", "[ledger]\nurl = \":memory:\"", "ledger.url: expected a path"),
        ("", "[notify]\non = [7]", "notify.on: expected an exit code: 0 to 6, or 75, found 7"),
        ("name =", "limits = 3\nname =", "limits: expected a table of keys"),
        ("files = [", "bill_key = [\"status\"]\nfiles = [", "input.bill_key: expected columns that name a bill"),
        ("files = [", "timezone = \"Hongkong City\"\nfiles = [", "input.timezone: expected a time zone"),
        ("files = [", "encoding = \"latin1\"\nfiles = [", "input.encoding: expected utf-8, gbk, gb18030 or big5"),
        ("{date}", "{day}", "`{date}` is the only word in braces, `{day}` is not known"),
        (
            "[gateway]",
            "control = \"{name}.ctl\"\n[gateway]",
            "`{date}` and `{stem}` are the only words in braces, `{name}`",
        ),
        ("[gateway]", "ready = \"{stem}.ok\"\n[gateway]", "`{date}` is the only word in braces, `{stem}` is not known"),
        (
            "[gateway]",
            "trailer = { mark = \"TRL\", rows = 65 }\n[gateway]",
            "input.trailer.rows: expected a whole number from 0 to 64",
        ),
        (
            "[gateway]",
            "trailer = { sum = 2 }\n[gateway]",
            "input.trailer.sum: has no effect without input.trailer.mark",
        ),
        ("\"nightly\"", "\"../up\"", "name: expected up to 64 letters"),
        (
            "\"alipayhk-card\"",
            "\"fancy-card\"",
            "dialect: expected one of the dialects (alipayhk-card, other-card), found",
        ),
        ("client_id = \"2110200000000044\"\n", "", "gateway.client_id: missing; this dialect needs it"),
        ("private_key = \"file:keys/merchant.pem\"", "", "gateway.private_key: missing"),
        ("https://", "http://", "http:// is refused: calls carry personal ids"),
        (
            "https://open.alipay.hk",
            "http://127.0.0.1:80",
            "for a test gateway set gateway.allow_insecure_loopback = true",
        ),
        ("alipay.hk", "alipay.hk/api", "leave the path away"),
        ("https://", "https://me:pass@", "calls are signed, not logged in"),
    ] {
        let faults = faults_of(line, changed);
        assert!(faults.contains(expected), "{changed}\n{faults}");
    }
}

#[test]
fn secrets_are_refused_and_not_shown() {
    let secret = "MIIEvQIBADANBgkqhkiG9w0BAQEFAASCBKcwggSjAgEAAoIBAQC7VJTUt9Us8cKj";
    let short = "c2VjcmV0IQ==";
    let file = MINIMAL.replace("file:keys/merchant.pem", short).replace("https://", "https://me:hunter2@")
        + &format!("aes_key = \"{short}\"\nprivat_key = \"{secret}\"\n[limits]\nnote = \"{secret}\"\n");
    let set = [format!("gateway.private_key={short}")];
    let overrides = with(&[&set[0]], &[("PASSYNC_GATEWAY_PLATFORM_KEYS", short), ("PASSYNC_AES", short)]);
    let fault = job(&file, &overrides).unwrap_err();
    for shown in [fault.render(false), fault.to_string(), format!("{fault:?}")] {
        for secret in [secret, short, "hunter2"] {
            assert!(!shown.contains(secret), "{secret} in\n{shown}");
        }
    }
    assert!(fault.to_string().contains("gateway.private_key: expected where the secret is"), "{fault}");
    assert!(fault.to_string().contains("a key never stands in a job file"), "{fault}");
}

#[test]
fn a_variable_that_holds_a_secret_of_the_job_is_no_setting() {
    let file = MINIMAL.replace("env:PLATFORM_KEY", "env:PASSYNC_PLATFORM");
    let environment = [("PASSYNC_PLATFORM", "-----BEGIN"), ("PASSYNC_LOG", "debug")];
    assert!(job(&file, &with(&[], &environment)).is_ok());
    let fault = job(MINIMAL, &with(&[], &environment)).unwrap_err();
    assert!(fault.to_string().contains("PASSYNC_PLATFORM: no setting has this variable"), "{fault}");
}

#[test]
fn what_is_in_force_can_be_shown_and_restored() {
    let file =
        format!("{MINIMAL}[notify]\nurl = \"https://hooks.example/services/T0/B0/token\"\n[guard]\nclosing_max = 7\n");
    let settings = good(&file);
    assert_eq!(settings.in_force["notify"]["url"], "https://hooks.example/***");
    assert_eq!(settings.in_force["gateway"]["private_key"], "file:keys/merchant.pem");
    assert_eq!(settings.in_force["guard"]["closing_max"], 7);
    assert_eq!(settings.in_force["limits"]["quota"], "50/1s");
    let document = toml::to_string(&settings.in_force).unwrap();
    let again = good(&document);
    assert_eq!(again.in_force, settings.in_force);
    let restored = restore(&settings.in_force, &good(MINIMAL)).unwrap_or_else(|fault| panic!("{fault}"));
    assert_eq!(restored.guard.closing_max, 7);
    assert_eq!(restored.input.files, settings.input.files);
    assert_eq!(restored.gateway.private_key, settings.gateway.private_key);
}

#[test]
fn what_is_not_toml_is_shown_where_it_breaks() {
    let faults = faults_of("client_id = \"2110200000000044\"", "client_id = 2110200000000044000000000");
    assert!(faults.contains("ids are text: write them in quotes"), "{faults}");
    assert_eq!(faults_of("url =", "url"), "nightly.toml:7:5: not TOML: key with no value, expected `=`");
}

#[test]
fn the_sandbox_needs_no_keys() {
    let file =
        MINIMAL.replace("https://open.alipay.hk", "sandbox").replace("private_key = \"file:keys/merchant.pem\"", "");
    assert_eq!(good(&file).gateway.url, GatewayUrl::Sandbox);
}

#[test]
fn a_file_that_cannot_be_read_is_named() {
    let fault = load(Path::new("/nowhere/job.toml"), &Overrides::default()).unwrap_err().to_string();
    assert!(fault.starts_with("/nowhere/job.toml: the job file cannot be read: "), "{fault}");
    assert!(load(Path::new("/"), &Overrides::default()).is_err());
}

#[test]
fn what_is_no_job_file_is_told_in_little_time_and_room() {
    let base = "name = \"n\"\ndialect = \"alipayhk-card\"\n[input]\nfiles = [\"a\"]\n[gateway]\nurl = \"sandbox\"\n";
    let size = SIZE_MAX as usize;
    let lines = |line: fn(usize) -> String| (0..size / line(9_999).len()).map(line).collect::<String>();
    for (what, text) in [
        ("no TOML", "=\n".repeat(size / 2)),
        ("unknown keys", lines(|at| format!("k{at} = 1\n"))),
        ("wrong values", format!("{base}[input.columns]\n{}", lines(|at| format!("c{at} = 5\n")))),
        ("a key that is long", format!("{} = 1\n", "k".repeat(size))),
        ("a key that is deep", format!("a{} = 1\n", ".a".repeat(size / 2))),
        ("lists in lists", format!("a = {}", "[".repeat(size))),
        ("tables in tables", format!("a = {}", "{a=".repeat(size / 3))),
    ] {
        let began = std::time::Instant::now();
        let fault = job(&text, &Overrides::default()).expect_err(what);
        let told = fault.render(false).len() + fault.to_string().len();
        assert!((1..=21).contains(&fault.faults().len()), "{what}: {} faults", fault.faults().len());
        assert!(told < 2 << 20, "{what}: {told} bytes");
        // Two seconds at most in a debug build; without a bound it was minutes.
        assert!(began.elapsed() < Duration::from_secs(20), "{what}: {:?}", began.elapsed());
    }
    let many = job(&"=\n".repeat(30), &Overrides::default()).expect_err("no TOML");
    assert!(many.to_string().ends_with("more; mend these first"), "{many}");
}

#[test]
fn no_picture_shows_a_secret() {
    let picture = |fault: &JobFault| format!("{fault}\n{}", fault.render(false));
    for more in [
        "[notify]\nurl = \"https://hooks.example/T0/SECRET\"\nonn = [1]",
        "[notfy]\nurl = \"https://hooks.example/T0/SECRET\"",
        "[metrics]\notlp = 'https://x.example?SECRET'\nfile = 1",
        "[notify]\nurl = \"http://hooks.example/SECRET\"",
        "[limits]\nqouta = 1\n[gateway.x]\napp_auth_tokn = \"SECRET\"",
        "[gateway.x]\naes_key = [\"SECRET\"]",
        "[gateway.x]\nprivate_key = \"file:a.pem\"\nprivate_key = \"SECRET\"",
    ] {
        let said = picture(&job(&format!("{MINIMAL}\n{more}\n"), &Overrides::default()).unwrap_err());
        assert!(!said.contains("SECRET"), "{said}");
    }
    for overrides in [
        with(&["notify.url=http://hooks.example/SECRET"], &[]),
        with(&[], &[("PASSYNC_NOTIFY_URL", "http://hooks.example/SECRET")]),
        with(&[], &[("PASSYNC_GATEWAY_PRIVATE_KEY", "SECRET")]),
    ] {
        let said = picture(&job(MINIMAL, &overrides).unwrap_err());
        assert!(!said.contains("SECRET"), "{said}");
    }
    let said = picture(&job(&MINIMAL.replace("alipay.hk\"", "alipay.hk/x\""), &Overrides::default()).unwrap_err());
    assert!(said.contains("https://open.alipay.hk/*"), "{said}");
    let said = picture(&job(&format!("{MINIMAL}qouta = 1"), &Overrides::default()).unwrap_err());
    assert!(said.contains("env:PLATFORM_KEY"), "{said}");
}
