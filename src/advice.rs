//! Advice for refusals: maps error codes and other symptoms of an endpoint to instructions. The codes of token services
//! are in `oauth`.
//!
//! A symptom has one line for each cause, the most frequent first. Sources are issue reports of other WinRM clients
//! and Microsoft's articles (ODS: MicrosoftDocs/SupportArticles-docs; ODP: MicrosoftDocs/office-docs-powershell; W32:
//! MicrosoftDocs/win32; CSS: microsoft/CSS-Exchange); the codes of Kerberos, GSSAPI and SSPI are in
//! [`KerberosProblem`](crate::security::KerberosProblem), those of WSMan in [`fault`].

pub mod fault;
mod http;
mod kerberos;
mod lines;
mod oauth;
mod tls;

use lines::owned;

pub use lines::Lines;

use url::Url;

use crate::net::{TlsSetupError, permit};
use crate::transport::{Error, Operation, RedirectRefusal};

impl Error {
    /// Returns the instructions for the user; `None` if the error text suffices.
    pub fn advice(&self) -> Option<String> {
        let lines = match self {
            Self::Unauthorized { endpoint, scheme, offered, .. } => {
                http::unauthorized(endpoint, *scheme, offered)
            }
            Self::NotOffered { endpoint, offered, .. } => http::not_offered(endpoint, offered),
            Self::Http { endpoint, status, .. } => owned(&http::status(*status, endpoint)),
            Self::TicketRefused { endpoint, .. } => owned(&http::ticket_refused(endpoint)),
            Self::Authentication { error, .. } | Self::Unreadable { error, .. } => owned(error.advice()),
            Self::Fault(fault) => owned(fault.advice()),
            Self::Certificate { endpoint, refused } => vec![tls::certificate(endpoint, refused)],
            Self::Handshake { problem, .. } => vec![problem.advice().to_owned()],
            Self::Tls(error) => owned(&[tls_setup(error)]),
            Self::Timeout { operation, .. } => timeout(*operation),
            Self::ConnectionLost { endpoint, operation, .. } => owned(&cut(endpoint, *operation)),
            Self::Redirect { target, refusal, .. } => vec![redirect(target, *refusal)],
            Self::Ended(text) => {
                owned(fault::of_text(text).unwrap_or(&["Check the network and start again."]))
            }
            Self::Unreachable { .. } => {
                owned(&["Check the endpoint's name and port in the profile, and the network or proxy."])
            }
            Self::Proxy(error) => vec![error.advice()],
            Self::Insecure { .. } => {
                owned(&["Use an https URI for the endpoint; this credential is sent over TLS only."])
            }
            Self::Protocol(_) => {
                owned(&["Check in the profile that the URI is a PowerShell remoting endpoint."])
            }
            Self::Unsupported(_) => owned(&[
                "Update Windows Management Framework on the server to version 3.0 or later: WinRM 2.0 (Windows Server \
                 2008 R2) does not accept the ids of its clients.",
            ]),
            Self::Unconfirmed => owned(&["Run lyncsh again; it checks the session."]),
            Self::OutcomeUnknown(_) => {
                owned(&["Check what the command has changed before you run it again."])
            }
            Self::Closed => Vec::new(),
        };
        (!lines.is_empty()).then(|| lines.join("\n"))
    }
}

fn tls_setup(error: &TlsSetupError) -> &'static str {
    match error {
        TlsSetupError::NotBuilt => {
            "Install a lyncsh that was built with OpenSSL, or remove tls from the profile."
        }
        TlsSetupError::Rustls(_) => "Install the CA certificates of the system.",
        TlsSetupError::System(_) => "Check the certificates that the profile names in ca and certificate.",
    }
}

fn timeout(operation: Operation) -> Vec<String> {
    let mut lines = vec![format!(
        "Try again; if the endpoint is slow, raise `{}` in [timeouts] in the profile.",
        operation.limit()
    )];
    if operation == Operation::Authenticate {
        lines.push(
            "Check that this computer reaches a domain controller at port 88 (TCP and UDP).".to_owned(),
        );
    }
    if matches!(operation, Operation::Authenticate | Operation::Create) {
        lines.push(tls::RENEGOTIATION.to_owned());
    }
    lines
}

fn cut(endpoint: &str, operation: Operation) -> Vec<&'static str> {
    let mut lines = vec![
        "Try again; if the error persists, check the endpoint's URI and port in the profile, and the proxy or firewall.",
    ];
    let is_first = matches!(operation, Operation::Authenticate | Operation::Create);
    if is_first && endpoint.starts_with("https:") {
        lines.push(tls::RENEGOTIATION);
    }
    lines
}

fn redirect(target: &str, refusal: RedirectRefusal) -> String {
    match refusal {
        RedirectRefusal::TooMany => {
            "Ask the endpoint's administrator to correct the redirect loop.".to_owned()
        }
        RedirectRefusal::Foreign => {
            let host = Url::parse(target).ok().and_then(|uri| uri.host_str().map(str::to_owned));
            permit(host.as_deref().unwrap_or(target))
        }
        _ => format!("If you trust {target}, put its https URI into the profile."),
    }
}

#[cfg(test)]
mod tests;
