//! The questions of `lyncsh add` without a kind, at a terminal.

use miette::IntoDiagnostic as _;

use super::options::{self, written};
use crate::cli::Add;
use crate::commands::connect::{Context, connect, is_ending, release};
use crate::commands::question::{answer, ask_line, confirm_default_yes, password_file};
use crate::commands::session::REMOVAL_TIMEOUT;
use crate::commands::usage::usage;
use crate::commands::{names, remove};
use crate::folders::Folders;
use crate::nearest::nearest;
use crate::platform::ShutdownSignals;
use crate::profile::service::SignIn;
use crate::profile::{Authentication, Kind, Profile, Service};
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
            None => ask_line("Name of the profile", None)?,
        };
        match names::check_new(folders, &name) {
            Ok(()) => break name,
            Err(error) => screen::print_report(&error),
        }
    };
    add.name = Some(name.clone());
    let profile = New { folders, name: &name };
    let authentication = add.authentication.clone();
    loop {
        let kind = kind(add.kind.as_deref())?;
        add.kind = Some(kind.traits().name.to_owned());
        if let Some(module) = kind.module() {
            sign_in(&profile, add, kind, module)?;
        } else {
            // An earlier answer may belong to another kind.
            add.authentication.clone_from(&authentication);
            endpoint(&profile, add, kind)?;
        }
        // Checked with the same reader as a file.
        match options::source(add, None).and_then(|credential| written(folders, add, &name, None, credential))
        {
            Ok(_) => return Ok(()),
            Err(error) => screen::print_report(&error),
        }
        if !confirm_default_yes("Correct the answers (Y/n)? ")? {
            return Err(usage!("no profile was created"));
        }
    }
}

/// The profile to create.
struct New<'a> {
    folders: &'a Folders,
    name: &'a str,
}

impl New<'_> {
    /// Asks for the value of a key until the reader of profiles accepts it.
    fn accepted(
        &self,
        add: &mut Add,
        key: &str,
        ask: impl Fn(&mut Add) -> miette::Result<()>,
    ) -> miette::Result<()> {
        loop {
            ask(add)?;
            let mistakes = options::mistakes(self.folders, add, self.name, key)?;
            if mistakes.is_empty() {
                return Ok(());
            }
            screen::print_report(&usage!("{}", mistakes.join("; ")));
        }
    }
}

fn kind(before: Option<&str>) -> miette::Result<Kind> {
    for kind in Kind::ALL {
        let traits = kind.traits();
        crate::errln!("  {:16}{}", traits.name, traits.summary);
    }
    chosen("Kind", &Kind::ALL, |kind| kind.traits().name, before)
}

/// Asks for a word until it is one of the names. Enter accepts `before`, or the first name.
fn chosen<T: Copy>(
    question: &str,
    all: &[T],
    name: fn(T) -> &'static str,
    before: Option<&str>,
) -> miette::Result<T> {
    let names = || all.iter().copied().map(name);
    loop {
        let word = ask_line(question, before.or(names().next()))?;
        if let Some(found) = all.iter().copied().find(|one| name(*one) == word) {
            return Ok(found);
        }
        match nearest(&word, names()) {
            Some(near) => crate::errln!("Did you mean {near}?"),
            None => crate::errln!("Enter one of the words above."),
        }
    }
}

/// Asks for the settings of a kind whose session lyncsh opens.
fn endpoint(profile: &New<'_>, add: &mut Add, kind: Kind) -> miette::Result<()> {
    let before = add.uri.take();
    profile.accepted(add, "uri", |add| {
        add.uri = uri(kind, before.as_deref())?;
        Ok(())
    })?;
    source(profile, add, kind.traits().authentications.contains(&Authentication::Kerberos))?;
    // The ticket or the logon determines the account.
    if add.system { Ok(()) } else { user(profile, add) }
}

fn user(profile: &New<'_>, add: &mut Add) -> miette::Result<()> {
    let before = add.user.take();
    profile.accepted(add, "user", |add| {
        add.user = Some(ask_line("User, as name@domain", before.as_deref())?);
        Ok(())
    })
}

