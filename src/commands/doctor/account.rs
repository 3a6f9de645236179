//! Checks of the secret, the Kerberos ticket, the sign-in, and the sessions of the account.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use secrecy::SecretString;
use url::Url;

use super::finding::{Budget, CheckTimeout, Finding, OVER};
use super::network::NetworkPath;
use crate::advice::fault;
use crate::agent::control::{Holder, Status};
use crate::agent::control_client;
use crate::agent::journal::{Entry, Journal};
use crate::agent::resolver::EndpointResolver;
use crate::agent::slots;
use crate::commands::slots::listed;
use crate::credential::{self, CredentialError, oauth};
use crate::folders::Folders;
use crate::net::steps::{self, StepFailure};
use crate::net::{host_name, refusals};
use crate::profile::{Authentication, CredentialSource, Profile};
use crate::security::negotiation::Negotiation;
use crate::security::{Account, ContextError, KerberosProblem, Mechanism, initiate};
use crate::transport::wsman::fault::code;
use crate::transport::wsman::{Authentication as Method, Endpoint};
use crate::transport::{Error, Operation};

const SECRET: &str = "secret";
const KERBEROS: &str = "kerberos";
const SIGN_IN: &str = "sign-in";
const SESSIONS: &str = "sessions";

/// Maximum shares of the total time.
const SECRET_TIMEOUT: Duration = Duration::from_secs(5);
const KDC_TIMEOUT: Duration = Duration::from_secs(4);
const TOKEN_TIMEOUT: Duration = Duration::from_secs(5);
const LIST_TIMEOUT: Duration = Duration::from_secs(4);
const AGENT_TIMEOUT: Duration = Duration::from_secs(4);

/// WSManFault of a user without permission.
const ACCESS_DENIED: u32 = 5;

