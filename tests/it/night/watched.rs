//! Those who watch from outside: metrics, a webhook. They are told the truth, and decide nothing.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use serde_json::Value;

use super::*;
use passync::sandbox::Config;

/// Somebody who is told things: what each request said.
struct Listener {
    address: std::net::SocketAddr,
    heard: Arc<Mutex<Vec<(String, Value)>>>,
}

impl Listener {
    /// One that answers with this; `None`: never.
    fn answering(answer: Option<&'static str>) -> Listener {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let heard: Arc<Mutex<Vec<_>>> = Arc::default();
        let (address, books) = (listener.local_addr().unwrap(), Arc::clone(&heard));
        std::thread::spawn(move || {
            let mut silent = Vec::new();
            for stream in listener.incoming().flatten() {
                let request = read(&stream);
                books.lock().unwrap().push(request);
                match answer {
                    Some(answer) => (&stream).write_all(answer.as_bytes()).unwrap(),
                    None => silent.push(stream), // kept open
                }
            }
        });
        Listener { address, heard }
    }

    fn setting(&self, key: &str, path: &str) -> String {
        format!("{key}=http://{}{path}", self.address)
    }

    fn heard(&self) -> Vec<(String, Value)> {
        self.heard.lock().unwrap().clone()
    }
}

/// The first line of a request, and its body.
fn read(stream: &TcpStream) -> (String, Value) {
    let mut reader = BufReader::new(stream);
    let mut head = Vec::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).unwrap();
        if line.trim().is_empty() {
            break;
        }
        head.push(line.trim().to_owned());
    }
    let length = head.iter().find_map(|line| line.to_lowercase().strip_prefix("content-length: ")?.parse().ok());
    let mut body = vec![0; length.expect("a length")];
    reader.read_exact(&mut body).unwrap();
    (head[0].clone(), serde_json::from_slice(&body).expect("JSON"))
}

const OK: &str = "HTTP/1.1 204 No Content\r\n\r\n";

/// The value of a series in a text file.
fn metric(text: &str, series: &str) -> Option<f64> {
    let (name, more) = series.split_once('{').unwrap_or((series, "}"));
    let more = if more == "}" { more.to_owned() } else { format!(",{more}") };
    let key = format!("{name}{{job=\"night\",dialect=\"alipayhk-card\"{more} ");
    text.lines().find_map(|line| line.strip_prefix(&key)?.parse().ok())
}

#[test]
fn the_text_file_adds_nights_up_and_remembers_the_last_success() {
    let night = Night::new(
        scripted(&[("220230343242343442433300001", "refuse:PASS_HAS_NOT_EXIST")]),
        r#"metrics.textfile = "night.prom"
 run.halt_after_errors = "off""#,
    );
    let rows = deltas(20, 1);
    night.write("in.csv", &as_csv(&rows));
    night.expect(1, &["run", "job.toml"]);
    let first = std::fs::read_to_string(night.path("night.prom")).unwrap();
    for (series, value) in [
        ("passync_attempts_total", 20.0),
        ("passync_rows_total{outcome=\"applied\"}", 19.0),
        ("passync_run_rows{outcome=\"refused\"}", 1.0),
        ("passync_attempt_duration_seconds_count", 20.0),
        ("passync_last_run_exit_code", 1.0),
        ("passync_run_in_progress", 0.0),
        ("passync_open_rows", 0.0),
        ("passync_quota_attempts", 2000.0),
    ] {
        assert_eq!(metric(&first, series), Some(value), "{series}\n{first}");
    }
    assert!(metric(&first, "passync_ledger_size_bytes").unwrap() > 4096.0, "{first}");
    let mode = std::fs::metadata(night.path("night.prom")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o644, "the collector is another user");

    night.expect(1, &["run", "job.toml", "--again"]);
    let second = std::fs::read_to_string(night.path("night.prom")).unwrap();
    assert_eq!(metric(&second, "passync_attempts_total"), Some(20.0), "nothing was sent twice:\n{second}");
    assert_eq!(metric(&second, "passync_rows_total{outcome=\"already_applied\"}"), Some(19.0));
    assert_eq!(metric(&second, "passync_rows_total{outcome=\"applied\"}"), Some(19.0));
    assert_eq!(metric(&second, "passync_attempt_duration_seconds_count"), Some(20.0));

    // The input is refused: that is no success, and takes none away.
    night.expect(3, &["run", "job.toml"]);
    let third = std::fs::read_to_string(night.path("night.prom")).unwrap();
    assert_eq!(metric(&third, "passync_last_run_exit_code"), Some(3.0));
    let success = "passync_last_success_timestamp_seconds";
    assert!(metric(&second, success).is_some());
    assert_eq!(metric(&third, success), metric(&second, success));
    // So says the ledger, too, where the file is lost.
    std::fs::remove_file(night.path("night.prom")).unwrap();
    night.expect(3, &["run", "job.toml"]);
    let fourth = std::fs::read_to_string(night.path("night.prom")).unwrap();
    assert_eq!(metric(&fourth, success), metric(&second, success));
    assert_eq!(metric(&fourth, "passync_attempts_total"), Some(0.0));
}

