//! A folder with keys, inputs and a job, and the program run in it.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use passync::wire::crypto::Signer;
use serde_json::Value;

use crate::front::Front;
use crate::gateway::{Gateway, Seen};
use crate::process::{self, Usage};

/// What varies between nights.
#[derive(Clone, Copy, Debug)]
pub struct Shape {
    /// Rows in flight.
    pub concurrency: u32,
    /// The quota, as the job file has it.
    pub quota: &'static str,
    /// `strict` or `paced`.
    pub mode: &'static str,
    /// What the gateway takes for a call.
    pub delay: Duration,
    /// Whether calls go through TLS, spoken by this very process.
    pub tls: bool,
    /// What is spoken.
    pub form: Form,
    /// Additional lines of the job file.
    pub more: &'static str,
}

/// A dialect, and the lines of `[gateway]` that are its own.
#[derive(Clone, Copy, Debug)]
pub struct Form {
    dialect: &'static str,
    gateway: &'static str,
}

impl Form {
    /// `AlipayHK` membership cards.
    pub const CARD: Form =
        Form { dialect: "alipayhk-card", gateway: "merchant_id = '2160120036095023'\nclient_id = '2110200000000044'" };
    /// Mainland cards, signed by aws-lc-rs.
    pub const RSA2: Form = Form { dialect: "marketing-card", gateway: "app_id = '2014072300007148'" };
    /// The same signed by the `rsa` crate, which has all SHA-1 signatures.
    pub const RSA: Form = Form { dialect: "marketing-card", gateway: "app_id = '2014072300007148'\nsign_type = 'RSA'" };
}

impl Shape {
    /// 128 in flight, and a quota that never says no.
    pub const FAST: Shape = Shape {
        concurrency: 128,
        quota: "100000/1s",
        mode: "paced",
        delay: Duration::from_millis(5),
        tls: false,
        form: Form::CARD,
        more: "",
    };
}

/// A folder of a night.
pub struct Night {
    dir: tempfile::TempDir,
    platform: String,
}

/// What a run did and used.
#[derive(Clone, Debug)]
pub struct Ran {
    /// Of the whole process.
    pub usage: Usage,
    /// What `--json --timings` says.
    pub told: Value,
    /// What the gateway saw.
    pub seen: Seen,
    /// Connections that were made through TLS.
    pub tls_connections: u64,
}

impl Night {
    /// A new folder, on the disk of the build.
    pub fn new() -> Night {
        let below = Path::new(env!("CARGO_TARGET_TMPDIR"));
        let dir = tempfile::Builder::new().prefix("bench-").tempdir_in(below).unwrap();
        let (client, platform) = (Signer::generate(2048).unwrap(), Signer::generate(2048).unwrap());
        let night = Night { dir, platform: platform.private_pem().to_string() };
        std::fs::write(night.path("client.pem"), client.private_pem().as_bytes()).unwrap();
        let private = std::os::unix::fs::PermissionsExt::from_mode(0o600);
        std::fs::set_permissions(night.path("client.pem"), private).unwrap();
        std::fs::write(night.path("platform.pem"), platform.public_pem()).unwrap();
        night
    }

    /// A file of the folder.
    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// A gateway for such a job.
    pub fn gateway(&self, shape: &Shape) -> Gateway {
        let Form { dialect, gateway } = shape.form;
        Gateway::start(dialect, gateway, &self.platform, shape.delay)
    }

    /// Writes the job file.
    pub fn job(&self, input: &str, url: &str, shape: &Shape) {
        let Shape { concurrency, quota, mode, more, form, .. } = shape;
        let own: String = form.gateway.lines().map(|line| format!("gateway.{line}\n")).collect();
        let text = format!(
            "name = 'bench'\ndialect = '{}'\ninput.files = ['{input}']\ngateway.url = '{url}'\n\
             gateway.allow_insecure_loopback = true\ngateway.private_key = 'file:client.pem'\n\
             gateway.platform_keys = ['file:platform.pem']\nlimits.quota = '{quota}'\nlimits.quota_mode = '{mode}'\n\
             limits.concurrency = {concurrency}\noutput.dir = 'out'\nledger.url = 'state/ledger.db'\n{own}{more}\n",
            form.dialect
        );
        std::fs::write(self.path("job.toml"), text).unwrap();
    }

    /// The program.
    pub fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_passync"));
        command.current_dir(self.dir.path()).args(args).env_clear();
        command
    }

    /// Runs a command of the program that must end well; `--json` is on.
    pub fn tell(&self, args: &[&str]) -> (Usage, Value) {
        let (usage, output) = process::run(self.command(args).arg("--json"));
        let text = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "passync {args:?}: {text}");
        (usage, serde_json::from_slice(&output.stdout).unwrap())
    }

    /// A whole run of `input` against a gateway of its own, with a new ledger.
    pub fn run(&self, input: &str, shape: &Shape) -> Ran {
        for old in ["state", "out"] {
            let _ = std::fs::remove_dir_all(self.path(old));
        }
        self.run_on(input, shape)
    }

    /// A whole run of `input` against a gateway of its own, with the ledger that is there.
    pub fn run_on(&self, input: &str, shape: &Shape) -> Ran {
        let gateway = self.gateway(shape);
        let front = shape.tls.then(|| Front::of(gateway.url.trim_start_matches("http://").parse().unwrap()));
        std::fs::write(self.path("ca.pem"), front.as_ref().map_or("", |front| &front.certificate)).unwrap();
        let shape = front.as_ref().map_or(*shape, |_| Shape { more: "gateway.ca_file = 'ca.pem'", ..*shape });
        self.job(input, &front.as_ref().map_or(gateway.url.clone(), Front::url), &shape);
        let (usage, told) = self.tell(&["run", "job.toml", "--timings"]);
        let tls_connections = front.map_or(0, |front| front.handshakes());
        Ran { usage, told, seen: gateway.stop(), tls_connections }
    }
}

impl Ran {
    /// Processor time of a stage, or `total_us`, in microseconds a call.
    pub fn us_a_call(&self, stage: &str) -> f64 {
        self.us(stage) / self.seen.calls as f64
    }

    /// Processor time of a stage, or `total_us`, in microseconds.
    pub fn us(&self, stage: &str) -> f64 {
        let timings = &self.told["timings"];
        let stages = timings["stages"].as_array().unwrap();
        let found = stages.iter().find(|found| found["name"] == stage).map_or(&timings[stage], |found| &found["us"]);
        found.as_f64().unwrap()
    }
}
