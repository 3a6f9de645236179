//! Choice of mechanism and HTTP scheme for one endpoint, by profile, server and KDC.

use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::challenge::Offer;
use super::sealed::Protocol;
use super::{Account, ContextError, Initiator, Mechanism, Tickets};

/// The scheme of the `Authorization` header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scheme {
    Negotiate,
    Kerberos,
    /// Some servers offer NTLM only under its own name.
    Ntlm,
}

impl Scheme {
    pub const fn name(self) -> &'static str {
        match self {
            Self::Negotiate => "Negotiate",
            Self::Kerberos => "Kerberos",
            Self::Ntlm => "NTLM",
        }
    }

    /// Returns the protocol named in sealed bodies.
    pub const fn protocol(self) -> Protocol {
        match self {
            Self::Kerberos => Protocol::Kerberos,
            Self::Negotiate | Self::Ntlm => Protocol::Spnego,
        }
    }
}

/// Authentication by security contexts, shared by all connections to one endpoint.
///
/// It owns the account, the tickets and the current mechanism and scheme. The WSMan connections and the proxy's tunnel
/// request an [`Initiator`] for each handshake and report what the server offered. After the first success, Kerberos
/// is not replaced by NTLM.
pub struct Negotiation {
    /// The account as the profile names it.
    pub user: String,
    pub account: Account,
    /// The service principal; `None`: `HTTP/` and the host of the URI.
    service: Option<String>,
    delegate: bool,
    tickets: Tickets,
    mode: Mutex<Mode>,
    /// The mechanism to use if the first one gets no ticket, if the profile allows another.
    fallback: Option<Mechanism>,
}

struct Mode {
    mechanism: Mechanism,
    scheme: Scheme,
    /// Set once a connection is authenticated: the mechanism no longer changes.
    is_settled: bool,
    /// The error that caused the fallback.
    reason: Option<ContextError>,
}

impl Negotiation {
    /// Starts with `mechanism`; uses `fallback` if no ticket can be requested and the account has a password.
    pub fn new(
        user: String,
        account: Account,
        service: Option<String>,
        delegate: bool,
        (mechanism, fallback): (Mechanism, Option<Mechanism>),
    ) -> Self {
        let scheme = if mechanism == Mechanism::Kerberos { Scheme::Kerberos } else { Scheme::Negotiate };
        let fallback = fallback.filter(|_| cfg!(windows) || matches!(account, Account::Password { .. }));
        let mode = Mutex::new(Mode { mechanism, scheme, is_settled: false, reason: None });
        Self { user, account, service, delegate, tickets: Tickets::default(), mode, fallback }
    }

    fn lock(&self) -> MutexGuard<'_, Mode> {
        self.mode.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn mode(&self) -> (Mechanism, Scheme) {
        let mode = self.lock();
        (mode.mechanism, mode.scheme)
    }

    /// Returns the service principal of an endpoint: the host as the user wrote it, without a port. A name from a
    /// reverse lookup would let DNS choose the server.
    pub fn service(&self, host: &str) -> String {
        self.service.clone().unwrap_or_else(|| format!("HTTP/{}", host.trim_end_matches('.')))
    }

    pub fn initiator(&self, mechanism: Mechanism, host: &str, channel_binding: Option<Vec<u8>>) -> Initiator {
        Initiator {
            mechanism,
            account: self.account.clone(),
            service: self.service(host),
            delegate: self.delegate,
            channel_binding,
            tickets: self.tickets.clone(),
        }
    }

    /// Switches to the fallback if `mechanism` could not get a ticket. Returns whether to try again.
    pub fn fall_back(&self, mechanism: Mechanism, error: &ContextError) -> bool {
        let Some(fallback) = self.fallback.filter(|_| mechanism.is_kerberos() && error.allows_ntlm()) else {
            return false;
        };
        let mut mode = self.lock();
        if mode.mechanism.is_kerberos() {
            // A temporarily unreachable KDC must not weaken a session that was opened with Kerberos.
            if mode.is_settled {
                return false;
            }
            (mode.mechanism, mode.scheme) = (fallback, Scheme::Negotiate);
            mode.reason = Some(error.clone());
        }
        true
    }

    /// Makes the current mechanism final.
    pub fn settle(&self) {
        self.lock().is_settled = true;
    }

    /// Returns the Kerberos error that caused the fallback to NTLM.
    pub fn fallback_reason(&self) -> Option<ContextError> {
        self.lock().reason.clone()
    }

    /// Switches to another form of the same mechanism, if the server offers it. Returns whether to try again: the
    /// server ignored the token, which is not a refusal of the credential.
    pub fn switch_to_offered(&self, used: (Mechanism, Scheme), offered: &[String]) -> bool {
        let offers = |scheme: Scheme| offered.iter().any(|one| one.eq_ignore_ascii_case(scheme.name()));
        let next = match used {
            (Mechanism::Kerberos, Scheme::Kerberos) if offers(Scheme::Negotiate) => {
                (Mechanism::NegotiateKerberos, Scheme::Negotiate)
            }
            (Mechanism::NegotiateKerberos, Scheme::Negotiate) if offers(Scheme::Kerberos) => {
                (Mechanism::Kerberos, Scheme::Kerberos)
            }
            // The server accepts NTLM only in SPNEGO.
            (Mechanism::Ntlm, Scheme::Negotiate) if offers(Scheme::Negotiate) => {
                (Mechanism::NegotiateNtlm, Scheme::Negotiate)
            }
            (Mechanism::Ntlm | Mechanism::NegotiateNtlm, Scheme::Negotiate) if offers(Scheme::Ntlm) => {
                (Mechanism::Ntlm, Scheme::Ntlm)
            }
            _ => return false,
        };
        let mut mode = self.lock();
        if (mode.mechanism, mode.scheme) == used {
            (mode.mechanism, mode.scheme) = next;
        }
        true
    }
}

/// The meaning of a refused request (401 or 407) with a token.
#[derive(Debug, PartialEq, Eq)]
pub enum ChallengeOutcome {
    /// The token for the next step.
    Token(Vec<u8>),
    /// The credential is refused.
    Refused,
    /// The server ignored the token: it does not support the scheme or the token's format.
    NotOffered,
}

impl ChallengeOutcome {
    /// Interprets the response to the token number `leg`, counted from 0.
    pub fn of((mechanism, scheme): (Mechanism, Scheme), leg: usize, offers: &[Offer]) -> Self {
        let is_kerberos = mechanism.is_kerberos();
        // A refusal of NTLM's second message, which proves the password, is always one of the credential.
        if !is_kerberos && leg > 0 {
            return Self::Refused;
        }
        let offer = offers.iter().find(|offer| offer.is(scheme.name()));
        match offer.and_then(|offer| offer.token.clone()) {
            Some(token) => Self::Token(token),
            None if !is_kerberos || (offer.is_none() && !offers.is_empty()) => Self::NotOffered,
            None => Self::Refused,
        }
    }
}

impl fmt::Debug for Negotiation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Negotiation")
            .field("user", &self.user)
            .field("service", &self.service)
            .finish_non_exhaustive()
    }
}
