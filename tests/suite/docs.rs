//! Checks of the documentation: complete, without dead links, and with valid commands. The causes of errors are
//! documented in the source, and their texts in `docs`.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use clap::Parser as _;
use lyncsh::cli::{Cli, Command, Work};
use syn::visit::Visit;

use crate::layers::{collect, is_test};

/// Error types whose texts no page lists, with the reason.
const UNLISTED: [(&str, &str); 5] = [
    ("FilterError", "the simulated endpoint answers with its own texts, as a service does"),
    ("Late", "reported as a time limit that was exceeded"),
    ("PoolSizeError", "the simulated endpoint refuses pool sizes that lyncsh does not request"),
    ("TakeError", "the simulated endpoint refuses messages that lyncsh does not send"),
    ("TenantFaultError", "belongs to a hidden option of the simulated endpoint"),
];

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
            (None, '2') if line.contains("2>") && words.last().unwrap().is_empty() => break,
            (None, '|' | '#' | '<' | '>' | ';' | '&') => break,
            _ => words.last_mut().unwrap().push(letter),
        }
    }
    words.retain(|word| !word.is_empty());
    words
}

/// Names of profiles in the documentation.
const PROFILES: &[&str] = &["work", "my tenant", "NAME", "PROFILE", "contoso", "fabrikam"];

/// Returns the command lines of lyncsh in a line of a script: parts of pipelines, without prompts and assignments.
fn commands(line: &str) -> Vec<&str> {
    // A quoted `|` separates commands of an endpoint.
    let parts: Vec<&str> = if line.contains("'|'") || line.contains("\"|\"") {
        vec![line]
    } else {
        line.split(" | ").flat_map(|part| part.split(" && ")).flat_map(|part| part.split("; ")).collect()
    };
    parts.into_iter().filter_map(command).collect()
}

fn command(part: &str) -> Option<&str> {
    let mut words = part.trim().trim_start_matches("$ ");
    while let Some((first, rest)) = words.split_once(' ')
        && (first.contains('=') || matches!(first, "sudo" | "exec" | "&" | "if" | "!"))
    {
        words = rest.trim_start();
    }
    words.starts_with("lyncsh ").then_some(words)
}

/// A command line of a page.
struct Documented {
    line: String,
    /// It stands in the text, where a command may be named without its arguments.
    is_inline: bool,
}

/// Returns the command lines of lyncsh in a page: lines of code blocks and inline code.
fn documented_commands(text: &str) -> Vec<Documented> {
    let mut found = Vec::new();
    let mut add = |text: &str, is_inline: bool| {
        let is_command = |line: &&str| !line.contains(['…', '[', '{']) && !line.starts_with("lyncsh cannot ");
        let lines = commands(text).into_iter().filter(is_command);
        found.extend(lines.map(|line| Documented { line: line.to_owned(), is_inline }));
    };
    let mut language = None;
    for line in text.lines() {
        if let Some(fence) = line.trim_start().strip_prefix("```") {
            language = if language.is_some() { None } else { Some(fence.to_owned()) };
            continue;
        }
        match language.as_deref() {
            None => {
                // In a table, `\|` is a pipe or separates alternatives.
                for span in line.split('`').skip(1).step_by(2) {
                    add(span.split("\\|").next().unwrap_or_default(), true);
                }
            }
            Some("sh" | "bash" | "powershell" | "text" | "yaml" | "ini" | "") => {
                add(line.trim().trim_start_matches("- run: ").trim_start_matches("ExecStart="), false);
            }
            Some(_) => {}
        }
    }
    found
}

/// Returns why a command line is wrong.
fn mistake(one: &Documented) -> Option<String> {
    use clap::error::ErrorKind;
    let refused = |error: clap::Error| {
        let is_placeholder =
            |word: &str| !word.is_empty() && word.chars().all(|letter| letter.is_ascii_uppercase());
        let has_placeholder = one.line.split(' ').any(is_placeholder);
        let is_accepted = match error.kind() {
            ErrorKind::MissingRequiredArgument
            | ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand
            | ErrorKind::MissingSubcommand => one.is_inline,
            ErrorKind::InvalidValue | ErrorKind::ValueValidation => one.is_inline || has_placeholder,
            _ => !error.use_stderr(),
        };
        (!is_accepted).then(|| error.to_string())
    };
    let shell = match Cli::try_parse_from(words(&one.line)) {
        Ok(Cli { command: Command::Shell(words), .. }) => words,
        Ok(_) => return None,
        Err(error) => return refused(error),
    };
    if !PROFILES.contains(&shell[0].as_str()) {
        return Some("neither a command nor a profile".to_owned());
    }
    // The words after a script are its own.
    let is_script = |word: &String| word.ends_with(".ps1");
    let end = shell.iter().position(is_script).unwrap_or(shell.len());
    Work::try_parse_from(&shell[..end]).err().and_then(refused)
}

