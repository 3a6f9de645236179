//! Checks of the network path to an endpoint: discovery, name, TCP, proxy, TLS, clock, authentication schemes. No
//! credential is sent to the endpoint.

use std::net::{IpAddr, Ipv6Addr, SocketAddr, UdpSocket};
use std::time::{Duration, SystemTime};

use futures_util::future::join_all;
use tokio::net::TcpStream;
use tokio::time::Instant;
use url::Url;

use super::finding::{Budget, Finding, OVER};
use crate::agent::resolver::{EndpointResolver, trust};
use crate::credential;
use crate::discovery;
use crate::folders::Folders;
use crate::net::{
    CertificateFacts, ClientCertificate, Fingerprint, Handshake, Proxies, Proxy, ProxyError, ProxyProblem,
    Trust, display, host_name, is_loopback,
};
use crate::profile::{Authentication, Profile};
use crate::screen::format_seconds;
use crate::security::KerberosProblem;
use crate::transport::wsman::{Probe, ProbeConnection, ProbeResponse, check_redirect};
use crate::transport::{Error, Operation};

const DISCOVERY: &str = "discovery";
const NAME: &str = "name";
const TCP: &str = "tcp";
const PROXY: &str = "proxy";
const TLS: &str = "tls";
const CLOCK: &str = "clock";
const SCHEMES: &str = "schemes";
/// The checks, in their order.
const CHECKS: [&str; 7] = [DISCOVERY, NAME, TCP, PROXY, TLS, CLOCK, SCHEMES];

/// Maximum shares of the total time.
const SECRET_TIMEOUT: Duration = Duration::from_secs(4);
const DISCOVERY_TIMEOUT: Duration = Duration::from_secs(4);
const NAME_TIMEOUT: Duration = Duration::from_secs(3);
const TCP_TIMEOUT: Duration = Duration::from_secs(3);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);
const ANSWER_TIMEOUT: Duration = Duration::from_secs(3);

/// Maximum difference between clocks that Kerberos accepts by default.
const MAX_SKEW: Duration = Duration::from_mins(5);
/// Maximum difference that is ignored: a `Date` header has whole seconds.
const MIN_SKEW: Duration = Duration::from_secs(2);
/// Minimum remaining days of a certificate without a warning.
const MIN_DAYS: u64 = 30;
const DAY: u64 = 24 * 60 * 60;

/// Findings about the network path to an endpoint, and their consequences for the sign-in.
pub struct NetworkPath {
    pub findings: Vec<Finding>,
    pub uri: Option<Url>,
    /// The reason why the credential cannot be sent to the endpoint.
    pub obstacle: Option<String>,
}

impl NetworkPath {
    /// Adds a finding, after the findings of the same and of earlier checks.
    fn add(&mut self, finding: Finding) {
        let order = |finding: &Finding| CHECKS.iter().position(|check| *check == finding.check);
        let at = self.findings.partition_point(|earlier| order(earlier) <= order(&finding));
        self.findings.insert(at, finding);
    }

    /// Skips the remaining checks. The reason follows "because".
    fn blocked(mut self, reason: &str) -> Self {
        for check in CHECKS {
            let is_due = check != DISCOVERY || self.uri.is_none();
            if is_due && self.findings.iter().all(|finding| finding.check != check) {
                self.add(Finding::skipped(check, reason));
            }
        }
        self.obstacle.get_or_insert_with(|| reason.to_owned());
        self
    }
}

