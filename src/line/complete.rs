//! Completion of the word at the cursor: analysis of the text before it.

use std::ops::Range;

use super::evaluate::{Scope, Variables, evaluate};
use super::members;
use super::parse::parse;
use super::stage::{self, Takes};
use super::syntax::{Arg, CommandLine, Element, Expr};
use crate::psrp::clixml::Value;

/// A span of a line and the kind of its candidates.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Completion {
    /// Byte range that a candidate replaces.
    pub span: Range<usize>,
    pub what: What,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum What {
    /// A command with this prefix.
    Command(String),
    /// A parameter of a command; the prefix is without the dash.
    Parameter {
        command: String,
        prefix: String,
    },
    /// A value of a command.
    Argument(Argument),
    /// A variable; the prefix is without the `$`.
    Variable(String),
    /// A property.
    Member {
        of: Of,
        prefix: String,
    },
    /// A file, such as the target of a redirection.
    File(Word),
    Nothing,
}

/// The value of a command that is being typed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Argument {
    pub command: String,
    /// The parameter before it.
    pub parameter: Option<String>,
    /// Number of values before it that may be positional.
    pub position: usize,
    pub word: Word,
    /// The commands before it in the pipeline.
    pub pipeline: Vec<String>,
}

/// A typed word, without its opening quote.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Word {
    pub text: String,
    pub quote: Option<char>,
}

/// The object of a property.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Of {
    /// An expression of variables, such as `$x.Inner`.
    Expression(String),
    /// The output of a pipeline: that of `$_`, or in parentheses.
    Pipeline(Vec<String>),
}

/// An open bracket, with the stages of the pipeline in it.
struct Frame {
    open: usize,
    bracket: char,
    /// Beginnings of the stages of the current statement.
    stages: Vec<usize>,
}

impl Frame {
    fn new(open: usize, bracket: char, from: usize) -> Self {
        Self { open, bracket, stages: vec![from] }
    }
}

/// State of the scan at the cursor.
struct Scan<'a> {
    text: &'a str,
    frames: Vec<Frame>,
    /// Beginning of the word at the cursor.
    word: usize,
    /// Open quote.
    quote: Option<char>,
    /// Last pair of parentheses: beginning and end.
    parentheses: Option<(usize, usize)>,
    in_comment: bool,
}

impl<'a> Scan<'a> {
    fn new(text: &'a str) -> Self {
        let mut scan = Self {
            text,
            frames: vec![Frame::new(0, '(', 0)],
            word: 0,
            quote: None,
            parentheses: None,
            in_comment: false,
        };
        let mut letters = text.char_indices().peekable();
        while let Some((at, letter)) = letters.next() {
            let next = at + letter.len_utf8();
            if scan.in_comment {
                if letter == '\n' {
                    scan.in_comment = false;
                    scan.statement(next);
                }
                continue;
            }
            if let Some(quote) = scan.quote {
                if quote == '"' && letter == '`' {
                    letters.next();
                } else if letter == quote {
                    scan.quote = None;
                }
                continue;
            }
            match letter {
                '\'' | '"' => scan.quote = Some(letter),
                '`' => drop(letters.next()),
                '#' if scan.word == at => scan.in_comment = true,
                '(' | '{' => {
                    scan.frames.push(Frame::new(at, letter, next));
                    scan.word = next;
                }
                ')' | '}' => {
                    if scan.frames.len() > 1
                        && let Some(frame) = scan.frames.pop()
                        && frame.bracket == '('
                        && letter == ')'
                    {
                        scan.parentheses = Some((frame.open + 1, at));
                    }
                    scan.word = next;
                }
                '|' => {
                    if let Some(frame) = scan.frames.last_mut() {
                        frame.stages.push(next);
                    }
                    scan.word = next;
                }
                ';' | '\n' => scan.statement(next),
                '=' if scan.is_assignment(at) => scan.statement(next),
                ',' | '>' | '=' => scan.word = next,
                blank if blank.is_whitespace() => scan.word = next,
                _ => {}
            }
        }
        scan
    }

