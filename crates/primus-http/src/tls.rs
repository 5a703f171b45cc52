//! TLS by rustls, for listeners. HTTP/2 is chosen by ALPN.

use std::{io, path::Path, sync::Arc};

use tokio::{net::TcpStream, time::timeout};
use tokio_rustls::{
    TlsAcceptor,
    rustls::{
        ServerConfig,
        pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
    },
};

use crate::{listen::Listener, options::Options, serve::Version};

pub(crate) type TlsStream = tokio_rustls::server::TlsStream<TcpStream>;

/// A certificate or key could not be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TlsError {
    /// A file could not be read as PEM.
    #[error("cannot read {file}: {problem}")]
    File {
        /// Which file.
        file: String,
        /// What is wrong with it.
        problem: String,
    },
    /// Certificate and key do not go together, or rustls refuses them.
    #[error("the certificate cannot be used: {0}")]
    Certificate(#[from] tokio_rustls::rustls::Error),
}

impl Listener {
    /// Serves TLS with a chain of certificates and a private key, both PEM files.
    ///
    /// # Errors
    /// When they cannot be read or do not go together.
    pub fn with_tls(mut self, cert: &Path, key: &Path) -> Result<Self, TlsError> {
        let problem = |file: &Path, problem: &dyn std::fmt::Display| TlsError::File {
            file: file.display().to_string(),
            problem: problem.to_string(),
        };
        let certs = CertificateDer::pem_file_iter(cert)
            .and_then(Iterator::collect::<Result<Vec<_>, _>>)
            .map_err(|error| problem(cert, &error))?;
        let key_der = PrivateKeyDer::from_pem_file(key).map_err(|error| problem(key, &error))?;
        let provider = Arc::new(tokio_rustls::rustls::crypto::ring::default_provider());
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_single_cert(certs, key_der)?;
        if self.options().http2 {
            config.alpn_protocols.push(b"h2".to_vec());
        }
        config.alpn_protocols.push(b"http/1.1".to_vec());
        self.set_tls(TlsAcceptor::from(Arc::new(config)));
        Ok(self)
    }
}

/// The handshake, within its deadline. `None`: it failed, which is the client's business.
pub(crate) async fn accept(
    acceptor: TlsAcceptor,
    stream: TcpStream,
    options: &Options,
) -> Option<(TlsStream, Version)> {
    let accepted = timeout(options.handshake_timeout, acceptor.accept(stream)).await;
    let accepted = accepted.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()));
    match accepted {
        Ok(stream) => {
            let two = stream.get_ref().1.alpn_protocol() == Some(b"h2");
            Some((stream, if two { Version::Two } else { Version::One }))
        }
        Err(error) => {
            tracing::debug!(%error, "TLS handshake failed");
            None
        }
    }
}
