//! Two ways to open a gateway: for the `sandbox` command, and inside a run whose `gateway.url` is `sandbox`.
#![expect(clippy::disallowed_methods, reason = "the request log is a file")]

use std::fs::OpenOptions;
use std::io::{self, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::PathBuf;
use std::sync::Arc;

use crate::wire::Dialect;
use crate::wire::crypto::{Signer, Verifier};

use super::config::Config;
use super::keys::{Keys, KeysFault, read_private, read_public};
use super::mount::{Server, Setup};
use super::summary::Summary;

/// A gateway as the command line describes it.
pub struct Options {
    /// Where to listen; port 0 takes a free one.
    pub listen: SocketAddr,
    /// The wire forms, with the client's id in their settings; where several can read a call, the first has it.
    pub dialects: Vec<Arc<dyn Dialect>>,
    /// How it behaves.
    pub config: Config,
    /// The request log, begun afresh: one JSON object a line.
    pub log: Option<PathBuf>,
    /// The caller's public key; else the one of `keys_dir`.
    pub client_key: Option<PathBuf>,
    /// The private key of the replies; else the one of `keys_dir`.
    pub platform_key: Option<PathBuf>,
    /// Where keys that are not given are kept, and made where missing.
    pub keys_dir: PathBuf,
}

/// Why a gateway cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenFault {
    /// A key cannot be had.
    #[error(transparent)]
    Key(#[from] KeysFault),
    /// The request log cannot be begun.
    #[error("the log {path} cannot be begun: {error}", path = path.display())]
    Log {
        /// The file.
        path: PathBuf,
        /// What the system says.
        error: io::Error,
    },
    /// The address cannot be listened on.
    #[error("{addr}: {error}; is another sandbox there? `--listen 127.0.0.1:0` takes a free port")]
    Listen {
        /// The address.
        addr: SocketAddr,
        /// What the system says.
        error: io::Error,
    },
    /// Threads or forgeries fail.
    #[error("the sandbox cannot start: {0}")]
    Start(io::Error),
}

/// Opens the gateway of the `sandbox` command. It serves until it is [stopped](Server::stop) or dropped.
pub fn open(options: Options) -> Result<Server, OpenFault> {
    let Options { listen, dialects, config, log, client_key, platform_key, keys_dir } = options;
    let (client, platform) = match (client_key, platform_key) {
        (Some(client), Some(platform)) => (read_public(&client)?, read_private(&platform)?),
        (client, platform) => {
            let kept = Keys::kept_in(&keys_dir)?;
            let client = client.map_or_else(|| Ok(kept.client.public()), |path| read_public(&path))?;
            (client, platform.map_or(Ok(kept.platform), |path| read_private(&path))?)
        }
    };
    let log = log.map(begin_log).transpose()?;
    let listener = TcpListener::bind(listen).map_err(|error| OpenFault::Listen { addr: listen, error })?;
    Server::start(listener, Setup { dialects, client, platform, config, log }).map_err(OpenFault::Start)
}

fn begin_log(path: PathBuf) -> Result<Box<dyn Write + Send>, OpenFault> {
    let file = OpenOptions::new().write(true).create(true).truncate(true).open(&path);
    file.map(|file| Box::new(file) as _).map_err(|error| OpenFault::Log { path, error })
}

/// A gateway for one run, with keys that nobody else has.
pub struct Embedded {
    server: Server,
    /// What the run signs with.
    pub client: Signer,
    /// What the run verifies with.
    pub platform: Verifier,
}

impl Embedded {
    /// Starts it on a free port of the loopback address, on threads of its own.
    pub fn start(dialect: Arc<dyn Dialect>, config: Config) -> Result<Embedded, OpenFault> {
        let Keys { client, platform } = Keys::throw_away()?;
        let addr = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let listener = TcpListener::bind(addr).map_err(|error| OpenFault::Listen { addr, error })?;
        let verifier = platform.public();
        let setup = Setup { dialects: vec![dialect], client: client.public(), platform, config, log: None };
        let server = Server::start(listener, setup).map_err(OpenFault::Start)?;
        Ok(Embedded { server, client, platform: verifier })
    }

    /// The base URL for the run.
    pub fn url(&self) -> String {
        self.server.url()
    }

    /// The gateway, for a look at what it saw.
    pub fn server(&self) -> &Server {
        &self.server
    }

    /// Ends it.
    pub fn stop(self) -> Summary {
        self.server.stop()
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::super::testing::{CLIENT, Caller, PLATFORM, Plain, verified};
    use super::*;

    fn options(keys_dir: PathBuf) -> Options {
        Options {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            dialects: vec![Arc::new(Plain)],
            config: Config::default(),
            log: None,
            client_key: None,
            platform_key: None,
            keys_dir,
        }
    }

    #[test]
    fn an_embedded_gateway_has_keys_of_its_own() {
        let embedded = Embedded::start(Arc::new(Plain), Config::default()).unwrap();
        assert!(embedded.url().starts_with("http://127.0.0.1:"));
        let mut caller = Caller::connect(embedded.server());
        caller.send(&Plain.request(b"C1 B1 10", 0, &embedded.client));
        let (reply, _) = caller.receive().unwrap();
        assert!(embedded.platform.verify(&reply.body, &Plain::signature(&reply)));
        assert_eq!(reply.body, b"SUCCESS");
        assert_eq!(caller.call("C1 B1 10").unwrap().0.body, b"INVALID_SIGNATURE", "another key");
        assert_eq!(embedded.stop().applied, 1);
    }

    #[test]
    fn given_keys_and_a_log_are_used() {
        let dir = tempfile::tempdir().unwrap();
        let file = |name: &str| dir.path().join(name);
        std::fs::write(file("caller.pub.pem"), CLIENT.public_pem()).unwrap();
        std::fs::write(file("gateway.pem"), PLATFORM.private_pem().as_bytes()).unwrap();
        std::fs::set_permissions(file("gateway.pem"), PermissionsExt::from_mode(0o600)).unwrap();
        std::fs::write(file("calls.jsonl"), "of an earlier life").unwrap();
        let server = open(Options {
            client_key: Some(file("caller.pub.pem")),
            platform_key: Some(file("gateway.pem")),
            log: Some(file("calls.jsonl")),
            ..options(file("unused"))
        })
        .unwrap();
        let (reply, _) = Caller::connect(&server).call("C1 B1 10").unwrap();
        assert_eq!(verified(&reply), Some(true));
        server.stop();
        let log = std::fs::read_to_string(file("calls.jsonl")).unwrap();
        assert_eq!(log.lines().count(), 1);
        assert!(log.starts_with("{\"exchange\":1,"), "{log}");
        assert!(!file("unused").exists(), "no keys were needed");
    }

    #[test]
    fn what_cannot_be_opened_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let keys = || dir.path().join("keys");
        let taken = open(options(keys())).unwrap();
        let fault = |options: Options| open(options).err().unwrap().to_string();
        let busy = fault(Options { listen: taken.addr(), ..options(keys()) });
        assert!(busy.contains(&taken.addr().to_string()) && busy.contains("--listen 127.0.0.1:0"), "{busy}");
        let log = fault(Options { log: Some(dir.path().join("no/calls.jsonl")), ..options(keys()) });
        assert!(log.contains("no/calls.jsonl"), "{log}");
        let key = fault(Options { client_key: Some(keys().join("none.pem")), ..options(keys()) });
        assert!(key.contains("none.pem"), "{key}");
    }
}
