//! TLS in front of a server that has none, with a certificate made for it.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use rcgen::{CertificateParams, KeyPair};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::pki_types::PrivateKeyDer;

/// A listener that speaks TLS, and hands on what it is told.
pub struct Front {
    address: SocketAddr,
    /// Its certificate, PEM: who has it among the roots trusts it.
    pub certificate: String,
    handshakes: Arc<AtomicU64>,
}

impl Front {
    /// In front of `behind`, as `127.0.0.1`.
    pub fn of(behind: SocketAddr) -> Front {
        Front::with(behind, &CertificateParams::new(["127.0.0.1".to_owned()]).unwrap())
    }

    /// The same with a certificate that says something else.
    pub fn with(behind: SocketAddr, says: &CertificateParams) -> Front {
        let key = KeyPair::generate().unwrap();
        let certificate = says.self_signed(&key).unwrap();
        let config = ServerConfig::builder()
            .with_no_client_auth()
            .with_single_cert(vec![certificate.der().clone()], PrivateKeyDer::Pkcs8(key.serialize_der().into()))
            .unwrap();
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let address = listener.local_addr().unwrap();
        let handshakes = Arc::new(AtomicU64::new(0));
        let front = Front { address, certificate: certificate.pem(), handshakes: Arc::clone(&handshakes) };
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(serve(listener, behind, TlsAcceptor::from(Arc::new(config)), handshakes));
        });
        front
    }

    pub fn url(&self) -> String {
        format!("https://{}", self.address)
    }

    /// Connections whose client was content with the certificate.
    pub fn handshakes(&self) -> u64 {
        self.handshakes.load(Ordering::SeqCst)
    }
}

/// Until the process ends.
async fn serve(listener: std::net::TcpListener, behind: SocketAddr, acceptor: TlsAcceptor, handshakes: Arc<AtomicU64>) {
    let listener = TcpListener::from_std(listener).unwrap();
    loop {
        let (stream, _) = listener.accept().await.unwrap();
        stream.set_nodelay(true).unwrap();
        let (acceptor, handshakes) = (acceptor.clone(), Arc::clone(&handshakes));
        tokio::spawn(async move {
            let mut stream = acceptor.accept(stream).await?;
            handshakes.fetch_add(1, Ordering::SeqCst);
            let mut server = TcpStream::connect(behind).await?;
            server.set_nodelay(true)?;
            // Where the server breaks off, so does this: without a word of TLS that the end was meant.
            tokio::io::copy_bidirectional(&mut stream, &mut server).await
        });
    }
}
