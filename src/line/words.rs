//! Pipelines from separate words, such as a program's arguments: each word is one value.

use super::syntax::{Arg, CommandLine, Element, Expr, Statement};
use crate::psrp::clixml::Value;

/// The words of a pipeline, and their text as one line for messages.
pub struct Pipeline {
    pub statement: Statement,
    pub text: String,
}

/// Error of building a pipeline from words.
#[derive(Debug, thiserror::Error)]
pub enum WordsError {
    /// `|` is the first or last word, or follows another `|`.
    #[error("An empty pipe element is not allowed.")]
    EmptyCommand,
    /// A local command would get the names of several properties as one text.
    #[error("Each argument is one value, but '{0}' looks like a list: pass the whole line as one argument.")]
    List(String),
}

/// Builds a pipeline from words. `|` separates commands, and the first word of a command is its name. A word
/// that begins with a dash and a letter is a parameter; `-Name:$true` and `-Name:$false` are Booleans, as with
/// `pwsh -File`. All other words are text.
pub fn pipeline(words: &[String]) -> Result<Pipeline, WordsError> {
    let mut text = String::new();
    let mut commands: Vec<CommandLine> = Vec::new();
    let mut begins = true;
    for word in words {
        if !text.is_empty() {
            text.push(' ');
        }
        let at = text.len();
        text.push_str(word);
        if word == "|" {
            if begins {
                return Err(WordsError::EmptyCommand);
            }
            begins = true;
            continue;
        }
        match commands.last_mut().filter(|_| !begins) {
            None => {
                let (name, arguments, places) = (word.clone(), Vec::new(), Vec::new());
                commands.push(CommandLine { name, arguments, at, places, is_dotted: false });
            }
            Some(command) => {
                if super::stage::is_local(&command.name) && is_list(word) {
                    return Err(WordsError::List(word.clone()));
                }
                command.arguments.push(argument(word));
                command.places.push(at);
            }
        }
        begins = false;
    }
    if begins {
        return Err(WordsError::EmptyCommand);
    }
    let pipeline = commands.into_iter().map(Element::Command).collect();
    Ok(Pipeline { statement: Statement { assign: None, pipeline, redirections: Vec::new(), at: 0 }, text })
}

/// Puts values before the commands of a statement. Returns `None` if the statement already begins with a value.
pub fn with_input(mut statement: Statement, values: Vec<Value>) -> Option<Statement> {
    if !matches!(statement.pipeline.first(), Some(Element::Command(_))) {
        return None;
    }
    statement.pipeline.insert(0, Element::Expression(Expr::Literal(Value::array(values))));
    Some(statement)
}

fn argument(word: &str) -> Arg {
    let text = |text: &str| Expr::Literal(Value::from(text));
    match parameter(word) {
        None => Arg::Value(text(word)),
        Some((name, value)) => Arg::Parameter {
            name: name.to_owned(),
            value: value
                .map(|value| boolean(value).map_or_else(|| text(value), |one| Expr::Literal(one.into()))),
        },
    }
}

/// Returns the name of a word that is a parameter, and the value after its colon.
pub fn parameter(word: &str) -> Option<(&str, Option<&str>)> {
    let rest = word.strip_prefix('-').filter(|rest| rest.starts_with(char::is_alphabetic))?;
    let (name, value) = rest.split_once(':').map_or((rest, None), |(name, value)| (name, Some(value)));
    // PowerShell would run other characters as code.
    let is_name = name.chars().all(|one| one.is_alphanumeric() || one == '_');
    is_name.then_some((name, value.filter(|value| !value.is_empty())))
}

/// Returns the Boolean that a parameter's value stands for.
pub fn boolean(value: &str) -> Option<bool> {
    match value.to_ascii_lowercase().as_str() {
        "$true" | "true" => Some(true),
        "$false" | "false" => Some(false),
        _ => None,
    }
}

/// Returns whether a word looks like a list of names (`Name,LineUri`). Here, the word would be one text; only a parsed
/// line has lists.
fn is_list(word: &str) -> bool {
    let is_name =
        |part: &str| !part.is_empty() && part.chars().all(|one| one.is_alphanumeric() || one == '_');
    word.contains(',') && word.split(',').all(is_name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &[&str]) -> Result<Pipeline, WordsError> {
        pipeline(&text.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>())
    }

    #[test]
    fn each_word_is_one_value() {
        let read = words(&[
            "Set-CsUser",
            "-Identity",
            "Ann O'Neil; $x",
            "-LineUri",
            "tel:+1;ext=2",
            "-Confirm:$false",
            "-5",
            "-a; b",
            "|",
            "Select-Object",
            "A B",
        ])
        .unwrap();
        assert_eq!(
            read.text,
            "Set-CsUser -Identity Ann O'Neil; $x -LineUri tel:+1;ext=2 -Confirm:$false -5 -a; b | Select-Object A B"
        );
        let [Element::Command(set), Element::Command(select)] = read.statement.pipeline.as_slice() else {
            panic!("two commands");
        };
        let named = |name: &str| Arg::Parameter { name: name.to_owned(), value: None };
        let text = |text: &str| Arg::Value(Expr::Literal(Value::from(text)));
        assert_eq!(
            set.arguments,
            [
                named("Identity"),
                text("Ann O'Neil; $x"),
                named("LineUri"),
                text("tel:+1;ext=2"),
                Arg::Parameter { name: "Confirm".into(), value: Some(Expr::Literal(Value::Bool(false))) },
                text("-5"),
                text("-a; b"),
            ]
        );
        assert_eq!(
            (select.name.as_str(), select.arguments.as_slice()),
            ("Select-Object", &[text("A B")][..])
        );
        assert_eq!(&read.text[set.places[1]..][..14], "Ann O'Neil; $x");
    }

    #[test]
    fn an_empty_command_and_a_list_are_refused() {
        for empty in [&["|", "Get-A"][..], &["Get-A", "|"], &["Get-A", "|", "|", "Get-B"], &[]] {
            assert!(words(empty).is_err(), "{empty:?}");
        }
        let refused = words(&["Get-A", "|", "select", "Name,LineUri"]).err().unwrap().to_string();
        assert!(refused.contains("'Name,LineUri' looks like a list"), "{refused}");
        assert!(words(&["Get-A", "CN=a,OU=b", "x,y"]).is_ok());
    }
}
