//! What a PowerShell takes over from the session, and how: the profile's keys about the import.

use super::kind::Traits;

/// The keys of a profile that only a PowerShell heeds; the console has no use for them.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Import {
    /// The variable that holds the session, without `$`.
    pub session: String,
    /// Patterns of the commands that are imported; empty: all.
    pub commands: Vec<String>,
    /// Put before the noun of every command: `Lw` makes `Get-LwCsTenant`.
    pub prefix: Option<String>,
    /// Whether commands of the same name that this PowerShell has already are covered.
    pub allow_clobber: bool,
    /// Patterns of the type names whose views are imported; empty: none.
    pub format_data: Vec<String>,
    /// Whether the proxies are kept on the disk for the next start.
    pub cache: bool,
    pub attach: Attach,
}

/// Whose session a PowerShell has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Attach {
    /// The agent's, which all shells share.
    Agent,
    /// One of its own, by `New-PSSession -ConnectionUri` as the endpoints' vendor documents it.
    Own,
    /// One of its own, by the vendor's `New-CsOnlineSession`.
    Connector,
}

impl Attach {
    /// The cmdlet of [`Attach::Connector`], as it stands in a profile.
    pub const CONNECTOR: &'static str = "New-CsOnlineSession";

    /// As it stands in a profile.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Agent => "true",
            Self::Own => "false",
            Self::Connector => Self::CONNECTOR,
        }
    }
}

impl Import {
    /// What a profile without any of the keys comes to.
    pub fn of(traits: &Traits) -> Self {
        Self {
            session: "session".to_owned(),
            commands: Vec::new(),
            prefix: None,
            allow_clobber: false,
            format_data: traits.format_data.iter().map(|&one| one.to_owned()).collect(),
            cache: true,
            attach: Attach::Agent,
        }
    }
}

impl Import {
    /// The key because of which nothing is kept.
    pub const fn why_uncached(&self) -> &'static str {
        match self.attach {
            Attach::Agent => "cache = false",
            Attach::Own => "attach = false",
            Attach::Connector => "attach = \"New-CsOnlineSession\"",
        }
    }
}

/// Variables of PowerShell's own that a session must not be put into (about_Automatic_Variables), and
/// lyncsh's.
const TAKEN: [&str; 16] = [
    "args",
    "error",
    "false",
    "home",
    "host",
    "input",
    "lyncsh",
    "matches",
    "null",
    "pid",
    "profile",
    "pshome",
    "psscriptroot",
    "pwd",
    "this",
    "true",
];

/// What is wrong with a name for the session's variable, if anything is.
pub fn wrong_variable(name: &str) -> Option<&'static str> {
    let word = |one: char| one.is_alphanumeric() || one == '_';
    if !name.chars().all(word) || name.chars().all(|one| one.is_ascii_digit()) {
        Some("expected a variable's name without $: letters, digits and _")
    } else if TAKEN.contains(&name.to_lowercase().as_str()) {
        Some("PowerShell or lyncsh has a variable of that name already")
    } else {
        None
    }
}

/// What is wrong with a prefix, if anything is: it becomes a part of commands' names.
pub fn wrong_prefix(prefix: &str) -> Option<&'static str> {
    let fits = prefix.chars().all(|one| one.is_alphanumeric() || one == '_');
    (!fits).then_some("expected letters and digits, for example \"Lw\" for Get-LwCsTenant")
}

/// What is wrong with a pattern of names, if anything is.
pub fn wrong_pattern(pattern: &str) -> Option<&'static str> {
    if pattern.trim().is_empty() || pattern.chars().any(char::is_control) {
        return Some("expected a name or a pattern, for example \"Get-Cs*\"");
    }
    let opened = pattern.matches('[').count();
    (opened != pattern.matches(']').count()).then_some("every [ of a pattern needs its ]")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_powershell_could_not_use_are_refused() {
        assert_eq!(wrong_variable("session"), None);
        assert_eq!(wrong_variable("büro_2"), None);
        for name in ["a b", "$x", "global:x", "Host", "LYNCSH", "1", "a'b"] {
            assert!(wrong_variable(name).is_some(), "{name}");
        }
        assert_eq!(wrong_prefix("Lw"), None);
        assert!(wrong_prefix("L-w").is_some());
        assert_eq!(wrong_pattern("Get-Cs[A-M]*"), None);
        for pattern in ["", " ", "Get-[", "a\nb"] {
            assert!(wrong_pattern(pattern).is_some(), "{pattern:?}");
        }
    }
}
