//! Facts about a session for the PowerShell that attaches to it, as lines of `KEY=VALUE`.

use std::time::UNIX_EPOCH;

use super::connect::Context;
use crate::agent::journal::Journal;
use crate::agent::launch::Agent;
use crate::exports::Exports;
use crate::exports::kept::State;
use crate::profile::Profile;
use crate::quote::powershell::escape;
use crate::shell::module::{self, Module};

/// Returns the endpoint that an agent is connected to.
pub fn endpoint<'a>(profile: &'a Profile, agent: &'a Agent) -> Option<&'a url::Url> {
    agent.guarded().map(|session| &session.endpoint).or(profile.uri.as_ref())
}

/// Returns the lines: the socket of the session, the folder of the proxies, and the contents of `$lyncsh`.
pub fn facts(context: &Context, profile: &Profile, agent: &Agent) -> String {
    let live = Journal::of(&context.folders).live();
    let shell = agent.guarded().map(|session| session.shell);
    let entry = live.into_iter().find(|entry| Some(entry.session.shell) == shell);
    let connected = entry.as_ref().and_then(|entry| entry.written.duration_since(UNIX_EPOCH).ok());
    let process = entry.as_ref().map(|entry| entry.process).or_else(|| agent.paths.holder());
    let endpoint = endpoint(profile, agent);
    // An error is reported when the proxies are written.
    let kept = endpoint.and_then(|endpoint| module::kept(&context.folders, profile, endpoint).ok());
    let ready = profile.import.cache && kept.as_ref().is_some_and(|kept| kept.state() == State::Current);
    // Updates the command names in the manifest.
    if ready && kept.as_ref().is_some_and(|kept| kept.select().is_ok_and(|others| others)) {
        let prepared = Module::prepare(&context.folders, &context.program, profile);
        prepared.err().into_iter().for_each(|error| tracing::debug!(%error, "cannot update the manifest"));
    }
    let stem = endpoint.map(|endpoint| Exports::of(&context.folders, &profile.name).stem(profile, endpoint));
    let known = [
        ("socket", Some(agent.paths.socket_for_powershell().clone())),
        ("user", profile.user.clone()),
        ("endpoint", endpoint.map(|endpoint| endpoint.to_string())),
        ("agent", process.map(|process| process.to_string())),
        ("connected", connected.map(|since| since.as_secs().to_string())),
        ("cache", stem.map(|stem| stem.display().to_string())),
        ("proxies", kept.map(|kept| kept.folder().display().to_string())),
        ("ready", Some(ready.to_string())),
    ];
    known.iter().filter_map(|(key, value)| Some(line(key, value.as_deref()?))).collect()
}

/// Returns the line for an error.
pub fn error(text: &str) -> String {
    line("error", text)
}

/// Formats a line in ASCII, since the encoding of a program's output differs on Windows. All other characters
/// and the backslash are escaped for `Regex.Unescape`.
fn line(key: &str, value: &str) -> String {
    format!("{key}={}\n", escape(value))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fact_is_one_line_of_ascii() {
        assert_eq!(line("cache", "C:\\Jörg\n🦀=x"), "cache=C:\\\\J\\u00f6rg\\u000a\\ud83e\\udd80=x\n");
    }
}
