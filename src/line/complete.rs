//! Completion of the word at the cursor: analysis of the text before it.

mod properties;
mod values;

use std::ops::Range;

pub use properties::{members_of, members_of_value, properties};
pub use values::{ArgumentKind, argument_kind, parameters, quoted};

use super::stage::{self, ParameterKind};

/// A span of a line and the kind of its candidates.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Completion {
    /// Byte range that a candidate replaces.
    pub span: Range<usize>,
    pub kind: CompletionKind,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CompletionKind {
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
        source: MemberSource,
        prefix: String,
    },
    /// A file, such as the target of a redirection.
    File(TypedWord),
    Nothing,
}

/// The argument at the cursor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Argument {
    pub command: String,
    /// The parameter that takes the argument.
    pub parameter: Option<String>,
    /// Number of positional values before the argument.
    pub position: usize,
    pub word: TypedWord,
    /// The commands before this command in the pipeline.
    pub pipeline: Vec<String>,
}

/// A typed word, without its opening quote.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TypedWord {
    pub text: String,
    pub quote: Option<char>,
}

/// The object of a property.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MemberSource {
    /// An expression of variables, such as `$x.Inner`.
    Expression(String),
    /// The output of a pipeline: the objects of `$_`, or of a pipeline in parentheses.
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

    /// Returns whether an `=` at this offset assigns a variable: the text of the stage before it is `$name`.
    fn is_assignment(&self, at: usize) -> bool {
        let from = self.stages().last().copied().unwrap_or(0);
        let name = self.text.get(from..at).unwrap_or_default().trim();
        name.strip_prefix('$').is_some_and(|name| !name.is_empty() && name.chars().all(is_name))
    }

    /// Returns the texts of a frame's stages, without the stage at the cursor.
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

