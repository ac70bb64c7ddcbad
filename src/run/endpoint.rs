//! Where calls go and which keys speak: a real gateway, or the embedded sandbox.

use std::sync::Arc;

use super::Fault;
use super::pool::Tools;
use crate::io::gateway::{Gateway, GatewayConfig};
use crate::io::job::settings::{GatewayUrl, Settings};
use crate::io::keys::{self, Kind};
use crate::sandbox::{self, Embedded};
use crate::wire::crypto::{Signer, Verifier};
use crate::wire::{self, Dialect};

/// Everything that a call needs.
pub struct Endpoint {
    /// Keys and wire form.
    pub tools: Tools,
    /// The client.
    pub gateway: Gateway,
    /// What quota stamps are keyed by: gateway and client.
    pub quota_scope: String,
    /// The embedded sandbox: it ends with the endpoint.
    _embedded: Option<Embedded>,
}

/// The dialect of a job.
pub fn dialect(settings: &Settings) -> Result<Arc<dyn Dialect>, Fault> {
    entry(settings)?.open(&settings.gateway.table, &keys::vault).map(Arc::from).map_err(Fault::usage)
}

/// The dialect of a job without its secrets, which whoever proves a run may not have.
pub fn dialect_unopened(settings: &Settings) -> Result<Arc<dyn Dialect>, Fault> {
    entry(settings)?.unopened(&settings.gateway.table).map(Arc::from).map_err(Fault::usage)
}

fn entry(settings: &Settings) -> Result<&'static wire::Entry, Fault> {
    wire::entry(&settings.dialect).ok_or_else(|| Fault::usage(format!("dialect `{}` is not known", settings.dialect)))
}

impl Endpoint {
    /// Loads keys, sets the client up, starts the sandbox if it is the gateway. Nothing is sent.
    pub fn open(settings: &Settings, dialect: &Arc<dyn Dialect>) -> Result<Endpoint, Fault> {
        let (url, signer, verifiers, embedded) = match &settings.gateway.url {
            GatewayUrl::Sandbox => {
                let embedded = Embedded::start(Arc::clone(dialect), sandbox_config(settings)?).map_err(Fault::usage)?;
                let keys = (embedded.client.clone(), vec![embedded.platform.clone()]);
                (embedded.url(), keys.0, keys.1, Some(embedded))
            }
            GatewayUrl::Url(url) => {
                let (signer, verifiers) = load_keys(settings, &**dialect)?;
                (url.clone(), signer, verifiers, None)
            }
        };
        let gateway = Gateway::new(&GatewayConfig {
            url: url.clone(),
            connect_timeout: settings.gateway.connect_timeout,
            request_timeout: settings.gateway.request_timeout,
            proxy: settings.gateway.proxy.clone(),
            ca_file: settings.gateway.ca_file.clone(),
        })
        .map_err(Fault::usage)?;
        let tools = Tools { dialect: Arc::clone(dialect), signer, verifiers: verifiers.into() };
        // The embedded one is at another port each time, and yet the same.
        let host = if embedded.is_some() { "sandbox" } else { &url };
        let quota_scope = format!("{host} {}", dialect.client());
        Ok(Endpoint { tools, gateway, quota_scope, _embedded: embedded })
    }
}

/// The keys of a job, checked against the commonest mix-up. `dialect` may bring keys of its own.
pub fn load_keys(settings: &Settings, dialect: &dyn Dialect) -> Result<(Signer, Vec<Verifier>), Fault> {
    let secret = settings
        .gateway
        .private_key
        .as_ref()
        .ok_or_else(|| Fault::usage("gateway.private_key is missing: `passync keys generate` makes one"))?;
    let bytes = keys::load(secret, Kind::Private).map_err(|fault| {
        Fault::usage(fault).help(
            "gateway.private_key says where it is; `passync keys generate` makes one, whose public half is uploaded",
        )
    })?;
    let named = |secret, fault| Fault::usage(format!("{}: {fault}", keys::place(secret)));
    let signer = Signer::parse(&bytes).map_err(|fault| named(secret, fault))?;
    let mut verifiers = dialect.verifiers();
    if settings.gateway.platform_keys.is_empty() && verifiers.is_empty() {
        return Err(Fault::usage(
            "gateway.platform_keys is empty: without the platform's public key no success can be believed",
        ));
    }
    let own = signer.public();
    if verifiers.iter().any(|verifier| verifier.same_key(&own)) {
        return Err(Fault::usage(
            "gateway.certificates.platform: this certificate is for our own key; Alipay's is wanted",
        ));
    }
    if dialect.certified().is_some_and(|certified| !certified.same_key(&own)) {
        return Err(Fault::usage(
            "gateway.certificates.app: this certificate is for another key than gateway.private_key: no call would be taken",
        )
        .help("`passync keys check` shows what each of them is"));
    }
    for secret in &settings.gateway.platform_keys {
        let bytes = keys::load(secret, Kind::Public).map_err(|fault| {
            Fault::usage(fault).help("gateway.platform_keys says where it is; the platform's console shows it")
        })?;
        let verifier = Verifier::parse(&bytes).map_err(|fault| named(secret, fault))?;
        if verifier.same_key(&own) {
            return Err(Fault::usage(format!(
                "{}: this is our own public key; the platform's key is wanted, which the console shows beside the place where ours is uploaded",
                keys::place(secret)
            )));
        }
        verifiers.push(verifier);
    }
    Ok((signer, verifiers))
}

fn sandbox_config(settings: &Settings) -> Result<sandbox::Config, Fault> {
    let told = &settings.sandbox;
    Ok(sandbox::Config {
        seed: told.seed,
        faults: told.faults.parse().map_err(|fault| Fault::usage(format!("sandbox.faults: {fault}")))?,
        quota: told.quota.map(|(permits, window)| sandbox::Quota { permits, window }),
        ..sandbox::Config::default()
    })
}
