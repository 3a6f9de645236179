//! TLS to an endpoint: certificates, client certificates, cipher suites and versions, over real sockets.

use std::io::{BufRead as _, Read as _, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::mpsc::{self, Receiver};

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, KeyPair, date_time_ymd};
use rustls::pki_types::pem::PemObject as _;

use crate::agent_world::{ChildGuard, PATIENCE, World};
use crate::program::Program;

const PASSPHRASE: &str = "a Pässphrase";

/// A folder of certificates and keys.
struct Certificates(tempfile::TempDir);

impl Certificates {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// Runs openssl; spaces separate arguments, and `PASS` stands for the passphrase.
    fn openssl(&self, arguments: &str) -> String {
        let words = arguments.split(' ').map(|word| word.replace("PASS", PASSPHRASE));
        Program::new("openssl").args(words).folder(self.0.path()).run().success_output()
    }

    /// Creates `NAME.pem` and `NAME.key`, a self-signed certificate with the parameters that `change` sets.
    fn own(&self, name: &str, change: impl FnOnce(&mut CertificateParams)) {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
        params.distinguished_name.push(DnType::CommonName, "localhost");
        change(&mut params);
        let certificate = params.self_signed(&key).unwrap();
        std::fs::write(self.path(&format!("{name}.pem")), certificate.pem()).unwrap();
        std::fs::write(self.path(&format!("{name}.key")), key.serialize_pem()).unwrap();
    }

    /// Creates a self-signed certificate with openssl's defaults: an RSA key, and a CA.
    fn rsa(&self, name: &str) {
        self.openssl(&format!(
            "req -x509 -newkey rsa:2048 -nodes -keyout {name}.key -out {name}.pem -subj /CN=localhost -addext \
             subjectAltName=DNS:localhost"
        ));
    }

    fn fingerprint(&self, name: &str) -> String {
        let printed = self.openssl(&format!("x509 -in {name}.pem -noout -fingerprint -sha256"));
        printed.trim().to_owned()
    }

    /// Creates `NAME.pem` and `NAME.key`, a certificate issued by `clients.pem`.
    fn client(&self, name: &str) {
        self.openssl(&format!(
            "req -newkey rsa:2048 -nodes -keyout {name}.key -out {name}.csr -subj /CN={name}"
        ));
        self.openssl(&format!(
            "x509 -req -in {name}.csr -CA clients.pem -CAkey clients.key -CAcreateserial -out {name}.pem"
        ));
        self.private(&format!("{name}.key"), 0o600);
    }

    fn private(&self, name: &str, mode: u32) {
        std::fs::set_permissions(self.path(name), std::fs::Permissions::from_mode(mode)).unwrap();
    }
}

/// `tests/peers/tls_server.py`.
struct Server {
    uri: String,
    reports: Receiver<serde_json::Value>,
    process: ChildGuard,
}

impl Server {
    /// Starts with the certificate `NAME.pem`.
    fn start(certificates: &Certificates, name: &str, mut options: serde_json::Value) -> Self {
        options["certificate"] = certificates.path(&format!("{name}.pem")).display().to_string().into();
        options["key"] = certificates.path(&format!("{name}.key")).display().to_string().into();
        let peer = Program::peer("tls_server.py").args([options.to_string()]);
        let mut process = peer.stderr(Stdio::inherit()).start();
        let mut output = process.output();
        let mut port = String::new();
        output.read_line(&mut port).unwrap();
        let (sending, reports) = mpsc::channel();
        std::thread::spawn(move || {
            for line in output.lines().map_while(Result::ok) {
                let _ = sending.send(serde_json::from_str(&line).unwrap());
            }
        });
        let uri = format!("https://localhost:{}/wsman", port.trim());
        Self { uri, reports, process }
    }

    /// Returns the next request or failed handshake.
    fn report(&self) -> serde_json::Value {
        self.reports.recv_timeout(PATIENCE).unwrap()
    }

