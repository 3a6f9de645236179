//! Discovery of the PowerShell endpoint of a domain (MS-OCDISCWS): `lyncdiscover.DOMAIN` returns a document
//! that links to the next one, until a document contains the endpoint.

mod known;

use std::collections::HashSet;
use std::pin::pin;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use futures_util::future::maybe_done;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::header::{ACCEPT, ACCEPT_ENCODING, LOCATION, USER_AGENT};
use hyper::{Request, Response, StatusCode};
use quick_xml::Reader;
use quick_xml::events::Event;
use url::Url;

use crate::folders::Folders;
use crate::net::response::{self, BodyError};
use crate::net::{
    AGENT, Cause, Connector, HostRefusal, Hosts, HttpClient, IDENTITY, Proxies, ProxyError, Trust, display,
    innermost, is_late, permit, proxy_error, refused_certificate, sources, without_user,
};
use crate::profile::{Authentication, Profile};
use crate::step::{Report, Step};

pub use known::LastDiscovery;

/// Media type of discovery documents.
const MEDIA_TYPE: &str = "application/vnd.microsoft.rtc.autodiscover+xml;v=1";
/// Maximum number of links to follow.
const MAX_HOPS: usize = 10;
/// Maximum number of redirects from one document.
const MAX_REDIRECTS: usize = 5;
/// Maximum size of a discovery document, in bytes.
const MAX_SIZE: usize = 1 << 20;
const REMOTE_POWERSHELL: &str = "External/RemotePowerShell";
/// Time to wait for the first name's result after the second name has led to an endpoint.
const PREFERRED_NAME_TIMEOUT: Duration = Duration::from_secs(2);
/// Path of the endpoint for tokens, on the host of the endpoint for passwords.
const OAUTH_PATH: &str = "/OcsPowershellOAuth";

/// Error of discovery.
#[derive(Debug, thiserror::Error, miette::Diagnostic)]
pub enum DiscoveryError {
    /// Neither `lyncdiscover.DOMAIN` nor `lyncdiscoverinternal.DOMAIN` exists, or they do not know the domain.
    #[error("the domain {domain} has no discovery service: {reason}")]
    #[diagnostic(help(
        "check the domain's spelling, try the tenant's domain NAME.onmicrosoft.com, or write the endpoint into the \
         profile: uri = \"https://…\""
    ))]
    NotFound { domain: String, reason: String },
    /// A server refused the connection, or returned an error, an invalid document or an unusable link.
    #[error("discovery at {uri} {reason}")]
    #[diagnostic(help(
        "try again later, or write the endpoint into the profile: uri = \"https://…\"; for a private CA, add ca = \"…\""
    ))]
    Failed { uri: String, reason: String },
    /// The document names an endpoint on a host that the profile does not permit in `redirects`.
    #[error("discovery at {uri} returned the endpoint {target}; the credential may not be sent to that host")]
    #[diagnostic(help("{}", permit(host)))]
    Foreign { uri: String, target: String, host: String },
    /// The documents were not complete within `discovery` of `[timeouts]`.
    #[error("discovery of {domain} took longer than {}", humantime::format_duration(*.limit))]
    #[diagnostic(help("try again; if the network is slow, raise `discovery` in [timeouts] in the profile"))]
    Timeout { domain: String, limit: Duration },
    /// The proxy before the discovery service failed: see `ProxyError`.
    #[error("cannot discover the endpoint: {0}")]
    #[diagnostic(help("{}", .0.advice()))]
    Proxy(ProxyError),
    /// The profile has no `uri`, and neither `domain` nor a `user` with a domain.
    #[error("cannot discover the endpoint: the profile has no domain and no uri")]
    #[diagnostic(help("add domain = \"…\" or uri = \"…\" to the profile"))]
    NoDomain,
}

/// Reason why a document is missing.
enum Missing {
    /// The host name does not exist.
    Name(String),
    /// The document does not exist.
    Document(String),
    /// The connection failed or the certificate is not trusted: the next scheme may work.
    Unreachable(String),
    /// The response is not the document.
    Answer(String),
    Proxy(ProxyError),
}

/// The connection URI of a profile.
#[derive(Clone, Debug)]
pub struct ConnectionUri {
    pub uri: Url,
    /// Whether an earlier connection discovered the URI; the endpoint may have moved since.
    pub is_cached: bool,
}

