use super::*;
use crate::security::{ContextError, KerberosProblem, ntlm};
use crate::transport::AuthScheme;
use crate::transport::wsman::fault::Fault;

/// The first words of an instruction.
const VERBS: [&str; 30] = [
    "Add",
    "Ask",
    "Assign",
    "Change",
    "Check",
    "Close",
    "Compare",
    "Connect",
    "Count",
    "Enter",
    "Find",
    "Give",
    "If you trust",
    "Install",
    "Open",
    "Permit",
    "Put",
    "Raise",
    "Read",
    "Register",
    "Remove",
    "Report",
    "Run",
    "Send",
    "Set",
    "Switch",
    "Try",
    "Update",
    "Use",
    "Wait",
];

fn check<T: AsRef<str>>(name: &str, lines: &[T]) {
    assert!(!lines.is_empty(), "{name}");
    for line in lines {
        let line = line.as_ref();
        assert!(
            VERBS.iter().any(|verb| line.starts_with(verb)) || line.starts_with("Write"),
            "{name}: {line}"
        );
        assert!(line.ends_with('.') && !line.contains("  "), "{name}: {line}");
    }
}

#[test]
fn every_problem_has_imperative_advice() {
    for problem in KerberosProblem::ALL.into_iter().filter(|problem| *problem != KerberosProblem::Other) {
        check(&problem.to_string(), problem.advice());
    }
    let malformed = |what| ContextError::Malformed { what, reason: String::new() };
    let own = |code| ContextError::Mechanism { code, text: String::new() };
    for error in [
        malformed(ntlm::CHALLENGE),
        malformed("sealed body"),
        malformed("token"),
        own(ntlm::LOGON_DENIED),
        own(ntlm::NO_CREDENTIALS),
        own(ntlm::UNSUPPORTED),
        own(ntlm::BAD_BINDINGS),
        ContextError::Unverified(String::new()),
        ContextError::NotEstablished,
    ] {
        check(&error.to_string(), error.advice());
    }
}

#[test]
fn every_fault_and_status_has_imperative_advice() {
    for row in fault::ROWS {
        check(&format!("{:?} {:?}", row.codes, row.texts), row.advice);
    }
    for status in [200, 302, 400, 403, 404, 405, 407, 411, 413, 500, 501, 502, 503, 504] {
        for path in ["wsman", "PowerShell/", "OcsPowershell"] {
            check(&status.to_string(), &http::status(status, &format!("https://host/{path}")));
        }
    }
}

#[test]
fn every_code_of_a_token_service_has_one_row_of_imperative_advice() {
    let mut seen = std::collections::HashSet::new();
    for row in oauth::ROWS {
        check(&row.codes.join(", "), row.advice);
        assert!(row.codes.iter().all(|code| seen.insert(*code)), "{:?}", row.codes);
    }
}

#[test]
fn each_code_has_one_row() {
    let mut codes: Vec<u32> = fault::ROWS.iter().flat_map(|row| row.codes).copied().collect();
    let count = codes.len();
    codes.sort_unstable();
    codes.dedup();
    assert_eq!(codes.len(), count);
}

/// Codes and texts that no peer of the tests produces, with a part of their advice.
#[test]
fn windows_server_faults_have_their_advice() {
    for (code, part) in [
        (2_150_859_084, "port 444"),
        (2_150_859_194, "KB3169706"),
        (2_150_859_259, "RunAsVirtualAccount"),
        (2_150_858_817, "log (-vvv)"),
        (2_150_858_793, "may have run"),
        (2_150_859_180, "AllowRemoteShellAccess"),
        (2_150_859_161, "redirects"),
        (2_150_859_046, "firewall"),
        (2_150_859_046, "may have run"),
        (995, "may have run"),
        (1223, "may have run"),
        (2_150_859_204, "may have run"),
        (2_150_859_230, "may have run"),
        (2_150_858_843, "Open the session again"),
        (2_150_858_813, "Open the session again"),
    ] {
        let lines = Fault::new(code, "w:InternalError", "text").advice().join("\n");
        assert!(lines.contains(part), "{code}: {lines}");
    }
    for (text, part) in [
        ("The syntax is not supported by this runspace. This can occur if …", "no script language"),
        ("Invalid role capability key: RoleCapabilityFiles", "Windows Management Framework 5.1"),
        ("Cannot find path '' because it does not exist.", "KB3134758"),
        ("Exception of type 'System.OutOfMemoryException' was thrown.", "KB2842230"),
        ("The total data received from the remote server exceeded the allowed maximum.", "10 MB"),
        ("Type 23-73-69-67-23 cannot be deserialized.", "Auth certificate"),
        ("Unable to query AutoDiscover URL", "onmicrosoft.com"),
        ("no (the front end B answered, …: the load balancer has lost the affinity)", "on one server"),
    ] {
        let lines = Error::Ended(text.to_owned()).advice().unwrap();
        assert!(lines.contains(part), "{text}: {lines}");
    }
}

#[test]
fn advice_for_exchange_omits_basic() {
    let offered: Vec<String> = ["Negotiate", "Basic"].map(str::to_owned).into();
    let advice = |path: &str| {
        let endpoint = format!("https://mail1.litwareinc.com/{path}");
        Error::NotOffered { endpoint, wanted: "Kerberos", offered: offered.clone() }.advice().unwrap()
    };
    assert!(advice("wsman").contains("basic") && !advice("PowerShell/").contains("basic"));
    let refused = |scheme| {
        let (endpoint, user) = ("http://mail1.litwareinc.com/powershell".to_owned(), "ken".to_owned());
        Error::Unauthorized { endpoint, user, scheme: Some(scheme), offered: offered.clone() }
            .advice()
            .unwrap()
    };
    assert!(!refused(AuthScheme::Ntlm).contains("basic"));
    assert!(refused(AuthScheme::Ntlm).contains("user@REALM"));
    assert!(refused(AuthScheme::Ntlm).contains("shares connections"));
}

#[test]
fn advice_for_a_hang_mentions_client_certificates() {
    let (endpoint, reason) = ("https://host/PowerShell/".to_owned(), "reset".to_owned());
    for operation in [Operation::Authenticate, Operation::Create] {
        let cut = Error::ConnectionLost { endpoint: endpoint.clone(), operation, reason: reason.clone() };
        let late = Error::Timeout { operation, limit: std::time::Duration::from_secs(1) };
        for error in [cut, late] {
            assert!(error.advice().unwrap().contains("tls = \"system\""), "{error}");
        }
    }
}