    fn statement(&mut self, at: usize) {
        if let Some(frame) = self.frames.last_mut() {
            frame.stages = vec![at];
        }
        self.word = at;
    }

    fn stages(&self) -> &[usize] {
        self.frames.last().map_or(&[], |frame| &frame.stages)
    }

    /// Returns whether the text of the stage is `$name`, before its `=`.
    fn is_assignment(&self, at: usize) -> bool {
        let from = self.stages().last().copied().unwrap_or(0);
        let name = self.text.get(from..at).unwrap_or_default().trim();
        name.strip_prefix('$').is_some_and(|name| !name.is_empty() && name.chars().all(is_name))
    }

    /// Returns the texts of a frame's stages, without the last one.
    fn before(&self, frame: &Frame) -> Vec<String> {
        let part = |pair: &[usize]| self.text.get(pair[0]..pair[1] - 1).unwrap_or_default().trim().to_owned();
        frame.stages.windows(2).map(part).collect()
    }

    /// Returns the pipeline whose objects `$_` names: that of the innermost script block's command.
    fn of_this(&self) -> Vec<String> {
        let block = self.frames.iter().rposition(|frame| frame.bracket == '{');
        let outer = block.and_then(|at| self.frames.get(at.checked_sub(1)?));
        outer.map(|frame| self.before(frame)).unwrap_or_default()
    }
}

fn is_name(letter: char) -> bool {
    letter.is_alphanumeric() || matches!(letter, '_' | ':' | '?')
}

/// Splits a pipeline's text into its stages.
pub fn stages(text: &str) -> Vec<String> {
    let scan = Scan::new(text);
    let Some(frame) = scan.frames.first() else { return Vec::new() };
    let mut stages = scan.before(frame);
    stages.extend(frame.stages.last().and_then(|from| text.get(*from..)).map(|text| text.trim().to_owned()));
    stages.retain(|stage| !stage.is_empty());
    stages
}

/// Analyses the text before the cursor (in bytes).
pub fn complete(text: &str, cursor: usize) -> Completion {
    let before = text.get(..cursor).unwrap_or(text);
    let scan = Scan::new(before);
    let word = before.get(scan.word..).unwrap_or_default();
    let end = before.len();
    let done = |length: usize, what: What| Completion { span: end - length..end, what };
    if scan.in_comment {
        return done(0, What::Nothing);
    }
    // A variable, also within a string in double quotes.
    let expands = scan.quote.is_none_or(|quote| quote == '"');
    if let Some(at) = word.rfind('$').filter(|_| expands) {
        let name = &word[at + 1..];
        if name.chars().all(is_name) {
            return done(name.len(), What::Variable(name.to_owned()));
        }
        let is_path = |letter: char| is_name(letter) || matches!(letter, '.' | '[' | ']' | '-');
        // In a string, `.Name` is text.
        if scan.quote.is_none()
            && name.chars().all(is_path)
            && let Some((of, prefix)) = name.rsplit_once('.')
        {
            let of = match of {
                "_" | "PSItem" => Of::Pipeline(scan.of_this()),
                of => Of::Expression(format!("${of}")),
            };
            return done(prefix.len(), What::Member { of, prefix: prefix.to_owned() });
        }
    }
    if let Some(prefix) = word.strip_prefix('.')
        && let Some((from, to)) = scan.parentheses
        && to + 1 == scan.word
        && prefix.chars().all(is_name)
    {
        let of = Of::Pipeline(stages(before.get(from..to).unwrap_or_default()));
        return done(prefix.len(), What::Member { of, prefix: prefix.to_owned() });
    }
    let typed = match (word.chars().next(), scan.quote) {
        (Some(quote @ ('\'' | '"')), Some(_)) => Word { text: word[1..].to_owned(), quote: Some(quote) },
        (_, None) => Word { text: word.to_owned(), quote: None },
        (_, Some(_)) => return done(0, What::Nothing),
    };
    let stage_at = scan.stages().last().copied().unwrap_or(0);
    let stage = before.get(stage_at..scan.word).unwrap_or_default();
    if before[..scan.word].ends_with('>') || stage.trim_end().ends_with('>') {
        return done(word.len(), What::File(typed));
    }
    let words = words(stage);
    let words: Vec<&str> =
        words.iter().map(String::as_str).filter(|word| !matches!(*word, "&" | ".")).collect();
    let Some((command, rest)) = words.split_first() else {
        if typed.text.contains(['/', '\\']) {
            return done(word.len(), What::File(typed));
        }
        let is_command = typed.quote.is_none() && !word.starts_with(['$', '-']);
        return done(word.len(), if is_command { What::Command(word.to_owned()) } else { What::Nothing });
    };
    // The stage is an expression.
    if command.starts_with(['$', '\'', '"', '(', '@', '[', '{'])
        || command.starts_with(|one: char| one.is_ascii_digit())
    {
        return done(word.len(), What::Nothing);
    }
    if typed.quote.is_none()
        && let Some(prefix) = word.strip_prefix('-')
    {
        let what = What::Parameter { command: (*command).to_owned(), prefix: prefix.to_owned() };
        return done(word.len(), what);
    }
    let frame = scan.frames.last();
    let (parameter, position) = placed(command, rest);
    done(
        word.len(),
        What::Argument(Argument {
            command: (*command).to_owned(),
            parameter,
            position,
            word: typed,
            pipeline: frame.map(|frame| scan.before(frame)).unwrap_or_default(),
        }),
    )
}