    /// Ends the server and asserts that it received no request.
    fn was_sent_nothing(self) {
        // The channel closes when the last report is read.
        drop(self.process);
        for report in self.reports {
            assert!(report["failed"].is_string(), "{report}");
        }
    }
}

/// Runs `lyncsh work` with these lines in the profile; returns its standard error without line breaks.
fn work(uri: &str, more: &str) -> String {
    let world = World::without_endpoint();
    std::fs::create_dir_all(world.folders.profiles()).unwrap();
    let credential = if more.contains("credential") {
        String::new()
    } else {
        format!("credential = {{ command = \"echo '{PASSPHRASE}'\" }}\n")
    };
    let basic = if more.contains("authentication") { "" } else { "authentication = \"basic\"\n" };
    let text = format!(
        "kind = \"wsman\"\nuser = \"ken\"\nuri = \"{uri}\"\nshell = \"console\"\n{basic}{credential}{more}\n"
    );
    std::fs::write(world.folders.profile("work"), text).unwrap();
    let output = world.lyncsh(&["work"]).stdin(Stdio::null()).output().unwrap();
    let text = String::from_utf8(output.stderr).unwrap();
    assert!(!output.status.success(), "{text}");
    crate::program::one_line(&text)
}

fn quoted(path: &Path) -> String {
    format!("\"{}\"", path.display())
}

/// The server's answer, which shows that TLS was opened and the request was sent.
const ANSWERED: &str = "answered 404";

#[test]
fn a_pinned_certificate_needs_no_valid_name_or_date() {
    let certificates = Certificates::new();
    certificates.own("good", |_| {});
    certificates.own("other", |_| {});
    certificates.own("expired", |params| {
        (params.not_before, params.not_after) = (date_time_ymd(2019, 1, 1), date_time_ymd(2020, 1, 1));
    });
    certificates.own("name", |params| {
        params.subject_alt_names.clear();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    });
    for name in ["good", "expired", "name"] {
        let server = Server::start(&certificates, name, serde_json::json!({}));
        let pin = certificates.fingerprint(name);
        let told = work(&server.uri, &format!("pin = \"{pin}\""));
        assert!(told.contains(ANSWERED), "{name}: {told}");
        assert_eq!(server.report()["version"], "TLSv1.3");
        // The pin of another certificate: both fingerprints are shown, and no credential is sent.
        let hex = |pin: &str| pin.split_once('=').unwrap().1.replace(':', "").to_lowercase();
        let other = certificates.fingerprint("other");
        let told = work(&server.uri, &format!("pin = \"{other}\""));
        let flat = told.replace(' ', "");
        assert!(flat.contains(&hex(&pin)) && flat.contains(&hex(&other)), "{told}");
        assert!(told.contains("not trusted"), "{told}");
        server.was_sent_nothing();
    }
}

#[test]
fn a_pinned_certificate_requires_its_key() {
    // A server without the certificate's key cannot complete a handshake. Python's ssl module refuses to start
    // with such a pair, so the server uses rustls.
    let certificates = Certificates::new();
    certificates.own("good", |_| {});
    certificates.own("thief", |_| {});
    let pem = |name: &str| std::fs::read(certificates.path(name)).unwrap();
    let certificate = rustls::pki_types::CertificateDer::from_pem_slice(&pem("good.pem")).unwrap();
    let key = rustls::pki_types::PrivateKeyDer::from_pem_slice(&pem("thief.key")).unwrap();
    let key = rustls::crypto::ring::sign::any_supported_type(&key).unwrap();
    let pair = rustls::sign::CertifiedKey::new(vec![certificate], key);
    let provider = std::sync::Arc::new(rustls::crypto::ring::default_provider());
    for version in [&rustls::version::TLS12, &rustls::version::TLS13] {
        let resolver = rustls::sign::SingleCertAndKey::from(pair.clone());
        let config = rustls::ServerConfig::builder_with_provider(provider.clone())
            .with_protocol_versions(&[version])
            .unwrap()
            .with_no_client_auth()
            .with_cert_resolver(std::sync::Arc::new(resolver));
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let uri = format!("https://localhost:{}/wsman", listener.local_addr().unwrap().port());
        let server = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            stream.set_read_timeout(Some(PATIENCE)).unwrap();
            let mut server = rustls::ServerConnection::new(std::sync::Arc::new(config)).unwrap();
            let mut read = Vec::new();
            let result = rustls::Stream::new(&mut server, &mut stream).read_to_end(&mut read);
            (result, read)
        });
        let told = work(&uri, &format!("pin = \"{}\"", certificates.fingerprint("good")));
        assert!(told.contains("not trusted") && told.to_lowercase().contains("signature"), "{told}");
        let (result, read) = server.join().unwrap();
        assert!(result.is_err() && read.is_empty());
    }
}

