//! Checks of the way to an endpoint: discovery, name, TCP, proxy, TLS, clock, authentication schemes. No
//! credential is sent to the endpoint.

use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, SystemTime};

use futures_util::future::join_all;
use tokio::net::TcpStream;
use tokio::time::Instant;
use url::Url;

use super::finding::{Budget, Finding};
use crate::agent::resolver::{EndpointResolver, trust};
use crate::credential;
use crate::discovery;
use crate::folders::Folders;
use crate::net::{
    CertificateFacts, ClientCertificate, Fingerprint, Handshake, HostRefusal, Proxies, Proxy, ProxyError,
    ProxyProblem, Trust, display, host_name, is_loopback,
};
use crate::profile::{Authentication, Profile};
use crate::screen::format_seconds;
use crate::security::KerberosProblem;
use crate::transport::wsman::{Answered, Probe, Reached};
use crate::transport::{Error, Operation, RedirectRefusal};

const DISCOVERY: &str = "discovery";
const NAME: &str = "name";
const TCP: &str = "tcp";
const PROXY: &str = "proxy";
const TLS: &str = "tls";
const CLOCK: &str = "clock";
const SCHEMES: &str = "schemes";
/// The checks, in their order.
const CHECKS: [&str; 7] = [DISCOVERY, NAME, TCP, PROXY, TLS, CLOCK, SCHEMES];

/// Shares of the time.
const SECRET_TIMEOUT: Duration = Duration::from_secs(4);
const DISCOVERY_TIMEOUT: Duration = Duration::from_secs(4);
const NAME_TIMEOUT: Duration = Duration::from_secs(3);
const TCP_TIMEOUT: Duration = Duration::from_secs(3);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);
const ANSWER_TIMEOUT: Duration = Duration::from_secs(3);

/// Maximum difference between clocks that Kerberos accepts by default.
const MAX_SKEW: Duration = Duration::from_mins(5);
/// A `Date` header has whole seconds.
const MIN_SKEW: Duration = Duration::from_secs(2);
/// A certificate that expires sooner is a warning.
const MIN_DAYS: u64 = 30;
const DAY: u64 = 24 * 60 * 60;

/// The findings about the way, and what follows from them.
pub struct Way {
    pub findings: Vec<Finding>,
    pub uri: Option<Url>,
    /// The reason why the credential cannot be sent to the endpoint.
    pub obstacle: Option<String>,
}

impl Way {
    /// Skips the remaining checks. The reason continues "because".
    fn blocked(mut self, reason: &str) -> Self {
        for check in CHECKS {
            let is_due = check != DISCOVERY || self.uri.is_none();
            if is_due && self.findings.iter().all(|finding| finding.check != check) {
                self.findings.push(Finding::skipped(check, reason));
            }
        }
        self.obstacle.get_or_insert_with(|| reason.to_owned());
        self
    }
}

/// Checks the way of a profile to its endpoint.
pub async fn way(
    folders: &Folders,
    profile: &Profile,
    certificate: Option<ClientCertificate>,
    budget: Budget,
) -> Way {
    let mut way = unsorted(folders, profile, certificate, budget).await;
    way.findings.sort_by_key(|finding| CHECKS.iter().position(|check| *check == finding.check));
    way
}

async fn unsorted(
    folders: &Folders,
    profile: &Profile,
    certificate: Option<ClientCertificate>,
    budget: Budget,
) -> Way {
    let mut way = Way { findings: Vec::new(), uri: profile.uri.clone(), obstacle: None };
    let mut access = EndpointResolver::new(folders, profile.clone(), None);
    let asks = credential::proxy_needs_terminal(profile);
    let proxies = if asks {
        Proxies::new(profile.proxy.clone(), None)
    } else {
        match budget.limited(SECRET_TIMEOUT, access.proxies()).await {
            Ok(Ok(proxies)) => proxies,
            Ok(Err(error)) => {
                way.findings.push(Finding::error(PROXY, &error));
                return way.blocked("the password for the proxy is not available");
            }
            Err(late) => {
                let found = format!("the source of the proxy's password did not answer {}", late.within());
                way.findings.push(Finding::failed(PROXY, found, None));
                return way.blocked("the password for the proxy is not available");
            }
        }
    };
    let trust = match budget.limited(SECRET_TIMEOUT, trust(profile)).await {
        Ok(Ok(mut trust)) => {
            trust.certificate = certificate;
            Some(trust)
        }
        Ok(Err(error)) => {
            way.findings.push(Finding::error(TLS, &error));
            None
        }
        Err(late) => {
            let found = format!("the disk with the CA certificates did not answer {}", late.within());
            way.findings.push(Finding::failed(TLS, found, None));
            None
        }
    };
    let uri = match (&way.uri, &trust) {
        (Some(uri), _) => uri.clone(),
        (None, None) => return way.blocked("the CA certificates of the profile cannot be used"),
        (None, Some(trust)) => match discovered(profile, trust, &proxies, budget).await {
            (finding, Some(uri)) => {
                way.findings.push(finding);
                way.uri = Some(uri.clone());
                uri
            }
            (finding, None) => {
                way.findings.push(finding);
                return way.blocked("the endpoint was not discovered");
            }
        },
    };
    let proxy = match proxies.route(&uri) {
        Ok(proxy) => proxy,
        Err(error) => {
            way.findings.push(Finding::failed(PROXY, error.to_string(), Some(error.advice())));
            return way.blocked("the proxy is not valid");
        }
    };
    let (findings, is_reached) = reached(&uri, proxy.as_ref(), budget).await;
    way.findings.extend(findings);
    if !is_reached {
        return way.blocked(if proxy.is_some() {
            "the proxy was not reached"
        } else {
            "the host was not reached"
        });
    }
    match trust {
        Some(trust) => asked(way, profile, &uri, (trust, proxies, proxy, asks), budget).await,
        None => way.blocked("the CA certificates of the profile cannot be used"),
    }
}