#[test]
fn a_job_that_cannot_be_opened_is_told_as_far_as_it_says_to_whom() {
    let night = Night::new(Config::default(), "metrics.textfile = \"night.prom\"");
    night.write("in.csv", &as_csv(&deltas(4, 1)));
    night.expect(0, &["run", "job.toml"]);
    let listener = Listener::answering(Some(OK));
    let hook = listener.setting("notify.url", "/hook");
    let run = |exit: i32, job: &str, more: &[&str]| {
        night.expect(exit, &[&["run", job, "--set", &hook, "--set", "notify.on=[2, 3, 75]"], more].concat())
    };
    let job = std::fs::read_to_string(night.path("job.toml")).unwrap();
    // A setting of another table, a key that does not exist, a dialect's own setting, a secret that is not there.
    night.write("quota.toml", &job.replace("2000/1s", "many"));
    night.write("unknown.toml", &(job.clone() + "\n limits.qouta = \"1/1s\"\n"));
    night.write("dialect.toml", &(job.clone() + "\n gateway.bill_fields = \"perhaps\"\n"));
    night.write("key.toml", &job.replace("file:merchant.pem", "file:nowhere.pem"));
    for (told, (job, word)) in [
        ("quota.toml", "limits.quota: expected"),
        ("unknown.toml", "did you mean `quota`?"),
        ("dialect.toml", "bill_fields"),
        ("key.toml", "nowhere.pem"),
    ]
    .into_iter()
    .enumerate()
    {
        std::fs::write(night.path("night.prom"), metrics_with_exit(&night, 0)).unwrap();
        run(2, job, &[]);
        let heard = listener.heard();
        assert_eq!(heard.len(), told + 1, "{job}: {heard:?}");
        let notice = &heard[told].1;
        assert_eq!((&notice["job"], &notice["exit"], &notice["run"]), (&"night".into(), &2.into(), &Value::Null));
        assert!(notice["reason"].as_str().unwrap().contains(word), "{job}: {notice}");
        let text = std::fs::read_to_string(night.path("night.prom")).unwrap();
        assert_eq!(metric(&text, "passync_last_run_exit_code"), Some(2.0), "{job}: {text}");
        assert_eq!(metric(&text, "passync_attempts_total"), Some(4.0), "{job}: what was counted stays:\n{text}");
        assert!(metric(&text, "passync_last_success_timestamp_seconds").is_some(), "{job}: {text}");
    }
    let told = listener.heard().len();
    run(3, "job.toml", &["--input", "nowhere.csv"]);
    assert!(listener.heard()[told].1["reason"].as_str().unwrap().contains("nowhere.csv"));

    // Who it is cannot be told: nobody hears, and the text file is left as it is.
    let before = std::fs::read_to_string(night.path("night.prom")).unwrap();
    night.write("broken.toml", &(job.clone() + "\n [limits\n"));
    night.write("nameless.toml", &job.replace("name = \"night\"", "name = \"no name\""));
    for job in ["broken.toml", "nameless.toml", "nowhere.toml"] {
        run(2, job, &[]);
        assert_eq!(listener.heard().len(), told + 1, "{job}");
        assert_eq!(std::fs::read_to_string(night.path("night.prom")).unwrap(), before, "{job}");
    }
    // `check` is asked by somebody who sees the answer.
    night.expect(2, &["check", "quota.toml", "--set", &hook, "--set", "notify.on=[2]"]);
    assert_eq!(listener.heard().len(), told + 1);
}