/// Splits a stage into words; brackets and quotes keep a word together, and commas join values.
fn words(stage: &str) -> Vec<String> {
    let mut words: Vec<String> = Vec::new();
    let (mut word, mut depth, mut quote) = (String::new(), 0_usize, None);
    for letter in stage.chars() {
        match quote {
            Some(open) if letter == open => quote = None,
            Some(_) => {}
            None if matches!(letter, '\'' | '"') => quote = Some(letter),
            None if matches!(letter, '(' | '{') => depth += 1,
            None if matches!(letter, ')' | '}') => depth = depth.saturating_sub(1),
            None if letter.is_whitespace() && depth == 0 => {
                if !word.is_empty() {
                    words.push(std::mem::take(&mut word));
                }
                continue;
            }
            None => {}
        }
        word.push(letter);
    }
    if !word.is_empty() {
        words.push(word);
    }
    let mut joined: Vec<String> = Vec::new();
    for word in words {
        match joined.last_mut() {
            Some(last) if last.ends_with(',') || word.starts_with(',') => last.push_str(&word),
            _ => joined.push(word),
        }
    }
    joined
}

/// Returns the parameter that the next value belongs to, and the number of positional values before it.
fn placed(command: &str, words: &[&str]) -> (Option<String>, usize) {
    let known = stage::local_name(command).and_then(stage::parameters);
    let is_switch = |name: &str| {
        known.as_ref().is_some_and(|known| {
            let named = known.iter().find(|(one, _)| one.eq_ignore_ascii_case(name));
            named.is_some_and(|(_, takes)| *takes == Takes::Switch)
        })
    };
    let (mut parameter, mut position) = (None, 0);
    // `a, ` continues the value before it.
    let continues = words.last().is_some_and(|last| last.ends_with(','));
    let whole = if continues { &words[..words.len() - 1] } else { words };
    for word in whole {
        match word.strip_prefix('-').filter(|name| name.starts_with(char::is_alphabetic)) {
            Some(name) => {
                let name = name.split(':').next().unwrap_or(name);
                parameter = (!is_switch(name)).then(|| name.to_owned());
            }
            None if parameter.take().is_none() => position += 1,
            None => {}
        }
    }
    (parameter, position)
}

/// Returns the members of the value of an expression of variables.
pub fn members_of(expression: &str, variables: &Variables) -> Vec<String> {
    let Ok(statements) = parse(expression) else { return Vec::new() };
    let [statement] = statements.as_slice() else { return Vec::new() };
    let [Element::Expression(expression)] = statement.pipeline.as_slice() else { return Vec::new() };
    evaluate(expression, Scope::outer(variables)).map(|value| members_of_value(&value)).unwrap_or_default()
}