/// The secret of a profile, as far as it is available without a question.
pub enum Secret {
    /// Empty if none is needed.
    Known(SecretString),
    /// The reason follows "because".
    Unknown(Cow<'static, str>),
}

/// Checks that the secret is present. It is not shown, and the user is not asked. `withheld`: the reason why it is not
/// fetched.
pub async fn secret(profile: &Profile, withheld: Option<&'static str>, budget: Budget) -> (Finding, Secret) {
    const UNAVAILABLE: Secret = Secret::Unknown(Cow::Borrowed("the secret is not available"));
    if let Some(reason) = withheld {
        return (Finding::skipped(SECRET, reason), Secret::Unknown(reason.into()));
    }
    if profile.credential == CredentialSource::System {
        let found = "none: the system's ticket or logon is used";
        return (Finding::ok(SECRET, found), Secret::Known(SecretString::default()));
    }
    if profile.token_flow.needs_user() && profile.authentication == Authentication::Token {
        let secret = Secret::Unknown("a sign-in would replace the refresh token".into());
        return (refresh_token(profile, budget).await, secret);
    }
    let for_certificate = profile.clone();
    match budget.blocking(SECRET_TIMEOUT, move || credential::is_needed(&for_certificate)).await {
        Ok(true) => {}
        Ok(false) => return (Finding::ok(SECRET, "none needed"), Secret::Known(SecretString::default())),
        Err(late) => {
            let found = format!("cannot read the certificate: the disk did not answer {}", late.within());
            return (Finding::failed(SECRET, found, None).into_warning(), UNAVAILABLE);
        }
    }
    if credential::needs_terminal(profile) {
        let reason = "it is asked for at each start";
        return (
            Finding::skipped(SECRET, reason),
            Secret::Unknown("the secret is asked for at each start".into()),
        );
    }
    let source = credential::source(profile);
    match budget.limited(SECRET_TIMEOUT, credential::fetch(profile)).await {
        Ok(Ok(secret)) => (Finding::ok(SECRET, format!("present; from {source}")), Secret::Known(secret)),
        Ok(Err(error)) => (Finding::error(SECRET, &error), UNAVAILABLE),
        Err(late) => {
            let error = late_secret(profile, late);
            // A start of lyncsh waits longer: the source may ask the user.
            (Finding::error(SECRET, &error).into_warning(), UNAVAILABLE)
        }
    }
}

/// Returns the error of a source that did not answer in time.
fn late_secret(profile: &Profile, late: CheckTimeout) -> CredentialError {
    let reason = format!("did not answer {}", late.within());
    match &profile.credential {
        CredentialSource::Command { line, folder } => {
            let (profile, command) = (profile.name.clone(), line.clone());
            CredentialError::Command { profile, command, folder: folder.clone(), reason }
        }
        CredentialSource::File(path) => {
            CredentialError::File { path: path.clone(), reason: format!("the disk {reason}") }
        }
        _ => CredentialError::Keyring { reason: format!("it {reason}") },
    }
}

async fn refresh_token(profile: &Profile, budget: Budget) -> Finding {
    let Some(entry) = profile.keyring_entry() else {
        return Finding::ok(SECRET, "none needed: the user signs in at each start");
    };
    match budget.limited(SECRET_TIMEOUT, oauth::is_stored(entry)).await {
        Ok(Ok(true)) => Finding::ok(SECRET, "a refresh token is in the keyring"),
        Ok(Ok(false)) => Finding::warning(
            SECRET,
            "no refresh token is in the keyring: the user has to sign in",
            format!("sign in with `lyncsh login {}`", profile.name),
        ),
        Ok(Err(error)) => Finding::error(SECRET, &error).into_warning(),
        Err(late) => {
            let error = CredentialError::Keyring { reason: format!("it did not answer {}", late.within()) };
            Finding::error(SECRET, &error).into_warning()
        }
    }
}

/// Results that the checks of the account share.
pub struct Prepared {
    pub findings: Vec<Finding>,
    /// `Unknown` also if the check of the ticket failed.
    secret: Secret,
    /// The endpoint of a profile whose credential needs no request to a token service.
    pub endpoint: Option<Endpoint>,
}

/// Checks the ticket, with the result of [`secret`]. Nothing is sent to the endpoint. `has_session`: the agent is
/// signed in, and no password is sent to the KDC.
pub async fn prepare(
    folders: &Folders,
    profile: &Profile,
    (finding, secret): (Finding, Secret),
    left: &[Entry],
    has_session: bool,
    budget: Budget,
) -> Prepared {
    let mut prepared = Prepared { findings: vec![finding], secret, endpoint: None };
    let secret = match &prepared.secret {
        Secret::Known(secret) => secret.clone(),
        Secret::Unknown(reason) => {
            if uses_kerberos(profile) {
                prepared.findings.push(Finding::skipped(KERBEROS, reason));
            }
            return prepared;
        }
    };
    // An earlier process has sent it: another attempt may lock the account.
    let was_refused =
        |entry: &Entry| entry.refused && entry.profile == profile.name && entry.user == profile.user;
    if profile.credential != CredentialSource::System && left.iter().any(was_refused) {
        let reason = "the endpoint refused this password before, and it is not sent again";
        let advice = if credential::has_login(profile) {
            format!("store the correct password with `lyncsh login {}`", profile.name)
        } else {
            format!("correct the source of the password, and run `lyncsh {}`", profile.name)
        };
        prepared.findings.push(Finding::failed(SIGN_IN, reason, Some(advice)));
        prepared.secret = Secret::Unknown("the password is wrong".into());
        if uses_kerberos(profile) {
            prepared.findings.push(Finding::skipped(KERBEROS, reason));
        }
        return prepared;
    }
    let is_local =
        profile.authentication.has_context() || profile.authentication == Authentication::Certificate;
    let Some(uri) = profile.uri.clone().filter(|_| is_local) else { return prepared };
    match resolved(folders, profile, secret, uri.clone(), budget).await {
        Ok(endpoint) => prepared.endpoint = Some(endpoint),
        Err(finding) => {
            prepared.secret = Secret::Unknown("the credential cannot be used".into());
            prepared.findings.push(finding);
            return prepared;
        }
    }
    if let Some(Method::Context(negotiation)) = prepared.endpoint.as_ref().map(|one| &one.authentication)
        && negotiation.mode().0.is_kerberos()
    {
        if has_session && matches!(negotiation.account, Account::Password { .. }) {
            prepared.findings.push(Finding::skipped(KERBEROS, "the agent is signed in"));
            return prepared;
        }
        if budget.is_over() {
            prepared.findings.push(Finding::skipped(KERBEROS, OVER));
            prepared.secret = Secret::Unknown(OVER.into());
            return prepared;
        }
        let (finding, obstacle) = ticket(negotiation, &uri, budget).await;
        prepared.findings.push(finding);
        if let Some(obstacle) = obstacle {
            prepared.secret = Secret::Unknown(obstacle.into());
        }
    }
    prepared
}

fn uses_kerberos(profile: &Profile) -> bool {
    matches!(profile.authentication, Authentication::Kerberos | Authentication::Negotiate)
}

/// Resolves the endpoint at a URI; requests a token if the profile needs one.
async fn resolved(
    folders: &Folders,
    profile: &Profile,
    secret: SecretString,
    uri: Url,
    budget: Budget,
) -> Result<Endpoint, Finding> {
    if credential::proxy_needs_terminal(profile) {
        let reason = "the password for the proxy is asked for at each start";
        return Err(Finding::skipped(SIGN_IN, reason));
    }
    let mut access = EndpointResolver::new(folders, profile.clone(), Some(secret));
    let (report, _steps) = tokio::sync::mpsc::unbounded_channel();
    let resolving = access.at(uri, profile.configuration.clone(), &report);
    match budget.limited(TOKEN_TIMEOUT, resolving).await {
        Ok(Ok(endpoint)) => Ok(endpoint),
        Ok(Err(error)) => Err(Finding::failure(SIGN_IN, error.failure())),
        Err(late) => {
            let found = format!("the token service did not answer {}", late.within());
            Err(Finding::failed(SIGN_IN, found, None))
        }
    }
}

/// Requests a ticket for the endpoint from the KDC. With the system's credential, the ticket is stored in the
/// system's ticket cache, as a session would; nothing else changes. Also returns the reason if the sign-in cannot be
/// checked.
async fn ticket(negotiation: &Arc<Negotiation>, uri: &Url, budget: Budget) -> (Finding, Option<String>) {
    let (mechanism, _) = negotiation.mode();
    let service = negotiation.service(host_name(uri));
    let credential = match &negotiation.account {
        Account::Password { user, password } => Some(refusals::Credential::new(uri, user, password)),
        Account::System => None,
    };
    let mut pass = None;
    if let Some(credential) = credential {
        pass = credential.pass().await;
        if pass.is_none() {
            let reason = "the password was refused for another connection, and is not sent again";
            return (Finding::skipped(KERBEROS, reason), Some(reason.to_owned()));
        }
    }
    let stepped = async {
        let context = initiate(&negotiation.initiator(mechanism, host_name(uri), None))
            .map_err(StepFailure::Context)?;
        steps::first_step(context, pass).await
    };
    let error = match budget.limited(KDC_TIMEOUT, stepped).await {
        Ok(Ok(_)) => {
            let place = match negotiation.account {
                Account::System => "in the system's ticket cache",
                Account::Password { .. } => "requested with the password",
            };
            return (Finding::ok(KERBEROS, format!("a ticket for {service}, {place}")), None);
        }
        Ok(Err(StepFailure::Context(error))) => error,
        Ok(Err(StepFailure::Ended(error))) => {
            return (
                Finding::failed(KERBEROS, error.to_string(), None),
                Some("there is no ticket".to_owned()),
            );
        }
        Ok(Err(StepFailure::Late)) | Err(_) => {
            let text = "it did not answer in time".to_owned();
            ContextError::Kerberos { problem: KerberosProblem::KdcUnreachable, code: 0, text }
        }
    };
    let advice = error.advice().join("\n");
    let found = format!("no ticket for {service}: {error}");
    if negotiation.fall_back(mechanism, &error) {
        return (Finding::warning(KERBEROS, format!("{found}; NTLM is used instead"), advice), None);
    }
    let advice = Some(advice).filter(|advice| !advice.is_empty());
    (Finding::failed(KERBEROS, found, advice), Some("there is no Kerberos ticket".to_owned()))
}

/// Signs in to the endpoint and counts the account's sessions, without opening one. An agent with a session can list
/// them: no credential is sent then.
pub async fn sessions(
    folders: &Folders,
    profile: &Profile,
    prepared: Prepared,
    path: &NetworkPath,
    agent: Option<&Status>,
    budget: Budget,
) -> Vec<Finding> {
    if agent.is_some_and(|agent| agent.open.is_some()) {
        let signed_in = Finding::ok(SIGN_IN, "the agent is signed in; the credential was not sent");
        return vec![signed_in, sessions_of_agent(folders, profile, budget).await];
    }
    let has_failed = prepared.findings.iter().any(|finding| finding.check == SIGN_IN);
    let skipped = |reason: &str| {
        let sign_in = (!has_failed).then(|| Finding::skipped(SIGN_IN, reason));
        sign_in.into_iter().chain([Finding::skipped(SESSIONS, reason)]).collect()
    };
    let secret = match (&path.obstacle, prepared.secret) {
        (Some(obstacle), _) => return skipped(obstacle),
        (None, Secret::Unknown(reason)) => return skipped(&reason),
        (None, Secret::Known(_)) if budget.is_over() => return skipped(OVER),
        (None, Secret::Known(secret)) => secret,
    };
    let endpoint = match (prepared.endpoint, &path.uri) {
        (Some(endpoint), _) => endpoint,
        (None, Some(uri)) => match resolved(folders, profile, secret, uri.clone(), budget).await {
            Ok(endpoint) => endpoint,
            Err(finding) => return vec![finding, Finding::skipped(SESSIONS, "the sign-in failed")],
        },
        (None, None) => return skipped("there is no endpoint"),
    };
    sign_in(folders, profile, endpoint, budget).await
}

/// Counts the sessions that the agent lists.
async fn sessions_of_agent(folders: &Folders, profile: &Profile, budget: Budget) -> Finding {
    if budget.is_over() {
        return Finding::skipped(SESSIONS, OVER);
    }
    match budget.limited(AGENT_TIMEOUT, control_client::status(folders, &profile.name)).await {
        Ok(Ok(Some(status))) if status.used.is_some() => counted(profile, &status.holders, true),
        Ok(Ok(Some(_))) => Finding::skipped(SESSIONS, "the endpoint does not list its sessions"),
        Ok(Ok(None)) => Finding::skipped(SESSIONS, "the agent has ended"),
        Ok(Err(_)) | Err(_) => Finding::skipped(SESSIONS, "the endpoint did not list its sessions in time"),
    }
}

/// Signs in by listing the account's sessions.
async fn sign_in(
    folders: &Folders,
    profile: &Profile,
    mut endpoint: Endpoint,
    budget: Budget,
) -> Vec<Finding> {
    let limit = budget.share(LIST_TIMEOUT);
    endpoint.limits.connect = endpoint.limits.connect.min(limit);
    endpoint.limits.operation = endpoint.limits.operation.min(limit);
    // The journal is only read.
    let journal = Journal::of(folders);
    let asking = slots::holders(&journal, &endpoint);
    let result = match budget.limited(LIST_TIMEOUT + Duration::from_secs(1), asking).await {
        Ok(result) => result,
        Err(late) => Err(Error::Timeout { operation: Operation::Enumerate, limit: late.0 }),
    };
    let accepted = || Finding::ok(SIGN_IN, accepted(&endpoint.authentication));
    match result {
        Ok(holders) => vec![accepted(), counted(profile, &holders, false)],
        Err(error @ Error::Fault(_)) if error.is_quota() => {
            vec![accepted(), Finding::transport(SESSIONS, &error)]
        }
        Err(error @ Error::Fault(_)) if is_denied(&error) => vec![
            Finding::transport(SIGN_IN, &error).into_warning(),
            Finding::skipped(SESSIONS, "the account may not list them"),
        ],
        Err(Error::Fault(_)) => {
            vec![accepted(), Finding::skipped(SESSIONS, "the endpoint does not list its sessions")]
        }
        Err(error) => {
            vec![Finding::transport(SIGN_IN, &error), Finding::skipped(SESSIONS, "the sign-in failed")]
        }
    }
}

fn is_denied(error: &Error) -> bool {
    matches!(error, Error::Fault(fault) if fault.code == Some(ACCESS_DENIED))
}

fn accepted(method: &Method) -> String {
    let user = method.user();
    let how = match method {
        Method::Basic { .. } => "Basic",
        Method::Bearer { .. } => "a token",
        Method::Certificate { .. } => return "the endpoint accepted the client certificate".to_owned(),
        Method::Context(negotiation) => match negotiation.mode().0 {
            Mechanism::Kerberos | Mechanism::NegotiateKerberos => "Kerberos",
            Mechanism::Ntlm | Mechanism::NegotiateNtlm => "NTLM",
        },
    };
    format!("the endpoint accepted {user} with {how}")
}

/// Compares the number of sessions with the limit. `has_session`: one of them is the session that this profile would
/// use.
fn counted(profile: &Profile, holders: &[Holder], has_session: bool) -> Finding {
    let used = holders.len();
    let allowed = profile.kind.traits().sessions.of_account;
    let user = profile.user.as_deref().unwrap_or("this account");
    let list: Vec<String> = listed(holders).lines().map(|line| line.trim().to_owned()).collect();
    let list = if list.is_empty() { String::new() } else { format!(": {}", list.join("; ")) };
    let found = match allowed {
        Some(allowed) => format!("{used} of {allowed} sessions of {user} are open{list}"),
        None => format!("{used} open sessions of {user}; the limit of the endpoint is not known{list}"),
    };
    if !has_session && allowed.is_some_and(|allowed| used >= allowed) {
        let advice = fault::of_code(code::QUOTA_MAX_SHELLS).map(|lines| lines.join("\n"));
        return Finding::failed(SESSIONS, found, advice);
    }
    Finding::ok(SESSIONS, found)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use uuid::Uuid;

    use super::super::finding::State;
    use super::*;

    #[test]
    fn a_late_secret_is_reported_with_its_source() {
        for (source, start) in [
            ("{ file = 'secret' }", "cannot read the secret in"),
            ("{ command = 'pass' }", "the password command of profile 'work'"),
            ("'keyring'", "the keyring is not usable"),
        ] {
            let text = format!("kind = 'lync-online'\nuser = 'a@b.c'\ncredential = {source}\n");
            let profile = crate::profile::parse("work", Path::new("work.toml"), &text).unwrap();
            let error = late_secret(&profile, CheckTimeout(SECRET_TIMEOUT)).to_string();
            assert!(error.starts_with(start) && error.ends_with("did not answer within 5s"), "{error}");
        }
    }

    #[test]
    fn a_full_account_fails_unless_the_session_is_open() {
        let text = "kind = 'lync-online'\nuser = 'a@b.c'\n";
        let profile = crate::profile::parse("work", Path::new("work.toml"), text).unwrap();
        let holder =
            || Holder { shell: Uuid::new_v4(), owner: None, client: None, age: None, idle: None, ours: None };
        let holders = [holder(), holder(), holder()];
        let counted = |count: usize, has_session| counted(&profile, &holders[..count], has_session);
        assert_eq!(counted(0, false).found, "0 of 3 sessions of a@b.c are open");
        assert_eq!(counted(2, false).state, State::Ok);
        let full = counted(3, false);
        assert_eq!(full.state, State::Failed);
        assert!(full.found.contains("3 of 3 sessions of a@b.c are open: 1. another account"), "{full:?}");
        assert!(full.advice.unwrap().contains("Close an unneeded session"));
        assert_eq!(counted(3, true).state, State::Ok);
    }
}
