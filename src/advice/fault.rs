//! Advice for WSMan faults, by their codes (`wsmerror.h`) and texts.

use super::lines::Lines;
use crate::transport::wsman::fault::{Fault, LOST_AFFINITY, code};

/// A row of the table: the faults of one symptom, and its causes.
pub(super) struct Row {
    /// Values of f:WSManFault/@Code.
    pub(super) codes: &'static [u32],
    /// Substrings of the fault's text; they are compared before the codes.
    pub(super) texts: &'static [&'static str],
    pub(super) advice: Lines,
}

const ACCESS_DENIED: u32 = 5;
const DESTINATION_UNREACHABLE: u32 = 2_150_858_811;
const SCHEMA_VALIDATION: u32 = 2_150_858_817;
const OPEN_AGAIN: &str = "Open the session again.";
const CLOSE_SESSION: &str = "Close an unneeded session, or wait until an idle session ends, and try again.";
const MAY_HAVE_RUN: &str = "Check what the last command has changed: it may have run.";
const REPORT: &str = "Report the error with a log (-vvv): lyncsh sent a request that the server cannot read.";

/// The advice for faults. Texts are compared before codes, because a server reports different causes with one code,
/// such as InternalError.
pub(super) const ROWS: &[Row] = &[
    // Microsoft365DSC#359, KnowMoreIT/CloudPanel#54.
    Row {
        codes: &[],
        texts: &["MaxConcurrency"],
        advice: &[
            CLOSE_SESSION,
            "Ask the administrator for the throttling policy: Exchange Server has 18 sessions by default, the cloud 3.",
        ],
    },
    // c7solutions.com/2010/01/restrictive-throttling-policies-in-aspx.
    Row {
        codes: &[2_150_859_175],
        texts: &["load quota"],
        advice: &[
            "Wait as long as the text says, and run fewer commands in a row.",
            "Ask the administrator to raise PowerShellMaxCmdlets of the throttling policy on Exchange, or \
             MaxConcurrentOperationsPerUser on WinRM.",
        ],
    },
    // techcommunity.microsoft.com/blog/exchange/…/604504, ODS invalidshellid-error-in-rps.md.
    Row {
        codes: &[],
        texts: &["WSMan-InvalidShellID", LOST_AFFINITY],
        advice: &[
            OPEN_AGAIN,
            "Set uri in the profile to the name of one server, or have the load balancer keep a client on one server: \
             the text names the servers that the request reached.",
            "Check the versions of the servers: a mailbox on another version moves the session.",
        ],
    },
    // learn.microsoft.com …/exchange-serialization-payload-sign.
    Row {
        codes: &[],
        texts: &["23-73-69-67-23"],
        advice: &[
            "Ask the administrator whether the Exchange Auth certificate has expired: signed objects need it.",
        ],
    },
    // unifiedpeople.ru/lyncserver2013_itpro.en.
    Row {
        codes: &[],
        texts: &["concurrent shells for this tenant"],
        advice: &[
            CLOSE_SESSION,
            "Ask the other administrators to close theirs: a tenant has 9, an administrator 3.",
        ],
    },
    // hashicorp/vagrant#7489, Microsoft365DSC#966.
    Row {
        codes: &[code::QUOTA_MAX_SHELLS, 2_150_859_236, 2_150_859_237, 2_150_859_238, 2_150_859_239],
        texts: &["maximum number of concurrent shells", "concurrent shells for this user"],
        advice: &[
            CLOSE_SESSION,
            "Ask the administrator to raise the quota: MaxShellsPerUser of WinRM is 5 or 30 by default.",
        ],
    },
    // ansible/ansible#83656, masterzen/winrm#129.
    Row {
        codes: &[2_150_859_174, 2_150_859_240, 2_150_859_241],
        texts: &["concurrent operations"],
        advice: &[
            "Open another session: the server may count finished operations until their session ends.",
            "Ask the administrator to raise MaxConcurrentOperationsPerUser of WinRM (15 or 1500).",
        ],
    },
    // ODS error-occur-ems-eac-owa.md.
    Row {
        codes: &[],
        texts: &["[Server="],
        advice: &[
            "Ask the administrator about the groups of the server's own account, not the user's: one of them may be \
             denied ms-Exch-EPI-Token-Serialization.",
            "Check that the account may use the endpoint.",
        ],
    },
    // diyan/pywinrm#338, WinRb/WinRM#239, ansible/ansible#45947, ODP Get-CsAdminRole.md, jborean93/pypsrp#226.
    Row {
        codes: &[ACCESS_DENIED],
        texts: &[],
        advice: &[
            "Ask for permission: membership of Remote Management Users or Administrators, a role of the JEA endpoint, or \
             a `Cs…` group on Lync.",
            "Set LocalAccountTokenFilterPolicy to 1 in the server's registry for a local administrator other than the \
             built-in one.",
            "Set authentication = \"ntlm\" for a JEA endpoint with RunAsVirtualAccount that fails with Kerberos only.",
        ],
    },
    // jborean93/pypsrp#47, diyan/pywinrm#227.
    Row {
        codes: &[DESTINATION_UNREACHABLE],
        texts: &[],
        advice: &[
            "Check `configuration` in the profile: run `Get-PSSessionConfiguration` on the server.",
            "Check the path and the port of uri: Exchange has its configuration at /PowerShell/, not at /wsman on port \
             5985.",
        ],
    },
    // ODS owa-ecp-ems-cannot-connect-….
    Row {
        codes: &[2_150_859_084],
        texts: &[],
        advice: &[
            OPEN_AGAIN,
            "Check in IIS of an Exchange server that a certificate is bound to port 444 (Exchange Back End).",
        ],
    },
    // jborean93/pypsrp#226.
    Row {
        codes: &[2_150_859_259],
        texts: &[],
        advice: &[
            "Ask the administrator of the JEA endpoint about RunAsVirtualAccount: the server could not create the account.",
            "Set authentication = \"ntlm\" in the profile, or use another Kerberos library.",
        ],
    },
    Row {
        codes: &[2_150_859_180],
        texts: &[],
        advice: &[
            "Ask the administrator to permit remote shells: `Set-Item WSMan:\\localhost\\Shell\\AllowRemoteShellAccess \
             $true`.",
        ],
    },
    // WinRb/WinRM#146, jborean93/PSWSMan PSRPShim.cs; ERROR_OPERATION_ABORTED, ERROR_CANCELLED.
    Row {
        codes: &[
            995,
            1223,
            code::UNEXPECTED_SELECTORS,
            code::INVALID_SELECTORS,
            code::DISCONNECTED,
            code::STREAM_DISCONNECTED,
        ],
        texts: &[],
        advice: &[
            "Open the session again: the server has ended it, for example after its idle time or a restart.",
            MAY_HAVE_RUN,
        ],
    },
    // microsoft/PowerShell-DSC-for-Linux#7: the text names a firewall, and the cause was an operation of 30 s.
    Row {
        codes: &[2_150_859_046],
        texts: &[],
        advice: &[
            "Check the name and the port of uri, and whether a firewall permits the port, if it occurs at the start.",
            "Try again, if it occurs during a command that writes nothing for 30 seconds.",
            MAY_HAVE_RUN,
        ],
    },
    // PSWSMan New-PSWSManSessionOption.md.
    Row {
        codes: &[code::REDIRECT_REQUESTED],
        texts: &[],
        advice: &[
            "Ask the administrator for the URI to which the endpoint redirects, and set it as uri in the profile.",
        ],
    },
    // ODS remote-powershell-cmdlets-not-working.md; Windows' client reports it.
    Row {
        codes: &[2_150_859_194],
        texts: &[],
        advice: &[
            "Install .NET 4.5.2 on a Lync server with the update of February 2017.",
            "Remove Windows Management Framework 5 from a Lync server: see KB3169706.",
        ],
    },
    Row {
        codes: &[code::TIMED_OUT],
        texts: &[],
        advice: &["Try again; the server did not end the operation within its limit.", MAY_HAVE_RUN],
    },
    // diyan/pywinrm#377: IdleTimeOut as a number.
    Row {
        codes: &[SCHEMA_VALIDATION, 2_150_858_819, 2_150_858_824],
        texts: &[],
        advice: &["Check whether a proxy changes requests.", REPORT],
    },
    // PowerShell/JEA#20, jborean93/pypsrp#103.
    Row {
        codes: &[],
        texts: &["syntax is not supported by this runspace", "ScriptsNotAllowed"],
        advice: &[
            "Use commands and pipelines only: JEA, and Exchange since KB5001779, have no script language.",
        ],
    },
    // MicrosoftDocs/windowsserverdocs#2727.
    Row {
        codes: &[],
        texts: &["Invalid role capability key"],
        advice: &[
            "Ask the owner of the .pssc file to remove the key, or to install Windows Management Framework 5.1.",
        ],
    },
    // ODS fail-to-start-ems-canot-find-path.md.
    Row {
        codes: &[],
        texts: &["Cannot find path ''"],
        advice: &[
            "Remove Windows Management Framework 5.0 (KB3134758) from an Exchange server on Windows Server 2012 R2.",
        ],
    },
    // ansible/ansible#8345.
    Row {
        codes: &[],
        texts: &["OutOfMemoryException"],
        advice: &[
            "Install KB2842230 on Windows Server 2008 R2 or 2012.",
            "Ask the administrator to raise MaxMemoryPerShellMB.",
        ],
    },
    // PowerShell-Docs about_Remote_Troubleshooting.
    Row {
        codes: &[],
        texts: &["total data received"],
        advice: &[
            "Send fewer or smaller objects: an object may have 10 MB by default, on Exchange 75 MB.",
            "Ask the administrator to raise PSMaximumReceivedObjectSizeMB or PSMaximumReceivedDataSizePerCommandMB.",
        ],
    },
    // ODS cant-connect-to-sfb-remote-powershell.md.
    Row {
        codes: &[],
        texts: &["Unable to query AutoDiscover URL"],
        advice: &["Set domain in the profile to the tenant's domain NAME.onmicrosoft.com."],
    },
];