/// Returns the names of a value's members; those of the first item of a list.
pub fn members_of_value(value: &Value) -> Vec<String> {
    if let Some(entries) = value.entries() {
        let keys = entries.iter().map(|(key, _)| key.display_text());
        return keys.chain(["Count", "Keys", "Values"].map(str::to_owned)).collect();
    }
    if let Some(items) = value.items() {
        let of_items = items.first().map(members_of_value).unwrap_or_default();
        return of_items.into_iter().chain(["Count", "Length"].map(str::to_owned)).collect();
    }
    members::properties(value).into_iter().map(|(name, _)| name.to_string()).collect()
}

/// Properties of the objects of local cmdlets.
const OUTPUTS: [(&str, &[&str]); 7] = [
    (
        "Get-ChildItem",
        &[
            "Name",
            "FullName",
            "Length",
            "Extension",
            "BaseName",
            "DirectoryName",
            "PSIsContainer",
            "Mode",
            "CreationTime",
            "LastAccessTime",
            "LastWriteTime",
            "LinkType",
            "Target",
            "IsReadOnly",
            "Exists",
        ],
    ),
    ("Get-Location", &["Path", "Drive", "Provider", "ProviderPath"]),
    (
        "Get-History",
        &["Id", "CommandLine", "ExecutionStatus", "StartExecutionTime", "EndExecutionTime", "Duration"],
    ),
    (
        "Select-String",
        &["Line", "LineNumber", "Filename", "Path", "Pattern", "IgnoreCase", "Matches", "Context"],
    ),
    ("Group-Object", &["Name", "Count", "Group"]),
    ("Measure-Object", &["Count", "Sum", "Average", "Maximum", "Minimum", "StandardDeviation", "Property"]),
    ("Get-Member", &["Name", "MemberType", "Definition", "TypeName"]),
];

/// Maximum size of a CSV file that completion reads.
const MAX_CSV: u64 = 1024 * 1024;

/// Returns the properties of the objects that a pipeline outputs. `remote` returns those of a command of the
/// endpoint.
pub fn properties(
    pipeline: &[String],
    mut remote: impl FnMut(&str) -> Vec<String>,
    variables: &Variables,
) -> Vec<String> {
    let mut known: Vec<String> = Vec::new();
    for text in pipeline {
        let Some(statement) = parse(text).ok().and_then(|all| all.into_iter().next()) else {
            known.clear();
            continue;
        };
        match statement.pipeline.first() {
            Some(Element::Expression(expression)) => {
                let value = evaluate(expression, Scope::outer(variables)).unwrap_or_default();
                let mut names = members_of_value(&value);
                if value.items().is_some() {
                    names.retain(|name| name != "Count" && name != "Length");
                }
                known = names;
            }
            Some(Element::Command(command)) => match stage::local_name(&command.name) {
                Some(name) => through(name, command, variables, &mut known),
                None => known = remote(&command.name),
            },
            _ => known.clear(),
        }
    }
    known
}

/// Changes the known properties as a local cmdlet does.
fn through(name: &'static str, command: &CommandLine, variables: &Variables, known: &mut Vec<String>) {
    match name {
        "Where-Object" | "Sort-Object" | "Tee-Object" | "Write-Output" => {}
        "Select-Object" => {
            let Ok(bound) = stage::bound(name, command, variables) else { return };
            let names = bound.names("Property");
            if bound.get("ExpandProperty").is_some() {
                known.clear();
            } else if !names.is_empty() && !names.iter().any(|name| stage::path::is_pattern(name)) {
                *known = names;
            }
        }
        "Get-Date" => {
            *known = members_of_value(&stage::now());
        }
        "Import-Csv" => {
            known.clear();
            let path = command.arguments.iter().find_map(|argument| match argument {
                Arg::Value(Expr::Literal(path)) => Some(stage::path::located(&path.display_text())),
                _ => None,
            });
            if path.and_then(|path| std::fs::metadata(path).ok()).is_some_and(|data| data.len() <= MAX_CSV)
                && let Some(Ok(rows)) = stage::source(name, command, variables, true)
            {
                *known = rows.values.first().map(members_of_value).unwrap_or_default();
            }
        }
        other => {
            let found = OUTPUTS.iter().find(|(name, _)| *name == other);
            *known = found
                .map(|(_, names)| names.iter().map(|name| (*name).to_owned()).collect())
                .unwrap_or_default();
        }
    }
}