/// Checks the network path of a profile to its endpoint. `withheld`: the reason why no secret may be fetched or sent,
/// not even to a proxy.
pub async fn path(
    folders: &Folders,
    profile: &Profile,
    certificate: Option<ClientCertificate>,
    withheld: Option<&'static str>,
    budget: Budget,
) -> NetworkPath {
    let mut path = NetworkPath { findings: Vec::new(), uri: profile.uri.clone(), obstacle: None };
    let mut access = EndpointResolver::new(folders, profile.clone(), None);
    let asks =
        || credential::proxy_needs_terminal(profile).then_some("its password is asked for at each start");
    let withheld = withheld.or_else(asks);
    let proxies = if withheld.is_some() {
        Proxies::anonymous(profile.proxy.clone())
    } else {
        match budget.limited(SECRET_TIMEOUT, access.proxies()).await {
            Ok(Ok(proxies)) => proxies,
            Ok(Err(error)) => {
                path.add(Finding::error(PROXY, &error));
                return path.blocked("the password for the proxy is not available");
            }
            Err(late) => {
                let found = format!("the source of the proxy's password did not answer {}", late.within());
                path.add(Finding::failed(PROXY, found, None));
                return path.blocked("the password for the proxy is not available");
            }
        }
    };
    let trust = match budget.limited(SECRET_TIMEOUT, trust(profile)).await {
        Ok(Ok(mut trust)) => {
            trust.certificate = certificate;
            Some(trust)
        }
        Ok(Err(error)) => {
            path.add(Finding::error(TLS, &error));
            None
        }
        Err(late) => {
            let found = format!("the disk with the CA certificates did not answer {}", late.within());
            path.add(Finding::failed(TLS, found, None));
            None
        }
    };
    if budget.is_over() {
        return path.blocked(OVER);
    }
    let uri = match (&path.uri, &trust) {
        (Some(uri), _) => uri.clone(),
        (None, None) => return path.blocked("the CA certificates of the profile cannot be used"),
        (None, Some(trust)) => match discover(profile, trust, &proxies, budget).await {
            (finding, Some(uri)) => {
                path.add(finding);
                path.uri = Some(uri.clone());
                uri
            }
            (finding, None) => {
                path.add(finding);
                return path.blocked("the endpoint was not discovered");
            }
        },
    };
    let proxy = match proxies.route(&uri) {
        Ok(proxy) => proxy,
        Err(error) => {
            path.add(Finding::failed(PROXY, error.to_string(), Some(error.advice())));
            return path.blocked("the proxy is not valid");
        }
    };
    let (findings, obstacle) = check_host(&uri, proxy.as_ref(), budget).await;
    findings.into_iter().for_each(|finding| path.add(finding));
    if let Some(obstacle) = obstacle {
        return path.blocked(obstacle);
    }
    match trust {
        Some(trust) => check_endpoint(path, profile, &uri, (trust, proxies, proxy, withheld), budget).await,
        None => path.blocked("the CA certificates of the profile cannot be used"),
    }
}

async fn discover(
    profile: &Profile,
    trust: &Trust,
    proxies: &Proxies,
    budget: Budget,
) -> (Finding, Option<Url>) {
    let mut profile = profile.clone();
    profile.limits.discovery = profile.limits.discovery.min(budget.share(DISCOVERY_TIMEOUT));
    match discovery::discover_uncached(&profile, trust, proxies).await {
        Ok(uri) => (Finding::ok(DISCOVERY, uri.to_string()), Some(uri)),
        Err(error) => (Finding::error(DISCOVERY, &error), None),
    }
}

