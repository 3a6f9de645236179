//! Kinds of command arguments, parameters of local cmdlets, and quoting of candidates.

use super::Argument;
use crate::line::parse::is_double_quote;
use crate::line::stage::{self, ParameterKind};
use crate::quote;

/// Kind of an argument.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ArgumentKind {
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

/// Returns the kind of an argument by its command and parameter; `None` if only the endpoint knows the values.
pub fn argument_kind(argument: &Argument) -> Option<ArgumentKind> {
    let begins = |name: &str, typed: &str| {
        name.get(..typed.len()).is_some_and(|start| !typed.is_empty() && start.eq_ignore_ascii_case(typed))
    };
    let typed = argument.parameter.as_deref();
    if let Some(typed) = typed {
        let is = |names: &[&str]| names.iter().any(|name| name.eq_ignore_ascii_case(typed));
        if is(&["ErrorAction", "ea", "WarningAction", "wa", "InformationAction", "infa"]) {
            return Some(ArgumentKind::Words(ACTIONS));
        }
        if is(&["OutVariable", "ov", "ErrorVariable", "ev", "WarningVariable", "wv"]) {
            return Some(ArgumentKind::Variable);
        }
    }
    if ["help", "man", "Get-Help"].iter().any(|name| name.eq_ignore_ascii_case(&argument.command)) {
        return Some(ArgumentKind::Help);
    }
    if ["Get-Command", "gcm"].iter().any(|name| name.eq_ignore_ascii_case(&argument.command)) {
        return Some(ArgumentKind::Command);
    }
    let name = stage::local_name(&argument.command)?;
    let Some(parameters) = stage::parameters(name) else {
        // Where-Object: the property comes first.
        return Some(if argument.position == 0 && typed.is_none() {
            ArgumentKind::Property
        } else {
            ArgumentKind::Nothing
        });
    };
    let parameter = if let Some(typed) = typed {
        parameters.iter().find(|(name, _)| begins(name, typed))
    } else {
        let is_positional =
            |takes: ParameterKind| matches!(takes, ParameterKind::Positional | ParameterKind::Remaining);
        let mut positional = parameters.iter().filter(|(_, takes)| is_positional(*takes));
        let rest = || parameters.iter().find(|(_, takes)| *takes == ParameterKind::Remaining);
        positional.nth(argument.position).or_else(rest)
    };
    Some(match parameter.map(|(name, _)| *name) {
        Some(
            "Property" | "ExpandProperty" | "ExcludeProperty" | "GroupBy" | "MemberName" | "QuoteFields",
        ) => ArgumentKind::Property,
        Some("Path" | "LiteralPath") if name == "Set-Location" => ArgumentKind::Folder,
        Some("OutputDirectory") => ArgumentKind::Folder,
        Some("Path" | "LiteralPath" | "FilePath") => ArgumentKind::File,
        Some("Encoding") => ArgumentKind::Words(stage::ENCODING_NAMES),
        Some("ForegroundColor" | "BackgroundColor") => ArgumentKind::Colour,
        Some("UseQuotes") => ArgumentKind::Words(&["Always", "AsNeeded", "Never"]),
        Some("DisplayHint") => ArgumentKind::Words(&["Date", "DateTime", "Time"]),
        Some("MemberType") => ArgumentKind::Words(&["NoteProperty", "Property"]),
        Some("Format") if name == "Get-Date" => {
            ArgumentKind::Words(&["FileDate", "FileDateTime", "FileDateTimeUniversal", "FileDateUniversal"])
        }
        Some("Variable") => ArgumentKind::Variable,
        Some("Object" | "InputObject" | "Value" | "Pattern") => ArgumentKind::File,
        _ => ArgumentKind::Nothing,
    })
}

/// Returns the parameters of a local cmdlet, followed by the common parameters.
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
        Some('"') if !text.contains(|letter| is_double_quote(letter) || matches!(letter, '$' | '`')) => {
            format!("\"{text}\"")
        }
        _ => quote::powershell::quote(text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::line::complete::{CompletionKind, complete};
    use crate::line::syntax::{Arg, Element, Expr};

    fn argument(text: &str) -> Argument {
        match complete(text, text.len()).kind {
            CompletionKind::Argument(argument) => argument,
            other => panic!("{text}: {other:?}"),
        }
    }

    #[test]
    fn values_of_local_cmdlets_have_a_kind() {
        for (text, kind) in [
            ("Get-CsOnlineUser | where Ci", Some(ArgumentKind::Property)),
            ("Get-CsOnlineUser | where City -eq x", Some(ArgumentKind::Nothing)),
            ("1 | sort ", Some(ArgumentKind::Property)),
            ("1 | select -Exp ", Some(ArgumentKind::Property)),
            ("cd ", Some(ArgumentKind::Folder)),
            ("cat ", Some(ArgumentKind::File)),
            ("cat x -Encoding u", Some(ArgumentKind::Words(stage::ENCODING_NAMES))),
            ("Write-Host x -ForegroundColor R", Some(ArgumentKind::Colour)),
            ("Set-CsUser x -ErrorAction ", Some(ArgumentKind::Words(ACTIONS))),
            ("help sy", Some(ArgumentKind::Help)),
            ("Set-CsUser x", None),
        ] {
            assert_eq!(argument_kind(&argument(text)), kind, "{text}");
        }
        assert_eq!(quoted("a b", None), "'a b'");
        assert_eq!(quoted("a'b", Some('\'')), "'a''b'");
        assert_eq!(quoted("dir/a.txt", None), "dir/a.txt");
        assert_eq!(quoted("a b", Some('"')), "\"a b\"");
        for (text, quote, word) in [
            ("O’Brien.csv", None, "'O’’Brien.csv'"),
            ("O’Brien.csv", Some('"'), "\"O’Brien.csv\""),
            ("a “b”", Some('"'), "'a “b”'"),
            ("a $b", Some('"'), "'a $b'"),
        ] {
            assert_eq!(quoted(text, quote), word, "{text}");
            let parsed = crate::line::parse(&format!("Get-Content {word}")).expect(word);
            let [Element::Command(command)] = parsed[0].pipeline.as_slice() else { panic!("{word}") };
            assert_eq!(command.arguments, [Arg::Value(Expr::text(text))], "{word}");
        }
    }
}
