//! Checks of the documentation: complete, without dead links, and with valid commands.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use clap::Parser as _;
use lyncsh::cli::{Cli, Command, Work};

/// Returns every page with its text.
fn pages() -> Vec<(PathBuf, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let files = [root.to_owned(), root.join("docs")]
        .into_iter()
        .flat_map(|folder| std::fs::read_dir(folder).unwrap());
    let paths = files.map(|entry| entry.unwrap().path());
    let pages: Vec<_> = paths
        .filter(|path| path.extension().is_some_and(|end| end == "md"))
        .map(|path| (path.clone(), std::fs::read_to_string(path).unwrap()))
        .collect();
    assert!(pages.len() > 12, "{}", pages.len());
    pages
}

/// Returns the text without code.
fn prose(text: &str) -> String {
    let mut code = false;
    let lines = text.lines().filter(|line| {
        let fence = line.trim_start().starts_with("```");
        code ^= fence;
        !code && !fence
    });
    let text: String = lines.map(|line| format!("{line}\n")).collect();
    // Text in backticks is not a link.
    text.split('`').step_by(2).collect::<Vec<_>>().join("``")
}

/// Returns a heading's anchor as GitHub generates it.
fn anchor(heading: &str) -> String {
    let plain = heading.trim_start_matches('#').trim().to_lowercase();
    let kept = plain.chars().filter(|letter| letter.is_alphanumeric() || matches!(letter, ' ' | '-' | '_'));
    kept.map(|letter| if letter == ' ' { '-' } else { letter }).collect()
}

fn anchors(text: &str) -> BTreeSet<String> {
    let mut code = false;
    let lines = text.lines().filter(|line| {
        code ^= line.starts_with("```");
        !code && line.starts_with('#')
    });
    lines.map(anchor).collect()
}

#[test]
fn every_profile_key_is_documented() {
    let text =
        std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/profile.md")).unwrap();
    let headings: BTreeSet<_> = text.lines().filter(|line| line.starts_with("### `")).collect();
    for key in lyncsh::profile::KEYS.map(|key| key.name) {
        assert!(headings.contains(format!("### `{key}`").as_str()), "{key}");
    }
    assert_eq!(headings.len(), lyncsh::profile::KEYS.len(), "{headings:?}");
}

#[test]
fn every_link_has_a_target() {
    let pages = pages();
    let mut dead = Vec::new();
    let mut count = 0;
    for (page, text) in &pages {
        for part in prose(text).split("](").skip(1) {
            let target = part.split(')').next().unwrap();
            if target.contains("://") {
                continue;
            }
            count += 1;
            let (file, wanted) = target.split_once('#').unwrap_or((target, ""));
            let path = if file.is_empty() { page.clone() } else { page.parent().unwrap().join(file) };
            let known = match std::fs::read_to_string(&path) {
                Ok(text) => wanted.is_empty() || anchors(&text).contains(wanted),
                Err(_) => path.exists() && wanted.is_empty(),
            };
            if !known {
                dead.push(format!("{}: {target}", page.display()));
            }
        }
    }
    assert!(dead.is_empty() && count > 30, "{count}\n{}", dead.join("\n"));
}

/// Returns the words of a command line, without redirections and comments.
fn words(line: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut quote = None;
    for letter in line.chars() {
        match (quote, letter) {
            (Some(open), letter) if letter == open => quote = None,
            (None, '"' | '\'') => quote = Some(letter),
            (None, ' ') => words.push(String::new()),
            (None, '|' | '#' | '<' | '>' | ';' | '&') => break,
            _ => words.last_mut().unwrap().push(letter),
        }
    }
    words.retain(|word| !word.is_empty());
    words
}

/// Names of profiles in the documentation.
const PROFILES: &[&str] = &["work", "NAME", "PROFILE", "contoso", "fabrikam"];

/// Returns the command lines of lyncsh in a line of a script: parts of pipelines, without prompts and assignments.
fn commands(line: &str) -> impl Iterator<Item = &str> {
    let parts = line.split(" | ").flat_map(|part| part.split(" && ")).flat_map(|part| part.split("; "));
    let command = |part: &'_ str| {
        let mut words = part.trim().trim_start_matches("$ ");
        while let Some((first, rest)) = words.split_once(' ')
            && (first.contains('=') || matches!(first, "sudo" | "exec" | "&" | "if" | "!"))
        {
            words = rest.trim_start();
        }
        words.starts_with("lyncsh ").then_some(words)
    };
    // A quoted `|` separates commands of an endpoint.
    let is_one = line.contains("'|'") || line.contains("\"|\"");
    let whole = is_one.then(|| command(line)).flatten();
    whole.into_iter().chain(parts.filter_map(command).filter(move |_| !is_one))
}

/// Returns the command lines of lyncsh in a page: lines of code blocks and inline code.
fn documented_commands(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut language = None;
    for line in text.lines() {
        if let Some(fence) = line.trim_start().strip_prefix("```") {
            language = if language.is_some() { None } else { Some(fence.to_owned()) };
            continue;
        }
        match language.as_deref() {
            None => {
                for span in line.split('`').skip(1).step_by(2) {
                    found.extend(commands(span).map(str::to_owned));
                }
            }
            Some("sh" | "bash" | "powershell" | "text" | "yaml" | "ini" | "") => {
                let line = line.trim().trim_start_matches("- run: ").trim_start_matches("ExecStart=");
                found.extend(commands(line).map(str::to_owned));
            }
            Some(_) => {}
        }
    }
    found.retain(|line| !line.contains(['…', '[', '{']));
    found
}

#[test]
fn every_documented_command_is_valid() {
    let mut wrong = Vec::new();
    let mut count = 0;
    for (page, text) in pages() {
        for line in documented_commands(&text) {
            count += 1;
            let shell = match Cli::try_parse_from(words(&line)) {
                Ok(Cli { command: Command::Shell(words), .. }) => words,
                Ok(_) => continue,
                Err(error) if !error.use_stderr() => continue,
                Err(error) => {
                    wrong.push(format!("{}: {line}: {error}", page.display()));
                    continue;
                }
            };
            if !PROFILES.contains(&shell[0].as_str()) {
                wrong.push(format!("{}: {line}: neither a command nor a profile", page.display()));
            } else if let Err(error) = Work::try_parse_from(&shell)
                && error.use_stderr()
            {
                wrong.push(format!("{}: {line}: {error}", page.display()));
            }
        }
    }
    assert!(wrong.is_empty() && count > 100, "{count}\n{}", wrong.join("\n"));
}
