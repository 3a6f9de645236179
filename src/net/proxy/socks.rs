//! SOCKS 5 (RFC 1928) with a user name and password (RFC 1929).
//!
//! hyper-util's client does not fit: its error type, which distinguishes a refused password, is not public, and it
//! keeps the password in memory that is not wiped.

use std::io::ErrorKind;
use std::net::IpAddr;
use std::str::FromStr as _;
use std::time::Duration;

use secrecy::ExposeSecret as _;
use secrecy::zeroize::Zeroizing;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::time::{Instant, timeout_at};

use super::address::Protocol;
use super::error::{ProxyProblem, ProxyStep};
use super::login::ProxyLogin;
use super::route::Proxy;
use crate::net::Stream;

const VERSION: u8 = 5;
/// Version of the negotiation of user name and password.
const LOGIN_VERSION: u8 = 1;
const NO_LOGIN: u8 = 0;
const PASSWORD: u8 = 2;
const NOTHING_ACCEPTABLE: u8 = 0xff;
const CONNECT: u8 = 1;
const IPV4: u8 = 1;
const NAME: u8 = 3;
const IPV6: u8 = 4;

/// A connection to a SOCKS proxy.
pub struct Socks<'a, S> {
    pub proxy: &'a Proxy,
    pub stream: S,
    pub deadline: Instant,
    pub limit: Duration,
}

impl<'a, S: Stream> Socks<'a, S> {
    /// Connects to a host through the proxy. Returns the connection with the deadline, which is later if another
    /// connection's test of the credential took time.
    pub async fn open(mut self, host: &str, port: u16) -> Result<(S, Instant), ProxyProblem> {
        let limit = self.limit;
        let late = || ProxyProblem::Late { step: ProxyStep::Socks, limit };
        let login = timeout_at(self.deadline, self.greet()).await.map_err(|_| late())??;
        if let Some(login) = login {
            // Held until the result is recorded.
            let _testing = login.test_lock(&mut self.deadline, limit).await.map_err(|_| late())?;
            timeout_at(self.deadline, self.log_in(login)).await.map_err(|_| late())??;
        }
        timeout_at(self.deadline, self.connect(host, port)).await.map_err(|_| late())??;
        Ok((self.stream, self.deadline))
    }

    /// Selects the authentication method. Returns the login if the proxy asks for it.
    async fn greet(&mut self) -> Result<Option<&'a ProxyLogin>, ProxyProblem> {
        let login = self.proxy.login.as_deref().filter(|login| login.password().is_some());
        let greeting: &[u8] = match login {
            Some(_) => &[VERSION, 2, NO_LOGIN, PASSWORD],
            None => &[VERSION, 1, NO_LOGIN],
        };
        self.write(greeting).await?;
        match (self.read().await?, login) {
            ([VERSION, NO_LOGIN], _) => Ok(None),
            ([VERSION, PASSWORD], Some(login)) => Ok(Some(login)),
            ([VERSION, NOTHING_ACCEPTABLE], None) => Err(ProxyProblem::Required { offered: Vec::new() }),
            ([VERSION, NOTHING_ACCEPTABLE], Some(_)) => Err(ProxyProblem::NotOffered { offered: Vec::new() }),
            ([version, method], _) => Err(unreadable(format!("version {version}, method {method}"))),
        }
    }

    async fn connect(&mut self, host: &str, port: u16) -> Result<(), ProxyProblem> {
        let address = address(self.proxy.address.protocol, host).await?;
        self.write(&[&[VERSION, CONNECT, 0], address.as_slice(), &port.to_be_bytes()].concat()).await?;
        self.answer(&format!("{host}:{port}")).await
    }

    async fn log_in(&mut self, login: &ProxyLogin) -> Result<(), ProxyProblem> {
        let refused = || ProxyProblem::Refused { user: login.user().to_owned() };
        let Some((user, password)) = login.password() else { return Err(refused()) };
        let password = password.expose_secret();
        let (Ok(users), Ok(passwords)) = (u8::try_from(user.len()), u8::try_from(password.len())) else {
            return Err(ProxyProblem::NotOffered { offered: Vec::new() });
        };
        let pass = match login.credential(&self.proxy.address) {
            Some(credential) => credential.pass().await.ok_or_else(refused)?,
            None => return Err(refused()),
        };
        let parts = [&[LOGIN_VERSION, users], user.as_bytes(), &[passwords], password.as_bytes()];
        let message = Zeroizing::new(parts.concat());
        self.write(&message).await?;
        let status = match self.read().await {
            Ok([_, status]) => status,
            // A proxy must close the connection after a failure (RFC 1929, 2); some send no status before.
            Err(ProxyProblem::ConnectionLost { .. }) => u8::MAX,
            Err(problem) => return Err(problem),
        };
        if status != 0 {
            pass.refused();
            return Err(refused());
        }
        pass.accepted();
        login.accepted();
        Ok(())
    }

    /// Reads the answer to the request, and its address, which is not used.
    async fn answer(&mut self, target: &str) -> Result<(), ProxyProblem> {
        let no_connection = |reason: String| ProxyProblem::NoConnection { target: target.to_owned(), reason };
        let mut head = [0; 4];
        // `ssh -D` sends no failure: it only ends the connection.
        self.stream.read_exact(&mut head).await.map_err(|error| match error.kind() {
            ErrorKind::UnexpectedEof => no_connection("it ended the connection without an answer".to_owned()),
            _ => cut(error),
        })?;
        let [version, status, _, kind] = head;
        if version != VERSION {
            return Err(unreadable(format!("version {version}")));
        }
        if status != 0 {
            let reason = reason(status).map_or_else(|| format!("SOCKS error {status}"), str::to_owned);
            return Err(no_connection(reason));
        }
        let length = match kind {
            IPV4 => 4,
            IPV6 => 16,
            NAME => usize::from(self.read::<1>().await?[0]),
            _ => return Err(unreadable(format!("address type {kind}"))),
        };
        let mut rest = vec![0; length + 2];
        self.stream.read_exact(&mut rest).await.map(|_| ()).map_err(cut)
    }

    async fn write(&mut self, bytes: &[u8]) -> Result<(), ProxyProblem> {
        self.stream.write_all(bytes).await.map_err(cut)?;
        self.stream.flush().await.map_err(cut)
    }

    async fn read<const N: usize>(&mut self) -> Result<[u8; N], ProxyProblem> {
        let mut bytes = [0; N];
        self.stream.read_exact(&mut bytes).await.map_err(cut)?;
        Ok(bytes)
    }
}

