//! `lyncsh completions`, and the requests of its scripts: the words that can follow on a command line.
//! Reads files only; never connects.

mod quoted;

use std::collections::BTreeSet;
use std::ffi::OsStr;

use clap::{CommandFactory as _, ValueHint};
use clap_complete::engine::{ArgValueCompleter, CompletionCandidate, PathCompleter, ValueCompleter as _};
use clap_complete::env::{Elvish, Fish, Powershell, Shells};
use clap_complete::{CompleteEnv, Shell};
use miette::IntoDiagnostic as _;

use self::quoted::{QuotedBash, QuotedZsh};
use super::{help, names};
use crate::cli::{self, Cli, Work};
use crate::exports::Exports;
use crate::folders::Folders;
use crate::output;
use crate::profile::{self, Profile, Selection};
use crate::shell::console;

/// Variable with the name of the shell that requests completions.
const VARIABLE: &str = "LYNCSH_COMPLETE";
/// The shells with completion.
const SHELLS: Shells<'static> = Shells(&[&QuotedBash, &Elvish, &Fish, &Powershell, &QuotedZsh]);
/// Value names of arguments that are names of profiles.
const PROFILES: [&str; 4] = ["PROFILE", "PROFILES", "NAMES", "OLD"];

/// Prints the script that registers the completion in a shell.
pub fn run(shell: Shell) -> miette::Result<()> {
    output::print_data(&String::from_utf8_lossy(&script(shell)?));
    Ok(())
}

/// Returns the script that registers the completion in a shell.
pub fn script(shell: Shell) -> miette::Result<Vec<u8>> {
    let mut script = Vec::new();
    if let Some(completer) = SHELLS.completer(&shell.to_string()) {
        completer
            .write_registration(VARIABLE, "lyncsh", "lyncsh", "lyncsh", &mut script)
            .into_diagnostic()?;
    }
    Ok(script)
}

/// Answers a request of a shell and exits; returns if there is none.
pub fn complete() {
    CompleteEnv::with_factory(declaration).var(VARIABLE).shells(SHELLS).complete();
}

/// Returns the command line's declaration with the words of this user.
fn declaration() -> clap::Command {
    let command = Cli::declaration().mut_args(with_words).mut_subcommands(|command| {
        // The name of a new profile is not completed.
        if command.get_name() == "add" { command } else { with_words_below(command) }
    });
    let Some(folders) = folders() else { return command };
    let taken = cli::taken();
    // `lyncsh NAME` has the options of `Work`.
    profile::names(&folders).into_iter().filter(|name| !taken.contains(&name.as_str())).fold(
        command,
        |command, name| {
            // The profile's name is the subcommand; the argument in its place is the script.
            let work = Work::command().mut_args(|arg| match arg.get_id().as_str() {
                "name" => arg.value_hint(ValueHint::FilePath),
                _ => with_words(arg),
            });
            // Leaking is harmless: the process ends with the answer.
            let name: &'static str = name.leak();
            command.subcommand(work.name(name).no_binary_name(false).about("Open a shell"))
        },
    )
}

/// Adds the completion of the values of a command and its subcommands.
fn with_words_below(command: clap::Command) -> clap::Command {
    command.mut_args(with_words).mut_subcommands(with_words_below)
}

/// Adds the completion of an argument's values.
fn with_words(arg: clap::Arg) -> clap::Arg {
    let value = arg.get_value_names().and_then(|names| names.first()).map(|name| name.as_str().to_owned());
    match (arg.get_long(), value.as_deref()) {
        (Some("tag"), _) => arg.add(ArgValueCompleter::new(tags)),
        (_, Some("DIR")) => arg.value_hint(ValueHint::DirPath),
        (_, Some("FILE")) => arg.value_hint(ValueHint::FilePath),
        (_, Some(name)) if PROFILES.contains(&name) => arg.add(ArgValueCompleter::new(profiles)),
        // The words of `lyncsh help` and `lyncsh man`.
        (_, Some("COMMAND|TOPIC")) => arg.add(ArgValueCompleter::new(help_words)),
        (_, Some("COMMAND")) if arg.get_id() == "command" => arg.add(ArgValueCompleter::new(command_words)),
        _ => arg,
    }
}

/// Completes the commands and topics after `lyncsh help`, and the subcommands of a command.
fn help_words(current: &OsStr) -> Vec<CompletionCandidate> {
    let before = words_after("help");
    let topics = help::topics().filter(|_| before.is_empty());
    let all: BTreeSet<String> = help::subcommands(&before).into_iter().chain(topics).collect();
    matching(all, current)
}

/// Completes the commands after `lyncsh man`, and the subcommands of a command.
fn command_words(current: &OsStr) -> Vec<CompletionCandidate> {
    matching(help::subcommands(&words_after("man")), current)
}

