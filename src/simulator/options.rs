//! What the simulated endpoint is started with.

use std::time::Duration;

use super::acceptor::Kerberos;

/// A command under any name, as an endpoint may have it that means harm.
#[derive(Clone, Debug, Default)]
pub struct MadeUpCommand {
    pub name: String,
    pub parameters: Vec<Parameter>,
    /// The command that it is an alias of.
    pub resolves: Option<String>,
    /// The text that it returns.
    pub answer: String,
}

/// A parameter of a made-up command.
#[derive(Clone, Debug)]
pub struct Parameter {
    pub name: String,
    pub type_name: &'static str,
    pub aliases: &'static [&'static str],
}

/// How clients of the Basic path authenticate.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Authentication {
    #[default]
    Basic,
    /// NTLM under `Negotiate`, with SPNEGO or without; bodies are sealed, over HTTPS they need not be.
    Ntlm,
    /// As [`Authentication::Ntlm`], and Kerberos where the endpoint has a key.
    Negotiate,
}

/// What `lyncsh demo --serve` can change.
#[derive(Clone, Debug)]
pub struct Options {
    /// 0: from the operating system.
    pub port: u16,
    /// Added to every answer.
    pub latency: Duration,
    /// How many cmdlets there are at least; made-up ones fill up.
    pub cmdlets: Option<usize>,
    /// How many users the tenant has at least.
    pub users: Option<usize>,
    pub idle_timeout: Duration,
    /// The commands of the recordings' endpoint as well.
    pub fixtures: bool,
    /// Commands besides, each with what it returns.
    pub commands: Vec<MadeUpCommand>,
    /// A session past the quota hangs instead of failing.
    pub hang: bool,
    /// An answer to Receive holds one message and takes this long, as where a server sends object by object
    /// and each waits for a delayed acknowledgement.
    pub trickle: Option<Duration>,
    /// HTTPS, with a certificate of an authority that is made at the start.
    pub tls: bool,
    /// Behaves as the vendor's OMI server instead of WinRM.
    pub omi: bool,
    pub authentication: Authentication,
    /// The acceptor of Kerberos for [`Authentication::Negotiate`].
    pub kerberos: Option<Kerberos>,
    pub sessions_per_user: usize,
    pub sessions_per_tenant: usize,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            port: 0,
            latency: Duration::ZERO,
            cmdlets: None,
            users: None,
            idle_timeout: Duration::from_mins(15),
            fixtures: false,
            commands: Vec::new(),
            hang: false,
            trickle: None,
            tls: false,
            omi: false,
            authentication: Authentication::Basic,
            kerberos: None,
            sessions_per_user: 3,
            sessions_per_tenant: 9,
        }
    }
}