#[test]
fn a_certificate_in_the_ca_file_is_accepted() {
    let certificates = Certificates::new();
    certificates.own("leaf", |_| {});
    certificates.own("authority", |params| params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained));
    certificates.rsa("rsa");
    for name in ["leaf", "authority", "rsa"] {
        let server = Server::start(&certificates, name, serde_json::json!({}));
        let ca = format!("ca = {}", quoted(&certificates.path(&format!("{name}.pem"))));
        let told = work(&server.uri, &ca);
        assert!(told.contains(ANSWERED), "{name}: {told}");
        // The name must still match.
        let told = work(&server.uri.replace("localhost", "127.0.0.1"), &ca);
        assert!(told.contains("issued for another host name: localhost"), "{name}: {told}");
    }
}

#[test]
fn a_refused_certificate_shows_the_trusting_line() {
    let certificates = Certificates::new();
    certificates.own("self", |_| {});
    certificates.rsa("authority");
    certificates.own("expired", |params| {
        (params.not_before, params.not_after) = (date_time_ymd(2019, 1, 1), date_time_ymd(2020, 1, 1));
    });
    certificates.own("early", |params| {
        (params.not_before, params.not_after) = (date_time_ymd(2090, 1, 1), date_time_ymd(2091, 1, 1));
    });
    certificates.own("nameless", |params| params.subject_alt_names.clear());
    for (name, is_ca, why) in [
        ("self", false, "unknown issuer: the certificate is self-signed"),
        ("authority", false, "unknown issuer: the certificate is self-signed"),
        ("expired", true, "expired on 2020-01-01"),
        ("early", true, "not valid yet: only from 2090-01-01"),
        ("nameless", true, "no subject alternative name, only the common name localhost"),
    ] {
        let server = Server::start(&certificates, name, serde_json::json!({}));
        let ca = if is_ca {
            format!("ca = {}", quoted(&certificates.path(&format!("{name}.pem"))))
        } else {
            String::new()
        };
        let told = work(&server.uri, &ca);
        assert!(told.contains(why), "{name}: {told}");
        server.was_sent_nothing();
        let server = Server::start(&certificates, name, serde_json::json!({}));
        let line = told.split_once("pin = \"").unwrap_or_else(|| panic!("{name}: {told}")).1;
        let pin = line.split_once('"').unwrap().0;
        let told = work(&server.uri, &format!("pin = \"{pin}\""));
        assert!(told.contains(ANSWERED), "{name}: {told}");
    }
}

