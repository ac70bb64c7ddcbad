//! Rows from file to file, every call signed, sent and verified: against bare signing, and against asyncio scripts.

use std::process::Command;

use passync::io::cpu;
use passync::wire::crypto::Signer;
use rsa::RsaPrivateKey;
use rsa::pkcs1v15::SigningKey;
use rsa::pkcs8::DecodePrivateKey as _;
use rsa::sha2::Sha256;
use rsa::signature::Signer as _;

use crate::night::{Form, Night, Ran, Shape};
use crate::{Size, input, median, peers};

const STAGES: [&str; 8] = ["survey", "plan", "sign", "verify", "exchange", "ledger", "finish", "other"];

/// Prints the tables.
pub fn compare(size: Size) {
    let night = Night::new();
    input::csv(&night.path("in.csv"), size.calls, 1);
    input::parquet(&night.path("in.parquet"), size.calls, 1);
    let signer = Signer::generate(2048).unwrap();
    let (mut csv, mut parquet, mut tls, mut bare) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    let (mut rsa, mut scripts) = (Vec::new(), [Vec::new(), Vec::new()]);
    let (mut by_aws_lc, mut by_rsa) = (Vec::new(), Vec::new());
    input::mainland(&night.path("mainland.csv"), size.calls);
    let rsa_key = RsaPrivateKey::from_pkcs8_pem(&signer.private_pem()).unwrap();
    let rsa_key = SigningKey::<Sha256>::new(rsa_key);
    for _ in 0..size.runs {
        bare.push(bare_us(2_000, |message| drop(signer.sign(message))));
        rsa.push(bare_us(200, |message| drop(rsa_key.sign(message))));
        csv.push(night.run("in.csv", &Shape::FAST));
        parquet.push(night.run("in.parquet", &Shape::FAST));
        tls.push(night.run("in.csv", &Shape { tls: true, ..Shape::FAST }));
        by_aws_lc.push(night.run("mainland.csv", &Shape { form: Form::RSA2, ..Shape::FAST }));
        by_rsa.push(night.run("mainland.csv", &Shape { form: Form::RSA, ..Shape::FAST }));
        for (http, figures) in ["aiohttp", "httpx"].into_iter().zip(&mut scripts) {
            figures.extend(script(&night, http));
        }
    }
    println!(
        "\n{} calls from row to outcome, {} in flight; medians of {}",
        size.calls,
        Shape::FAST.concurrency,
        size.runs
    );
    stages(&csv);
    let bare = median(bare);
    let (own, own_parquet) = (total(&csv), total(&parquet));
    println!("\n{:<34}{:>14}{:>16}", "", "us cpu a call", "of bare signing");
    let line = |name: &str, us: f64| println!("{name:<34}{us:>14.1}{:>16.2}", us / bare);
    line("bare signature, aws-lc-rs", bare);
    line("bare signature, openssl speed", openssl_us());
    let rsa = median(rsa);
    line("bare signature, rsa crate", rsa);
    line("passync, CSV", own);
    line("passync, Parquet", own_parquet);
    line("passync, CSV, TLS", total(&tls));
    line("  beyond sign and verify, CSV", own - of(&csv, "sign") - of(&csv, "verify"));
    line("passync, mainland, aws-lc-rs", total(&by_aws_lc));
    line("passync, mainland, rsa crate", total(&by_rsa));
    for (http, figures) in ["asyncio, aiohttp", "asyncio, httpx"].into_iter().zip(scripts) {
        line(http, median(figures));
    }
    let seen = |which: fn(&Ran) -> f64| median(csv.iter().map(which));
    println!(
        "\npeak memory {:.0} MiB (CSV), {:.0} MiB (Parquet); {:.0} TLS connections; the gateway itself used {:.1} us a call",
        seen(|ran| ran.usage.peak_mib),
        median(parquet.iter().map(|ran| ran.usage.peak_mib)),
        median(tls.iter().map(|ran| ran.tls_connections as f64)),
        seen(|ran| ran.seen.cpu_s * 1e6 / ran.seen.calls as f64),
    );
}

fn stages(runs: &[Ran]) {
    println!("\n{:<12}{:>14}{:>10}", "stage", "us cpu a call", "share");
    let total = total(runs);
    for stage in STAGES {
        let us = of(runs, stage);
        println!("{stage:<12}{us:>14.1}{:>9.1}%", 100.0 * us / total);
    }
}

fn of(runs: &[Ran], stage: &str) -> f64 {
    median(runs.iter().map(|ran| ran.us_a_call(stage)))
}

fn total(runs: &[Ran]) -> f64 {
    of(runs, "total_us")
}

/// A signature over as many bytes as a call has, microseconds of this thread.
fn bare_us(times: u32, sign: impl Fn(&[u8])) -> f64 {
    let message = [b'x'; 500];
    let before = cpu::of_thread();
    for _ in 0..times {
        sign(std::hint::black_box(&message));
    }
    cpu::of_thread().saturating_sub(before).as_secs_f64() * 1e6 / f64::from(times)
}

/// What `openssl speed` says of its own signatures; `NaN` where there is no openssl.
fn openssl_us() -> f64 {
    let output = Command::new("openssl").args(["speed", "-seconds", "2", "rsa2048"]).output();
    let text = output.map(|output| String::from_utf8_lossy(&output.stdout).into_owned()).unwrap_or_default();
    // "rsa 2048 bits 0.000665s 0.000020s ...": seconds of processor time a signature.
    let line = text.lines().find(|line| line.starts_with("rsa") && line.contains("2048"));
    let seconds = line.and_then(|line| line.split_whitespace().find_map(|word| word.strip_suffix('s')?.parse().ok()));
    seconds.map_or(f64::NAN, |seconds: f64| seconds * 1e6)
}

/// The script's processor time a call, in microseconds.
fn script(night: &Night, http: &str) -> Option<f64> {
    let gateway = night.gateway(&Shape::FAST);
    let path = |name: &str| night.path(name).display().to_string();
    let (input, out, key, platform) = (path("in.csv"), path("out.csv"), path("client.pem"), path("platform.pem"));
    let said = peers::tell(
        "asyncio_script.py",
        &[
            "--input",
            &input,
            "--out",
            &out,
            "--url",
            &gateway.url,
            "--key",
            &key,
            "--platform",
            &platform,
            "--client",
            "2110200000000044",
            "--http",
            http,
        ],
    );
    gateway.stop();
    let said = said?;
    Some(peers::figure(&said, "cpu_s") * 1e6 / peers::figure(&said, "calls"))
}