/// Asks for the settings of a kind whose module signs in.
fn sign_in(profile: &New<'_>, add: &mut Add, kind: Kind, module: &'static str) -> miette::Result<()> {
    // `add` has no options for the keys of the other methods.
    let is_possible = |sign_in: &SignIn| Service { module, sign_in: *sign_in }.needed_keys(kind).is_empty();
    let all: Vec<SignIn> = SignIn::ALL.into_iter().filter(is_possible).collect();
    let names: Vec<&str> = all.iter().copied().map(SignIn::name).collect();
    crate::errln!("The module {module} signs in with: {}", names.join(", "));
    let before = add.authentication.as_deref().filter(|before| names.contains(before));
    let sign_in = chosen("Authentication", &all, SignIn::name, before)?;
    add.authentication = Some(sign_in.name().to_owned());
    // The module determines the endpoint.
    add.uri = None;
    if matches!(sign_in, SignIn::Credential | SignIn::Token) {
        source(profile, add, false)?;
    } else {
        forget_source(add);
    }
    if (Service { module, sign_in }).needs_user(kind) {
        user(profile, add)?;
    }
    Ok(())
}

/// Asks for the URI; `None` for a discovered endpoint.
fn uri(kind: Kind, before: Option<&str>) -> miette::Result<Option<String>> {
    let traits = kind.traits();
    if !traits.discovers {
        return ask_line(&format!("URI of the endpoint, such as {}", traits.uri_example), before).map(Some);
    }
    let Some(before) = before else {
        let uri = answer("URI of the endpoint, or Enter to discover it: ")?;
        return Ok((!uri.is_empty()).then_some(uri));
    };
    let uri = ask_line("URI of the endpoint, or - to discover it", Some(before))?;
    Ok((uri != "-").then_some(uri))
}

/// Asks for the source of the password.
fn source(profile: &New<'_>, add: &mut Add, has_ticket: bool) -> miette::Result<()> {
    crate::errln!(
        "Source of the password:\n\
         \x20 k  the keyring of this computer\n\
         \x20 s  an entry of the keyring that several profiles share\n\
         \x20 p  ask for it each time\n\
         \x20 c  a command that prints it\n\
         \x20 f  the first line of a file{}",
        if has_ticket { "\n\x20 t  none: the Kerberos ticket or the Windows logon" } else { "" }
    );
    let (entry, command, file) =
        (add.keyring.take(), add.credential_command.take(), add.credential_file.take());
    let before = match (add.prompt, add.system && has_ticket) {
        (true, _) => "p",
        (_, true) => "t",
        _ if entry.is_some() => "s",
        _ if command.is_some() => "c",
        _ if file.is_some() => "f",
        _ => "k",
    };
    profile.accepted(add, "credential", |add| {
        forget_source(add);
        loop {
            match ask_line("Source", Some(before))?.to_lowercase().as_str() {
                "k" => {}
                "s" => add.keyring = Some(ask_line("Name of the entry", entry.as_deref())?),
                "p" => add.prompt = true,
                "c" => {
                    let question = "The command, for example pass show work";
                    add.credential_command = Some(ask_line(question, command.as_deref())?);
                }
                "f" => add.credential_file = Some(password_file(file.as_deref())?),
                "t" if has_ticket => add.system = true,
                _ => continue,
            }
            return Ok(());
        }
    })
}

fn forget_source(add: &mut Add) {
    (add.prompt, add.system, add.keyring) = (false, false, None);
    (add.credential_command, add.credential_file) = (None, None);
}

/// Offers to connect with the new profile. After a failure, removes the profile unless the user keeps it.
pub async fn offer(context: &Context, profile: Profile) -> miette::Result<()> {
    let name = profile.name.clone();
    if profile.service.is_some() || !confirm_default_yes("Try the connection now (Y/n)? ")? {
        return Ok(());
    }
    let mut endings = ShutdownSignals::catch().into_diagnostic()?;
    let error = match connect(context, profile.clone(), None, &mut endings).await {
        Ok(agent) => {
            crate::outln!("The connection works.");
            release(&name, agent, REMOVAL_TIMEOUT).await;
            return Ok(());
        }
        Err(error) => miette::Report::from(error),
    };
    if is_ending(&error) {
        return Err(error);
    }
    screen::print_report(&error);
    if confirm_default_yes("Keep the profile (Y/n)? ")? {
        crate::outln!("Change it with: lyncsh edit {name}");
        return Ok(());
    }
    remove::delete(context, &name, Some(&profile)).await
}