#[test]
fn a_client_certificate_is_presented_in_each_form() {
    let certificates = Certificates::new();
    certificates.rsa("server");
    certificates
        .openssl("req -x509 -newkey rsa:2048 -nodes -keyout clients.key -out clients.pem -subj /CN=clients");
    certificates.client("plain");
    certificates.openssl("pkcs8 -topk8 -v2 aes-256-cbc -in plain.key -out aes.p8 -passout pass:PASS");
    certificates
        .openssl("pkcs8 -topk8 -v2 des3 -v2prf hmacWithSHA1 -in plain.key -out des.p8 -passout pass:PASS");
    certificates.openssl("rsa -traditional -in plain.key -out pkcs1.key");
    certificates.openssl(
        "pkcs12 -export -inkey plain.key -in plain.pem -certfile clients.pem -out plain.p12 -passout pass:PASS",
    );
    certificates
        .openssl("pkcs12 -export -legacy -inkey plain.key -in plain.pem -out legacy.p12 -passout pass:PASS");
    certificates.openssl("ecparam -name prime256v1 -genkey -noout -out ec.key");
    certificates.openssl("req -new -key ec.key -out ec.csr -subj /CN=plain");
    certificates
        .openssl("x509 -req -in ec.csr -CA clients.pem -CAkey clients.key -CAcreateserial -out ec.pem");
    for name in ["ec.key", "pkcs1.key"] {
        certificates.private(name, 0o600);
    }
    // The issuer comes first, and the key is in the same file.
    let text = |name: &str| std::fs::read_to_string(certificates.path(name)).unwrap();
    std::fs::write(certificates.path("all.pem"), text("clients.pem") + &text("plain.pem") + &text("aes.p8"))
        .unwrap();
    for maximum in ["TLSv1_2", "TLSv1_3"] {
        let options = serde_json::json!({ "clients": certificates.path("clients.pem"), "maximum": maximum });
        let server = Server::start(&certificates, "server", options);
        let ca = format!("ca = {}", quoted(&certificates.path("server.pem")));
        let told = work(&server.uri, &ca);
        assert!(told.contains("requires a client certificate"), "{maximum}: {told}");
        assert!(server.report()["failed"].is_string());
        for library in libraries() {
            for (certificate, key) in [
                ("plain.pem", Some("plain.key")),
                ("plain.pem", Some("aes.p8")),
                ("plain.pem", Some("des.p8")),
                ("plain.pem", Some("pkcs1.key")),
                ("ec.pem", Some("ec.key")),
                ("all.pem", None),
                ("plain.p12", None),
                ("legacy.p12", None),
            ] {
                let key = key.map(|key| format!("key = {}\n", quoted(&certificates.path(key))));
                let certificate = quoted(&certificates.path(certificate));
                let more = format!(
                    "authentication = \"certificate\"\ncertificate = {certificate}\n{}tls = \"{library}\"\n{ca}",
                    key.unwrap_or_default()
                );
                let told = work(&server.uri, &more);
                assert!(told.contains(ANSWERED), "{maximum}, {more}: {told}");
                let report = server.report();
                assert_eq!(report["client"], "plain", "{more}: {report}");
                assert_eq!(
                    report["authorization"],
                    "http://schemas.dmtf.org/wbem/wsman/1/wsman/secprofile/https/mutual"
                );
            }
        }
    }
}

/// The libraries of this build.
fn libraries() -> Vec<&'static str> {
    if cfg!(feature = "system-tls") { vec!["rustls", "system"] } else { vec!["rustls"] }
}