/// Returns the type and the bytes of an address.
async fn address(protocol: Protocol, host: &str) -> Result<Vec<u8>, ProxyProblem> {
    let no_address = |reason: String| ProxyProblem::NoConnection { target: host.to_owned(), reason };
    let ip = match IpAddr::from_str(host) {
        Ok(ip) => Some(ip),
        Err(_) if protocol == Protocol::Socks5h => None,
        Err(_) => {
            let found = tokio::net::lookup_host((host, 0)).await;
            let first = found.map_err(|error| no_address(error.to_string()))?.next();
            Some(first.ok_or_else(|| no_address("the name has no address".to_owned()))?.ip())
        }
    };
    Ok(match ip {
        Some(IpAddr::V4(ip)) => [&[IPV4], ip.octets().as_slice()].concat(),
        Some(IpAddr::V6(ip)) => [&[IPV6], ip.octets().as_slice()].concat(),
        None => {
            let length = u8::try_from(host.len()).map_err(|_| no_address("the name is too long".into()))?;
            [&[NAME, length], host.as_bytes()].concat()
        }
    })
}

fn cut(error: std::io::Error) -> ProxyProblem {
    ProxyProblem::ConnectionLost { step: ProxyStep::Socks, reason: error.to_string() }
}

fn unreadable(reason: String) -> ProxyProblem {
    ProxyProblem::Unreadable { step: ProxyStep::Socks, reason }
}

