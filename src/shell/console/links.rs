//! The sessions of one console: mostly one, or those of several connections, whose commands' names tell
//! which of them is meant.

use super::catalogue::Catalogue;
use crate::line::{self, CommandLine};
use crate::shell::connection::Connection;

/// One session, and what it offers.
#[derive(Clone)]
pub struct Link {
    /// The profile's.
    pub name: String,
    /// Before the noun of its commands here.
    pub prefix: Option<String>,
    pub connection: Connection,
    pub catalogue: Catalogue,
}

/// All of a console's sessions, in the profile's order; never none.
#[derive(Clone)]
pub struct Links(Vec<Link>);

/// Commands of one pipeline are of two sessions.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "'{second}' runs on '{there}', and what comes before it on '{here}': keep that in a variable first ($x = …; $x | {second} …)."
)]
pub struct Apart {
    second: String,
    here: String,
    there: String,
}

impl Links {
    /// `None` where there are none.
    pub fn new(links: Vec<Link>) -> Option<Self> {
        (!links.is_empty()).then_some(Self(links))
    }

    pub fn all(&self) -> &[Link] {
        &self.0
    }

    /// The session on which a pipeline runs; its commands get the names that they have there. Where
    /// nobody offers the first command, the first session says so.
    pub fn route<'a>(&self, commands: impl IntoIterator<Item = &'a mut CommandLine>) -> Result<usize, Apart> {
        let mut chosen = None;
        for command in commands.into_iter().filter(|command| !line::is_local(&command.name)) {
            let found = match chosen {
                None => self.owner(&command.name),
                Some(at) => self.offered(at, &command.name).or_else(|| self.owner(&command.name)),
            };
            let Some((at, name)) = found else {
                chosen.get_or_insert(self.first());
                continue;
            };
            match chosen {
                Some(here) if here != at => {
                    return Err(Apart {
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

    /// Who has a command of this name, by the names that they have here, and its name there. A prefix
    /// decides; without one it is the first that has it.
    pub fn owner(&self, name: &str) -> Option<(usize, String)> {
        let prefixed = (0..self.0.len()).find_map(|at| {
            let bare = without(name, self.prefix(at)?)?;
            self.0[at].catalogue.offers(&bare).then_some((at, bare))
        });
        let real = line::remote_name(name);
        let known = prefixed.or_else(|| {
            let found = self.plain().find(|at| self.0[*at].catalogue.offers(real));
            found.map(|at| (at, name.to_owned()))
        });
        // Where the names are not known yet, a prefix says enough.
        known.or_else(|| {
            (0..self.0.len()).find_map(|at| {
                let bare = without(name, self.prefix(at)?)?;
                self.0[at].catalogue.is_empty().then_some((at, bare))
            })
        })
    }

    /// The sessions that may have a command, where it is not known which of them has it.
    pub fn candidates(&self, name: &str) -> Vec<usize> {
        let owner = self.owner(name).map(|(at, _)| at);
        // A prefix decides, and one session alone needs no decision.
        if owner.is_some_and(|at| self.prefix(at).is_some()) || self.plain().count() < 2 {
            return Vec::new();
        }
        // The first that has it is meant: also where a later one is known to have it.
        let before = |at: &usize| owner.is_none_or(|owner| *at < owner);
        self.plain().filter(before).filter(|at| self.0[*at].catalogue.is_empty()).collect()
    }

    /// The sessions whose commands need no prefix: one alone has no names to tell apart.
    fn plain(&self) -> impl Iterator<Item = usize> {
        (0..self.0.len()).filter(|at| self.prefix(*at).is_none() || self.0.len() == 1)
    }

    /// Where a command runs that nobody is known to offer: its error says so.
    fn first(&self) -> usize {
        self.plain().next().unwrap_or(0)
    }

    /// A command of a session whose pipeline it is: there, names need no prefix.
    fn offered(&self, at: usize, name: &str) -> Option<(usize, String)> {
        let offers = |name: &str| self.0[at].catalogue.offers(line::remote_name(name));
        let bare = self.prefix(at).and_then(|prefix| without(name, prefix)).filter(|bare| offers(bare));
        bare.or_else(|| offers(name).then(|| name.to_owned())).map(|name| (at, name))
    }

    fn prefix(&self, at: usize) -> Option<&str> {
        self.0[at].prefix.as_deref()
    }

    /// Every command by its name here; waits a moment for names that are about to be known.
    pub async fn names_soon(&self) -> Vec<String> {
        for link in &self.0 {
            link.catalogue.learned_soon().await;
        }
        self.names()
    }

    /// Every command by its name here.
    fn names(&self) -> Vec<String> {
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

/// As `Import-Module -Prefix` names it.
fn with(name: &str, prefix: &str) -> String {
    match name.split_once('-') {
        Some((verb, noun)) => format!("{verb}-{prefix}{noun}"),
        None => format!("{prefix}{name}"),
    }
}

/// The name without its prefix, where it has it.
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
    fn a_prefix_comes_and_goes() {
        assert_eq!(with("Get-CsTenant", "Lw"), "Get-LwCsTenant");
        assert_eq!(without("get-lwCsTenant", "Lw").as_deref(), Some("get-CsTenant"));
        assert_eq!(without("Get-CsTenant", "Lw"), None);
        assert_eq!(without("Get-Lw", "Lw"), None);
        assert_eq!(without("Lwhelp", "Lw").as_deref(), Some("help"));
        assert_eq!(without("Get-Äb", "Lw"), None);
    }
}
