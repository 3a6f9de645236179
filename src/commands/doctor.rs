//! `lyncsh doctor`: checks whether a profile would connect. Changes nothing: it opens no session, writes no
//! file of lyncsh, and removes no orphaned session.

mod account;
mod agent;
mod files;
mod finding;
mod network;
mod powershell;
mod printer;
mod reading;
mod shell;

use std::process::ExitCode;
use std::time::Duration;

use futures_util::future::{join, join_all};

use self::finding::{Budget, CheckTimeout, Finding, State};
use self::printer::Section;
use self::reading::{CheckedConnection, CheckedProfiles};
use crate::agent::journal::{Entry, Journal};
use crate::exit::Exit;
use crate::folders::Folders;
use crate::profile::{Authentication, Profile};
use crate::shell::pwsh::find::PowerShell;

/// Time limit for reading files: a disk may not answer.
const FILES_TIMEOUT: Duration = Duration::from_secs(4);
/// Upper bounds of the profile's time limits: the checks have less time than a session.
const CONNECT_LIMIT: Duration = Duration::from_secs(3);
const TOKEN_LIMIT: Duration = Duration::from_secs(4);

/// Reasons for skipping the checks that need a secret. The text follows "because".
const MISTAKES: &str = "the profile has mistakes";
const JOURNAL: &str = "the journal, which records that a password was refused, could not be read";

/// Checks a profile, or each connection of a group, and prints the findings.
pub async fn run(folders: &Folders, name: &str, json: bool) -> miette::Result<ExitCode> {
    let budget = Budget::start();
    let (for_profiles, wanted) = (folders.clone(), name.to_owned());
    let read = budget.blocking(FILES_TIMEOUT, move || reading::read(&for_profiles, &wanted));
    let journal = Journal::of(folders);
    let left = budget.blocking(FILES_TIMEOUT, move || journal.list_orphans());
    let (read, left) = join(read, left).await;
    let left = left.as_deref().map_err(|late| *late);
    let late = |late: CheckTimeout| {
        miette::miette!("cannot read the profile '{name}': the disk did not answer {}", late.within())
    };
    let CheckedProfiles { group, connections, shell: wanted } = read.map_err(late)??;
    let services = connections.iter().filter_map(|one| one.profile.as_ref());
    let services: Vec<&Profile> = services.filter(|profile| profile.service.is_some()).collect();
    let mut names: Vec<String> =
        connections.iter().map(|one| one.name.clone()).chain([name.to_owned()]).collect();
    names.dedup();
    let checking = join_all(connections.iter().map(|one| connection(folders, one, left, budget)));
    let machine = machine(folders, &services, wanted.as_deref(), names, budget);
    let (checked, (shell, mut others)) = join(checking, machine).await;
    let (shell, program) = shell;
    let mut sections = Vec::new();
    for (connection, mut checked) in connections.iter().zip(checked) {
        let mut findings = connection.findings.clone();
        if group.is_none() {
            findings.extend(shell.iter().cloned());
        }
        findings.append(&mut checked);
        if let Some(profile) = &connection.profile {
            let module = module(folders, profile, program.as_ref(), budget).await;
            findings.push(module);
        }
        sections.push(Section { connection: Some(connection.name.clone()), findings });
    }
    match (group, sections.first_mut()) {
        (None, Some(section)) => section.findings.append(&mut others),
        (group, _) => {
            let mut findings = group.unwrap_or_default();
            findings.extend(shell);
            findings.append(&mut others);
            sections.insert(0, Section { connection: None, findings });
        }
    }
    let mut all = sections.iter().flat_map(|section| &section.findings);
    let would_connect = all.all(|finding| finding.state != State::Failed);
    if json {
        printer::json(name, would_connect, &sections)?;
    } else {
        printer::text(name, would_connect, &sections);
    }
    Ok(if would_connect { ExitCode::SUCCESS } else { Exit::NotConnected.into() })
}

