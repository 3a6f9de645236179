//! Advice for failed authentication.
//!
//! A problem has one line for each cause, the most frequent first. Sources are issue reports of other WinRM clients
//! and Microsoft's articles; [`problem`](super::problem) has the codes.

use super::{ContextError, KerberosProblem as Problem};

/// A sign of failed authentication that has no error code.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Symptom {
    /// A 401 to a token with a ticket, without a Kerberos error in the answer.
    TicketRefused,
    /// A 400 to a request with a token.
    RequestTooLong,
}

impl Symptom {
    #[cfg(test)]
    const ALL: [Self; 2] = [Self::TicketRefused, Self::RequestTooLong];

    /// Returns the advice, one line for each cause.
    pub fn advice(self) -> &'static [&'static str] {
        match self {
            Self::TicketRefused => &[
                "Check whether the service principal belongs to another account, such as an application pool's: run \
                 `setspn -Q HTTP/host`.",
                "Compare the clock of this computer with the clock of the endpoint.",
                "Check that the account may use the endpoint: RemotePowerShellEnabled on Exchange, Remote Management \
                 Users on Windows.",
                "Over HTTPS, check whether a proxy decrypts TLS: the channel binding is wrong then.",
            ],
            Self::RequestTooLong => &[
                "Count the groups of an account that uses Kerberos: a ticket of many groups exceeds the limit of HTTP.sys. \
                 Raise MaxFieldLength and MaxRequestBytes on the server and restart it, or use an account in fewer groups.",
                "Check that the endpoint expects WSMan at this path and port.",
            ],
        }
    }
}

