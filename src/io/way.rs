//! The way out of the house: roots and proxy, made ready once for any number of clients.

use std::error::Error;
use std::path::Path;
use std::sync::Arc;

use reqwest::{Client, ClientBuilder, Proxy, Url};
use rustls::crypto::aws_lc_rs::default_provider;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};
use rustls_platform_verifier::Verifier;

/// How a URL is reached: by the proxy that the job names, and no other; with additional roots.
pub(super) struct Way {
    tls: ClientConfig,
    exit: Exit,
}

enum Exit {
    Direct,
    Environment,
    Proxy(Box<Proxy>),
}

impl Way {
    /// The way to `url`. The error says what keeps clients from being made.
    ///
    /// The machine's own roots are read where somebody has to prove who it is. A machine may have none, and is in order for a
    /// gateway on its loopback.
    pub fn to(url: &Url, proxy: Option<&str>, ca_file: Option<&Path>) -> Result<Way, String> {
        let speaks_tls = url.scheme() != "http" || proxy.is_some();
        let exit = match proxy {
            None => Exit::Direct,
            Some("env") => Exit::Environment,
            Some(url) => {
                Exit::Proxy(Box::new(Proxy::all(url).map_err(|error| format!("gateway.proxy {url}: {error}"))?))
            }
        };
        let roots = ca_file.map(roots).transpose()?.unwrap_or_default();
        let verifier = speaks_tls.then(|| verifier(roots)).transpose()?;
        Ok(Way { tls: tls(verifier)?, exit })
    }

    /// A client that goes this way.
    pub fn client(&self, builder: ClientBuilder) -> Result<Client, String> {
        let builder = match &self.exit {
            Exit::Direct => builder.no_proxy(),
            Exit::Environment => builder,
            Exit::Proxy(proxy) => builder.no_proxy().proxy(proxy.as_ref().clone()),
        };
        builder.tls_backend_preconfigured(self.tls.clone()).build().map_err(|error| causes(&error))
    }
}

fn verifier(roots: Vec<CertificateDer<'static>>) -> Result<Verifier, String> {
    Verifier::new_with_extra_roots(roots, Arc::new(default_provider())).map_err(|error| match error.to_string() {
        // As rustls-platform-verifier says it.
        text if text.contains("No CA certificates") => {
            "found no root certificates on this machine, expected those that https needs: install its package of them \
             (ca-certificates), or name a file of them (SSL_CERT_FILE, gateway.ca_file)"
                .to_owned()
        }
        text => text,
    })
}

/// Without a verifier nobody is believed: nobody has to prove who it is.
fn tls(verifier: Option<Verifier>) -> Result<ClientConfig, String> {
    let versions =
        ClientConfig::builder_with_provider(Arc::new(default_provider())).with_safe_default_protocol_versions();
    let builder = versions.map_err(|error| error.to_string())?;
    let mut config = match verifier {
        // "Dangerous" is any verifier of one's own; this is the platform's.
        Some(verifier) => {
            builder.dangerous().with_custom_certificate_verifier(Arc::new(verifier)).with_no_client_auth()
        }
        None => builder.with_root_certificates(RootCertStore::empty()).with_no_client_auth(),
    };
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(config)
}

fn roots(path: &Path) -> Result<Vec<CertificateDer<'static>>, String> {
    let fault = |error: &dyn std::fmt::Display| format!("gateway.ca_file {}: {error}", path.display());
    let pem = std::fs::read(path).map_err(|error| fault(&error))?;
    let roots = CertificateDer::pem_slice_iter(&pem).collect::<Result<Vec<_>, _>>().map_err(|error| fault(&error))?;
    if roots.is_empty() {
        return Err(fault(&"found no certificate, expected one or more as PEM (BEGIN CERTIFICATE)"));
    }
    Ok(roots)
}

/// An error with its causes, without the URL: its query may hold a signature.
pub(super) fn causes(error: &reqwest::Error) -> String {
    let mut text = String::new();
    let mut cause: Option<&(dyn Error + 'static)> = Some(error);
    while let Some(error) = cause {
        let this = error.to_string();
        let this = this.split(" for url (").next().unwrap_or_default();
        if !text.contains(this) {
            if !text.is_empty() {
                text.push_str(": ");
            }
            text.push_str(this);
        }
        cause = error.source();
    }
    text
}