/// The text file, as if the last run had ended so.
fn metrics_with_exit(night: &Night, exit: u8) -> String {
    let text = std::fs::read_to_string(night.path("night.prom")).unwrap();
    let lines = text.lines().map(|line| match line.rsplit_once(' ') {
        Some((series, _)) if series.starts_with("passync_last_run_exit_code{") => format!("{series} {exit}\n"),
        _ => format!("{line}\n"),
    });
    lines.collect()
}

#[test]
fn the_rows_of_a_reopened_run_are_counted_once() {
    let night = Night::new(Config::default(), "metrics.textfile = \"night.prom\"");
    night.write("in.csv", &as_csv(&deltas(20, 1)));
    let rows = |outcome: &str| {
        let text = std::fs::read_to_string(night.path("night.prom")).unwrap();
        metric(&text, &format!("passync_rows_total{{outcome=\"{outcome}\"}}")).unwrap()
    };
    night.expect(5, &["run", "job.toml", "--canary", "5"]);
    assert_eq!((rows("applied"), rows("unsent")), (5.0, 15.0));
    night.expect(5, &["run", "job.toml", "--canary", "8"]);
    let applied = rows("applied");
    assert!(applied > 5.0 && applied < 20.0, "{applied}");
    night.expect(0, &["run", "job.toml"]);
    assert_eq!((rows("applied"), rows("unsent")), (20.0, 15.0), "what ended so, once for each row");
    let first: f64 = night.counts()["applied"] as f64;
    night.expect(0, &["run", "job.toml", "--again"]);
    assert_eq!((rows("applied"), rows("already_applied")), (first, first), "another run is counted");
}