#[test]
fn every_documented_command_is_valid() {
    let mut wrong = Vec::new();
    let mut count = 0;
    for (page, text) in pages() {
        for one in documented_commands(&text) {
            count += 1;
            if let Some(reason) = mistake(&one) {
                wrong.push(format!("{}: {}: {reason}", page.display(), one.line));
            }
        }
    }
    assert!(wrong.is_empty() && count > 300, "{count}\n{}", wrong.join("\n"));
}

#[test]
fn a_misspelt_command_is_found() {
    for (line, is_wrong) in [
        ("lyncsh status", false),
        ("lyncsh lgoin work", true),
        ("lyncsh work --bogus", true),
        ("lyncsh list --jsn", true),
        ("printf 'x' | LYNCSH_LOG=debug lyncsh wrok", true),
    ] {
        let found = documented_commands(&format!("see `{line}`\n"));
        assert_eq!((found.len(), found.iter().any(|one| mistake(one).is_some())), (1, is_wrong), "{line}");
    }
}

/// A variant or a struct with `#[error(…)]`.
struct ErrorItem {
    /// The file, the type and the variant.
    place: String,
    type_name: String,
    is_documented: bool,
    /// The text with placeholders; `None` for the text of another error.
    format: Option<String>,
}

/// Collects the errors of a source file, without those of tests.
struct ErrorReader {
    file: String,
    found: Vec<ErrorItem>,
}

impl ErrorReader {
    fn add(&mut self, type_name: &syn::Ident, name: &syn::Ident, attributes: &[syn::Attribute]) {
        let Some(error) = attributes.iter().find(|one| one.path().is_ident("error")) else { return };
        let syn::Meta::List(list) = &error.meta else { return };
        let first = list.tokens.clone().into_iter().next();
        let literal = first.and_then(|first| syn::parse2::<syn::LitStr>(first.into()).ok());
        self.found.push(ErrorItem {
            place: format!("{}: {type_name}::{name}", self.file),
            type_name: type_name.to_string(),
            is_documented: attributes.iter().any(|one| one.path().is_ident("doc")),
            format: literal.map(|literal| literal.value()),
        });
    }
}

impl<'ast> Visit<'ast> for ErrorReader {
    fn visit_item_mod(&mut self, module: &'ast syn::ItemMod) {
        if !is_test(&module.attrs) {
            syn::visit::visit_item_mod(self, module);
        }
    }

    fn visit_item_enum(&mut self, item: &'ast syn::ItemEnum) {
        for variant in &item.variants {
            self.add(&item.ident, &variant.ident, &variant.attrs);
        }
    }

    fn visit_item_struct(&mut self, item: &'ast syn::ItemStruct) {
        self.add(&item.ident, &item.ident, &item.attrs);
    }
}

/// Returns every error of the source.
fn errors() -> Vec<ErrorItem> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut paths = Vec::new();
    collect(&root.join("src"), &mut paths);
    paths.retain(|path| !path.ends_with("tests.rs") && !path.iter().any(|part| part == "tests"));
    paths.sort();
    let mut found = Vec::new();
    for path in paths {
        let source = std::fs::read_to_string(&path).unwrap();
        let source = syn::parse_file(&source).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let file = path.strip_prefix(root).unwrap().display().to_string();
        let mut reader = ErrorReader { file, found: Vec::new() };
        reader.visit_file(&source);
        found.append(&mut reader.found);
    }
    assert!(found.len() > 300, "{}", found.len());
    found
}

