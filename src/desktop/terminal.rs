//! A terminal to open a window with.

use std::path::PathBuf;

/// Terminals, the person's own choice first, and what stands between each one's name and the command.
const TERMINALS: [(&str, &[&str]); 19] = [
    // The desktop's default, by freedesktop.org's proposal; then Debian's, whose policy (11.8.3) is `-e`.
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

/// A terminal that is there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Terminal {
    pub program: PathBuf,
    /// What stands before the command.
    pub arguments: &'static [&'static str],
}

/// The terminals on PATH, the one to try first at the front.
pub fn found() -> impl Iterator<Item = Terminal> {
    TERMINALS.into_iter().filter_map(|(name, arguments)| {
        which::which(name).ok().map(|program| Terminal { program, arguments })
    })
}

/// The names that are looked for.
pub fn names() -> String {
    TERMINALS.map(|(name, _)| name).join(", ")
}