#[test]
fn a_text_file_that_cannot_be_written_costs_a_warning() {
    let night = Night::new(Config::default(), r#"metrics.textfile = "nowhere/night.prom""#);
    night.write("in.csv", &as_csv(&deltas(3, 1)));
    let said = night.expect(0, &["run", "job.toml"]);
    assert!(said.contains("no metrics: cannot begin") && said.contains("nowhere/night.prom"), "{said}");
}

#[test]
fn the_webhook_is_told_what_a_person_needs_and_no_more() {
    let night = Night::new(
        scripted(&[("220230343242343442433300001", "refuse:PASS_HAS_NOT_EXIST")]),
        "run.halt_after_errors = 'off'",
    );
    night.write("in.csv", &as_csv(&deltas(5, 1)));
    let (listener, secret) = (Listener::answering(Some(OK)), "/services/T0/token");
    let hook = listener.setting("notify.url", secret);
    // However it is written, it stands in no next command.
    night.expect(1, &["run", "job.toml", "--set", &hook.replace("url=", "url = ")]);
    let heard = listener.heard();
    let [(line, notice)] = &heard[..] else { panic!("{heard:?}") };
    assert_eq!(line, &format!("POST {secret} HTTP/1.1"));
    assert_eq!((&notice["job"], &notice["exit"]), (&"night".into(), &1.into()));
    assert_eq!(notice["run"], night.manifest()["run"]);
    assert_eq!((&notice["rows"]["applied"], &notice["rows"]["refused"]), (&4.into(), &1.into()));
    assert_eq!((&notice["failures"], &notice["open_rows"], &notice["attempts"]), (&1.into(), &0.into(), &5.into()));
    assert!(notice["next"][0].as_str().unwrap().contains("replay job.toml"), "{notice}");
    assert!(notice["text"].as_str().unwrap().contains("night ended with 1"), "{notice}");
    let page = std::fs::read_to_string(night.path("out/night/latest/report.html")).unwrap();
    assert!(page.contains("Next: a person looks at 1 row") && !page.contains("T0/token"), "{page}");
    let text = notice.to_string();
    assert!(!text.contains("T0/token"), "the next command does without the token: {text}");
    assert!(!text.contains("2160220037090534") && !text.contains("0029000001"), "no personal id: {text}");

    // A refused input is told, too; a good end is not, unless it is wanted.
    night.expect(3, &["run", "job.toml", "--set", &hook]);
    assert!(listener.heard()[1].1["reason"].as_str().unwrap().contains("has read the same inputs"));
    night.write("in.csv", &as_csv(&deltas(1, 1)));
    night.expect(0, &["run", "job.toml", "--set", &hook]);
    assert_eq!(listener.heard().len(), 2);
    night.expect(0, &["run", "job.toml", "--again", "--set", &hook, "--set", "notify.on=[0]"]);
    assert_eq!(listener.heard()[2].1["exit"], 0);
    let manifest = night.manifest().to_string();
    assert!(manifest.contains("notify") && !manifest.contains("T0/token"), "{manifest}");
}

#[test]
fn a_webhook_may_be_a_secret() {
    let night = Night::new(Config::default(), "notify.url = \"env:HOOK\"\nnotify.on = [0]");
    night.write("in.csv", &as_csv(&deltas(1, 1)));
    let listener = Listener::answering(Some(OK));
    let told = |url: &str| {
        let mut command = night.command(&["run", "job.toml", "--again"]);
        let output = command.env("HOOK", url).output().unwrap();
        assert_eq!(output.status.code(), Some(0));
        String::from_utf8(output.stderr).unwrap()
    };
    told(&format!("http://{}/hook\n", listener.address));
    assert_eq!(listener.heard().len(), 1);
    let said = told("http://example.com/token");
    assert!(said.contains("env:HOOK holds no https:// address") && !said.contains("token"), "{said}");
    assert!(night.expect(0, &["run", "job.toml", "--again"]).contains("the environment has no variable HOOK"));
}

#[test]
fn no_webhook_can_change_how_a_run_ends() {
    let night = Night::new(Config::default(), "notify.on = [0]");
    night.write("in.csv", &as_csv(&deltas(2, 1)));
    let dead = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap(); // nobody listens behind this line
    let elsewhere = Listener::answering(Some(OK));
    let moved = format!("HTTP/1.1 307 Moved\r\nLocation: http://{}/x\r\nContent-Length: 0\r\n\r\n", elsewhere.address);
    let busy = Listener::answering(Some("HTTP/1.1 503 Busy\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"));
    let (moved, silent) = (Listener::answering(Some(moved.leak())), Listener::answering(None));
    for (hook, word) in [
        (format!("notify.url=http://{dead}/secret"), "refused"),
        (moved.setting("notify.url", "/secret"), "HTTP 307"),
        (busy.setting("notify.url", "/secret"), "HTTP 503"),
        (silent.setting("notify.url", "/secret"), "timed out"),
    ] {
        let began = Instant::now();
        let said = night.expect(0, &["run", "job.toml", "--again", "--set", &hook]);
        assert!(said.contains("notify.url was not told") && said.contains(word), "{hook}: {said}");
        assert!(!said.contains("secret"), "the path may be a token: {said}");
        assert!(began.elapsed() < Duration::from_secs(20), "{hook}");
    }
    assert_eq!(
        (busy.heard().len(), moved.heard().len(), silent.heard().len()),
        (2, 1, 1),
        "a second try where it may help"
    );
    assert!(elsewhere.heard().is_empty(), "what we tell is for nobody else");
}

#[test]
fn addresses_that_watch_are_https() {
    let night = Night::new(Config::default(), "");
    for setting in
        ["notify.url=http://example.com/x", "metrics.otlp=http://example.com", "notify.url=https://u:p@example.com"]
    {
        assert!(
            night.expect(2, &["check", "job.toml", "--set", setting]).contains("expected https://host"),
            "{setting}"
        );
    }
    assert!(night.expect(2, &["check", "job.toml", "--set", "metrics.textfile=metrics.txt"]).contains("ends in .prom"));
}

#[test]
fn the_log_tells_each_attempt_within_its_run() {
    let night = Night::new(scripted(&[("220230343242343442433300001", "429")]), "");
    night.write("in.csv", &as_csv(&deltas(3, 1)));
    let heard = |words: &[&str]| {
        let output = night.command(&[&["run", "job.toml", "--log-format", "json"], words].concat()).output().unwrap();
        let log = String::from_utf8(output.stderr).unwrap();
        let lines = log.lines().map(|line| serde_json::from_str::<Value>(line).expect("each line is JSON"));
        lines.filter(|line| line["message"] == "heard").collect::<Vec<_>>()
    };
    let lines = heard(&["-v"]);
    assert!(lines.len() >= 4, "{lines:?}");
    let manifest = night.manifest();
    for line in &lines {
        assert_eq!(line["spans"][0]["run"], manifest["run"], "{line}");
        let attempt = &line["span"];
        assert_eq!((&attempt["name"], attempt["card"].as_str().unwrap()), (&"attempt".into(), "00…"), "{line}");
        assert!(attempt["bill"].as_str().unwrap().starts_with("2202303432423434424333"), "{line}");
        assert!(line["verdict"].is_string() && line["code"].is_string() && line["trace_id"].is_string(), "{line}");
    }
    let throttled = lines.iter().find(|line| line["verdict"] == "throttled").expect("a throttle");
    assert_eq!(throttled["span"]["attempt"], 1);
    assert!(lines.iter().any(|line| line["span"]["attempt"].as_u64() >= Some(2)), "{lines:?}");

    night.write("in.csv", &as_csv(&deltas(5, 1)[3..]));
    assert!(heard(&[]).is_empty(), "nothing is said of attempts unless it is asked for");
    night.write("in.csv", &as_csv(&deltas(6, 1)[5..]));
    assert_eq!(heard(&["-vv", "--log-pii"])[0]["span"]["card"], "0029000005");
}

#[test]
fn the_last_screen_says_what_differs_from_the_run_before() {
    let night = Night::new(
        scripted(&[("220230343242343442433300005", "refuse:PASS_HAS_NOT_EXIST")]),
        "run.halt_after_errors = 'off'",
    );
    let rows = deltas(6, 1);
    night.write("in.csv", &as_csv(&rows[..4]));
    assert!(!night.expect(0, &["run", "job.toml"]).contains("before"), "there is none before it");
    let first = night.manifest()["run"].as_str().unwrap().to_owned();
    night.write("in.csv", &as_csv(&rows[4..]));
    let said = night.expect(1, &["run", "job.toml"]);
    for line in [
        &format!("  before    run {first} had\n"),
        "rows                     4, now 2\n",
        "refused                  0, now 1\n",
    ] {
        assert!(said.contains(line), "{line}\n{said}");
    }
    night.write("in.csv", &as_csv(&rows[..1]));
    let output = night.passync(&["run", "job.toml", "--json"]).1;
    let json: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(json["versus"]["changes"][0], serde_json::json!({ "what": "rows", "unit": "", "before": 2, "now": 1 }));
}

#[test]
fn a_collector_is_told_of_each_attempt_and_of_the_run() {
    let night = Night::new(scripted(&[("220230343242343442433300001", "429")]), "");
    night.write("in.csv", &as_csv(&deltas(4, 1)));
    let collector = Listener::answering(Some("HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}"));
    night.expect(1, &["run", "job.toml", "--log-pii", "--set", &collector.setting("metrics.otlp", "/")]);
    let heard = collector.heard();
    let of =
        |path: &str| heard.iter().filter(|(line, _)| line.contains(path)).map(|(_, body)| body).collect::<Vec<_>>();
    let batches = of("POST /v1/traces ").into_iter().flat_map(|body| {
        let scopes = &body["resourceSpans"][0]["scopeSpans"][0]["spans"];
        scopes.as_array().unwrap().clone()
    });
    let (runs, attempts): (Vec<Value>, Vec<Value>) = batches.partition(|span| span["name"] == "run");
    let [run] = &runs[..] else { panic!("{runs:?}") };
    let known = |span: &Value, key: &str| {
        let attributes = span["attributes"].as_array().unwrap().clone();
        let found = attributes.into_iter().find(|attribute| attribute["key"] == key).unwrap();
        found["value"].as_object().unwrap().values().next().unwrap().as_str().unwrap().to_owned()
    };
    assert_eq!(known(run, "passync.run"), night.manifest()["run"].as_str().unwrap());
    assert_eq!(attempts.len() as u64, night.manifest()["calls"]["attempts"].as_u64().unwrap());
    for attempt in &attempts {
        assert_eq!((&attempt["traceId"], &attempt["parentSpanId"]), (&run["traceId"], &run["spanId"]));
        assert_eq!(known(attempt, "passync.card"), "00…", "whatever the log may show");
        let ns = |span: &Value, key: &str| span[key].as_str().unwrap().parse::<u64>().unwrap();
        assert!(ns(attempt, "startTimeUnixNano") <= ns(attempt, "endTimeUnixNano"));
        assert_eq!(known(attempt, "passync.verdict") == "applied", attempt["status"] == serde_json::json!({}));
    }
    let metrics = of("POST /v1/metrics ");
    let last = &metrics.last().unwrap()["resourceMetrics"][0];
    assert!(last["resource"].to_string().contains("\"night\""));
    let metrics = last["scopeMetrics"][0]["metrics"].as_array().unwrap();
    let counted = metrics.iter().find(|metric| metric["name"] == "passync_attempts_total").unwrap();
    assert_eq!(counted["sum"]["dataPoints"][0]["asDouble"].as_f64(), Some(attempts.len() as f64));
}

#[test]
fn no_collector_can_change_how_a_run_ends() {
    let night = Night::new(Config::default(), "");
    night.write("in.csv", &as_csv(&deltas(50, 1)));
    let dead = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let silent = Listener::answering(None);
    for (collector, word) in
        [(format!("metrics.otlp=http://{dead}/x"), "refused"), (silent.setting("metrics.otlp", "/x"), "timed out")]
    {
        let began = Instant::now();
        night.write("in.csv", &as_csv(&deltas(50, 1)));
        let said = night.expect(0, &["run", "job.toml", "--again", "--set", &collector]);
        assert!(said.contains("does not take what it is told") && said.contains(word), "{said}");
        assert!(began.elapsed() < Duration::from_secs(15), "{collector}");
    }
}

#[test]
fn the_doctor_says_who_will_not_be_told() {
    let night = Night::new(Config::default(), "metrics.textfile = \"nowhere/night.prom\"\nnotify.url = \"env:HOOK\"");
    night.write("in.csv", &as_csv(&deltas(1, 1)));
    let said = night.expect(0, &["doctor", "job.toml"]);
    for word in ["nowhere is no folder: no metrics are written", "the environment has no variable HOOK"] {
        assert!(said.contains(word), "{word}\n{said}");
    }
}

#[test]
fn after_half_a_minute_log_and_text_file_say_how_it_goes() {
    const ROWS: u64 = 36; // a second each
    let night = Night::new(Config::default(), "metrics.textfile = \"night.prom\"\nrun.finish_by = \"\"");
    night.write("in.csv", &as_csv(&deltas(ROWS, 1)));
    let mut command = night.command(&["run", "job.toml", "--log-format", "json", "--set", "limits.quota=1/1s"]);
    let run = command.stdout(std::process::Stdio::null()).stderr(std::process::Stdio::piped()).spawn().unwrap();
    wait_for(|| night.path("night.prom").exists());
    let during = std::fs::read_to_string(night.path("night.prom")).unwrap();
    assert_eq!(metric(&during, "passync_run_in_progress"), Some(1.0), "{during}");
    assert_eq!(metric(&during, "passync_last_run_exit_code"), None, "none has ended yet");
    let attempts = metric(&during, "passync_attempts_total").unwrap();
    assert!((5.0..36.0).contains(&attempts), "{attempts}");
    let output = run.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(0));
    let log = String::from_utf8(output.stderr).unwrap();
    let lines = log.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let line = lines.into_iter().find(|line| line["message"] == "sending").expect("a line every 30 s");
    assert_eq!(
        (&line["run"], &line["planned"], &line["quota"]),
        (&night.manifest()["run"], &ROWS.into(), &"1/1s".into())
    );
    assert!(line["outcomes"].as_str().unwrap().ends_with(" applied"), "{line}");
    let ended = std::fs::read_to_string(night.path("night.prom")).unwrap();
    assert_eq!(metric(&ended, "passync_attempts_total"), Some(ROWS as f64), "{ended}");
    assert_eq!(metric(&ended, "passync_run_in_progress"), Some(0.0));
}