/// Returns the connection URI of a profile: its `uri`, or the discovered URI.
pub async fn endpoint(
    folders: &Folders,
    profile: &Profile,
    trust: &Trust,
    proxies: &Proxies,
    report: &Report,
) -> Result<ConnectionUri, DiscoveryError> {
    let _ = report.send(Step::DeterminingDomain);
    if let Some(domain) = &profile.domain {
        let _ = report.send(Step::AdminDomain { domain: domain.clone() });
    }
    let _ = report.send(Step::DiscoveringEndpoint);
    let found = match &profile.uri {
        Some(uri) => ConnectionUri { uri: uri.clone(), is_cached: false },
        None => discover(folders, profile, trust, proxies).await?,
    };
    let _ = report.send(Step::TargetUri { uri: found.uri.to_string() });
    Ok(found)
}

/// Returns the URI of a profile's first request.
pub fn first_request(profile: &Profile) -> Option<Url> {
    let domain = profile.domain.as_deref().unwrap_or_default();
    let start = || starts(profile.discovery.as_ref(), domain).into_iter().next();
    profile.uri.clone().or_else(start)
}

async fn discover(
    folders: &Folders,
    profile: &Profile,
    trust: &Trust,
    proxies: &Proxies,
) -> Result<ConnectionUri, DiscoveryError> {
    let domain = profile.domain.as_deref().ok_or(DiscoveryError::NoDomain)?;
    let last = LastDiscovery::of(folders, &profile.name);
    let starts = starts(profile.discovery.as_ref(), domain);
    if let Some((uri, age)) = last.read(profile, domain, &starts, SystemTime::now()) {
        let age = Duration::from_secs(age.as_secs());
        tracing::debug!("{uri} was discovered {} ago", humantime::format_duration(age));
        return Ok(ConnectionUri { uri: for_authentication(uri, profile), is_cached: true });
    }
    let (start, uri) = follow_documents(profile, domain, starts, trust, proxies).await?;
    last.write(domain, &start, &uri, SystemTime::now());
    Ok(ConnectionUri { uri: for_authentication(uri, profile), is_cached: false })
}

/// Discovers the endpoint of a profile without `uri`; the result is not kept for later connections.
///
/// # Errors
/// The endpoint was not found.
pub async fn discover_uncached(
    profile: &Profile,
    trust: &Trust,
    proxies: &Proxies,
) -> Result<Url, DiscoveryError> {
    let domain = profile.domain.as_deref().ok_or(DiscoveryError::NoDomain)?;
    let starts = starts(profile.discovery.as_ref(), domain);
    let (_, uri) = follow_documents(profile, domain, starts, trust, proxies).await?;
    Ok(for_authentication(uri, profile))
}

/// Follows the documents of discovery. Returns the first URI that was found, and the endpoint.
async fn follow_documents(
    profile: &Profile,
    domain: &str,
    starts: Vec<Url>,
    trust: &Trust,
    proxies: &Proxies,
) -> Result<(Url, Url), DiscoveryError> {
    let limit = profile.limits.discovery;
    let connect = profile.limits.connect;
    // A shorter limit leaves time for the other scheme if a host does not answer.
    let connect = if starts.len() > 1 { connect.min(limit / 3) } else { connect };
    let client = Connector::new(trust.of_others(), proxies.clone(), connect).client();
    let hosts = profile.hosts();
    let mut names = starts.chunk_by(|one, next| one.host() == next.host());
    let (first, second) = (names.next().unwrap_or_default(), names.next().unwrap_or_default());
    let walk = either(of_name(&client, domain, first, &hosts), of_name(&client, domain, second, &hosts));
    tokio::time::timeout(limit, walk)
        .await
        .map_err(|_| DiscoveryError::Timeout { domain: domain.to_owned(), limit })?
        .map_err(WalkError::into_error)
}