/// Checks the name and the port of the host to connect to: the endpoint's, or the proxy's. Also returns the reason if
/// the endpoint cannot be checked.
async fn check_host(
    uri: &Url,
    proxy: Option<&Proxy>,
    budget: Budget,
) -> (Vec<Finding>, Option<&'static str>) {
    if budget.is_over() {
        return (Vec::new(), Some(OVER));
    }
    let obstacle =
        Some(if proxy.is_some() { "the proxy was not reached" } else { "the host was not reached" });
    let to = proxy.map_or(uri, |proxy| proxy.address.uri());
    let host = host_name(to).to_owned();
    let port = to.port_or_known_default();
    let port = port.unwrap_or(443);
    let unreachable = |check, found: String, reason: String| {
        let advice = match proxy {
            Some(proxy) => {
                let problem = Box::new(ProxyProblem::Unreachable(reason));
                Some(ProxyError::Failed { proxy: proxy.address.to_string(), problem }.advice())
            }
            None => Error::Unreachable { endpoint: display(uri), reason }.advice(),
        };
        Finding::failed(check, found, advice)
    };
    let (name, addresses) = if let Ok(address) = host.parse::<IpAddr>() {
        let found = format!("{address} is an address; there is no name to resolve");
        (Finding::ok(NAME, found), vec![SocketAddr::new(address, port)])
    } else {
        let resolving = tokio::net::lookup_host((host.as_str(), port));
        let resolved = match budget.limited(NAME_TIMEOUT, resolving).await {
            Ok(resolved) => resolved.map(Iterator::collect::<Vec<_>>).map_err(|error| error.to_string()),
            Err(late) => Err(format!("no answer of the name server {}", late.within())),
        };
        match resolved {
            Ok(addresses) if !addresses.is_empty() => {
                let listed: Vec<String> = addresses.iter().map(|one| one.ip().to_string()).collect();
                (Finding::ok(NAME, format!("{host}: {}", listed.join(", "))), addresses)
            }
            Ok(_) => {
                return (vec![unreachable(NAME, format!("{host} has no address"), String::new())], obstacle);
            }
            Err(reason) => {
                return (
                    vec![unreachable(NAME, format!("cannot resolve {host}: {reason}"), reason)],
                    obstacle,
                );
            }
        }
    };
    if budget.is_over() {
        return (vec![name], Some(OVER));
    }
    let (routed, unrouted): (Vec<_>, Vec<_>) = addresses.into_iter().partition(has_route);
    // Without any route, the error of the connection is reported.
    let (addresses, unrouted) = if routed.is_empty() { (unrouted, routed) } else { (routed, unrouted) };
    let share = budget.share(TCP_TIMEOUT);
    let connected = join_all(addresses.iter().map(async |address| {
        let since = Instant::now();
        match tokio::time::timeout(share, TcpStream::connect(address)).await {
            Ok(Ok(_)) => Ok(format!("{address} ({} ms)", since.elapsed().as_millis())),
            Ok(Err(error)) => Err(format!("{address}: {error}")),
            Err(_) => Err(format!("{address}: no answer within {}", humantime::format_duration(share))),
        }
    }));
    let (open, closed): (Vec<_>, Vec<_>) = connected.await.into_iter().partition(Result::is_ok);
    let open: Vec<String> = open.into_iter().flatten().collect();
    let closed: Vec<String> = closed.into_iter().filter_map(Result::err).collect();
    let tcp = match (open.as_slice(), closed.as_slice()) {
        ([], closed) => {
            let found = closed.join(", ");
            return (vec![name, unreachable(TCP, format!("cannot connect to {found}"), found)], obstacle);
        }
        (open, []) => Finding::ok(TCP, format!("{}{}", open.join(", "), not_tried(&unrouted))),
        // A program on this computer often listens on only one of the two loopback addresses.
        (open, _) if addresses.iter().all(|address| address.ip().is_loopback()) => {
            Finding::ok(TCP, open.join(", "))
        }
        (open, closed) => Finding::warning(
            TCP,
            format!("{}; but not {}{}", open.join(", "), closed.join(", "), not_tried(&unrouted)),
            format!("connections may be slow: correct the addresses of {host} in DNS"),
        ),
    };
    (vec![name, tcp], None)
}

/// Returns whether this computer has a route to an IPv6 address; always `true` for IPv4. Without IPv6 there is none,
/// and connections use the other addresses. Sends nothing: connecting a UDP socket only looks up the route.
fn has_route(address: &SocketAddr) -> bool {
    let route = || UdpSocket::bind((Ipv6Addr::UNSPECIFIED, 0))?.connect(address);
    address.is_ipv4() || route().is_ok()
}

/// Describes the addresses to which this computer has no route.
fn not_tried(unrouted: &[SocketAddr]) -> String {
    let listed: Vec<String> = unrouted.iter().map(|address| address.ip().to_string()).collect();
    if listed.is_empty() {
        String::new()
    } else {
        format!("; not tried without IPv6 on this computer: {}", listed.join(", "))
    }
}