/// Checks the parts that all connections share: the shell, and the files of lyncsh and of other programs.
async fn machine(
    folders: &Folders,
    services: &[&Profile],
    wanted: Option<&str>,
    names: Vec<String>,
    budget: Budget,
) -> ((Vec<Finding>, Option<PowerShell>), Vec<Finding>) {
    let (for_hook, for_files) = (folders.clone(), folders.clone());
    let files = budget.blocking(FILES_TIMEOUT, move || {
        let mut findings = vec![powershell::hook(&for_hook), powershell::completions()];
        findings.extend(files::check(&for_files, &names));
        findings
    });
    let (shell, files) = join(shell::shell(folders, wanted, services, budget), files).await;
    let late = |late: CheckTimeout| {
        vec![Finding::failed("folders", format!("the disk did not answer {}", late.within()), None)]
    };
    (shell, files.unwrap_or_else(late))
}

/// Checks the module of a profile: the vendor's for a module kind, otherwise lyncsh's own.
async fn module(folders: &Folders, profile: &Profile, shell: Option<&PowerShell>, budget: Budget) -> Finding {
    if let Some(finding) = shell::service(profile, shell, budget).await {
        return finding;
    }
    let (folders, profile) = (folders.clone(), profile.clone());
    let checked = budget.blocking(FILES_TIMEOUT, move || powershell::module(&folders, &profile)).await;
    checked.unwrap_or_else(|late| {
        Finding::failed("module", format!("the disk did not answer {}", late.within()), None).into_warning()
    })
}

/// Checks one connection. Checks that do not depend on each other run at the same time.
async fn connection(
    folders: &Folders,
    checked: &CheckedConnection,
    left: Result<&[Entry], CheckTimeout>,
    budget: Budget,
) -> Vec<Finding> {
    let name = &checked.name;
    let Some(profile) = &checked.profile else {
        let (finding, _) = agent::agent(folders, name, budget).await;
        let skipped = ["secret", "name", "tcp", "tls", "sign-in"];
        let skipped = skipped.map(|check| Finding::skipped(check, MISTAKES));
        return skipped.into_iter().chain([finding]).chain(agent::orphans(name, None, left)).collect();
    };
    // Without the lines that have mistakes, the defaults could send the secret to another server.
    let withheld = checked.has_mistakes.then_some(MISTAKES).or(left.is_err().then_some(JOURNAL));
    let refused = left.unwrap_or_default();
    let mut profile = profile.clone();
    let limits = &mut profile.limits;
    limits.connect = limits.connect.min(CONNECT_LIMIT);
    limits.token = limits.token.min(TOKEN_LIMIT);
    if profile.service.is_some() {
        let (finding, _) = account::secret(&profile, withheld, budget).await;
        return vec![finding];
    }
    let account = async {
        let secret = account::secret(&profile, withheld, budget);
        let ((finding, status), secret) = join(agent::agent(folders, name, budget), secret).await;
        let has_session = status.as_ref().is_some_and(|status| status.open.is_some());
        (account::prepare(folders, &profile, secret, refused, has_session, budget).await, finding, status)
    };
    let ((prepared, finding, status), path) = if profile.authentication == Authentication::Certificate {
        // TLS needs the certificate, which the secret decrypts.
        let account = account.await;
        let endpoint = account.0.endpoint.as_ref();
        let certificate = endpoint.and_then(|endpoint| endpoint.trust.certificate.clone());
        let path = network::path(folders, &profile, certificate, withheld, budget).await;
        (account, path)
    } else {
        join(account, network::path(folders, &profile, None, withheld, budget)).await
    };
    let mut findings = prepared.findings.clone();
    // The secret comes first, the ticket after the network path.
    let later = findings.split_off(1.min(findings.len()));
    findings.extend(path.findings.iter().cloned());
    findings.extend(later);
    findings.extend(account::sessions(folders, &profile, prepared, &path, status.as_ref(), budget).await);
    findings.push(finding);
    findings.extend(agent::orphans(name, Some(&profile), left));
    findings
}