/// Follows the documents of both names at the same time: one after the other, a first name that does not answer would
/// use up the time limit. The result of the first name takes precedence, unless that name has no document.
async fn either<T>(
    first: impl Future<Output = Result<T, WalkError>>,
    second: impl Future<Output = Result<T, WalkError>>,
) -> Result<T, WalkError> {
    let mut second = pin!(maybe_done(second));
    let found = {
        let alone = async {
            second.as_mut().await;
            match second.as_mut().output_mut() {
                Some(Ok(_)) => tokio::time::sleep(PREFERRED_NAME_TIMEOUT).await,
                _ => std::future::pending().await,
            }
        };
        tokio::select! {
            found = first => found.map_err(Some),
            () = alone => Err(None),
        }
    };
    let failure = match found {
        Ok(found) => return Ok(found),
        Err(Some(WalkError::Failed(error))) => return Err(WalkError::Failed(error)),
        Err(failure) => failure,
    };
    second.as_mut().await;
    match (failure, second.as_mut().take_output()) {
        (None, Some(result)) | (_, Some(result @ (Ok(_) | Err(WalkError::Failed(_))))) => result,
        (Some(first), Some(Err(second))) => {
            let error = clearer(Some(first.into_error()), second.into_error());
            Err(WalkError::NotStarted(error))
        }
        (failure, None) => Err(failure.unwrap_or(WalkError::NotStarted(DiscoveryError::NoDomain))),
    }
}

/// Follows the documents of one name, from its first URIs. Returns the first URI that answered, and the endpoint.
async fn of_name(
    client: &HttpClient,
    domain: &str,
    starts: &[Url],
    hosts: &Hosts,
) -> Result<(Url, Url), WalkError> {
    let mut failure = None;
    for start in starts {
        match walk(client, domain, start.clone(), hosts).await {
            Ok(uri) => return Ok((start.clone(), uri)),
            Err(WalkError::NotStarted(error)) => failure = Some(clearer(failure, error)),
            // The server was reached: over plain http, anyone on the network could give another answer.
            Err(error) => return Err(error),
        }
    }
    Err(WalkError::NotStarted(failure.unwrap_or(DiscoveryError::NoDomain)))
}

/// Returns the endpoint for a profile's authentication method: tokens have another path.
fn for_authentication(uri: Url, profile: &Profile) -> Url {
    match profile.authentication {
        Authentication::Token => token_endpoint(uri),
        _ => uri,
    }
}

/// Returns the more specific of two errors: most domains lack some of the names.
fn clearer(earlier: Option<DiscoveryError>, error: DiscoveryError) -> DiscoveryError {
    match earlier {
        Some(earlier) if !matches!(earlier, DiscoveryError::NotFound { .. } | DiscoveryError::NoDomain) => {
            earlier
        }
        Some(earlier) if matches!(error, DiscoveryError::NotFound { .. } | DiscoveryError::NoDomain) => {
            earlier
        }
        _ => error,
    }
}

/// Returns the endpoint for tokens on the discovered host.
fn token_endpoint(mut uri: Url) -> Url {
    uri.set_path(OAUTH_PATH);
    uri
}

/// Returns the first URIs of discovery, grouped by host name. Plain HTTP is documented, and acceptable because the
/// request contains no secret and the endpoint must use HTTPS. The second name exists only in the network of an
/// on-premises server (MS-OCDISCWS).
fn starts(base: Option<&Url>, domain: &str) -> Vec<Url> {
    let bases = match base {
        Some(base) => vec![base.as_str().to_owned()],
        None => ["lyncdiscover", "lyncdiscoverinternal"]
            .into_iter()
            .flat_map(|name| ["https", "http"].map(|scheme| format!("{scheme}://{name}.{domain}/")))
            .collect(),
    };
    let mut urls: Vec<Url> = bases.iter().filter_map(|text| Url::parse(text).ok()).collect();
    for url in &mut urls {
        url.query_pairs_mut().append_pair("Domain", domain);
    }
    urls
}

/// Error of following the links from a first URI.
enum WalkError {
    /// The first URI does not answer: the next one may.
    NotStarted(DiscoveryError),
    /// The first URI does not return a document: another name may.
    NoDocument(DiscoveryError),
    /// The tenant's documents are invalid: another first URI leads to the same documents.
    Failed(DiscoveryError),
}

impl WalkError {
    fn into_error(self) -> DiscoveryError {
        match self {
            Self::NotStarted(error) | Self::NoDocument(error) | Self::Failed(error) => error,
        }
    }
}

/// Returns whether discovery may continue from one address at another. It never goes from https to http, because anyone
/// on the network can forge responses over plain http.
fn keeps_https(from: &Url, to: &Url) -> bool {
    from.scheme() != "https" || to.scheme() == "https"
}

