//! Advice for refusals by HTTP status.

use super::lines::{Causes, Lines, Service, owned};
use crate::transport::AuthScheme;

/// RemotePowerShellEnabled has three symptoms: ODS bad-request-error-when-…, winrm-not-process-request-ems-emc.md and
/// fail-to-start-exchange-management-shell-console.md.
const REMOTE_POWERSHELL: &str = "Check RemotePowerShellEnabled of the account; `Set-User -RemotePowerShellEnabled $true` \
                                 takes effect after 15 to 20 minutes.";
const TLS_ENDS_BEFORE: &str = "Check whether a proxy or load balancer ends TLS before the endpoint: the server refuses \
                               the channel binding then (CbtHardeningLevel, Extended Protection).";

/// W32 proxy-servers-and-winrm.md.
const SHARED_CONNECTIONS: &str = "Use https if a proxy or load balancer between this computer and the endpoint shares connections: NTLM \
                                  authenticates each connection.";

/// Returns the advice for an HTTP response without an envelope.
pub(super) fn status(status: u16, endpoint: &str) -> Vec<&'static str> {
    causes(status).at(endpoint)
}

fn causes(status: u16) -> Causes {
    match status {
        // A page of a proxy; an answer without a content type (ODS winrm-not-process-request-ems-emc.md).
        200..=299 => Causes {
            any: &[
                "Check the endpoint's URI in the profile and in a browser; a sign-in page or a proxy answered, \
                 not a PowerShell endpoint.",
            ],
            exchange: &[
                "Check on the server that kerbauth is a native module of the PowerShell directory only, and that the \
                 WSMan module is registered.",
                REMOTE_POWERSHELL,
            ],
            lync: &[],
        },
        300..=399 => Causes::any(&[
            "Check the endpoint's URI in the profile and in a browser; a proxy or a sign-in page answered.",
        ]),
        400 => Causes {
            any: &[
                "Count the groups of an account that uses Kerberos: a ticket of many groups exceeds the limit of HTTP.sys. \
                 Raise MaxFieldLength and MaxRequestBytes on the server and restart it, or use an account in fewer \
                 groups.",
                // adityatelange/evil-winrm-py#3, jborean93/pypsrp#203, diyan/pywinrm#325.
                "Open the session again if it was idle: the server has forgotten the keys of the connection, or has \
                 removed the session.",
                "Check that the endpoint expects WSMan at this path and port.",
            ],
            exchange: &[REMOTE_POWERSHELL],
            lync: &[],
        },
        403 => Causes {
            any: &[
                "Ask for permission to use this endpoint; the user is authenticated but not authorized.",
                "Check whether a proxy answered; the message names the server that did.",
            ],
            // ODS http-403-error-start-ems.md.
            exchange: &["Use https, or clear Require SSL on the PowerShell directory in IIS."],
            // ODP Get-CsAdminRole.md.
            lync: &[
                "Assign a `Cs…` group to the account; the groups `RTCUniversal…` apply only to commands that run on the server.",
            ],
        },
        // jborean93/pypsrp#47.
        404 | 405 => Causes::any(&[
            "Check the path of uri in the profile; it does not exist. WinRM has /wsman on the ports 5985 and 5986, \
             Exchange /PowerShell/ and Lync /OcsPowershell on 80 and 443.",
        ]),
        407 => Causes::any(&[
            "Set proxy in the profile to the proxy that answered, with proxy_user and proxy_credential, or exclude the host with NO_PROXY.",
        ]),
        // rapid7/metasploit-framework#6827.
        411 => Causes::any(&[
            "Check whether a proxy removes Content-Length, which lyncsh sends with each request.",
        ]),
        // ansible-collections/ansible.windows#391; brandond/requests-negotiate-sspi#43 is open.
        413 => Causes::any(&[
            "Raise MaxEnvelopeSizekb on the server to 150 or more.",
            "Check whether a proxy or IIS limits the size of a request.",
        ]),
        500 => Causes {
            any: &["Read the event log of the server; the server has an internal error.", "Try again later."],
            // ODS http-error-500-start-ems-emc.md.
            exchange: &[
                "Check the variable ExchangeInstallPath and the path of the PowerShell directory on the server where \
                 the log has the event 10113.",
            ],
            lync: &[],
        },
        // WinRb/WinRM#42.
        502..=504 => Causes {
            any: &[
                "Try again later; if the error persists, inform the endpoint's administrator. A proxy or load \
                 balancer could not reach the endpoint.",
                "Check the port of uri in the profile; the message names the server that answered.",
            ],
            // ODS fail-to-start-exchange-management-shell-console.md.
            exchange: &["Check on the server that the application pool MSExchangePowerShellAppPool runs."],
            lync: &[],
        },
        501..=599 => Causes::any(&["Try again later; the server has an internal error."]),
        _ => Causes::any(&[]),
    }
}