async fn discovered(
    profile: &Profile,
    trust: &Trust,
    proxies: &Proxies,
    budget: Budget,
) -> (Finding, Option<Url>) {
    let mut profile = profile.clone();
    profile.limits.discovery = profile.limits.discovery.min(budget.share(DISCOVERY_TIMEOUT));
    match discovery::asked(&profile, trust, proxies).await {
        Ok(uri) => (Finding::ok(DISCOVERY, uri.to_string()), Some(uri)),
        Err(error) => (Finding::error(DISCOVERY, &error), None),
    }
}

/// Checks the name and the port of the host to connect to: the endpoint's, or the proxy's.
async fn reached(uri: &Url, proxy: Option<&Proxy>, budget: Budget) -> (Vec<Finding>, bool) {
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
                return (vec![unreachable(NAME, format!("{host} has no address"), String::new())], false);
            }
            Err(reason) => {
                return (vec![unreachable(NAME, format!("cannot resolve {host}: {reason}"), reason)], false);
            }
        }
    };
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
            return (vec![name, unreachable(TCP, format!("cannot connect to {found}"), found)], false);
        }
        (open, []) => Finding::ok(TCP, open.join(", ")),
        // A program on this computer often listens on one of its two addresses.
        (open, _) if addresses.iter().all(|address| address.ip().is_loopback()) => {
            Finding::ok(TCP, open.join(", "))
        }
        (open, closed) => Finding::warning(
            TCP,
            format!("{}; but not {}", open.join(", "), closed.join(", ")),
            format!("connections may be slow: correct the addresses of {host} in DNS"),
        ),
    };
    (vec![name, tcp], true)
}

/// Checks the connection, and the answer to a request without a credential.
async fn asked(
    mut way: Way,
    profile: &Profile,
    uri: &Url,
    (trust, proxies, proxy, asks): (Trust, Proxies, Option<Proxy>, bool),
    budget: Budget,
) -> Way {
    let limit = profile.limits.connect;
    let probe = Probe::new(uri, trust.clone(), proxies.clone(), limit.min(budget.share(CONNECT_TIMEOUT)));
    let reached = match &probe {
        // A proxy with Kerberos waits for a KDC.
        Ok(probe) => match budget.limited(CONNECT_TIMEOUT + Duration::from_secs(1), probe.reach()).await {
            Ok(reached) => reached,
            Err(late) => Err(Error::Timeout { operation: Operation::Connect, limit: late.0 }),
        },
        Err(error) => Err(error.clone()),
    };
    way.findings.push(match (&proxy, &reached) {
        (None, _) => Finding::ok(PROXY, "none"),
        (Some(_), Err(error @ Error::Proxy(ProxyError::Failed { problem, .. })))
            if asks && matches!(**problem, ProxyProblem::Required { .. }) =>
        {
            tracing::debug!("{error}");
            way.findings.push(Finding::skipped(PROXY, "its password is asked for at each start"));
            return way.blocked("the proxy needs the password that is asked for at each start");
        }
        (Some(_), Err(error @ Error::Proxy(_))) => {
            way.findings.push(Finding::transport(PROXY, error));
            return way.blocked("the proxy did not connect to the endpoint");
        }
        (Some(proxy), _) => Finding::ok(PROXY, format!("{} connects to the endpoint", proxy.address)),
    });
    let (probe, reached) = match (probe, reached) {
        (Ok(probe), Ok(reached)) => {
            way.findings.push(encrypted(uri, profile, reached.handshake()));
            (probe, reached)
        }
        (_, Err(Error::Certificate { endpoint, refused })) => {
            let fingerprint = refused.fingerprint;
            let error = Error::Certificate { endpoint, refused };
            let mut finding = Finding::transport(TLS, &error);
            if let Some(found) = fingerprint {
                finding.found.push_str(&format!(" (fingerprint {found})"));
            }
            way.findings.push(finding);
            way.obstacle = Some("the certificate is not trusted".to_owned());
            // The checks that send no secret continue with this certificate.
            match again(uri, trust, proxies, fingerprint, budget).await {
                Some(pinned) => pinned,
                None => return way.blocked("the certificate is not trusted"),
            }
        }
        (_, Err(error)) => {
            way.findings.push(Finding::transport(TLS, &error));
            return way.blocked("the connection was not opened");
        }
        (Err(error), Ok(_)) => {
            way.findings.push(Finding::transport(TLS, &error));
            return way.blocked("TLS cannot be set up");
        }
    };
    match budget.limited(ANSWER_TIMEOUT.min(limit), probe.ask(reached)).await {
        Ok(Ok(answered)) => {
            way.findings.push(clock(profile, &answered));
            let (finding, obstacle) = schemes(profile, uri, &answered);
            way.findings.push(finding);
            way.obstacle = way.obstacle.or(obstacle);
            way
        }
        Ok(Err(Error::Timeout { operation, limit })) => {
            silent(way, Error::Timeout { operation, limit }, limit)
        }
        Ok(Err(error)) => {
            way.findings.push(Finding::transport(SCHEMES, &error));
            way.blocked("the endpoint did not answer")
        }
        Err(late) => silent(way, Error::Timeout { operation: Operation::Connect, limit: late.0 }, late.0),
    }
}

