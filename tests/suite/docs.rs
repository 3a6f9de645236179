//! Checks of the documentation: complete, without dead links, and with valid commands.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use clap::Parser as _;
use lyncsh::cli::Cli;

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

#[test]
fn every_documented_command_is_valid() {
    let mut wrong = Vec::new();
    let mut count = 0;
    for (page, text) in pages() {
        let mut language = None;
        for line in text.lines() {
            if let Some(fence) = line.trim_start().strip_prefix("```") {
                language = if language.is_some() { None } else { Some(fence.to_owned()) };
                continue;
            }
            let is_shell = matches!(language.as_deref(), Some("sh" | "powershell"));
            let line = line.trim().trim_start_matches("$ ");
            if !is_shell || !line.starts_with("lyncsh ") || line.contains('…') {
                continue;
            }
            count += 1;
            let words = words(line);
            if let Err(error) = Cli::try_parse_from(&words)
                && error.use_stderr()
            {
                wrong.push(format!("{}: {line}: {error}", page.display()));
            }
        }
    }
    assert!(wrong.is_empty() && count > 5, "{count}\n{}", wrong.join("\n"));
}