/// Returns the advice for a 401 to a token with a ticket, without a Kerberos error in the answer.
pub(super) fn ticket_refused(endpoint: &str) -> Vec<&'static str> {
    let causes = Causes {
        any: &[
            "Check whether the service principal belongs to another account, such as an application pool's: run \
             `setspn -Q HTTP/host`.",
            // diyan/pywinrm#404, dataplat/dbatools#316.
            "Set service_principal = \"host/HOST\" or \"WSMAN/HOST\" in the profile; if that does not help, set \
             authentication = \"ntlm\".",
            "Compare the clock of this computer with the clock of the endpoint.",
            "Check that the account may use the endpoint, for example that it is a member of Remote Management Users.",
        ],
        exchange: &[REMOTE_POWERSHELL, "Check that kerbauth is a module of the PowerShell directory in IIS."],
        lync: &[],
    };
    let mut lines = causes.at(endpoint);
    if endpoint.starts_with("https:") {
        lines.push(TLS_ENDS_BEFORE);
        // jborean93/pyspnego docs/gssapi_issues.md.
        lines.push("Update MIT krb5 to 1.19 or later: older versions lose the channel binding in SPNEGO.");
    }
    lines
}

/// Returns the advice for a refused credential.
pub(super) fn unauthorized(endpoint: &str, scheme: Option<AuthScheme>, offered: &[String]) -> Vec<String> {
    let mut lines = owned(match scheme {
        None | Some(AuthScheme::Basic) => &["Check the user name and the password."],
        Some(AuthScheme::Bearer) => &[
            "Check the user name and the password.",
            "Check that the account may use the endpoint, and that the token is for this endpoint.",
        ],
        Some(AuthScheme::Certificate) => &[
            "Check on the server that the certificate is mapped to an account, and that the mapping has the account's \
             current password.",
        ],
        Some(AuthScheme::Ntlm) => NTLM_REFUSED,
    });
    let is_ntlm = scheme == Some(AuthScheme::Ntlm);
    if is_ntlm && Service::of(endpoint) == Service::Exchange {
        // jborean93/pypsrp#187.
        lines.push("Set authentication = \"kerberos\" and write the account as user@REALM.".to_owned());
    }
    if is_ntlm && endpoint.starts_with("https:") {
        lines.push(TLS_ENDS_BEFORE.to_owned());
    } else if is_ntlm {
        lines.push(SHARED_CONNECTIONS.to_owned());
    }
    let is_used = |offer: &String| scheme.is_some_and(|scheme| scheme.is(offer));
    let others: Vec<String> = offered.iter().filter(|offer| !is_used(offer)).cloned().collect();
    lines.extend(settings(endpoint, &others));
    lines
}

const NTLM_REFUSED: Lines = &[
    "Check the user name, its domain and the password.",
    "Check whether the account is locked, disabled or expired, or may not log on from this computer.",
    "Check whether the domain refuses NTLM to the account, as it does to members of Protected Users.",
    // WinRb/WinRM#239, ansible/ansible#45947.
    "Set LocalAccountTokenFilterPolicy to 1 in the server's registry for a local administrator other than the \
     built-in one.",
];

/// Returns the advice for a server that does not offer the authentication scheme of the profile.
pub(super) fn not_offered(endpoint: &str, offered: &[String]) -> Vec<String> {
    let line = settings(endpoint, offered).unwrap_or_else(|| {
        "Check the URI in the profile: lyncsh supports none of the offered authentication schemes.".to_owned()
    });
    vec![line]
}

/// Returns the settings of a profile for the offers that it can use. Basic is not among them for Exchange, where
/// authentication on the PowerShell directory is unsupported (CSS Invoke-AnalyzerIISInformation.ps1).
fn settings(endpoint: &str, offered: &[String]) -> Option<String> {
    let is_exchange = Service::of(endpoint) == Service::Exchange;
    let usable = [
        ("Kerberos", "kerberos"),
        ("Negotiate", "negotiate"),
        ("NTLM", "ntlm"),
        ("Basic", "basic"),
        ("Bearer", "token"),
    ];
    let words: Vec<String> = usable
        .iter()
        .filter(|(scheme, _)| offered.iter().any(|one| one.eq_ignore_ascii_case(scheme)))
        .filter(|(scheme, _)| *scheme != "Basic" || !is_exchange)
        .map(|(_, word)| format!("authentication = \"{word}\""))
        .collect();
    (!words.is_empty()).then(|| format!("Set one of these in the profile: {}.", words.join(", ")))
}
