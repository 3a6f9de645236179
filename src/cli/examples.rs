//! Examples of `--help` and of the manual pages.

/// Examples of `lyncsh` itself.
const OWN: &str = "Examples:
  lyncsh add work --kind lync-online --user admin@litwareinc.com
  lyncsh work
  lyncsh exec work -- Get-CsTenant
Topics:
  lyncsh help profile|console|exec|authentication|exit-codes";

/// Commands with the arguments of their examples.
const OF_COMMANDS: &[(&str, &[&str])] = &[
    (
        "add",
        &[
            "work --kind lync-online --user admin@litwareinc.com",
            "lab --kind wsman --uri https://lab.example:5986/wsman --user admin@lab.example --prompt",
        ],
    ),
    ("agent", &[""]),
    ("attach", &["work | Invoke-Expression"]),
    ("completions", &["bash > ~/.local/share/bash-completion/completions/lyncsh", "powershell"]),
    ("copy", &["work lab"]),
    ("demo", &["", "--serve"]),
    ("doctor", &["work", "work --json"]),
    ("edit", &["work"]),
    ("help", &["exec", "exit-codes"]),
    ("hook", &["install work", "prompt bash"]),
    ("hook install", &["", "work --eager"]),
    ("hook print", &["work"]),
    ("hook prompt", &["bash >> ~/.bashrc", "starship >> ~/.config/starship.toml"]),
    ("hook remove", &[""]),
    ("list", &["", "--json"]),
    ("login", &["work", "work --proxy"]),
    ("man", &["exec", "--output ~/.local/share/man/man1"]),
    ("refresh", &["work"]),
    ("remove", &["work --yes"]),
    ("rename", &["work contoso"]),
    ("schema", &["> lyncsh.json"]),
    ("shortcut", &["work", "work --menu"]),
    ("show", &["work", "work --json"]),
    ("status", &["", "--format '{name} {shells}'"]),
    ("stop", &["work", "--all", "work --forget"]),
    ("watch", &["", "--json"]),
];

/// Adds the examples to the commands that have no other text after their help.
pub fn add(command: clap::Command) -> clap::Command {
    let command = command.after_help(OWN);
    add_below(command, "")
}

fn add_below(command: clap::Command, parent: &str) -> clap::Command {
    command.mut_subcommands(|command| {
        let name = format!("{parent}{}", command.get_name());
        let examples = OF_COMMANDS.iter().find(|(of, _)| *of == name).map(|(_, examples)| *examples);
        let command = match examples {
            Some(examples) if command.get_after_help().is_none() => {
                let line = |words: &&str| format!("\n  {}", format!("lyncsh {name} {words}").trim_end());
                let lines: String = examples.iter().map(line).collect();
                command.after_help(format!("Examples:{lines}"))
            }
            _ => command,
        };
        add_below(command, &format!("{name} "))
    })
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::super::Cli;

    /// Checks the text after the help of a command and its subcommands.
    fn check(command: &clap::Command, name: &str) {
        for command in command.get_subcommands() {
            let name = format!("{name} {}", command.get_name());
            let text = command.get_after_help().map(ToString::to_string).unwrap_or_default();
            assert!(text.contains(&name), "`{name}` has no example in src/cli/examples.rs");
            check(command, &name);
        }
    }

    #[test]
    fn every_command_has_an_example() {
        check(&Cli::declaration(), "lyncsh");
    }

    #[test]
    fn every_example_is_valid() {
        for (name, examples) in super::OF_COMMANDS {
            if *name == "demo" && !cfg!(feature = "demo") {
                continue;
            }
            for example in *examples {
                let words = format!("lyncsh {name} {}", example.replace("'{name} {shells}'", "{name}"));
                let words = words.split_whitespace().take_while(|word| !matches!(*word, ">" | ">>" | "|"));
                Cli::try_parse_from(words).unwrap_or_else(|error| panic!("{name} {example}: {error}"));
            }
        }
    }
}
