//! Advice for problems of Kerberos, NTLM, SPNEGO and SSPI.

use super::lines::Lines;
use crate::security::{ContextError, KerberosProblem as Problem, ntlm};

impl Problem {
    /// Returns the advice, one line for each cause; none for [`Problem::Other`], which has only the library's text.
    pub fn advice(self) -> Lines {
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
                // Domain controllers: jborean93/pypsrp#176.
                "Set service_principal = \"host/HOST\" or \"WSMAN/HOST\" in the profile where no HTTP principal is \
                 registered, as on domain controllers.",
                // MicrosoftDocs/OfficeDocs-Exchange kerberos-auth-for-load-balanced-client-access.md.
                "Register the principal of a load-balanced name on the account that all its servers share (the ASA of \
                 Exchange), and on no other: run `setspn -F -Q HTTP/NAME`.",
            ],
            Self::AccountRevoked => &[
                "Ask the administrator whether the account is locked or disabled, and wait before the next attempt.",
                // theforeman/foreman_ansible#130.
                "Run `kinit` with the same name: if it works, check the user name and the realm in the profile.",
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
            Self::Option => {
                &["Remove delegate from the profile if the account or the service may not be delegated."]
            }
            Self::TicketExpired => &[
                "Run `kinit` to get a new ticket, or set a credential with a password.",
                "Check whether the account is in Protected Users: its tickets end after 4 hours.",
            ],
            Self::TicketNotYetValid => {
                &["Set this computer's clock: the start time of the ticket is in the future."]
            }
            Self::ClockSkew => &[
                "Compare the clocks of this computer, the KDC and the endpoint: they may differ by 5 minutes at most.",
            ],
            Self::WrongServiceKey => &[
                "Find the account that owns the service principal: run `setspn -Q HTTP/host`. It has to be the \
                 account that the service runs as.",
                "Use the host name of the server itself where an alias leads to another server.",
                // SupportArticles-docs error-0x80090322-…-winrm.md.
                "Set service_principal = \"host/HOST\" in the profile where another service has HTTP/HOST.",
                "Run `kdestroy` and `kinit` where the password of the service's account was changed: the cached ticket \
                 has the old key.",
            ],
            Self::KeyMismatch => {
                &["Enter the password again.", "Check that the keytab of the service has the current key."]
            }
            Self::KdcUnreachable => &[
                "Check that this computer reaches a domain controller at port 88 (TCP and UDP).",
                "Check the realm's `kdc` in krb5.conf, or the DNS records _kerberos._tcp.REALM.",
                "Check the same for the server's domain: for an account of another domain or forest, the KDCs of both \
                 are asked.",
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
                // jborean93/pyspnego docs/gssapi_issues.md.
                "Update MIT krb5 to 1.19 or later: older versions lose the binding in SPNEGO.",
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
                "Use https: messages are then not sealed.",
                "Install MIT krb5 and name its library in LYNCSH_GSSAPI_LIBRARY.",
            ],
            Self::Other => &[],
        }
    }
}

impl ContextError {
    /// Returns the advice, one line for each cause.
    pub fn advice(&self) -> Lines {
        match self {
            Self::NoLibrary { .. } => &[
                "Install the Kerberos library: `libgssapi-krb5-2` on Debian and Ubuntu, `krb5-libs` on Fedora, Red \
                 Hat and Alpine, `krb5` on Arch.",
            ],
            Self::Kerberos { problem, .. } => problem.advice(),
            Self::Mechanism { code, .. } => of_own_mechanism(*code),
            Self::Malformed { what, .. } => of_malformed(what),
            Self::Unverified(_) => &[
                "Check that the host name leads to the intended server: it could not prove its identity.",
                "Check whether a proxy or a load balancer answers, or changes or repeats answers.",
            ],
            Self::NotEstablished => &["Connect again; if the error persists, report it with a log."],
        }
    }
}

/// Returns the advice for a status of lyncsh's own NTLM and SPNEGO.
fn of_own_mechanism(code: i64) -> Lines {
    match code {
        ntlm::NO_CREDENTIALS => &["Add user and a credential other than \"system\" to the profile."],
        ntlm::UNSUPPORTED => &[
            "Permit NTLMv2 with session security of 128 bits on the server.",
            "Set authentication = \"kerberos\" in the profile.",
        ],
        code => u32::try_from(code).ok().and_then(Problem::of_sspi).unwrap_or(Problem::Other).advice(),
    }
}

/// Returns the advice for an unreadable token or message; `what` is its name.
fn of_malformed(what: &str) -> Lines {
    match what {
        // Pennyw0rth/NetExec#600.
        ntlm::CHALLENGE => &[
            "Set authentication = \"kerberos\" in the profile: a domain that has disabled NTLM answers with another \
             message.",
            "Check whether a proxy changes the WWW-Authenticate header.",
        ],
        "sealed body" | "answer" | "NTLM signature" => &[
            "Check whether a proxy or a load balancer changes or repeats answers, or sends its own: connect to the server itself.",
            "Use https: messages are then not sealed.",
        ],
        _ => &[
            "Check whether a proxy or a load balancer answers, or shares connections between clients: the \
             authentication belongs to one TCP connection.",
            "Check that the endpoint offers Negotiate or Kerberos in WWW-Authenticate; report the error with a log if \
             it does.",
        ],
    }
}
