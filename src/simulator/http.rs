//! HTTP server, optionally with TLS and a certificate generated at start.

use std::io::Write as _;
use std::net::Ipv4Addr;
use std::path::Path;
use std::sync::Arc;

use axum::Router;
use axum::http::Uri;
use hyper::service::{Service as _, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair,
    KeyUsagePurpose,
};
use rustls::ServerConfig;
use rustls::pki_types::PrivateKeyDer;
use tempfile::NamedTempFile;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;

use super::authentication::Connection;

/// TLS configuration of the endpoint.
pub struct Tls {
    acceptor: TlsAcceptor,
    /// The certificate in DER.
    certificate: Vec<u8>,
    /// PEM file of the CA certificate, removed when the endpoint ends.
    ca: NamedTempFile,
}

impl Tls {
    /// Generates a CA and a server certificate for this machine.
    pub fn new() -> std::io::Result<Self> {
        let issuer = authority().map_err(std::io::Error::other)?;
        let (certificate, key) = certificate(&issuer).map_err(std::io::Error::other)?;
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(std::io::Error::other)?
            .with_no_client_auth()
            .with_single_cert(
                vec![certificate.der().clone()],
                PrivateKeyDer::Pkcs8(key.serialize_der().into()),
            )
            .map_err(std::io::Error::other)?;
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        let mut ca = tempfile::Builder::new().prefix("lyncsh-demo-ca-").suffix(".pem").tempfile()?;
        ca.write_all(issuer.pem().as_bytes())?;
        ca.flush()?;
        Ok(Self {
            acceptor: TlsAcceptor::from(Arc::new(config)),
            certificate: certificate.der().to_vec(),
            ca,
        })
    }

    pub fn ca(&self) -> &Path {
        self.ca.path()
    }

    pub fn certificate(&self) -> &[u8] {
        &self.certificate
    }

    pub fn acceptor(&self) -> TlsAcceptor {
        self.acceptor.clone()
    }
}

fn authority() -> Result<CertifiedIssuer<'static, KeyPair>, rcgen::Error> {
    let mut root = CertificateParams::default();
    root.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    root.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    // A unique name, so that another endpoint's CA is unknown instead of having a bad signature.
    let name = format!("lyncsh demo {}", uuid::Uuid::new_v4().simple());
    root.distinguished_name.push(DnType::CommonName, name);
    CertifiedIssuer::self_signed(root, KeyPair::generate()?)
}

fn certificate(issuer: &CertifiedIssuer<'_, KeyPair>) -> Result<(rcgen::Certificate, KeyPair), rcgen::Error> {
    let names = [Ipv4Addr::LOCALHOST.to_string(), "localhost".to_owned()];
    let mut own = CertificateParams::new(names)?;
    own.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    own.use_authority_key_identifier_extension = true;
    let key = KeyPair::generate()?;
    Ok((own.signed_by(&key, issuer)?, key))
}

/// Accepts connections until `stop` is cancelled, which also ends open connections.
pub async fn serve(listener: TcpListener, router: Router, tls: Option<TlsAcceptor>, stop: CancellationToken) {
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = stop.cancelled() => return,
        };
        match accepted {
            Ok((stream, _)) => {
                let connection = connection(stream, router.clone(), tls.clone());
                let stop = stop.clone();
                tokio::spawn(async move { stop.run_until_cancelled(connection).await });
            }
            Err(error) => {
                tracing::warn!(%error, "cannot accept a connection");
                // Out of file descriptors: retry after a delay.
                tokio::time::sleep(std::time::Duration::from_millis(100)).await;
            }
        }
    }
}

async fn connection(stream: TcpStream, router: Router, tls: Option<TlsAcceptor>) {
    // Nagle's algorithm would delay the answer of a long poll until an acknowledgement.
    let _ = stream.set_nodelay(true);
    match tls {
        None => requests(stream, router).await,
        Some(tls) => match tls.accept(stream).await {
            Ok(stream) => requests(stream, router).await,
            Err(error) => tracing::debug!(%error, "TLS handshake failed"),
        },
    }
}

async fn requests(stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static, router: Router) {
    let router = TowerToHyperService::new(router);
    let authenticated = Connection::default();
    let service = service_fn(move |mut request| {
        *request.uri_mut() = canonical(request.uri());
        request.extensions_mut().insert(authenticated.clone());
        router.call(request)
    });
    let served = hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        .serve_connection(TokioIo::new(stream), service)
        .await;
    if let Err(error) = served {
        tracing::debug!(%error, "a connection ended");
    }
}

/// Normalizes a URI: path in lower case, without trailing slash. IIS and http.sys treat such paths as equal.
fn canonical(uri: &Uri) -> Uri {
    let path = uri.path().to_lowercase();
    let path = path.trim_end_matches('/');
    let query = uri.query().map(|query| format!("?{query}")).unwrap_or_default();
    format!("/{}{query}", path.trim_start_matches('/')).parse().unwrap_or_else(|_| uri.clone())
}
