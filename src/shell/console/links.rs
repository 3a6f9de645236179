//! The sessions of one console: usually one, or one for each connection of a group. A command's name selects
//! the session.

use super::catalogue::Catalogue;
use crate::line::{self, CommandLine};
use crate::shell::connection::Connection;

/// One session and its command catalogue.
#[derive(Clone)]
pub struct Link {
    /// Name of the profile.
    pub name: String,
    /// Local prefix before the noun of its commands.
    pub prefix: Option<String>,
    pub connection: Connection,
    pub catalogue: Catalogue,
}

/// All sessions of a console, in the profile's order; never empty.
#[derive(Clone)]
pub struct Links(Vec<Link>);

/// The session of a command, and the command's name there.
pub struct RemoteCommand {
    pub at: usize,
    pub name: String,
}

/// Error of a pipeline with commands of two sessions.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "cannot pipe from '{here}' to '{second}' on '{there}': a pipeline runs on one connection. Store the first part in a variable ($x = …; $x | {second} …)."
)]
pub struct CrossSessionPipe {
    second: String,
    here: String,
    there: String,
}

impl Links {
    /// Returns `None` if `links` is empty.
    pub fn new(links: Vec<Link>) -> Option<Self> {
        (!links.is_empty()).then_some(Self(links))
    }

    pub fn all(&self) -> &[Link] {
        &self.0
    }

    /// Returns the session for a pipeline and changes its commands' names to those of that session. If no
    /// session offers the first command, the first session reports the error.
    pub fn route<'a>(
        &self,
        commands: impl IntoIterator<Item = &'a mut CommandLine>,
    ) -> Result<usize, CrossSessionPipe> {
        let mut chosen = None;
        for command in commands.into_iter().filter(|command| !line::is_local(&command.name)) {
            let found = match chosen {
                None => self.owner(&command.name),
                Some(at) => self.offered(at, &command.name).or_else(|| self.owner(&command.name)),
            };
            let Some(RemoteCommand { at, name }) = found else {
                chosen.get_or_insert(self.first());
                continue;
            };
            match chosen {
                Some(here) if here != at => {
                    return Err(CrossSessionPipe {
                        second: command.name.clone(),
                        here: self.0[here].name.clone(),
                        there: self.0[at].name.clone(),
                    });
                }
                _ => chosen = Some(at),
            }
            command.name = name;
        }
        Ok(chosen.unwrap_or(0))
    }

    /// Returns the session that offers a command by its local name, and the command's name there. A prefix
    /// decides; otherwise the first session that offers the command.
    pub fn owner(&self, name: &str) -> Option<RemoteCommand> {
        let prefixed = (0..self.0.len()).find_map(|at| {
            let bare = without(name, self.prefix(at)?)?;
            self.0[at].catalogue.offers(&bare).then_some(RemoteCommand { at, name: bare })
        });
        let real = line::remote_name(name);
        let known = prefixed.or_else(|| {
            let found = self.plain().find(|at| self.0[*at].catalogue.offers(real));
            found.map(|at| RemoteCommand { at, name: name.to_owned() })
        });
        // While the names are unknown, the prefix decides.
        known.or_else(|| {
            (0..self.0.len()).find_map(|at| {
                let bare = without(name, self.prefix(at)?)?;
                self.0[at].catalogue.is_empty().then_some(RemoteCommand { at, name: bare })
            })
        })
    }

    /// Returns the sessions that may have a command, if its owner is unknown.
    pub fn candidates(&self, name: &str) -> Vec<usize> {
        let owner = self.owner(name).map(|owner| owner.at);
        // With a prefix or a single session there is only one candidate.
        if owner.is_some_and(|at| self.prefix(at).is_some()) || self.plain().count() < 2 {
            return Vec::new();
        }
        // The first session with the command is meant, even if a later one is known to have it.
        let before = |at: &usize| owner.is_none_or(|owner| *at < owner);
        self.plain().filter(before).filter(|at| self.0[*at].catalogue.is_empty()).collect()
    }

    /// Returns the sessions whose commands need no prefix. A single session never needs one.
    fn plain(&self) -> impl Iterator<Item = usize> {
        (0..self.0.len()).filter(|at| self.prefix(*at).is_none() || self.0.len() == 1)
    }

    /// Returns the session that runs unknown commands; its error reports them.
    fn first(&self) -> usize {
        self.plain().next().unwrap_or(0)
    }

    /// Returns a command of the pipeline's own session, where names need no prefix.
    fn offered(&self, at: usize, name: &str) -> Option<RemoteCommand> {
        let offers = |name: &str| self.0[at].catalogue.offers(line::remote_name(name));
        let bare = self.prefix(at).and_then(|prefix| without(name, prefix)).filter(|bare| offers(bare));
        bare.or_else(|| offers(name).then(|| name.to_owned())).map(|name| RemoteCommand { at, name })
    }

    fn prefix(&self, at: usize) -> Option<&str> {
        self.0[at].prefix.as_deref()
    }

    /// Returns the local names of all commands; waits briefly for names that are being fetched.
    pub async fn names_soon(&self) -> Vec<String> {
        for link in &self.0 {
            link.catalogue.learned_soon().await;
        }
        self.names()
    }

    /// Returns the local names of all commands.
    pub fn names(&self) -> Vec<String> {
        let mut all = Vec::new();
        for (at, link) in self.0.iter().enumerate() {
            let names = link.catalogue.names();
            match self.prefix(at) {
                None => all.extend(names),
                Some(prefix) => all.extend(names.iter().map(|name| with(name, prefix))),
            }
        }
        all
    }
}

/// Adds a prefix as `Import-Module -Prefix` does.
fn with(name: &str, prefix: &str) -> String {
    match name.split_once('-') {
        Some((verb, noun)) => format!("{verb}-{prefix}{noun}"),
        None => format!("{prefix}{name}"),
    }
}

/// Returns the name without its prefix, or `None` if it does not have the prefix.
fn without(name: &str, prefix: &str) -> Option<String> {
    let cut = |text: &str| {
        let start = text.get(..prefix.len()).filter(|start| start.eq_ignore_ascii_case(prefix))?;
        text.get(start.len()..).filter(|rest| !rest.is_empty()).map(str::to_owned)
    };
    match name.split_once('-') {
        Some((verb, noun)) => cut(noun).map(|noun| format!("{verb}-{noun}")),
        None => cut(name),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prefix_is_added_and_removed() {
        assert_eq!(with("Get-CsTenant", "Lw"), "Get-LwCsTenant");
        assert_eq!(without("get-lwCsTenant", "Lw").as_deref(), Some("get-CsTenant"));
        assert_eq!(without("Get-CsTenant", "Lw"), None);
        assert_eq!(without("Get-Lw", "Lw"), None);
        assert_eq!(without("Lwhelp", "Lw").as_deref(), Some("help"));
        assert_eq!(without("Get-Äb", "Lw"), None);
    }
}
