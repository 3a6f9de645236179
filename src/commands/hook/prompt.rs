//! `lyncsh hook prompt`: the lines that show the running agents in a prompt.

use crate::cli::PromptShell;

/// Returns the lines for a shell's configuration.
pub fn lines(shell: PromptShell) -> &'static str {
    match shell {
        PromptShell::Bash => include_str!("../../../templates/prompt/lyncsh.bash"),
        PromptShell::Zsh => include_str!("../../../templates/prompt/lyncsh.zsh"),
        PromptShell::Fish => include_str!("../../../templates/prompt/lyncsh.fish"),
        PromptShell::Starship => include_str!("../../../templates/prompt/starship.toml"),
    }
}
