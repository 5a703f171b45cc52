//! Servers that speak TLS, and clients that trust them.

use std::{net::SocketAddr, path::PathBuf, sync::Arc};

use primus::{Builder, Primus};
use rcgen::generate_simple_self_signed;
use tokio::net::TcpStream;
use tokio_rustls::{
    TlsConnector,
    client::TlsStream,
    rustls::{ClientConfig, RootCertStore, crypto::ring, pki_types::CertificateDer},
};

use crate::{http::connect, server::soon};

/// A certificate for `localhost` in a folder of its own, which goes with it.
pub struct Certificate {
    folder: PathBuf,
    der: CertificateDer<'static>,
}

impl Certificate {
    /// A new one; `name` is part of the folder's.
    pub fn new(name: &str) -> Self {
        let made = generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        let folder = std::env::temp_dir().join(format!("primus-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(folder.join("cert.pem"), made.cert.pem()).unwrap();
        std::fs::write(folder.join("key.pem"), made.signing_key.serialize_pem()).unwrap();
        Self { folder, der: made.cert.der().clone() }
    }

    /// The path of a file in its folder, which has `cert.pem` and `key.pem`.
    pub fn path(&self, file: &str) -> String {
        self.folder.join(file).display().to_string()
    }

    /// A server with it.
    pub fn builder(&self) -> Builder {
        Primus::builder().tls(self.path("cert.pem"), self.path("key.pem"))
    }

    /// A client that trusts nothing else, and offers these protocols.
    pub fn client(&self, alpn: &[&str]) -> ClientConfig {
        let mut roots = RootCertStore::empty();
        roots.add(self.der.clone()).unwrap();
        let mut config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        config.alpn_protocols = alpn.iter().map(|name| name.as_bytes().to_vec()).collect();
        config
    }

    /// A connection that offers these protocols; and the one that was chosen.
    pub async fn connect(&self, to: SocketAddr, alpn: &[&str]) -> (TlsStream<TcpStream>, String) {
        let connector = TlsConnector::from(Arc::new(self.client(alpn)));
        let name = "localhost".try_into().unwrap();
        let stream = soon(connector.connect(name, connect(to).await)).await.unwrap();
        let chosen = stream.get_ref().1.alpn_protocol().unwrap_or_default();
        let chosen = String::from_utf8(chosen.to_vec()).unwrap();
        (stream, chosen)
    }
}

impl Drop for Certificate {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}