impl Problem {
    /// Returns the advice, one line for each cause; none for [`Problem::Other`], which has only the library's text.
    pub fn advice(self) -> &'static [&'static str] {
        match self {
            Self::WrongPassword => &[
                "Enter the password again. Do not repeat it unchanged: each attempt counts towards a lockout.",
                "Check the account's name and realm: write it as user@REALM, with the DNS name of the domain.",
            ],
            Self::LogonDenied => &[
                "Check the user name, its domain and the password.",
                "Check whether the account is locked, disabled or expired, or may not log on at this time or from \
                 this computer.",
                "Check whether the domain refuses NTLM.",
            ],
            Self::UnknownClient => &[
                "Check the user name and the realm: write the account as user@REALM, with the DNS name of the domain \
                 where the account is.",
                "Check whether the UPN has a suffix that is not the domain's name: use the account's name in the \
                 domain (sAMAccountName) instead.",
            ],
            Self::UnknownService => &[
                "Use the fully qualified host name of the endpoint: no IP address, alias or short name.",
                "Run `setspn -Q HTTP/host` on a computer of the domain to find the registered service principals.",
                "Try the service class `host` or `WSMAN` where no HTTP principal is registered.",
                "For a load-balanced name, register the principal on the account that all its servers share.",
            ],
            Self::AccountRevoked => &[
                "Ask the administrator whether the account is locked or disabled, and wait before the next attempt.",
            ],
            Self::AccountExpired => &["Ask the administrator to extend the validity of the account."],
            Self::PasswordExpired => {
                &["Change the password: run `kpasswd`, or log on to a computer of the domain."]
            }
            Self::ServiceDisabled => {
                &["Ask the administrator to enable the account that the service runs as."]
            }
            Self::Policy => &[
                "Check the account's logon hours, permitted computers and authentication policy.",
                "Check whether the account is in Protected Users: NTLM, RC4 and delegation are refused to it.",
            ],
            Self::Option => &["Switch off delegation where the account or the service may not be delegated."],
            Self::TicketExpired => &["Run `kinit` to get a new ticket, or give a password."],
            Self::TicketNotYetValid => &["Set this computer's clock: the ticket begins in its future."],
            Self::ClockSkew => &[
                "Compare the clocks of this computer, the KDC and the endpoint: they may differ by 5 minutes at most.",
            ],
            Self::WrongServiceKey => &[
                "Find the account that owns the service principal: run `setspn -Q HTTP/host`. It has to be the \
                 account that the service runs as.",
                "Use the host name of the server itself where an alias leads to another server.",
                "Run `kdestroy` and `kinit` where the password of the service's account was changed: the cached ticket \
                 has the old key.",
            ],
            Self::KeyMismatch => {
                &["Enter the password again.", "Check that the keytab of the service has the current key."]
            }
            Self::KdcUnreachable => &[
                "Check that this computer reaches a domain controller at port 88 (TCP and UDP).",
                "Check the realm's `kdc` in krb5.conf, or the DNS records _kerberos._tcp.REALM.",
            ],
            Self::RealmUnknown => &[
                "Write the realm as the DNS name of the domain, not its short name: user@CORP.EXAMPLE.COM.",
                "Add the realm with its `kdc` to krb5.conf where DNS has no _kerberos._tcp.REALM.",
            ],
            Self::NoDefaultRealm => {
                &["Write the account as user@REALM, or set `default_realm` in krb5.conf."]
            }
            Self::Configuration => &["Check krb5.conf, and the file that KRB5_CONFIG names."],
            Self::NoTicket => &[
                "Run `kinit user@REALM`, or give a user name and a password.",
                "Run `klist`: a ticket in another cache is used only if KRB5CCNAME names that cache.",
            ],
            Self::NoKey => &["Check the keytab: run `klist -k`. KRB5_KTNAME names another file."],
            Self::EncryptionType => &[
                "Give the account AES keys: change its password, or set msDS-SupportedEncryptionTypes.",
                "Check `permitted_enctypes` in krb5.conf. Domain controllers withdraw RC4 in 2026: see their events \
                 201 to 209 of KDCSVC.",
            ],
            Self::Preauthentication => {
                &["Check whether the account requires a smart card: get a ticket with `kinit` and use it."]
            }
            Self::ChannelBinding => &[
                "Check whether a proxy or a load balancer ends TLS in front of the endpoint.",
                "Compare the certificate's fingerprint with the endpoint's own.",
            ],
            Self::Replay => &["Connect again.", "Check whether a proxy repeats requests."],
            Self::Sequence | Self::Signature => &[
                "Connect again.",
                "Check whether a proxy or a load balancer shares connections between clients: the authentication \
                 belongs to one TCP connection.",
            ],
            Self::MutualAuthentication => {
                &["Check that the host name leads to the intended server: it could not prove its identity."]
            }
            Self::InvalidToken => &[
                "Check that the endpoint offers Negotiate or Kerberos in WWW-Authenticate.",
                "Check whether a proxy changes the Authorization header or cuts it off.",
            ],
            Self::Downgrade => &[
                "Check that this computer reaches a domain controller at port 88 (TCP and UDP).",
                "Check that the host name leads to the intended server.",
            ],
            Self::Unsupported => &[
                "Use the ticket of `kinit`, or Kerberos without SPNEGO.",
                "Use https, where messages need no seal.",
                "Install MIT krb5 and name its library in LYNCSH_GSSAPI_LIBRARY.",
            ],
            Self::Other => &[],
        }
    }
}

impl ContextError {
    /// Returns the advice, one line for each cause.
    pub fn advice(&self) -> &'static [&'static str] {
        match self {
            Self::NoLibrary { .. } => &[
                "Install the Kerberos library: `libgssapi-krb5-2` on Debian and Ubuntu, `krb5-libs` on Fedora, Red \
                 Hat and Alpine, `krb5` on Arch.",
            ],
            Self::Kerberos { problem, .. } => problem.advice(),
            _ => &[],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_problem_has_advice_in_the_imperative() {
        let begins = [
            "Add",
            "Ask",
            "Change",
            "Check",
            "Compare",
            "Connect",
            "Count",
            "Enter",
            "Find",
            "For a",
            "Give",
            "Install",
            "Over HTTPS, check",
            "Run",
            "Set",
            "Switch",
            "Try",
            "Use",
            "Write",
        ];
        let of_problems =
            Problem::ALL.into_iter().filter(|problem| *problem != Problem::Other).map(Problem::advice);
        for lines in of_problems.chain(Symptom::ALL.map(Symptom::advice)) {
            assert!(!lines.is_empty());
            for line in lines {
                assert!(begins.iter().any(|begin| line.starts_with(begin)), "{line}");
                assert!(line.ends_with('.'), "{line}");
                assert!(!line.contains("  "), "{line}");
            }
        }
    }
}