/// Checks the connection, and the answer to a request without a credential.
async fn check_endpoint(
    mut path: NetworkPath,
    profile: &Profile,
    uri: &Url,
    (trust, proxies, proxy, withheld): (Trust, Proxies, Option<Proxy>, Option<&'static str>),
    budget: Budget,
) -> NetworkPath {
    if budget.is_over() {
        return path.blocked(OVER);
    }
    let limit = profile.limits.connect;
    let probe = Probe::new(uri, trust.clone(), proxies.clone(), limit.min(budget.share(CONNECT_TIMEOUT)));
    let connected = match &probe {
        // A proxy with Kerberos waits for a KDC.
        Ok(probe) => match budget.limited(CONNECT_TIMEOUT + Duration::from_secs(1), probe.connect()).await {
            Ok(connected) => connected,
            Err(late) => Err(Error::Timeout { operation: Operation::Connect, limit: late.0 }),
        },
        Err(error) => Err(error.clone()),
    };
    let finding = match (&proxy, &connected) {
        (None, _) => Finding::ok(PROXY, "none"),
        (Some(_), Err(error @ Error::Proxy(ProxyError::Failed { problem, .. })))
            if withheld.is_some() && matches!(**problem, ProxyProblem::Required { .. }) =>
        {
            tracing::debug!("{error}");
            path.add(Finding::skipped(PROXY, withheld.unwrap_or_default()));
            return path.blocked("the proxy needs a password, which was not sent");
        }
        (Some(_), Err(error @ Error::Proxy(_))) => {
            path.add(Finding::transport(PROXY, error));
            return path.blocked("the proxy did not connect to the endpoint");
        }
        // TLS begins after the proxy has connected to the endpoint.
        (Some(proxy), Ok(_) | Err(Error::Certificate { .. } | Error::Handshake { .. })) => {
            Finding::ok(PROXY, format!("{} connects to the endpoint", proxy.address))
        }
        (Some(_), Err(_)) => Finding::skipped(PROXY, "the connection was not opened"),
    };
    path.add(finding);
    let (probe, connection) = match (probe, connected) {
        (Ok(probe), Ok(connection)) => {
            path.add(tls(uri, profile, connection.handshake()));
            (probe, connection)
        }
        (_, Err(Error::Certificate { endpoint, refused })) => {
            let fingerprint = refused.fingerprint;
            let error = Error::Certificate { endpoint, refused };
            let mut finding = Finding::transport(TLS, &error);
            if let Some(found) = fingerprint {
                finding.found.push_str(&format!(" (fingerprint {found})"));
            }
            path.add(finding);
            path.obstacle = Some("the certificate is not trusted".to_owned());
            // The checks that send no secret continue with this certificate.
            match connect_pinned(uri, trust, proxies, fingerprint, budget).await {
                Some(pinned) => pinned,
                None => return path.blocked("the certificate is not trusted"),
            }
        }
        (_, Err(error)) => {
            path.add(Finding::transport(TLS, &error));
            return path.blocked("the connection was not opened");
        }
        (Err(error), Ok(_)) => {
            path.add(Finding::transport(TLS, &error));
            return path.blocked("TLS cannot be set up");
        }
    };
    if budget.is_over() {
        return path.blocked(OVER);
    }
    match budget.limited(ANSWER_TIMEOUT.min(limit), probe.send(connection)).await {
        Ok(Ok(response)) => {
            path.add(clock(profile, &response));
            let (finding, obstacle) = schemes(profile, uri, &response);
            path.add(finding);
            path.obstacle = path.obstacle.or(obstacle);
            path
        }
        Ok(Err(Error::Timeout { operation, limit })) => {
            no_answer(path, Error::Timeout { operation, limit }, limit)
        }
        Ok(Err(error)) => {
            path.add(Finding::transport(SCHEMES, &error));
            path.blocked("the endpoint did not answer")
        }
        Err(late) => no_answer(path, Error::Timeout { operation: Operation::Connect, limit: late.0 }, late.0),
    }
}

/// Reports an endpoint that accepts connections but does not answer.
fn no_answer(mut path: NetworkPath, error: Error, limit: Duration) -> NetworkPath {
    let limit = humantime::format_duration(limit);
    let found = format!("the endpoint did not answer a request without a credential within {limit}");
    path.add(Finding::failed(SCHEMES, found, error.advice()));
    path.blocked("the endpoint did not answer")
}

/// Connects again, and accepts only the certificate that was refused.
async fn connect_pinned(
    uri: &Url,
    mut trust: Trust,
    proxies: Proxies,
    refused: Option<Fingerprint>,
    budget: Budget,
) -> Option<(Probe, ProbeConnection)> {
    (trust.pin, trust.certificate) = (Some(refused?), None);
    let probe = Probe::new(uri, trust, proxies, budget.share(CONNECT_TIMEOUT)).ok()?;
    let connection = budget.limited(CONNECT_TIMEOUT, probe.connect()).await.ok()?.ok()?;
    Some((probe, connection))
}

/// Reports the encryption of the connection.
fn tls(uri: &Url, profile: &Profile, handshake: Option<&Handshake>) -> Finding {
    let Some(handshake) = handshake else {
        let how = if profile.authentication.has_context() {
            "the messages are sealed"
        } else if is_loopback(uri) {
            "the endpoint is on this computer"
        } else {
            "the URI is http"
        };
        return Finding::ok(TLS, format!("not used: {how}"));
    };
    let facts = CertificateFacts::of(&handshake.certificate);
    let version = match (handshake.protocol, handshake.suite) {
        (Some(protocol), Some(suite)) => format!("{protocol}, {suite}"),
        _ => "the system's library, which does not report protocol and suite".to_owned(),
    };
    let names = if facts.names.is_empty() { facts.common_name.into_iter().collect() } else { facts.names };
    let issuer = facts.issuer.map(|issuer| format!(", issued by {issuer}")).unwrap_or_default();
    let sent = match handshake.sent {
        Some(1) => ", 1 certificate sent".to_owned(),
        Some(count) => format!(", {count} certificates sent"),
        None => String::new(),
    };
    let trusted = if profile.pin.is_some() { ", trusted by pin" } else { "" };
    let left =
        facts.not_after.map(|end| end.duration_since(SystemTime::now()).map(|left| left.as_secs() / DAY));
    let days = match left {
        Some(Ok(days)) => format!(", expires in {days} days"),
        Some(Err(_)) => ", expired".to_owned(),
        None => String::new(),
    };
    let fingerprint = Fingerprint::of(&handshake.certificate);
    let found =
        format!("{version}; certificate of {}{issuer}{sent}{trusted}{days}, {fingerprint}", names.join(", "));
    match left {
        Some(Ok(days)) if days >= MIN_DAYS => Finding::ok(TLS, found),
        Some(_) => Finding::warning(TLS, found, "ask the endpoint's administrator to renew the certificate"),
        None => Finding::ok(TLS, found),
    }
}

/// Compares the clocks.
fn clock(profile: &Profile, response: &ProbeResponse) -> Finding {
    let Some(date) = response.date else {
        return Finding::skipped(CLOCK, "the endpoint's answer has no date");
    };
    let (skew, word) = match date.duration_since(response.now) {
        Ok(ahead) => (ahead, "ahead of"),
        Err(behind) => (behind.duration(), "behind"),
    };
    if skew < MIN_SKEW {
        return Finding::ok(CLOCK, "the endpoint's clock and this computer's agree");
    }
    let found = format!("the endpoint's clock is {} {word} this computer's", format_seconds(skew));
    if skew <= MAX_SKEW {
        return Finding::ok(CLOCK, found);
    }
    let finding = Finding::failed(CLOCK, found, Some(KerberosProblem::ClockSkew.advice().join("\n")));
    if profile.authentication == Authentication::Kerberos { finding } else { finding.into_warning() }
}

/// Checks the offered authentication schemes. Also returns the reason if the credential cannot be sent.
fn schemes(profile: &Profile, uri: &Url, response: &ProbeResponse) -> (Finding, Option<String>) {
    let (wanted, usable): (&str, &[&str]) = match profile.authentication {
        Authentication::Basic => ("Basic", &["Basic"]),
        Authentication::Kerberos => ("Kerberos", &["Kerberos", "Negotiate"]),
        Authentication::Negotiate => ("Negotiate", &["Negotiate", "Kerberos", "NTLM"]),
        Authentication::Ntlm => ("NTLM", &["NTLM", "Negotiate"]),
        Authentication::Token => ("Bearer", &["Bearer"]),
        Authentication::Certificate => ("a client certificate", &[]),
    };
    let offered = &response.offered;
    let status = response.status.as_u16();
    match (status, &response.target) {
        (300..=399, Some(target)) => return redirect(profile, uri, target),
        (401, _) if usable.is_empty() => {
            return (Finding::ok(SCHEMES, "none needed: the client certificate authenticates"), None);
        }
        (401, _) if usable.iter().any(|one| offered.iter().any(|offer| offer.eq_ignore_ascii_case(one))) => {
            let found = format!(
                "offered: {}; the profile uses {}",
                offered.join(", "),
                profile.authentication.name()
            );
            return (Finding::ok(SCHEMES, found), None);
        }
        (401, _) => {
            let endpoint = display(uri);
            let error = Error::NotOffered { endpoint, wanted, offered: offered.clone() };
            return (
                Finding::transport(SCHEMES, &error),
                Some(format!("the endpoint does not offer {wanted}")),
            );
        }
        _ => {}
    }
    let finding = Finding::transport(SCHEMES, &response.error());
    // Some servers reject an empty request before they authenticate it.
    let is_open = matches!(status, 400 | 405 | 411 | 415) || (status < 300 && !response.is_page);
    if is_open || usable.is_empty() {
        return (finding.into_warning(), None);
    }
    (finding, Some(format!("the endpoint answered {}", response.status)))
}

/// Checks whether a session would follow a redirect.
fn redirect(profile: &Profile, uri: &Url, target: &str) -> (Finding, Option<String>) {
    match check_redirect(uri, target, &profile.hosts()) {
        Ok(target) => {
            let found = format!("the endpoint redirects to {}, which was not checked", display(&target));
            let reason = "the endpoint redirects before it authenticates".to_owned();
            (Finding::ok(SCHEMES, found), Some(reason))
        }
        Err(error) => (Finding::transport(SCHEMES, &error), Some("the redirect is refused".to_owned())),
    }
}

#[cfg(test)]
mod tests {
    use super::super::finding::State;
    use super::*;

    #[tokio::test]
    async fn checks_without_time_are_skipped() {
        let (_temp, folders) = Folders::temporary();
        let text = "kind = 'wsman'\nuri = 'https://127.0.0.1:9/wsman'\nuser = 'a@b.c'\n";
        let profile = crate::profile::parse("work", std::path::Path::new("work.toml"), text).unwrap();
        let path = path(&folders, &profile, None, None, Budget::of(Duration::ZERO)).await;
        assert_eq!(path.findings.len(), CHECKS.len() - 1, "{:?}", path.findings);
        for finding in &path.findings {
            assert_eq!((finding.state, &*finding.found), (State::Skipped, &*format!("because {OVER}")));
        }
        assert_eq!(path.obstacle.as_deref(), Some(OVER));
    }

    #[test]
    fn addresses_without_a_route_are_named() {
        assert_eq!(not_tried(&[]), "");
        let unrouted = ["[2001:db8::1]:443".parse().unwrap()];
        assert!(not_tried(&unrouted).ends_with("on this computer: 2001:db8::1"));
        let has_ipv6 = UdpSocket::bind((Ipv6Addr::LOCALHOST, 0)).is_ok();
        assert_eq!(has_route(&"[::1]:443".parse().unwrap()), has_ipv6);
    }

    #[test]
    fn the_target_of_a_redirect_is_shown_without_secrets() {
        let text =
            "kind = 'wsman'\nuri = 'https://a.example/wsman'\nuser = 'a@b.c'\nredirects = ['b.example']";
        let profile = crate::profile::parse("work", std::path::Path::new("work.toml"), text).unwrap();
        let uri = profile.uri.clone().unwrap();
        let (finding, obstacle) = redirect(&profile, &uri, "https://u:word@b.example/x?ticket=1");
        assert_eq!(finding.found, "the endpoint redirects to https://b.example/x, which was not checked");
        assert!(finding.state == State::Ok && obstacle.is_some());
        let (finding, _) = redirect(&profile, &uri, "https://u:word@c.example/x?ticket=1");
        assert_eq!(finding.state, State::Failed);
        assert!(!finding.found.contains("word") && !finding.found.contains("ticket"), "{finding:?}");
    }
}