/// The endpoint accepts connections and does not answer.
fn silent(mut way: Way, error: Error, limit: Duration) -> Way {
    let limit = humantime::format_duration(limit);
    let found = format!("the endpoint did not answer a request without a credential within {limit}");
    way.findings.push(Finding::failed(SCHEMES, found, error.advice()));
    way.blocked("the endpoint did not answer")
}

/// Connects again, and accepts only the certificate that was refused.
async fn again(
    uri: &Url,
    mut trust: Trust,
    proxies: Proxies,
    refused: Option<Fingerprint>,
    budget: Budget,
) -> Option<(Probe, Reached)> {
    (trust.pin, trust.certificate) = (Some(refused?), None);
    let probe = Probe::new(uri, trust, proxies, budget.share(CONNECT_TIMEOUT)).ok()?;
    let reached = budget.limited(CONNECT_TIMEOUT, probe.reach()).await.ok()?.ok()?;
    Some((probe, reached))
}

fn encrypted(uri: &Url, profile: &Profile, handshake: Option<&Handshake>) -> Finding {
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

fn clock(profile: &Profile, answered: &Answered) -> Finding {
    let Some(date) = answered.date else {
        return Finding::skipped(CLOCK, "the endpoint's answer has no date");
    };
    let (skew, word) = match date.duration_since(answered.now) {
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

/// Checks the offered authentication schemes. Returns also the reason why the credential cannot be sent.
fn schemes(profile: &Profile, uri: &Url, answered: &Answered) -> (Finding, Option<String>) {
    let (wanted, usable): (&str, &[&str]) = match profile.authentication {
        Authentication::Basic => ("Basic", &["Basic"]),
        Authentication::Kerberos => ("Kerberos", &["Kerberos", "Negotiate"]),
        Authentication::Negotiate => ("Negotiate", &["Negotiate", "Kerberos", "NTLM"]),
        Authentication::Ntlm => ("NTLM", &["NTLM", "Negotiate"]),
        Authentication::Token => ("Bearer", &["Bearer"]),
        Authentication::Certificate => ("a client certificate", &[]),
    };
    let offered = &answered.offered;
    let status = answered.status.as_u16();
    match (status, &answered.target) {
        (300..=399, Some(target)) => return redirected(profile, uri, target),
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
    let finding = Finding::transport(SCHEMES, &answered.error());
    // Some servers reject an empty request before they authenticate it.
    let is_open = matches!(status, 400 | 405 | 411 | 415) || (status < 300 && !answered.is_page);
    if is_open || usable.is_empty() {
        return (finding.into_warning(), None);
    }
    (finding, Some(format!("the endpoint answered {}", answered.status)))
}

fn redirected(profile: &Profile, uri: &Url, target: &str) -> (Finding, Option<String>) {
    let refused = |refusal| {
        let target = target.split(['?', '#']).next().unwrap_or_default().to_owned();
        Error::Redirect { endpoint: display(uri), target, refusal }
    };
    let error = match uri.join(target).map(|target| profile.hosts().check(uri, &target)) {
        Ok(Ok(())) => {
            let found = format!("the endpoint redirects to {target}, which was not checked");
            let reason = "the endpoint redirects before it authenticates".to_owned();
            return (Finding::ok(SCHEMES, found), Some(reason));
        }
        Ok(Err(HostRefusal::NotHttps)) => refused(RedirectRefusal::NotHttps),
        Ok(Err(HostRefusal::Foreign)) => refused(RedirectRefusal::Foreign),
        Err(_) => refused(RedirectRefusal::NotUri),
    };
    (Finding::transport(SCHEMES, &error), Some("the redirect is refused".to_owned()))
}
