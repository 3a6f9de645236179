//! Errors of connecting through a proxy, and advice for the user.

use std::fmt;
use std::time::Duration;

use super::address::NotProxy;
use crate::security::ContextError;

/// A step of connecting through a proxy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProxyStep {
    Tcp,
    Tls,
    /// `CONNECT` without a credential.
    Connect,
    Authenticate,
    Socks,
    /// TLS inside the tunnel.
    EndpointTls,
}

impl fmt::Display for ProxyStep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Tcp => "the TCP connection",
            Self::Tls => "the TLS handshake with the proxy",
            Self::Connect => "the CONNECT request",
            Self::Authenticate => "the authentication",
            Self::Socks => "the SOCKS handshake",
            Self::EndpointTls => "the TLS handshake with the endpoint",
        })
    }
}

/// Error of connecting through a proxy. Nothing was sent to the endpoint.
#[derive(Clone, Debug, thiserror::Error)]
pub enum ProxyError {
    /// A variable or the system's settings have an invalid value, which is not shown: it may have a password.
    #[error("cannot use the proxy in {source_name}: {problem}")]
    Wrong { source_name: &'static str, problem: NotProxy },
    /// The proxy could not be reached, or did not open a tunnel: see `ProxyProblem`.
    #[error("cannot connect through the proxy {proxy}: {problem}")]
    Failed { proxy: String, problem: Box<ProxyProblem> },
}

/// Why a connection through a proxy failed.
#[derive(Clone, Debug, thiserror::Error)]
pub enum ProxyProblem {
    /// The host name is not known, or no process listens on the port of the proxy.
    #[error("cannot reach the proxy: {0}")]
    Unreachable(String),
    /// The proxy is reached by https, and its certificate failed the checks.
    #[error("the certificate of the proxy is not trusted: {0}")]
    Certificate(String),
    /// The proxy is reached by https, and its TLS handshake failed for another reason than its certificate.
    #[error("cannot open a TLS connection to the proxy: {0}")]
    Tls(String),
    /// The step was not complete within `connect` of `[timeouts]`.
    #[error("{step} took longer than {}", humantime::format_duration(*.limit))]
    Late { step: ProxyStep, limit: Duration },
    /// The proxy closed or reset the connection before it answered.
    #[error("the proxy ended the connection during {step}: {reason}")]
    ConnectionLost { step: ProxyStep, reason: String },
    /// The proxy sent an answer that is not HTTP or SOCKS 5, or changed its offers with each request.
    #[error("invalid answer of the proxy to {step}: {reason}")]
    Unreadable { step: ProxyStep, reason: String },
    /// The proxy does not permit the target, or cannot reach it. `detail`: content of the answer besides the status, and
    /// its sender.
    #[error("the proxy answered {status} {reason} to CONNECT {target}{}", .detail.as_deref().map(|detail| format!(": {detail}")).unwrap_or_default())]
    Answered { target: String, status: u16, reason: &'static str, detail: Option<String> },
    /// A SOCKS proxy refused the connection to `target`.
    #[error("the proxy cannot connect to {target}: {reason}")]
    NoConnection { target: String, reason: String },
    /// 407, or method 0xFF of SOCKS (RFC 1928, 3), and neither the profile nor the variable has a credential.
    #[error("the proxy requires a credential{}", list(.offered))]
    Required { offered: Vec<String> },
    /// 407 to the credential, a SOCKS status other than 0 (RFC 1929, 2), or an earlier refusal: it is not sent again.
    #[error("the proxy refused the credential of {user}")]
    Refused { user: String },
    /// The proxy offers no method of lyncsh, or only methods that need a password, for SOCKS of at most 255 bytes.
    #[error("the proxy does not offer an authentication method for this credential{}", list(.offered))]
    NotOffered { offered: Vec<String> },
    /// Kerberos or NTLM failed before the proxy received a proof: see `ContextError`.
    #[error("cannot authenticate {user}: {error}")]
    Context { user: String, error: ContextError },
}

fn list(offered: &[String]) -> String {
    if offered.is_empty() { String::new() } else { format!("; it offers {}", offered.join(", ")) }
}

impl ProxyError {
    /// Returns whether the proxy refused a credential, which must not be sent again.
    pub fn is_refused_credential(&self) -> bool {
        match self {
            Self::Failed { problem, .. } => match &**problem {
                ProxyProblem::Refused { .. } => true,
                ProxyProblem::Context { error, .. } => error.is_refused_credential(),
                _ => false,
            },
            Self::Wrong { .. } => false,
        }
    }

