//! The console's own help: an overview, topics, and its cmdlets.

use super::stage::{self, ParameterKind};
use super::syntax::{Arg, CommandLine, Expr};
use crate::screen::{width, wrap};

/// A topic of the console's help.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Topic {
    Overview,
    /// A cmdlet of the console.
    Cmdlet(&'static str),
    /// One of [`TOPICS`], by its index.
    Text(usize),
}

/// Commands that show help.
const HELP: [&str; 3] = ["help", "man", "get-help"];

/// Topics with their text.
const TOPICS: [(&str, &str); 4] = [
    (
        "syntax",
        "Supported: pipelines, variables, strings, arrays, hashtables, $( ), operators such as -like and -f, \
         foreach ($x in …) { … }, ForEach-Object { … }, redirections, and calls of scripts (./script.ps1).\n\
         Not supported, because they need PowerShell's script engine: if, while, for, switch, try, function, \
         methods such as .ToUpper(), [Type]::Member, splatting, && and ||.\n\
         A line or script with such a part is refused before any part of it runs.",
    ),
    (
        "keys",
        "Tab completes commands, parameters, values, files, variables and properties. Up and Down select \
         earlier lines, Ctrl-R searches them. Ctrl-C stops the running pipeline, and drops the typed line. \
         Alt-Enter adds a line. Ctrl-D or exit ends the console.",
    ),
    (
        "history",
        "Earlier lines are kept for each profile. A line is left out if it contains password, passphrase, \
         asplaintext, ConvertTo-SecureString, token, apikey, secret, -Pin or -Pass, or a literal value after \
         -Credential, or if it begins with a space.",
    ),
    (
        "transcript",
        "Start-Transcript records commands and output in a file, until Stop-Transcript. The profile's key \
         transcript = \"FOLDER\" records every session of the console. Of lines that the history leaves out, \
         only the names of the commands are recorded. Typed answers are not recorded.",
    ),
];

/// Returns the names of the topics.
pub fn topics() -> impl Iterator<Item = &'static str> {
    TOPICS.iter().map(|(name, _)| *name)
}

/// Returns the topic of a command that asks for the console's help; `None` if the endpoint answers.
pub fn topic(command: &CommandLine) -> Option<Topic> {
    let is_help = HELP.iter().any(|name| name.eq_ignore_ascii_case(&command.name));
    if is_question(command) || (is_help && command.arguments.is_empty()) {
        return Some(Topic::Overview);
    }
    let name = match command.arguments.as_slice() {
        [Arg::Value(Expr::Literal(name))] if is_help => name.display_text(),
        [Arg::Parameter { name, value: None }, Arg::Value(Expr::Literal(value))]
            if is_help && name.eq_ignore_ascii_case("Name") =>
        {
            value.display_text()
        }
        _ => return None,
    };
    if let Some(at) = TOPICS.iter().position(|(known, _)| known.eq_ignore_ascii_case(&name)) {
        return Some(Topic::Text(at));
    }
    stage::local_name(&name).map(Topic::Cmdlet)
}

/// Returns whether a command is `?` alone.
pub fn is_question(command: &CommandLine) -> bool {
    command.name == "?" && command.arguments.is_empty()
}

/// Wraps a line of help at words. The text of a second column stays in its column.
pub fn wrapped(line: &str, columns: usize) -> Vec<String> {
    let indent = line.len() - line.trim_start_matches(' ').len();
    let gap = line[indent..].find("  ").map(|at| indent + at);
    let second = gap.map(|at| line.len() - line[at..].trim_start_matches(' ').len());
    // A narrow terminal has no space for a second column.
    let hang = second.map(|at| width(&line[..at])).filter(|hang| hang * 2 <= columns);
    wrap(line, columns, hang.unwrap_or(0).saturating_sub(indent))
}

/// Returns the text of a topic. `profile`: the profile's name; `powershell`: the command that opens PowerShell.
pub fn text(topic: Topic, profile: &str, powershell: Option<&str>) -> Vec<String> {
    match topic {
        Topic::Overview => overview(profile, powershell),
        Topic::Cmdlet(name) => cmdlet(name),
        Topic::Text(at) => {
            TOPICS.get(at).map(|(_, text)| text.lines().map(str::to_owned).collect()).unwrap_or_default()
        }
    }
}

