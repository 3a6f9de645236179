//! Terminal programs for opening a window.

use std::path::PathBuf;

/// Terminals, the user's preference first, with the arguments before the command.
const TERMINALS: [(&str, &[&str]); 19] = [
    // The desktop's default terminal (a proposal of freedesktop.org), then Debian's, which takes `-e` (Debian policy
    // 11.8.3).
    ("xdg-terminal-exec", &[]),
    ("x-terminal-emulator", &["-e"]),
    ("gnome-terminal", &["--"]),
    ("ptyxis", &["--"]),
    ("kgx", &["--"]),
    ("konsole", &["-e"]),
    ("xfce4-terminal", &["-x"]),
    ("mate-terminal", &["-x"]),
    ("terminator", &["-x"]),
    ("cosmic-term", &["--"]),
    ("qterminal", &["-e"]),
    ("ghostty", &["-e"]),
    ("kitty", &[]),
    ("alacritty", &["-e"]),
    ("foot", &[]),
    ("wezterm", &["start", "--"]),
    ("urxvt", &["-e"]),
    ("st", &["-e"]),
    ("xterm", &["-e"]),
];

/// An installed terminal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Terminal {
    pub program: PathBuf,
    /// Arguments before the command.
    pub arguments: &'static [&'static str],
}

/// Returns the terminals on PATH, in the order of preference.
pub fn found() -> impl Iterator<Item = Terminal> {
    TERMINALS.into_iter().filter_map(|(name, arguments)| {
        which::which(name).ok().map(|program| Terminal { program, arguments })
    })
}

/// Returns the names of all known terminals.
pub fn names() -> String {
    TERMINALS.map(|(name, _)| name).join(", ")
}