    /// Returns whether a later attempt may succeed without a change by the user.
    pub fn is_temporary(&self) -> bool {
        match self {
            Self::Failed { problem, .. } => matches!(
                **problem,
                ProxyProblem::Unreachable(_)
                    | ProxyProblem::Late { .. }
                    | ProxyProblem::ConnectionLost { .. }
                    | ProxyProblem::NoConnection { .. }
                    | ProxyProblem::Answered { status: 500.., .. }
            ),
            Self::Wrong { .. } => false,
        }
    }

    /// Returns whether the proxy works but could not connect to the target.
    pub fn misses_target(&self) -> bool {
        match self {
            Self::Failed { problem, .. } => matches!(
                **problem,
                ProxyProblem::NoConnection { .. }
                    | ProxyProblem::Answered { status: 500.., .. }
                    | ProxyProblem::Late { step: ProxyStep::Connect | ProxyStep::EndpointTls, .. }
                    | ProxyProblem::ConnectionLost { step: ProxyStep::EndpointTls, .. }
            ),
            Self::Wrong { .. } => false,
        }
    }

    /// Returns the instruction for the user.
    pub fn advice(&self) -> String {
        match self {
            Self::Wrong { source_name, .. } => format!(
                "Correct {source_name}, or set proxy in the profile: proxy = \"none\" connects without a proxy."
            ),
            Self::Failed { problem, .. } => problem.advice(),
        }
    }
}

impl ProxyProblem {
    fn advice(&self) -> String {
        match self {
            Self::Unreachable(_) | Self::ConnectionLost { .. } | Self::Unreadable { .. } => {
                "Check the name and port of the proxy: proxy in the profile, or HTTPS_PROXY. To connect without \
                 a proxy, set proxy = \"none\" in the profile, or exclude the host with NO_PROXY."
                    .into()
            }
            Self::Certificate(_) | Self::Tls(_) => {
                "Check the name and port of the proxy, and whether it accepts TLS; for a private CA, add ca = \
                 \"…\" to the profile."
                    .into()
            }
            Self::Late { .. } => "Try again; if the proxy or the endpoint is slow, raise `connect` in \
                                  [timeouts] in the profile."
                .into(),
            Self::Answered { status: 500.., .. } | Self::NoConnection { .. } => {
                "Check the endpoint's name and port in the profile; the proxy could not connect to it.".into()
            }
            Self::Answered { .. } => "Ask the administrator of the proxy to permit CONNECT to the endpoint's host \
                                      and port, or exclude the host with NO_PROXY."
                .into(),
            Self::Required { .. } => "Set proxy_user and proxy_credential in the profile, put the credential \
                                      into HTTPS_PROXY, or exclude the host with NO_PROXY."
                .into(),
            Self::Refused { .. } => "Check proxy_user and the password: store it with `lyncsh login NAME --proxy`, \
                                     or correct HTTPS_PROXY."
                .into(),
            Self::NotOffered { .. } => "Check proxy_user and proxy_credential: a password is used for Negotiate, \
                                        NTLM and Basic, the system's ticket for Negotiate."
                .into(),
            Self::Context { error, .. } => match error.advice() {
                [] => "Check proxy_user and proxy_credential in the profile.".into(),
                lines => lines.join("\n"),
            },
        }
    }
}