fn overview(profile: &str, powershell: Option<&str>) -> Vec<String> {
    let mut names: Vec<&str> = stage::local_cmdlets().collect();
    names.sort_unstable_by_key(|name| name.to_lowercase());
    let topics: Vec<&str> = topics().collect();
    let mut lines = vec![
        format!(
            "This is lyncsh's console. It runs the commands of '{profile}' on the endpoint, and these here:"
        ),
        names.join(", "),
        String::new(),
        "It has no script engine: if, try, functions, methods and [Type]::Member need PowerShell.".to_owned(),
    ];
    lines.extend(powershell.map(|command| format!("PowerShell with the same session: {command}")));
    lines.extend([
        String::new(),
        "Get-Command            the commands of the console and of the endpoint".to_owned(),
        "help COMMAND           the help of a command".to_owned(),
        format!("help TOPIC             more about: {}", topics.join(", ")),
        "Module\\COMMAND         the endpoint's command, where the console has one of the same name"
            .to_owned(),
        "exit                   end the console".to_owned(),
    ]);
    lines
}

fn cmdlet(name: &'static str) -> Vec<String> {
    let mut syntax = name.to_owned();
    for (parameter, takes) in stage::parameters(name).unwrap_or_default() {
        syntax.push_str(&match takes {
            ParameterKind::Positional => format!(" [[-{parameter}] <value>]"),
            ParameterKind::Remaining => format!(" [[-{parameter}] <value> …]"),
            ParameterKind::Named => format!(" [-{parameter} <value>]"),
            ParameterKind::Switch => format!(" [-{parameter}]"),
        });
    }
    let aliases: Vec<&str> = stage::aliases(name).collect();
    let mut lines = vec![
        format!("{name} runs in the console. PowerShell's {name} may have more parameters."),
        String::new(),
        format!("{syntax} [<CommonParameters>]"),
    ];
    if name == "Where-Object" {
        lines[2] = "Where-Object PROPERTY -eq VALUE (or another operator), or Where-Object { … }".to_owned();
    }
    if !aliases.is_empty() {
        lines.extend([String::new(), format!("Aliases: {}", aliases.join(", "))]);
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::line::parse;
    use crate::line::syntax::Element;

    fn asked(text: &str) -> Option<Topic> {
        let statement = parse(text).unwrap().swap_remove(0);
        match &statement.pipeline[0] {
            Element::Command(command) => topic(command),
            _ => None,
        }
    }

    #[test]
    fn long_lines_wrap_at_words_and_keep_their_columns() {
        assert_eq!(wrapped("one two three four", 10), ["one two", "three four"]);
        let entry = "help TOPIC   more about syntax and keys";
        let lines = ["help TOPIC   more about", "             syntax and", "             keys"];
        assert_eq!(wrapped(entry, 26), lines);
        assert_eq!(wrapped(entry, 20), ["help TOPIC   more", "about syntax and", "keys"]);
        let all = [Topic::Overview, Topic::Text(0), Topic::Text(2), Topic::Cmdlet("Get-ChildItem")];
        let lines = all.iter().flat_map(|topic| text(*topic, "work", None));
        for line in lines.flat_map(|line| wrapped(&line, 40)) {
            assert!(width(&line) <= 40, "{line}");
        }
    }

    #[test]
    fn the_console_answers_help_for_its_cmdlets_and_topics() {
        for text in ["?", "help", "Get-Help", "man"] {
            assert_eq!(asked(text), Some(Topic::Overview), "{text}");
        }
        for text in ["help ls", "Get-ChildItem -?", "Get-Help -Name dir", "man Get-ChildItem"] {
            assert_eq!(asked(text), Some(Topic::Cmdlet("Get-ChildItem")), "{text}");
        }
        assert_eq!(asked("help SYNTAX"), Some(Topic::Text(0)));
        for text in ["help Get-CsTenant", "Get-CsTenant -?", "? Name -eq x", "help dir -Full"] {
            assert_eq!(asked(text), None, "{text}");
        }
        let text = text(Topic::Cmdlet("Get-ChildItem"), "work", None).join("\n");
        assert!(
            text.contains("[[-Path] <value>] [[-Filter] <value>]") && text.contains("gci, ls, dir"),
            "{text}"
        );
        let overview = super::text(Topic::Overview, "work", Some("lyncsh work --shell pwsh")).join("\n");
        assert!(overview.contains("Add-Content, ") && overview.contains("work --shell pwsh"), "{overview}");
    }
}