/// Kind of a value of a local cmdlet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wanted {
    Property,
    File,
    Folder,
    Command,
    /// A command, or a topic of the console's help.
    Help,
    Words(&'static [&'static str]),
    Colour,
    Variable,
    Nothing,
}

const ACTIONS: &[&str] = &["Continue", "Ignore", "SilentlyContinue", "Stop"];
const ENCODINGS: &[&str] =
    &["ascii", "ansi", "bigendianunicode", "latin1", "unicode", "utf8", "utf8BOM", "utf8NoBOM"];

/// Returns the kind of a value by its command and parameter; `None` if the endpoint knows it.
pub fn wanted(argument: &Argument) -> Option<Wanted> {
    let begins = |name: &str, typed: &str| {
        name.get(..typed.len()).is_some_and(|start| !typed.is_empty() && start.eq_ignore_ascii_case(typed))
    };
    let typed = argument.parameter.as_deref();
    if let Some(typed) = typed {
        let is = |names: &[&str]| names.iter().any(|name| name.eq_ignore_ascii_case(typed));
        if is(&["ErrorAction", "ea", "WarningAction", "wa", "InformationAction", "infa"]) {
            return Some(Wanted::Words(ACTIONS));
        }
        if is(&["OutVariable", "ov", "ErrorVariable", "ev", "WarningVariable", "wv"]) {
            return Some(Wanted::Variable);
        }
    }
    if ["help", "man", "Get-Help"].iter().any(|name| name.eq_ignore_ascii_case(&argument.command)) {
        return Some(Wanted::Help);
    }
    if ["Get-Command", "gcm"].iter().any(|name| name.eq_ignore_ascii_case(&argument.command)) {
        return Some(Wanted::Command);
    }
    let name = stage::local_name(&argument.command)?;
    let Some(parameters) = stage::parameters(name) else {
        // Where-Object: the property comes first.
        return Some(if argument.position == 0 && typed.is_none() {
            Wanted::Property
        } else {
            Wanted::Nothing
        });
    };
    let parameter = if let Some(typed) = typed {
        parameters.iter().find(|(name, _)| begins(name, typed))
    } else {
        let is_positional = |takes: Takes| matches!(takes, Takes::Position | Takes::Rest);
        let mut positional = parameters.iter().filter(|(_, takes)| is_positional(*takes));
        let rest = || parameters.iter().find(|(_, takes)| *takes == Takes::Rest);
        positional.nth(argument.position).or_else(rest)
    };
    Some(match parameter.map(|(name, _)| *name) {
        Some(
            "Property" | "ExpandProperty" | "ExcludeProperty" | "GroupBy" | "MemberName" | "QuoteFields",
        ) => Wanted::Property,
        Some("Path" | "LiteralPath") if name == "Set-Location" => Wanted::Folder,
        Some("OutputDirectory") => Wanted::Folder,
        Some("Path" | "LiteralPath" | "FilePath") => Wanted::File,
        Some("Encoding") => Wanted::Words(ENCODINGS),
        Some("ForegroundColor" | "BackgroundColor") => Wanted::Colour,
        Some("UseQuotes") => Wanted::Words(&["Always", "AsNeeded", "Never"]),
        Some("DisplayHint") => Wanted::Words(&["Date", "DateTime", "Time"]),
        Some("MemberType") => Wanted::Words(&["NoteProperty", "Property"]),
        Some("Format") if name == "Get-Date" => {
            Wanted::Words(&["FileDate", "FileDateTime", "FileDateTimeUniversal", "FileDateUniversal"])
        }
        Some("Variable") => Wanted::Variable,
        Some("Object" | "InputObject" | "Value" | "Pattern") => Wanted::File,
        _ => Wanted::Nothing,
    })
}