/// Returns the meaning of a status (RFC 1928, 6).
const fn reason(status: u8) -> Option<&'static str> {
    Some(match status {
        1 => "general SOCKS server failure",
        2 => "connection not allowed by the proxy's rules",
        3 => "network unreachable",
        4 => "host unreachable",
        5 => "connection refused",
        6 => "TTL expired",
        7 => "command not supported",
        8 => "address type not supported",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    use tokio::io::{DuplexStream, duplex};

    use crate::net::ProxyLogin;
    use crate::security::Account;

    fn proxy(password: Option<&str>) -> Proxy {
        let login = password.map(|password| {
            let account = Account::Password { user: "ken".into(), password: password.into() };
            std::sync::Arc::new(ProxyLogin::new("ken".into(), account))
        });
        let url = "socks5h://proxy.example".parse().unwrap();
        Proxy { address: crate::net::ProxyAddress::of(&url).unwrap(), login }
    }

    /// Runs a handshake with a proxy that sends `answers` without reading; returns the sent bytes as well.
    async fn handshake(password: Option<&str>, answers: &[u8]) -> (Result<(), String>, Vec<u8>) {
        let proxy = proxy(password);
        let (stream, mut server): (DuplexStream, DuplexStream) = duplex(4096);
        server.write_all(answers).await.unwrap();
        let limit = Duration::from_millis(200);
        let socks = Socks { proxy: &proxy, stream, deadline: Instant::now() + limit, limit };
        let opened = socks.open("host.example", 443).await.map(drop).map_err(|error| error.to_string());
        let mut sent = Vec::new();
        server.read_to_end(&mut sent).await.unwrap();
        (opened, sent)
    }

    #[tokio::test]
    async fn a_handshake_names_the_host_and_reads_no_further() {
        let (opened, sent) = handshake(None, b"\x05\x00\x05\x00\x00\x01\x00\x00\x00\x00\x00\x00").await;
        assert_eq!(opened, Ok(()));
        assert_eq!(sent, b"\x05\x01\x00\x05\x01\x00\x03\x0chost.example\x01\xbb");
    }

    #[tokio::test]
    async fn a_password_is_sent_once_and_only_if_the_proxy_asks() {
        let done = b"\x05\x00\x00\x01\x00\x00\x00\x00\x00\x00".as_slice();
        let (opened, sent) = handshake(Some("one"), &[b"\x05\x00", done].concat()).await;
        assert!(opened.is_ok() && !sent.windows(3).any(|part| part == b"one"), "{sent:?}");
        let (opened, sent) = handshake(Some("two"), &[b"\x05\x02\x01\x00", done].concat()).await;
        assert!(opened.is_ok() && sent.windows(9).any(|part| part == b"\x01\x03ken\x03two"), "{sent:?}");
        let (opened, _) = handshake(Some("three"), b"\x05\x02\x01\x01").await;
        assert_eq!(opened, Err("the proxy refused the credential of ken".to_owned()));
        let (opened, sent) = handshake(Some("three"), b"\x05\x02\x01\x01").await;
        assert!(opened.is_err() && !sent.windows(5).any(|part| part == b"three"), "{sent:?}");
    }

    /// The proxy refuses after a connection's time limit, and after the time for which a request waits for another.
    #[tokio::test]
    async fn a_connection_waits_for_another_test_of_the_password() {
        let proxy = proxy(Some("four"));
        let (slow, mut slow_server) = duplex(4096);
        let (waiting, mut waiting_server) = duplex(4096);
        for server in [&mut slow_server, &mut waiting_server] {
            server.write_all(b"\x05\x02").await.unwrap();
        }
        let open = |stream, limit| {
            let socks = Socks { proxy: &proxy, stream, deadline: Instant::now() + limit, limit };
            async { socks.open("host.example", 443).await.map(drop).map_err(|error| error.to_string()) }
        };
        let refuse = async {
            tokio::time::sleep(Duration::from_secs(1)).await;
            slow_server.write_all(b"\x01\x01").await.unwrap();
        };
        let (slow, waiting, ()) = tokio::join!(
            open(slow, Duration::from_secs(10)),
            open(waiting, Duration::from_millis(200)),
            refuse
        );
        let refused = Err("the proxy refused the credential of ken".to_owned());
        assert_eq!((&slow, &waiting), (&refused, &refused));
        let mut sent = Vec::new();
        waiting_server.read_to_end(&mut sent).await.unwrap();
        assert_eq!(sent, b"\x05\x02\x00\x02");
    }

    #[tokio::test]
    async fn invalid_answers_are_errors() {
        for (answers, expected) in [
            (b"HTTP/1.1 400 Bad Request".as_slice(), "invalid answer"),
            (b"\x05\xff", "requires a credential"),
            (b"\x05\x02", "invalid answer"),
            (b"\x05", "took longer"),
            (b"\x05\x00\x05\x05\x00\x01\x00\x00\x00\x00\x00\x00", "connection refused"),
            (b"\x05\x00\x05\x63\x00\x01\x00\x00\x00\x00\x00\x00", "SOCKS error 99"),
            (b"\x05\x00\x05\x00\x00\x09\x00\x00\x00\x00\x00\x00", "address type 9"),
        ] {
            let (opened, _) = handshake(None, answers).await;
            let error = opened.unwrap_err();
            assert!(error.contains(expected), "{error}");
        }
    }
}