#[test]
fn an_unusable_client_certificate_is_reported_with_advice() {
    let certificates = Certificates::new();
    certificates.rsa("server");
    certificates
        .openssl("req -x509 -newkey rsa:2048 -nodes -keyout clients.key -out clients.pem -subj /CN=clients");
    certificates.client("client");
    certificates.client("other");
    certificates.rsa("stranger");
    certificates.private("stranger.key", 0o600);
    certificates.openssl("rsa -traditional -aes256 -in client.key -out old.key -passout pass:PASS");
    certificates.openssl("pkcs8 -topk8 -v2 aes-256-cbc -in client.key -out encrypted.p8 -passout pass:other");
    certificates
        .openssl("pkcs12 -export -inkey client.key -in client.pem -out encrypted.p12 -passout pass:other");
    std::fs::copy(certificates.path("client.key"), certificates.path("open.key")).unwrap();
    certificates.private("open.key", 0o640);
    std::fs::write(certificates.path("text.pem"), "my certificate").unwrap();
    for (file, expected) in [("encrypted.p12", true), ("text.pem", false), ("client.pem", false)] {
        assert_eq!(lyncsh::net::needs_passphrase(&certificates.path(file), None), expected, "{file}");
    }
    let options = serde_json::json!({ "clients": certificates.path("clients.pem") });
    let server = Server::start(&certificates, "server", options);
    for (certificate, key, why, what) in [
        ("client.pem", Some("open.key"), "other users can read", "chmod 600"),
        ("client.pem", Some("old.key"), "traditional PEM form", "openssl pkcs8 -topk8"),
        ("client.pem", Some("encrypted.p8"), "the passphrase does not decrypt", "lyncsh login"),
        ("encrypted.p12", None, "the passphrase does not decrypt", "lyncsh login"),
        (
            "client.pem",
            Some("other.key"),
            "does not belong to a certificate",
            "correct `certificate` or `key`",
        ),
        ("client.pem", None, "contains no private key", "key = "),
        ("client.key", Some("client.key"), "contains no certificate", "PEM file"),
        ("text.pem", None, "contains no certificate", "PEM file"),
        ("none.pem", None, "cannot read", "correct `certificate` or `key`"),
        ("encrypted.p12", Some("client.key"), "the profile also sets key", "remove key"),
        ("stranger.pem", Some("stranger.key"), "refused the client certificate", "trusts its issuer"),
    ] {
        let key = key.map(|key| format!("key = {}\n", quoted(&certificates.path(key)))).unwrap_or_default();
        let more = format!(
            "authentication = \"certificate\"\ncertificate = {}\n{key}ca = {}",
            quoted(&certificates.path(certificate)),
            quoted(&certificates.path("server.pem"))
        );
        let told = work(&server.uri, &more);
        assert!(told.contains(why) && told.contains(what), "{certificate} {key}: {told}");
    }
    server.was_sent_nothing();
}

#[test]
fn a_failed_handshake_is_reported_with_its_cause() {
    let certificates = Certificates::new();
    certificates.rsa("server");
    let ca = format!("ca = {}", quoted(&certificates.path("server.pem")));
    // Cipher suites of Windows Server 2012 R2 without an ECDSA certificate.
    let old = "ECDHE-RSA-AES256-SHA384:AES256-GCM-SHA384";
    for (options, why, what) in [
        (
            serde_json::json!({ "ciphers": old, "maximum": "TLSv1_2" }),
            "no common cipher suite",
            "tls = \"system\"",
        ),
        (
            serde_json::json!({ "minimum": "TLSv1", "maximum": "TLSv1_1" }),
            "does not support TLS 1.2 or 1.3",
            "Enable TLS 1.2",
        ),
    ] {
        let server = Server::start(&certificates, "server", options);
        let told = work(&server.uri, &ca);
        assert!(told.contains(why) && told.contains(what), "{told}");
        server.was_sent_nothing();
    }
    let cut = Server::start(&certificates, "server", serde_json::json!({ "cut": true }));
    let told = work(&cut.uri, &ca);
    assert!(told.contains("SslNegotiateCert") && told.contains("tls = \"system\""), "{told}");

    // A server without TLS.
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let uri = format!("https://localhost:{}/wsman", listener.local_addr().unwrap().port());
    let plain = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let _ = stream.read(&mut [0; 4096]);
        let _ = stream.write_all(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n");
    });
    let told = work(&uri, &ca);
    plain.join().unwrap();
    assert!(told.contains("does not use TLS on this port") && told.contains("5986"), "{told}");
}

#[cfg(feature = "system-tls")]
mod system {
    use super::*;

    #[test]
    fn the_system_library_connects_where_rustls_cannot() {
        let certificates = Certificates::new();
        certificates.rsa("server");
        certificates.openssl("dhparam -dsaparam -out dh.pem 1024");
        let ca = format!("tls = \"system\"\nca = {}", quoted(&certificates.path("server.pem")));
        for suite in ["ECDHE-RSA-AES256-SHA384", "AES256-GCM-SHA384"] {
            let options = serde_json::json!({ "ciphers": suite, "maximum": "TLSv1_2" });
            let server = Server::start(&certificates, "server", options);
            let told = work(&server.uri, &ca);
            assert!(told.contains(ANSWERED), "{suite}: {told}");
            assert_eq!(server.report()["cipher"], suite);
        }
        let options = serde_json::json!({
            "ciphers": "DHE-RSA-AES256-GCM-SHA384", "maximum": "TLSv1_2", "dh": certificates.path("dh.pem"),
        });
        let server = Server::start(&certificates, "server", options);
        let told = work(&server.uri, &ca);
        assert!(told.contains("key of the server is too small") && told.contains("ECDHE"), "{told}");
        server.was_sent_nothing();
    }