/// Returns the words after a command that are not options.
fn words_after(command: &str) -> Vec<String> {
    let words = words().into_iter().skip_while(|word| word != command).skip(1);
    words.filter(|word| !word.starts_with('-')).collect()
}

/// Returns the words before the one to complete, without the program.
fn words() -> Vec<String> {
    let words = quoted::plain(std::env::args_os().skip_while(|word| word != "--").skip(1));
    let mut words: Vec<String> = words.iter().map(|word| word.to_string_lossy().into_owned()).collect();
    // Not every shell passes the position.
    words.truncate(quoted::index().unwrap_or(words.len().saturating_sub(1)));
    words.drain(..words.len().min(1));
    words
}

fn folders() -> Option<Folders> {
    Folders::find(names::config_dir_in(&words()).or_else(cli::config_dir).as_deref()).ok()
}

/// Completes the names of profiles. For `exec`, also completes the script and the commands after `--`.
fn profiles(current: &OsStr) -> Vec<CompletionCandidate> {
    let words = words();
    let Some(folders) = folders() else { return Vec::new() };
    if let Some(exec) = words.iter().position(|word| word == "exec") {
        let after = &words[exec + 1..];
        let is_many = after.iter().any(|word| ["--all", "--tag", "--profiles"].contains(&option(word)));
        if let Some(end) = after.iter().position(|word| word == "--") {
            return matching(commands(&folders, &after[..end]), current);
        }
        // After `--profiles`, the word is the value of the option.
        let is_value = after.last().is_some_and(|word| word == "--profiles");
        if !is_value && (is_many || named(after).is_some()) {
            return PathCompleter::file().complete(current);
        }
    }
    matching(profile::names(&folders), current)
}

/// Returns an option without its value.
fn option(word: &str) -> &str {
    word.split_once('=').map_or(word, |(option, _)| option)
}

/// Returns the profile in the words after `exec`.
fn named(words: &[String]) -> Option<&String> {
    let command = Cli::command();
    let exec = command.find_subcommand("exec")?;
    let takes_value = |word: &str| {
        let long = word.strip_prefix("--").unwrap_or_default();
        exec.get_arguments()
            .chain(command.get_arguments())
            .any(|arg| arg.get_long() == Some(long) && arg.get_action().takes_values())
    };
    let is_value = |at: usize| at > 0 && takes_value(&words[at - 1]);
    words.iter().enumerate().find(|(at, word)| !word.starts_with('-') && !is_value(*at)).map(|(_, word)| word)
}

/// Returns the commands of the selected profiles' endpoints, as far as they are cached.
fn commands(folders: &Folders, words: &[String]) -> Vec<String> {
    let value = |name: &str| {
        let at = words.iter().position(|word| option(word) == name)?;
        words[at].split_once('=').map(|(_, value)| value.to_owned()).or_else(|| words.get(at + 1).cloned())
    };
    let selection = if words.iter().any(|word| word == "--all") {
        Selection::All
    } else if let Some(tag) = value("--tag") {
        Selection::Tag(tag)
    } else if let Some(names) = value("--profiles") {
        Selection::Names(names.split(',').map(str::to_owned).collect())
    } else if let Some(name) = named(words) {
        Selection::Names(vec![name.clone()])
    } else {
        return Vec::new();
    };
    let selected = profile::select(folders, &selection).unwrap_or_default();
    // As in the console: without the prefix. The console and the module have separate caches.
    let names = |profile: Profile| {
        let exported = Exports::of(folders, &profile.name).names(None).unwrap_or_default();
        [exported, console::known_commands(folders, &profile)].concat()
    };
    let all: BTreeSet<String> =
        selected.into_iter().filter_map(|one| one.profile.ok()).flat_map(names).collect();
    all.into_iter().collect()
}

/// Completes the tags of the profiles.
fn tags(current: &OsStr) -> Vec<CompletionCandidate> {
    let Some(folders) = folders() else { return Vec::new() };
    let profiles = profile::select(&folders, &Selection::All).unwrap_or_default();
    let tags: BTreeSet<String> =
        profiles.into_iter().filter_map(|one| one.profile.ok()).flat_map(|profile| profile.tags).collect();
    matching(tags, current)
}

/// Returns the words that begin with the current word; the case of letters is ignored, as in PowerShell.
fn matching(words: impl IntoIterator<Item = String>, current: &OsStr) -> Vec<CompletionCandidate> {
    let current = current.to_string_lossy().to_lowercase();
    let begins = |word: &String| word.to_lowercase().starts_with(&current);
    words.into_iter().filter(begins).map(CompletionCandidate::new).collect()
}
