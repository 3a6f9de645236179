//! The questions of `lyncsh add` without a kind, at a terminal.

use std::path::PathBuf;

use miette::{Context as _, IntoDiagnostic as _};

use super::options::{self, written};
use crate::cli::Add;
use crate::commands::connect::{Context, connect, is_ending};
use crate::commands::session::REMOVAL_TIMEOUT;
use crate::commands::usage::usage;
use crate::commands::{keyring, names};
use crate::credential;
use crate::folders::Folders;
use crate::platform::ShutdownSignals;
use crate::profile::{self, Authentication, Kind, Profile};
use crate::screen;

/// Asks for the settings that are not given, until they are a valid profile.
///
/// # Errors
/// There is no terminal, or the user gives up.
pub fn ask(folders: &Folders, add: &mut Add) -> miette::Result<()> {
    if !screen::can_ask() {
        return Err(usage!(
            help = "pass PROFILE and --kind KIND; see the options in `lyncsh add --help`",
            "cannot ask for the settings of a profile: no terminal"
        ));
    }
    crate::errln!("A new profile. Enter accepts the value in brackets; Ctrl-C ends without a change.");
    let name = loop {
        let name = match add.name.take() {
            Some(name) => name,
            None => asked("Name of the profile", None)?,
        };
        match names::check_new(folders, &name) {
            Ok(()) => break name,
            Err(error) => screen::print_report(&error),
        }
    };
    add.name = Some(name.clone());
    loop {
        let kind = kind(add.kind.as_deref())?;
        add.kind = Some(kind.traits().name.to_owned());
        if kind.module().is_none() {
            add.user = Some(asked("User, as name@domain", add.user.as_deref())?);
            add.uri = uri(kind, add.uri.as_deref())?;
            source(add, kind)?;
        } else {
            crate::errln!(
                "The module signs in with a device code; set another way with `lyncsh edit {name}`."
            );
        }
        // Checked with the same reader as a file.
        match options::source(add, None).and_then(|credential| written(folders, add, &name, None, credential))
        {
            Ok(_) => return Ok(()),
            Err(error) => screen::print_report(&error),
        }
        if !is_agreed("Correct the answers (Y/n)? ")? {
            return Err(usage!("no profile was created"));
        }
    }
}

fn kind(before: Option<&str>) -> miette::Result<Kind> {
    for kind in Kind::ALL {
        let traits = kind.traits();
        crate::errln!("  {:16}{}", traits.name, traits.summary);
    }
    loop {
        let word = asked("Kind", before.or(Some(Kind::LyncOnline.traits().name)))?;
        let all = || Kind::ALL.into_iter();
        if let Some(kind) = all().find(|kind| kind.traits().name == word) {
            return Ok(kind);
        }
        match profile::nearest(&word, all().map(|kind| kind.traits().name)) {
            Some(near) => crate::errln!("Did you mean {near}?"),
            None => crate::errln!("Enter one of the kinds above."),
        }
    }
}

/// Asks for the URI; `None` for a discovered endpoint.
fn uri(kind: Kind, before: Option<&str>) -> miette::Result<Option<String>> {
    if !kind.traits().discovers {
        return asked("URI of the endpoint, such as https://HOST:5986/wsman", before).map(Some);
    }
    let uri = keyring::answer("URI of the endpoint, or Enter to discover it: ")?;
    Ok(if uri.is_empty() { before.map(str::to_owned) } else { Some(uri) })
}

/// Asks for the source of the password.
fn source(add: &mut Add, kind: Kind) -> miette::Result<()> {
    let has_ticket = kind.traits().authentications.contains(&Authentication::Kerberos);
    crate::errln!(
        "Source of the password:\n\
         \x20 k  the keyring of this computer\n\
         \x20 s  an entry of the keyring that several profiles share\n\
         \x20 p  ask for it each time\n\
         \x20 c  a command that prints it\n\
         \x20 f  the first line of a file{}",
        if has_ticket { "\n\x20 t  none: the Kerberos ticket or the Windows logon" } else { "" }
    );
    (add.prompt, add.system, add.keyring) = (false, false, None);
    (add.credential_command, add.credential_file) = (None, None);
    loop {
        match asked("Source", Some("k"))?.to_lowercase().as_str() {
            "k" => {}
            "s" => add.keyring = Some(asked("Name of the entry", None)?),
            "p" => add.prompt = true,
            "c" => add.credential_command = Some(asked("The command, for example pass show work", None)?),
            "f" => add.credential_file = Some(PathBuf::from(asked("The file", None)?)),
            "t" if has_ticket => add.system = true,
            _ => continue,
        }
        return Ok(());
    }
}

/// Offers to connect with the new profile. After a failure, removes the profile unless the user keeps it.
pub async fn offer(context: &Context, profile: Profile) -> miette::Result<()> {
    let name = profile.name.clone();
    if profile.service.is_some() || !is_agreed("Try the connection now (Y/n)? ")? {
        return Ok(());
    }
    let entry = profile.keyring_entry().map(str::to_owned);
    let mut endings = ShutdownSignals::catch().into_diagnostic()?;
    let error = match connect(context, profile, None, &mut endings).await {
        Ok(agent) => {
            crate::outln!("The connection works.");
            if let Some(left) = agent.release(REMOVAL_TIMEOUT).await {
                crate::errln!("the session of '{name}' may still be on the server: {left}");
            }
            return Ok(());
        }
        Err(error) => miette::Report::from(error),
    };
    if is_ending(&error) {
        return Err(error);
    }
    screen::print_report(&error);
    if is_agreed("Keep the profile (Y/n)? ")? {
        crate::outln!("Change it with: lyncsh edit {name}");
        return Ok(());
    }
    let path = context.folders.profile(&name);
    std::fs::remove_file(&path)
        .into_diagnostic()
        .wrap_err_with(|| format!("cannot remove {}", path.display()))?;
    if let Some(entry) = entry.filter(|entry| names::sharing(&context.folders, entry).is_empty()) {
        credential::delete_all(&context.folders, &entry).await?;
    }
    crate::outln!("The profile '{name}' is removed.");
    Ok(())
}

/// Asks until there is an answer. Enter accepts `before`.
fn asked(question: &str, before: Option<&str>) -> miette::Result<String> {
    let shown = before.map(|before| format!(" [{before}]")).unwrap_or_default();
    loop {
        let answer = keyring::answer(&format!("{question}{shown}: "))?;
        match (answer.is_empty(), before) {
            (false, _) => return Ok(answer),
            (true, Some(before)) => return Ok(before.to_owned()),
            (true, None) => {}
        }
    }
}

/// Asks for a confirmation, which Enter gives.
fn is_agreed(question: &str) -> miette::Result<bool> {
    Ok(!keyring::answer(question)?.to_lowercase().starts_with('n'))
}