/// Analyses the text before the cursor. `cursor`: byte offset.
pub fn complete(text: &str, cursor: usize) -> Completion {
    let before = text.get(..cursor).unwrap_or(text);
    let scan = Scan::new(before);
    let word = before.get(scan.word..).unwrap_or_default();
    let end = before.len();
    let done = |length: usize, kind: CompletionKind| Completion { span: end - length..end, kind };
    if scan.in_comment {
        return done(0, CompletionKind::Nothing);
    }
    // A variable, also within a string in double quotes.
    let expands = scan.quote.is_none_or(|quote| quote == '"');
    if let Some(at) = word.rfind('$').filter(|_| expands) {
        let name = &word[at + 1..];
        if name.chars().all(is_name) {
            return done(name.len(), CompletionKind::Variable(name.to_owned()));
        }
        let is_path = |letter: char| is_name(letter) || matches!(letter, '.' | '[' | ']' | '-');
        // In a string, `.Name` is text.
        if scan.quote.is_none()
            && name.chars().all(is_path)
            && let Some((of, prefix)) = name.rsplit_once('.')
        {
            let source = match of {
                "_" | "PSItem" => MemberSource::Pipeline(scan.of_this()),
                of => MemberSource::Expression(format!("${of}")),
            };
            return done(prefix.len(), CompletionKind::Member { source, prefix: prefix.to_owned() });
        }
    }
    if let Some(prefix) = word.strip_prefix('.')
        && let Some((from, to)) = scan.parentheses
        && to + 1 == scan.word
        && prefix.chars().all(is_name)
    {
        let source = MemberSource::Pipeline(stages(before.get(from..to).unwrap_or_default()));
        return done(prefix.len(), CompletionKind::Member { source, prefix: prefix.to_owned() });
    }
    let typed = match (word.chars().next(), scan.quote) {
        (Some(quote @ ('\'' | '"')), Some(_)) => TypedWord { text: word[1..].to_owned(), quote: Some(quote) },
        (_, None) => TypedWord { text: word.to_owned(), quote: None },
        (_, Some(_)) => return done(0, CompletionKind::Nothing),
    };
    let stage_at = scan.stages().last().copied().unwrap_or(0);
    let stage = before.get(stage_at..scan.word).unwrap_or_default();
    if before[..scan.word].ends_with('>') || stage.trim_end().ends_with('>') {
        return done(word.len(), CompletionKind::File(typed));
    }
    let words = words(stage);
    let words: Vec<&str> =
        words.iter().map(String::as_str).filter(|word| !matches!(*word, "&" | ".")).collect();
    let Some((command, rest)) = words.split_first() else {
        if typed.text.contains(['/', '\\']) {
            return done(word.len(), CompletionKind::File(typed));
        }
        let is_command = typed.quote.is_none() && !word.starts_with(['$', '-']);
        return done(
            word.len(),
            if is_command { CompletionKind::Command(word.to_owned()) } else { CompletionKind::Nothing },
        );
    };
    // The stage is an expression.
    if command.starts_with(['$', '\'', '"', '(', '@', '[', '{'])
        || command.starts_with(|one: char| one.is_ascii_digit())
    {
        return done(word.len(), CompletionKind::Nothing);
    }
    if typed.quote.is_none()
        && let Some(prefix) = word.strip_prefix('-')
    {
        let kind = CompletionKind::Parameter { command: (*command).to_owned(), prefix: prefix.to_owned() };
        return done(word.len(), kind);
    }
    let frame = scan.frames.last();
    let (parameter, position) = placed(command, rest);
    done(
        word.len(),
        CompletionKind::Argument(Argument {
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
            named.is_some_and(|(_, takes)| *takes == ParameterKind::Switch)
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

#[cfg(test)]
mod tests {
    use super::*;

    fn at_end(text: &str) -> Completion {
        complete(text, text.len())
    }

    fn argument(text: &str) -> Argument {
        match at_end(text).kind {
            CompletionKind::Argument(argument) => argument,
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
            assert_eq!(at_end(text).kind, CompletionKind::Command(prefix.into()), "{text}");
        }
        let parameter = CompletionKind::Parameter { command: "Set-CsUser".into(), prefix: "Ent".into() };
        assert_eq!(at_end("Set-CsUser kenmyer -Ent"), Completion { span: 19..23, kind: parameter });
        assert_eq!(at_end("$x -eq").kind, CompletionKind::Nothing);
        assert_eq!(at_end("Get-CsTenant # -Na").kind, CompletionKind::Nothing);
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
        assert_eq!(one.word, TypedWord { text: "my fi".into(), quote: Some('\'') });
        assert_eq!(
            at_end("Get-CsTenant > out").kind,
            CompletionKind::File(TypedWord { text: "out".into(), quote: None })
        );
        assert_eq!(
            at_end("./scr").kind,
            CompletionKind::File(TypedWord { text: "./scr".into(), quote: None })
        );
    }

    #[test]
    fn variables_and_their_properties_are_found() {
        assert_eq!(
            at_end("Set-CsUser $us"),
            Completion { span: 12..14, kind: CompletionKind::Variable("us".into()) }
        );
        assert_eq!(at_end("\"Hello $na").kind, CompletionKind::Variable("na".into()));
        assert_eq!(at_end("'Hello $na").kind, CompletionKind::Nothing);
        let member = |text: &str| match at_end(text).kind {
            CompletionKind::Member { source, prefix } => (source, prefix),
            other => panic!("{text}: {other:?}"),
        };
        assert_eq!(member("$x.Di"), (MemberSource::Expression("$x".into()), "Di".into()));
        assert_eq!(member("$x.Inner."), (MemberSource::Expression("$x.Inner".into()), String::new()));
        let users = MemberSource::Pipeline(vec!["Get-CsOnlineUser".into()]);
        assert_eq!(member("Get-CsOnlineUser | ? { $_.Dis"), (users.clone(), "Dis".into()));
        assert_eq!(
            member("$u = Get-CsOnlineUser | ? { $_.a -eq 1 -and $_.Dis"),
            (users.clone(), "Dis".into())
        );
        assert_eq!(member("(Get-CsOnlineUser).Dis"), (users, "Dis".into()));
        let two = MemberSource::Pipeline(vec!["Get-CsOnlineUser".into(), "sort Name".into()]);
        assert_eq!(member("(Get-CsOnlineUser | sort Name).Dis"), (two.clone(), "Dis".into()));
        assert_eq!(member("Get-CsOnlineUser | sort Name | % { $_."), (two, String::new()));
    }
}