    #[test]
    fn the_systems_library_verifies_certificates_and_pins() {
        let certificates = Certificates::new();
        certificates.rsa("server");
        certificates.own("other", |_| {});
        certificates.own("expired", |params| {
            (params.not_before, params.not_after) = (date_time_ymd(2019, 1, 1), date_time_ymd(2020, 1, 1));
        });
        let server = Server::start(&certificates, "server", serde_json::json!({}));
        let told = work(&server.uri, "tls = \"system\"");
        assert!(told.contains("unknown issuer: the certificate is self-signed"), "{told}");
        let ca = format!("ca = {}", quoted(&certificates.path("server.pem")));
        let told = work(&server.uri.replace("localhost", "127.0.0.1"), &format!("tls = \"system\"\n{ca}"));
        assert!(told.contains("issued for another host name"), "{told}");
        server.was_sent_nothing();
        for (name, pin, works) in
            [("server", "server", true), ("expired", "expired", true), ("server", "other", false)]
        {
            let server = Server::start(&certificates, name, serde_json::json!({}));
            let pin = certificates.fingerprint(pin);
            let told = work(&server.uri, &format!("tls = \"system\"\npin = \"{pin}\""));
            assert_eq!(told.contains(ANSWERED), works, "{told}");
            assert_eq!(told.contains("its fingerprint is"), !works, "{told}");
            if !works {
                server.was_sent_nothing();
            }
        }
    }

    /// IIS requests a client certificate by renegotiation, after reading the request.
    #[test]
    fn the_systems_library_renegotiates_for_a_client_certificate() {
        let certificates = Certificates::new();
        certificates.rsa("server");
        certificates.openssl(
            "req -x509 -newkey rsa:2048 -nodes -keyout clients.key -out clients.pem -subj /CN=clients",
        );
        certificates.client("client");
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let mut server = Program::new("openssl")
            .args(["s_server", "-accept", &port.to_string(), "-cert", "server.pem", "-key", "server.key"])
            .args(["-CAfile", "clients.pem", "-tls1_2", "-msg", "-no_resumption_on_reneg"])
            .folder(certificates.0.path())
            .stderr(Stdio::inherit())
            .start();
        let (mut input, mut output) = (server.input(), server.output());
        let mut line = String::new();
        while !line.starts_with("ACCEPT") {
            line.clear();
            assert!(output.read_line(&mut line).unwrap() > 0);
        }
        let driver = std::thread::spawn(move || {
            let mut seen = String::new();
            let mut until = |words: &str| {
                let mut line = Vec::new();
                while !seen.contains(words) {
                    line.clear();
                    assert!(output.read_until(b'\n', &mut line).unwrap() > 0, "{seen}");
                    seen.push_str(&String::from_utf8_lossy(&line));
                }
            };
            until("content-length:");
            input.write_all(b"R\n").unwrap();
            // Only a client that presented a certificate sends CertificateVerify (RFC 5246 7.4.8).
            until("CertificateVerify");
            input.write_all(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n").unwrap();
            let _ = std::io::copy(&mut output, &mut std::io::sink());
        });
        let more = format!(
            "authentication = \"certificate\"\ntls = \"system\"\nca = {}\ncertificate = {}\nkey = {}",
            quoted(&certificates.path("server.pem")),
            quoted(&certificates.path("client.pem")),
            quoted(&certificates.path("client.key")),
        );
        let told = work(&format!("https://localhost:{port}/wsman"), &more);
        assert!(told.contains(ANSWERED), "{told}");
        drop(server);
        driver.join().unwrap();
    }
}
