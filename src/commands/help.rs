//! `lyncsh help`: the help of a command, or the text of a topic, which is a part of the documentation.

mod markdown;

use clap::builder::StyledStr;

use crate::cli::{Cli, shown};
use crate::commands::usage::usage;
use crate::nearest::nearest;
use crate::output;
use crate::screen::Stream;

const CONSOLE: &str = include_str!("../../docs/console.md");
const EXEC: &str = include_str!("../../docs/exec.md");
const PASSWORDS: &str = include_str!("../../docs/passwords.md");
const PROFILE: &str = include_str!("../../docs/profile.md");

/// A topic and its parts: a page, and the headings of its sections. An empty heading is the page's beginning.
struct Topic {
    name: &'static str,
    parts: &'static [(&'static str, &'static [&'static str])],
    /// The page with the complete text.
    page: &'static str,
}

const TOPICS: [Topic; 5] = [
    Topic {
        name: "profile",
        parts: &[(PROFILE, &["# Profiles", "## Files and names", "## Create, show, change, remove"])],
        page: "docs/profile.md",
    },
    Topic {
        name: "console",
        parts: &[(
            CONSOLE,
            &["# The console", "## A script is all or nothing", "## Local and remote commands"],
        )],
        page: "docs/console.md",
    },
    Topic {
        name: "exec",
        parts: &[(EXEC, &["# One command", "## The command", "## Output", "## Input", "## Many profiles"])],
        page: "docs/exec.md",
    },
    Topic {
        name: "authentication",
        parts: &[(PROFILE, &["### `authentication`", "### `credential`"]), (PASSWORDS, &["# Passwords"])],
        page: "docs/profile.md, docs/passwords.md",
    },
    Topic { name: "exit-codes", parts: &[(CONSOLE, &["## Exit codes"])], page: "docs/console.md" },
];

/// Prints the help of a command, of a topic, or of both if they have the same name.
pub fn run(words: &[String]) -> miette::Result<()> {
    let topic = match words {
        [name] => TOPICS.iter().find(|topic| topic.name == name),
        _ => None,
    };
    if let Some(text) = of_command(words) {
        output::print_data(shown(&text, Stream::Output).as_str());
        if topic.is_some() {
            crate::outln!();
        }
    } else if topic.is_none() {
        return Err(unknown(words));
    }
    if let Some(topic) = topic {
        for (line, hang) in lines(topic) {
            output::message(&format!("{line}\n"), hang);
        }
    }
    Ok(())
}

/// Returns the words that can follow these words of a command: its subcommands.
pub fn subcommands(words: &[String]) -> Vec<String> {
    let command = Cli::declaration();
    let found = words.iter().try_fold(&command, |command, word| command.find_subcommand(word));
    let visible = |command: &&clap::Command| !command.is_hide_set();
    let below = found.into_iter().flat_map(clap::Command::get_subcommands).filter(visible);
    below.map(|command| command.get_name().to_owned()).collect()
}

/// Returns the names of the topics.
pub fn topics() -> impl Iterator<Item = String> {
    TOPICS.iter().map(|topic| topic.name.to_owned())
}

/// Returns the help of a command, as `--help` prints it.
fn of_command(words: &[String]) -> Option<StyledStr> {
    let command = Cli::declaration();
    words.iter().try_fold(&command, |command, word| command.find_subcommand(word))?;
    let line = ["lyncsh"].into_iter().chain(words.iter().map(String::as_str)).chain(["--help"]);
    Some(command.clone().try_get_matches_from(line).err()?.render())
}

/// Returns the text of a topic: lines with the indentation of their continuation.
fn lines(topic: &Topic) -> Vec<(String, usize)> {
    let sections = topic
        .parts
        .iter()
        .flat_map(|(page, headings)| headings.iter().filter_map(|heading| markdown::section(page, heading)));
    let mut lines: Vec<(String, usize)> = sections.flat_map(markdown::lines).collect();
    lines.push((format!("More: {}", topic.page), 0));
    lines
}

fn unknown(words: &[String]) -> miette::Report {
    let name = words.join(" ");
    let mut known: Vec<String> = topics().collect();
    let topics = known.join(", ");
    known.extend(crate::cli::taken().iter().map(|&name| name.to_owned()));
    match nearest(&name, known.iter().map(String::as_str)) {
        Some(near) => usage!(
            help = format!("did you mean `lyncsh help {near}`?"),
            "there is no command or help topic '{name}'"
        ),
        None => usage!(help = format!("topics: {topics}"), "there is no command or help topic '{name}'"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_section_of_a_topic_exists() {
        for topic in &TOPICS {
            for (page, headings) in topic.parts {
                for heading in *headings {
                    let section = markdown::section(page, heading);
                    let section = section.unwrap_or_else(|| panic!("{}: {heading}", topic.name));
                    assert!(section.lines().count() > 2, "{}: {heading}", topic.name);
                }
            }
            let text: String = lines(topic).into_iter().map(|(line, _)| line + "\n").collect();
            assert!(!text.contains("](") && !text.contains("| ---"), "{text}");
        }
    }

    #[test]
    fn the_topic_of_exit_codes_has_the_table_of_codes() {
        let text: Vec<String> = lines(&TOPICS[4]).into_iter().map(|(line, _)| line).collect();
        for (exit, meaning) in crate::exit::TABLE {
            let line = format!("{:<6}{}", exit.code(), meaning.replace('`', ""));
            assert!(text.iter().any(|one| one.trim() == line.trim()), "{line}\n{}", text.join("\n"));
        }
    }

    #[test]
    fn an_unknown_topic_is_refused_with_a_suggestion() {
        let problem = |word: &str| run(&[word.to_owned()]).unwrap_err().help().unwrap().to_string();
        assert_eq!(problem("profil"), "did you mean `lyncsh help profile`?");
        assert_eq!(problem("statsu"), "did you mean `lyncsh help status`?");
        assert_eq!(problem("xyz"), "topics: profile, console, exec, authentication, exit-codes");
    }
}
