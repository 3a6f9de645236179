//! Pseudo-terminals with `lyncsh` and a real PowerShell.

use portable_pty::CommandBuilder;

use crate::program::lyncsh;
use crate::terminal::Terminal;
use crate::world::World;

impl Terminal {
    /// Starts `lyncsh NAME`. The PowerShell has a separate home without the user's profile.
    pub fn open(world: &World, name: &str) -> Self {
        Self::run(world, &[name, "--", "-NoProfile"])
    }

    pub fn run(world: &World, arguments: &[&str]) -> Self {
        let mut command = CommandBuilder::new(lyncsh());
        command.args(arguments);
        // Keeps a prompt with the folder short.
        command.cwd("/");
        command.env("TERM", "xterm-256color");
        command.env("NO_COLOR", "1");
        // English, and UTF-8 for input and output.
        command.env("LC_ALL", "C.UTF-8");
        command.env("HOME", world.temp.path());
        for name in ["XDG_CONFIG_HOME", "XDG_DATA_HOME", "XDG_CACHE_HOME"] {
            command.env(name, world.temp.path().join(name));
        }
        command.env("LYNCSH_CONFIG_DIR", world.temp.path());
        command.env("POWERSHELL_TELEMETRY_OPTOUT", "1");
        command.env("POWERSHELL_UPDATECHECK", "Off");
        Self::start((160, 50), command)
    }
}