/// Returns the parameters of a local cmdlet, its own and the common ones.
pub fn parameters(command: &str) -> Option<Vec<String>> {
    let name = stage::local_name(command)?;
    let own = stage::parameters(name).unwrap_or_default();
    let common = ["ErrorAction", "ErrorVariable", "OutVariable", "WarningAction", "WarningVariable"];
    Some(own.iter().map(|(name, _)| *name).chain(common).map(str::to_owned).collect())
}

/// Quotes a word of a command line if it needs quotes. `quote`: the quote that was typed.
pub fn quoted(text: &str, quote: Option<char>) -> String {
    let is_plain = |letter: char| {
        letter.is_alphanumeric() || matches!(letter, '/' | '\\' | '.' | '_' | '-' | ':' | '~' | '+' | '%')
    };
    let is_plain = text.chars().all(is_plain) && !text.starts_with('-');
    match quote {
        None if is_plain => text.to_owned(),
        Some('"') if !text.contains(['"', '$', '`']) => format!("\"{text}\""),
        _ => format!("'{}'", text.replace('\'', "''")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at_end(text: &str) -> Completion {
        complete(text, text.len())
    }

    fn argument(text: &str) -> Argument {
        match at_end(text).what {
            What::Argument(argument) => argument,
            other => panic!("{text}: {other:?}"),
        }
    }

    #[test]
    fn commands_come_first_and_parameters_after_them() {
        for (text, prefix) in [
            ("Get-CsT", "Get-CsT"),
            ("Get-CsTenant | sel", "sel"),
            ("$x = Get-Cs", "Get-Cs"),
            ("'a'; Get-", "Get-"),
            ("Get-CsTenant | % { Set-", "Set-"),
            ("(Get-", "Get-"),
            ("", ""),
        ] {
            assert_eq!(at_end(text).what, What::Command(prefix.into()), "{text}");
        }
        let parameter = What::Parameter { command: "Set-CsUser".into(), prefix: "Ent".into() };
        assert_eq!(at_end("Set-CsUser kenmyer -Ent"), Completion { span: 19..23, what: parameter });
        assert_eq!(at_end("$x -eq").what, What::Nothing);
        assert_eq!(at_end("Get-CsTenant # -Na").what, What::Nothing);
    }

    #[test]
    fn values_belong_to_their_parameter_or_position() {
        let one = argument("Set-CsUser ken");
        assert_eq!((one.parameter.as_deref(), one.position, one.word.text.as_str()), (None, 0, "ken"));
        let one = argument("Set-CsUser ken -AudioVideoDisabled ");
        assert_eq!((one.parameter.as_deref(), one.position), (Some("AudioVideoDisabled"), 1));
        let one = argument("Get-CsOnlineUser | sort Name -Descending Ci");
        assert_eq!(
            (one.parameter.as_deref(), one.position, one.pipeline.as_slice()),
            (None, 1, ["Get-CsOnlineUser".to_owned()].as_slice())
        );
        let one = argument("Get-CsOnlineUser | select -Property Name, Ci");
        assert_eq!((one.parameter.as_deref(), one.word.text.as_str()), (Some("Property"), "Ci"));
        let one = argument("Get-Content 'my fi");
        assert_eq!(one.word, Word { text: "my fi".into(), quote: Some('\'') });
        assert_eq!(at_end("Get-CsTenant > out").what, What::File(Word { text: "out".into(), quote: None }));
        assert_eq!(at_end("./scr").what, What::File(Word { text: "./scr".into(), quote: None }));
    }

    #[test]
    fn variables_and_their_properties_are_found() {
        assert_eq!(at_end("Set-CsUser $us"), Completion { span: 12..14, what: What::Variable("us".into()) });
        assert_eq!(at_end("\"Hello $na").what, What::Variable("na".into()));
        assert_eq!(at_end("'Hello $na").what, What::Nothing);
        let member = |text: &str| match at_end(text).what {
            What::Member { of, prefix } => (of, prefix),
            other => panic!("{text}: {other:?}"),
        };
        assert_eq!(member("$x.Di"), (Of::Expression("$x".into()), "Di".into()));
        assert_eq!(member("$x.Inner."), (Of::Expression("$x.Inner".into()), String::new()));
        let users = Of::Pipeline(vec!["Get-CsOnlineUser".into()]);
        assert_eq!(member("Get-CsOnlineUser | ? { $_.Dis"), (users.clone(), "Dis".into()));
        assert_eq!(
            member("$u = Get-CsOnlineUser | ? { $_.a -eq 1 -and $_.Dis"),
            (users.clone(), "Dis".into())
        );
        assert_eq!(member("(Get-CsOnlineUser).Dis"), (users, "Dis".into()));
        let two = Of::Pipeline(vec!["Get-CsOnlineUser".into(), "sort Name".into()]);
        assert_eq!(member("(Get-CsOnlineUser | sort Name).Dis"), (two.clone(), "Dis".into()));
        assert_eq!(member("Get-CsOnlineUser | sort Name | % { $_."), (two, String::new()));
        let mut variables = Variables::default();
        variables
            .set("x", Value::custom_object([("Inner", Value::custom_object([("Deep", Value::I32(1))]))]));
        variables.set("t", Value::dictionary([("City".into(), "Oslo".into())]));
        assert_eq!(members_of("$x", &variables), ["Inner"]);
        assert_eq!(members_of("$x.Inner", &variables), ["Deep"]);
        assert_eq!(members_of("$t", &variables), ["City", "Count", "Keys", "Values"]);
        assert!(members_of("$x.none", &variables).is_empty());
    }

    #[test]
    fn properties_follow_the_pipeline() {
        let mut variables = Variables::default();
        variables.set(
            "users",
            Value::array([Value::custom_object([("Upn", "a")].map(|(k, v)| (k, Value::from(v))))]),
        );
        let of = |stages: &[&str]| {
            let stages: Vec<String> = stages.iter().map(|one| (*one).to_owned()).collect();
            properties(&stages, |name| vec![format!("of {name}"), "City".into()], &variables)
        };
        assert_eq!(of(&["Get-CsOnlineUser", "sort City", "where { $_.x }"]), ["of Get-CsOnlineUser", "City"]);
        assert_eq!(of(&["Get-CsOnlineUser", "select City, Name"]), ["City", "Name"]);
        assert_eq!(of(&["Get-CsOnlineUser", "select *"]), ["of Get-CsOnlineUser", "City"]);
        assert_eq!(of(&["Get-CsOnlineUser", "group City"]), ["Name", "Count", "Group"]);
        assert_eq!(of(&["$users"]), ["Upn"]);
        assert!(of(&["ls"]).contains(&"LastWriteTime".to_owned()));
        assert!(of(&["Get-Date"]).contains(&"DayOfWeek".to_owned()));
        assert!(of(&["ls", "% Name"]).is_empty());
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("users.csv");
        std::fs::write(&file, "Upn,City\na,b\n").unwrap();
        assert_eq!(of(&[&format!("Import-Csv '{}'", file.display())]), ["Upn", "City"]);
    }

    #[test]
    fn values_of_local_cmdlets_have_a_kind() {
        for (text, kind) in [
            ("Get-CsOnlineUser | where Ci", Some(Wanted::Property)),
            ("Get-CsOnlineUser | where City -eq x", Some(Wanted::Nothing)),
            ("1 | sort ", Some(Wanted::Property)),
            ("1 | select -Exp ", Some(Wanted::Property)),
            ("cd ", Some(Wanted::Folder)),
            ("cat ", Some(Wanted::File)),
            ("cat x -Encoding u", Some(Wanted::Words(ENCODINGS))),
            ("Write-Host x -ForegroundColor R", Some(Wanted::Colour)),
            ("Set-CsUser x -ErrorAction ", Some(Wanted::Words(ACTIONS))),
            ("help sy", Some(Wanted::Help)),
            ("Set-CsUser x", None),
        ] {
            assert_eq!(wanted(&argument(text)), kind, "{text}");
        }
        assert_eq!(quoted("a b", None), "'a b'");
        assert_eq!(quoted("a'b", Some('\'')), "'a''b'");
        assert_eq!(quoted("dir/a.txt", None), "dir/a.txt");
        assert_eq!(quoted("a b", Some('"')), "\"a b\"");
    }
}