/// Advice for the subcode InternalError, if neither the text nor the code is known (jborean93/pypsrp#148).
const INTERNAL_ERROR: Lines = &[
    "Open the session again: some servers refuse the commands of a session after 1000 of them.",
    "Read the event log of the server.",
];
const QUOTA: Lines = &[CLOSE_SESSION];

/// Advice for a fault without a text and a code (jborean93/pypsrp#187).
const EMPTY: Lines = &[
    "Set authentication = \"kerberos\" and write the account as user@REALM, if the endpoint is /PowerShell/ of Exchange.",
    "Check `configuration` in the profile, and the event log of the server.",
];

/// Returns the advice for an error text of an endpoint.
pub fn of_text(text: &str) -> Option<Lines> {
    let has = |row: &&Row| row.texts.iter().any(|part| text.contains(part));
    ROWS.iter().find(has).map(|row| row.advice)
}

/// Returns the advice for the code of an f:WSManFault.
pub fn of_code(code: u32) -> Option<Lines> {
    ROWS.iter().find(|row| row.codes.contains(&code)).map(|row| row.advice)
}

/// Returns the advice for a SOAP subcode, given without its prefix, if the fault has no known code.
fn of_subcode(name: &str) -> Option<Lines> {
    match name {
        "AccessDenied" => of_code(ACCESS_DENIED),
        "DestinationUnreachable" => of_code(DESTINATION_UNREACHABLE),
        "InvalidSelectors" => of_code(code::INVALID_SELECTORS),
        "QuotaLimit" => Some(QUOTA),
        "SchemaValidationError" => of_code(SCHEMA_VALIDATION),
        "TimedOut" => of_code(code::TIMED_OUT),
        "InternalError" => Some(INTERNAL_ERROR),
        _ => None,
    }
}

impl Fault {
    /// Returns the advice, one line for each cause; none for an unknown fault.
    pub fn advice(&self) -> Lines {
        of_text(&self.text)
            .or_else(|| self.code.and_then(of_code))
            .or_else(|| self.is_quota().then_some(QUOTA))
            .or_else(|| self.subcode_name().and_then(of_subcode))
            .or_else(|| self.is_empty().then_some(EMPTY))
            .unwrap_or_default()
    }
}