/// Returns the texts of a format string before, between and after its placeholders, without spaces at their ends.
fn literal_parts(format: &str) -> Vec<String> {
    let mut parts = vec![String::new()];
    let mut letters = format.chars().peekable();
    while let Some(letter) = letters.next() {
        match letter {
            '{' | '}' if letters.peek() == Some(&letter) => {
                letters.next();
                parts.last_mut().unwrap().push(letter);
            }
            '{' => {
                for inner in letters.by_ref() {
                    if inner == '}' {
                        break;
                    }
                }
                parts.push(String::new());
            }
            letter => parts.last_mut().unwrap().push(letter),
        }
    }
    parts.into_iter().map(|part| part.trim().to_owned()).collect()
}

/// Returns the number of backticks at the start of a text.
fn backticks(text: &str) -> usize {
    text.len() - text.trim_start_matches('`').len()
}

/// Returns the offset of the next run of exactly `length` backticks.
fn closing(text: &str, length: usize) -> Option<usize> {
    let mut at = 0;
    loop {
        let start = at + text[at..].find('`')?;
        let run = backticks(&text[start..]);
        if run == length {
            return Some(start);
        }
        at = start + run;
    }
}

/// Returns the code spans of a page.
fn code_spans(text: &str) -> Vec<String> {
    let mut is_block = false;
    let mut spans = Vec::new();
    for line in text.lines() {
        let is_fence = line.trim_start().starts_with("```");
        is_block ^= is_fence;
        if is_block || is_fence {
            continue;
        }
        let mut rest = line;
        while let Some(start) = rest.find('`') {
            let length = backticks(&rest[start..]);
            let inner = &rest[start + length..];
            let Some(end) = closing(inner, length) else { break };
            // A table escapes the vertical bar.
            spans.push(inner[..end].trim().replace("\\|", "|"));
            rest = &inner[end + length..];
        }
    }
    spans
}

/// Returns whether a code span contains the parts of a message in their order. The first part is at the start of the
/// span, or follows another message or an omission.
fn shows(span: &str, parts: &[String]) -> bool {
    let (first, others) = parts.split_first().unwrap();
    span.match_indices(first.as_str()).any(|(at, _)| {
        let before = &span[..at];
        let begins =
            first.is_empty() || before.is_empty() || before.ends_with(": ") || before.ends_with("… ");
        let mut rest = &span[at + first.len()..];
        begins
            && others.iter().all(|part| match rest.find(part.as_str()) {
                Some(found) => {
                    rest = &rest[found + part.len()..];
                    true
                }
                None => false,
            })
    })
}

#[test]
fn every_error_documents_its_cause() {
    let silent: Vec<_> = errors().into_iter().filter(|one| !one.is_documented).map(|one| one.place).collect();
    assert!(silent.is_empty(), "{}", silent.join("\n"));
}

#[test]
fn every_error_text_is_documented() {
    let docs = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs");
    let spans: Vec<String> = pages()
        .iter()
        .filter(|(page, _)| page.starts_with(&docs))
        .flat_map(|(_, text)| code_spans(text))
        .collect();
    assert!(spans.len() > 1000, "{}", spans.len());
    let mut missing = Vec::new();
    let mut unlisted = BTreeSet::new();
    for error in errors() {
        let Some(format) = &error.format else { continue };
        let parts = literal_parts(format);
        // Without words of its own, the message is the text of its values.
        if parts.iter().all(|part| part.len() < 5) || spans.iter().any(|span| shows(span, &parts)) {
            continue;
        }
        if UNLISTED.iter().any(|(name, _)| *name == error.type_name) {
            unlisted.insert(error.type_name);
        } else {
            missing.push(format!("{}: {format}", error.place));
        }
    }
    assert!(missing.is_empty(), "{}", missing.join("\n"));
    assert_eq!(unlisted.len(), UNLISTED.len(), "{unlisted:?}");
}

#[test]
fn messages_are_found_in_code_spans() {
    let spans =
        code_spans("| `a: cannot read PATH: REASON` | ``run `x\\|y` `` |\n```\n`block`\n```\n`… its end`");
    assert_eq!(spans, ["a: cannot read PATH: REASON", "run `x|y`", "… its end"]);
    let parts = literal_parts("cannot read {path}: {0:?} {{x}}");
    assert_eq!(parts, ["cannot read", ":", "{x}"]);
    let shown = |format: &str| spans.iter().any(|span| shows(span, &literal_parts(format)));
    assert!(shown("cannot read {path}: {source}") && shown("its end") && shown("{command} `x|y`"));
    assert!(!shown("read {path}: {source}") && !shown("cannot read {path}; {source}") && !shown("block"));
}
