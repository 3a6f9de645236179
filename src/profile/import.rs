//! Profile keys about importing commands into PowerShell.

use super::kind::Traits;

/// Profile keys that only apply to PowerShell, not to the console.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Import {
    /// Variable for the session, without `$`.
    pub session: String,
    /// Patterns of commands to import; empty for all.
    pub commands: Vec<String>,
    /// Prefix of the noun of every command: `Lw` gives `Get-LwCsTenant`.
    pub prefix: Option<String>,
    /// Whether imported commands replace existing commands of the same name.
    pub allow_clobber: bool,
    /// Patterns of type names whose views to import; empty for none.
    pub format_data: Vec<String>,
    /// Whether the proxies are cached on disk.
    pub cache: bool,
    pub attach: Attach,
}

/// Session that a PowerShell uses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Attach {
    /// The agent's session, which all shells share.
    Agent,
    /// A standalone session from `New-PSSession -ConnectionUri`, as the endpoints' vendor documents it.
    Own,
    /// A standalone session from the vendor's `New-CsOnlineSession`.
    Connector,
}

impl Attach {
    /// Value of [`Attach::Connector`] in a profile: the name of the cmdlet.
    pub const CONNECTOR: &'static str = "New-CsOnlineSession";

    /// Returns the value in a profile.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Agent => "true",
            Self::Own => "false",
            Self::Connector => Self::CONNECTOR,
        }
    }
}

impl Import {
    /// Returns the defaults for a kind.
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
    /// Returns the setting that disables the cache.
    pub const fn why_uncached(&self) -> &'static str {
        match self.attach {
            Attach::Agent => "cache = false",
            Attach::Own => "attach = false",
            Attach::Connector => "attach = \"New-CsOnlineSession\"",
        }
    }
}

/// Reserved variables of PowerShell (about_Automatic_Variables) and of lyncsh.
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

/// Returns the error of an invalid name for the session's variable.
pub fn wrong_variable(name: &str) -> Option<&'static str> {
    let word = |one: char| one.is_alphanumeric() || one == '_';
    if !name.chars().all(word) || name.chars().all(|one| one.is_ascii_digit()) {
        Some("expected a variable's name without $: letters, digits and _")
    } else if TAKEN.contains(&name.to_lowercase().as_str()) {
        Some("PowerShell or lyncsh already uses this variable")
    } else {
        None
    }
}

/// Returns the error of a prefix that is invalid in command names.
pub fn wrong_prefix(prefix: &str) -> Option<&'static str> {
    let fits = prefix.chars().all(|one| one.is_alphanumeric() || one == '_');
    (!fits).then_some("expected letters and digits, for example \"Lw\" for Get-LwCsTenant")
}

/// Returns the error of an invalid name pattern.
pub fn wrong_pattern(pattern: &str) -> Option<&'static str> {
    if pattern.trim().is_empty() || pattern.chars().any(char::is_control) {
        return Some("expected a name or a pattern, for example \"Get-Cs*\"");
    }
    let opened = pattern.matches('[').count();
    (opened != pattern.matches(']').count()).then_some("expected a ] for every [ in a pattern")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_are_invalid_in_powershell_are_refused() {
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
