//! Options of the simulated endpoint.

use std::time::Duration;

/// A command with an arbitrary name, as a hostile endpoint may offer.
#[derive(Clone, Debug, Default)]
pub struct MadeUpCommand {
    pub name: String,
    /// Module of the command; empty: the endpoint's own module.
    pub module: &'static str,
    pub parameters: Vec<Parameter>,
    /// Target of an alias.
    pub resolves: Option<String>,
    /// Text that the command returns.
    pub answer: String,
}

/// A parameter of a made-up command.
#[derive(Clone, Debug)]
pub struct Parameter {
    pub name: String,
    pub type_name: &'static str,
    pub aliases: &'static [&'static str],
}

/// Authentication on the Basic path.
#[derive(clap::ValueEnum, Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Authentication {
    #[default]
    #[value(help = "Basic")]
    Basic,
    /// NTLM under `Negotiate`, with or without SPNEGO. Bodies must be sealed, except over HTTPS.
    #[value(help = "NTLM with sealed messages")]
    Ntlm,
    /// The same, and Kerberos if the keytab (KRB5_KTNAME) has a key of the service.
    #[value(help = "NTLM, or Kerberos if there is a keytab, with sealed messages")]
    Negotiate,
}

/// A fault of one tenant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TenantFault {
    /// The password is refused.
    Refused,
    /// Requests are not answered.
    NoResponse,
    /// Each answer has this delay.
    Slow(Duration),
    /// No session is free.
    QuotaReached,
}

/// Error of parsing a [`TenantFault`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TenantFaultError {
    /// The value of the option has no equals sign.
    #[error("expected DOMAIN=FAULT")]
    Form,
    /// The word after the equals sign is neither a fault nor a duration.
    #[error("expected refused, dead, full, or a delay such as 2s")]
    Fault,
}

impl TenantFault {
    /// Parses `DOMAIN=FAULT`, where FAULT is refused, dead, full or a delay.
    pub fn parse(text: &str) -> Result<(String, Self), TenantFaultError> {
        let (domain, fault) = text.split_once('=').ok_or(TenantFaultError::Form)?;
        let fault = match fault {
            "refused" => Self::Refused,
            "dead" => Self::NoResponse,
            "full" => Self::QuotaReached,
            delay => Self::Slow(humantime::parse_duration(delay).map_err(|_| TenantFaultError::Fault)?),
        };
        Ok((domain.to_lowercase(), fault))
    }
}

/// Options of `lyncsh demo --serve`.
#[derive(Clone, Debug)]
pub struct Options {
    /// Port; 0 for any free port.
    pub port: u16,
    /// Delay added to every answer.
    pub latency: Duration,
    /// Minimum number of cmdlets; made-up cmdlets are added up to this number.
    pub cmdlets: Option<usize>,
    /// Number of tenants beside Litware and Contoso.
    pub tenants: usize,
    /// Faults of single tenants, by domain.
    pub faults: Vec<(String, TenantFault)>,
    /// Minimum number of users.
    pub users: Option<usize>,
    pub idle_timeout: Duration,
    /// Adds the commands of the recorded endpoint.
    pub fixtures: bool,
    /// Additional commands.
    pub commands: Vec<MadeUpCommand>,
    /// Lets a session above the quota hang instead of failing.
    pub hang: bool,
    /// Answers a Receive with one fragment after this delay, like a server that sends objects one by one, and waits for
    /// a delayed acknowledgement after each.
    pub trickle: Option<Duration>,
    /// Enables HTTPS with a certificate of a CA generated at start.
    pub tls: bool,
    /// Behaves as the vendor's OMI server instead of WinRM.
    pub omi: bool,
    pub authentication: Authentication,
    pub sessions_per_user: usize,
    pub sessions_per_tenant: usize,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            port: 0,
            latency: Duration::ZERO,
            cmdlets: None,
            tenants: 0,
            faults: Vec::new(),
            users: None,
            idle_timeout: Duration::from_mins(15),
            fixtures: false,
            commands: Vec::new(),
            hang: false,
            trickle: None,
            tls: false,
            omi: false,
            authentication: Authentication::Basic,
            sessions_per_user: 3,
            sessions_per_tenant: 9,
        }
    }
}