/// Follows the links from a first URI.
async fn walk(client: &HttpClient, domain: &str, start: Url, hosts: &Hosts) -> Result<Url, WalkError> {
    let mut seen = HashSet::new();
    let mut next = start.clone();
    for hop in 0..MAX_HOPS {
        let error = |reason: String| DiscoveryError::Failed { uri: display(&next), reason };
        let failed = |reason: String| WalkError::Failed(error(reason));
        if !seen.insert(next.clone()) {
            return Err(failed("failed: the links form a loop".into()));
        }
        let not_found = |reason| DiscoveryError::NotFound { domain: domain.to_owned(), reason };
        let (at, document) = match fetch(client, &next).await {
            Ok(found) => found,
            Err(Missing::Name(reason)) if hop == 0 => return Err(WalkError::NotStarted(not_found(reason))),
            Err(Missing::Document(reason)) if hop == 0 => {
                return Err(WalkError::NoDocument(not_found(reason)));
            }
            Err(Missing::Unreachable(reason)) if hop == 0 => {
                return Err(WalkError::NotStarted(error(reason)));
            }
            // The proxy could not reach the host.
            Err(Missing::Proxy(error)) if hop == 0 && error.is_temporary() => {
                return Err(WalkError::NotStarted(DiscoveryError::Proxy(error)));
            }
            Err(Missing::Proxy(error)) => return Err(WalkError::Failed(DiscoveryError::Proxy(error))),
            Err(Missing::Answer(reason)) if hop == 0 => return Err(WalkError::NoDocument(error(reason))),
            Err(
                Missing::Name(reason)
                | Missing::Document(reason)
                | Missing::Unreachable(reason)
                | Missing::Answer(reason),
            ) => return Err(failed(reason)),
        };
        let links = links(&document).map_err(|invalid| {
            let invalid = error(format!("returned an invalid discovery document: {invalid}"));
            if hop == 0 { WalkError::NoDocument(invalid) } else { WalkError::Failed(invalid) }
        })?;
        let link = |wanted: &str| links.iter().find(|(token, _)| token.eq_ignore_ascii_case(wanted));
        let (wanted, target) = [REMOTE_POWERSHELL, "Redirect", "Domain", "Hybrid"]
            .into_iter()
            .find_map(link)
            .ok_or_else(|| failed(format!("returned no link to PowerShell for {domain}")))?;
        let target = at
            .join(target)
            .map_err(|error| failed(format!("returned the invalid link {target}: {error}")))?;
        if wanted == REMOTE_POWERSHELL {
            return match hosts.check(&start, &target) {
                Ok(()) => Ok(without_user(target)),
                Err(HostRefusal::NotHttps) => {
                    Err(failed(format!("returned the endpoint {target}, which is not HTTPS")))
                }
                Err(HostRefusal::Foreign) => Err(WalkError::Failed(DiscoveryError::Foreign {
                    uri: display(&next),
                    host: target.host_str().unwrap_or_default().to_owned(),
                    target: display(&target),
                })),
            };
        }
        if !keeps_https(&at, &target) {
            return Err(failed(format!("returned the link {}, which is not HTTPS", display(&target))));
        }
        next = target;
    }
    let reason = format!("needs more than {MAX_HOPS} hops");
    Err(WalkError::Failed(DiscoveryError::Failed { uri: display(&next), reason }))
}

/// Requests a document. Returns also its address after redirects.
async fn fetch(client: &HttpClient, url: &Url) -> Result<(Url, String), Missing> {
    let (at, response) = get(client, url).await?;
    match response.status() {
        status if status.is_success() => {}
        status @ StatusCode::NOT_FOUND => {
            return Err(Missing::Document(format!("{} answered {status}", display(&at))));
        }
        status => return Err(Missing::Answer(format!("answered {status}"))),
    }
    let (head, body) = response.into_parts();
    let body = response::read_body(&head.headers, body, MAX_SIZE).await.map_err(|error| match error {
        BodyError::Connection(error) => missing(&error),
        BodyError::TooLarge(limit) => Missing::Answer(format!("answered with more than {limit} bytes")),
        error => Missing::Answer(format!("failed: {error}")),
    })?;
    let document = String::from_utf8(body);
    let document = document.map_err(|_| Missing::Answer("answered with text that is not UTF-8".into()))?;
    Ok((at, document))
}

/// Requests a document, and follows redirects.
async fn get(client: &HttpClient, url: &Url) -> Result<(Url, Response<Incoming>), Missing> {
    let invalid = |error: hyper::http::Error| Missing::Answer(format!("failed: {error}"));
    let mut at = url.clone();
    for _ in 0..=MAX_REDIRECTS {
        at.set_fragment(None);
        let request = Request::get(at.as_str()).header(ACCEPT, MEDIA_TYPE).header(USER_AGENT, AGENT);
        let request = request.header(ACCEPT_ENCODING, IDENTITY);
        let request = request.body(Full::<Bytes>::default()).map_err(invalid)?;
        let response = client.request(request).await.map_err(|error| missing(&error))?;
        let target = response.headers().get(LOCATION).and_then(|target| target.to_str().ok());
        match target.filter(|_| is_redirect(response.status())).map(|target| at.join(target)) {
            Some(Ok(target)) if !keeps_https(&at, &target) => {
                let target = display(&target);
                return Err(Missing::Answer(format!("redirected to {target}, which is not HTTPS")));
            }
            Some(Ok(target)) if matches!(target.scheme(), "http" | "https") => at = target,
            _ => return Ok((at, response)),
        }
    }
    Err(Missing::Answer("failed: too many redirects".to_owned()))
}

/// Returns whether a status with a `Location` is a redirect (RFC 9110 15.4).
fn is_redirect(status: StatusCode) -> bool {
    matches!(status.as_u16(), 301 | 302 | 303 | 307 | 308)
}

fn missing(error: Cause<'_>) -> Missing {
    let reason = innermost(error);
    let is_connect = error
        .downcast_ref::<hyper_util::client::legacy::Error>()
        .is_some_and(hyper_util::client::legacy::Error::is_connect);
    // hyper-util has no method for this.
    let unnamed = sources(error).any(|cause| cause.to_string().contains("dns error"));
    if let Some(error) = proxy_error(error) {
        Missing::Proxy(error)
    } else if let Some(why) = refused_certificate(error) {
        Missing::Unreachable(format!("has a certificate that is not trusted: {why}"))
    } else if unnamed {
        Missing::Name(reason)
    } else if is_connect && is_late(error) {
        Missing::Unreachable("did not accept the connection in time".to_owned())
    } else if is_connect {
        Missing::Unreachable(format!("failed: cannot connect: {reason}"))
    } else {
        Missing::Answer(format!("failed: {reason}"))
    }
}

/// Error of parsing a discovery document.
#[derive(Debug, thiserror::Error)]
enum DocumentError {
    /// The document is not well-formed.
    #[error(transparent)]
    Xml(#[from] quick_xml::Error),
    /// An attribute is not well-formed.
    #[error(transparent)]
    Attribute(#[from] quick_xml::events::attributes::AttrError),
    /// An attribute's value holds an invalid reference.
    #[error(transparent)]
    Value(#[from] quick_xml::escape::EscapeError),
    /// Another XML document, such as an HTML page.
    #[error("AutodiscoverResponse is missing")]
    NoResponse,
}

/// Returns the token and href of every `Link` in a document.
fn links(document: &str) -> Result<Vec<(String, String)>, DocumentError> {
    let mut reader = Reader::from_str(document.trim_start_matches('\u{feff}'));
    let mut found = Vec::new();
    let mut rooted = false;
    loop {
        match reader.read_event()? {
            Event::Start(element) | Event::Empty(element) => {
                rooted |= element.local_name().as_ref() == "AutodiscoverResponse";
                if element.local_name().as_ref() != "Link" {
                    continue;
                }
                let mut link = (String::new(), String::new());
                for attribute in element.attributes() {
                    let attribute = attribute?;
                    let value = attribute.normalized_value(quick_xml::XmlVersion::Implicit1_0)?.into_owned();
                    match attribute.key.local_name().as_ref() {
                        "token" => link.0 = value,
                        "href" => link.1 = value,
                        _ => {}
                    }
                }
                found.push(link);
            }
            Event::Eof if rooted => return Ok(found),
            Event::Eof => return Err(DocumentError::NoResponse),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests;
