//! Arguments of a launched PowerShell: the user's own (`lyncsh work -- …`), and the connect script that runs
//! before them.

use std::path::Path;

use base64::Engine as _;

use super::find::Edition;
use crate::folders::Folders;
use crate::quote::powershell::quote;
use crate::shell::module::{self, ModuleCommand, ModuleError};

/// The user's arguments, split as PowerShell does (`CommandLineParameterParser.cs`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Arguments {
    /// Options before the command or script.
    options: Vec<String>,
    run: Run,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Run {
    /// No command; the user gets the prompt.
    Prompt,
    /// `-Command`, `-EncodedCommand`.
    Text(String),
    /// `-CommandWithArgs`: the text and its `$args`.
    TextWith(String, Vec<String>),
    /// `-File`: a script and its arguments.
    Script(String, Vec<String>),
}

/// Arguments that cannot be combined with a session.
#[derive(Debug, thiserror::Error, miette::Diagnostic)]
pub enum ArgumentError {
    /// `-Command -` or `-File -`: PowerShell would read standard input instead of the connect script.
    #[error("cannot use {option} -: commands on standard input cannot follow the connect script")]
    #[diagnostic(help("pass the commands (-Command TEXT) or a script (-File PATH)"))]
    Input { option: String },
    /// The first word without a dash is a script's path (about_Pwsh), and no such file exists.
    #[error("cannot find the script {path}")]
    #[diagnostic(help("pass commands with -Command"))]
    Missing { path: String },
    /// A script is named before `--`, and a command or another script after it.
    #[error("cannot run both {path} and the command after `--`")]
    #[diagnostic(help("pass only one of them"))]
    Two { path: String },
    /// The option is the last word, and PowerShell requires a value for it.
    #[error("{option} needs a value")]
    Value { option: String },
    /// The user passed plain or UTF-8 text to `-EncodedCommand` (about_Pwsh).
    #[error("the value of {option} is not Base64 of UTF-16 text")]
    Encoding { option: String },
}

/// Options with a value: name, shortest abbreviation, alias.
const VALUES: [(&str, &str, &str); 9] = [
    ("configurationfile", "configurationfile", ""),
    ("configurationname", "config", ""),
    ("custompipename", "cus", ""),
    ("executionpolicy", "ex", "ep"),
    ("inputformat", "inp", "if"),
    ("outputformat", "o", "of"),
    ("settingsfile", "settings", ""),
    ("windowstyle", "w", ""),
    ("workingdirectory", "wo", "wd"),
];
/// Options with a value in Windows PowerShell only.
const VALUES_OF_5: [(&str, &str, &str); 2] = [("version", "v", ""), ("psconsolefile", "psc", "")];

/// Returns whether a word is an option: its name, an abbreviation of at least `enough`, or its alias `other`.
fn is((name, enough, other): (&str, &str, &str), word: &str) -> bool {
    (name.starts_with(word) && word.starts_with(enough)) || (!other.is_empty() && word == other)
}

/// Returns an option's name in lower case: `-NoProfile`, `--noprofile`, on Windows `/noprofile`.
fn option(word: &str) -> Option<String> {
    let rest = word.strip_prefix("--").or_else(|| word.strip_prefix('-'));
    let rest = rest.or_else(|| word.strip_prefix('/').filter(|_| cfg!(windows)))?;
    Some(rest.to_lowercase())
}

impl Arguments {
    pub fn parse(words: &[String], edition: Edition) -> Result<Self, ArgumentError> {
        let mut options = Vec::new();
        let mut rest = words.iter();
        while let Some(word) = rest.next() {
            let left = rest.as_slice();
            let Some(name) = option(word) else {
                let all: Vec<String> = std::iter::once(word).chain(left).cloned().collect();
                // The first word that is not an option is a script for pwsh (about_Pwsh), and a command for Windows
                // PowerShell (about_PowerShell_exe).
                let run = match edition {
                    Edition::Core => script(word, left)?,
                    Edition::Windows => Run::Text(all.join(" ")),
                };
                return Ok(Self { options, run });
            };
            let needs = || ArgumentError::Value { option: word.clone() };
            let run = if is(("commandwithargs", "commandwithargs", "cwa"), &name) {
                let (text, arguments) = left.split_first().ok_or_else(needs)?;
                Run::TextWith(text.clone(), arguments.to_vec())
            } else if is(("command", "c", ""), &name) {
                match left {
                    [] => return Err(needs()),
                    [one] if one == "-" => return Err(ArgumentError::Input { option: word.clone() }),
                    all => Run::Text(all.join(" ")),
                }
            } else if is(("file", "f", ""), &name) {
                let (path, arguments) = left.split_first().ok_or_else(needs)?;
                script(path, arguments)?
            } else if is(("encodedcommand", "e", "ec"), &name) {
                let text = left.first().ok_or_else(needs)?;
                let text = decode(text).ok_or_else(|| ArgumentError::Encoding { option: word.clone() })?;
                options.extend(left.iter().skip(1).cloned());
                Run::Text(text)
            } else {
                options.push(word.clone());
                let known = VALUES.iter().chain(VALUES_OF_5.iter().filter(|_| edition == Edition::Windows));
                if known.copied().any(|known| is(known, &name)) {
                    options.push(rest.next().ok_or_else(needs)?.clone());
                }
                continue;
            };
            return Ok(Self { options, run });
        }
        Ok(Self { options, run: Run::Prompt })
    }

    /// Returns whether there is neither a command nor a script, so that PowerShell runs its standard input. `false`
    /// with `-NoExit`, which keeps a prompt for programs that control PowerShell through a pipe.
    pub fn is_prompt(&self) -> bool {
        self.run == Run::Prompt && !self.stays()
    }

    fn stays(&self) -> bool {
        let no_exit = |word: &String| option(word).is_some_and(|name| is(("noexit", "noe", ""), &name));
        self.options.iter().any(no_exit)
    }

    /// Adds a script to run and its arguments, if any.
    pub fn then_script(self, words: &[String]) -> Result<Self, ArgumentError> {
        let Some((path, arguments)) = words.split_first() else { return Ok(self) };
        if self.run != Run::Prompt {
            return Err(ArgumentError::Two { path: path.clone() });
        }
        Ok(Self { run: script(path, arguments)?, ..self })
    }

    /// Returns PowerShell's arguments. `connect` is the connect script, which exits PowerShell if it fails.
    pub fn with(self, folders: &Folders, connect: &Path) -> Result<Vec<String>, ModuleError> {
        self.on(cfg!(windows), folders, connect)
    }

    fn on(self, windows: bool, folders: &Folders, connect: &Path) -> Result<Vec<String>, ModuleError> {
        let stays = self.stays();
        // The user's options come first: -Login works only as the first argument (IsLogin, Program.cs).
        let mut words = self.options;
        words.push("-NoLogo".to_owned());
        let text = |command| module::command_text(folders, connect, command, windows);
        match self.run {
            Run::Prompt if windows => {
                words.extend(["-NoExit".to_owned(), "-Command".to_owned(), text(ModuleCommand::Prompt)?]);
            }
            Run::Prompt => {
                words.extend(["-NoExit".to_owned(), "-File".to_owned(), connect.display().to_string()]);
            }
            Run::Text(run) => words.extend(["-Command".to_owned(), text(ModuleCommand::Text(&run))?]),
            Run::TextWith(run, arguments) => {
                words.extend(["-CommandWithArgs".to_owned(), text(ModuleCommand::Text(&run))?]);
                words.extend(arguments);
            }
            Run::Script(script, arguments) => {
                let arguments: Vec<String> = arguments.iter().map(|word| argument(word)).collect();
                let (path, arguments) = (script.as_str(), arguments.join(" "));
                let run = text(ModuleCommand::Script { path, arguments: &arguments, stays })?;
                words.extend(["-Command".to_owned(), run]);
            }
        }
        Ok(words)
    }
}

fn script(path: &str, arguments: &[String]) -> Result<Run, ArgumentError> {
    match path {
        "-" => Err(ArgumentError::Input { option: "-File".to_owned() }),
        path => match std::path::absolute(path) {
            Ok(whole) if whole.is_file() => {
                // By name alone, `&` would not find it in the current folder (about_Command_Precedence).
                let whole = whole.to_str().unwrap_or(path).to_owned();
                Ok(Run::Script(whole, arguments.to_vec()))
            }
            _ => Err(ArgumentError::Missing { path: path.to_owned() }),
        },
    }
}

fn decode(text: &str) -> Option<String> {
    let bytes = base64::engine::general_purpose::STANDARD.decode(text).ok()?;
    let (pairs, []) = bytes.as_chunks::<2>() else { return None };
    let units: Vec<u16> = pairs.iter().map(|pair| u16::from_le_bytes(*pair)).collect();
    String::from_utf16(&units).ok()
}

/// Quotes a script argument; `-Name value` remains a parameter.
fn argument(word: &str) -> String {
    let (name, value) = match word.split_once(':') {
        Some((name, value)) => (name, Some(value)),
        None => (word, None),
    };
    let mut letters = name.strip_prefix('-').unwrap_or_default().chars();
    let is_name = letters.next().is_some_and(|first| first.is_ascii_alphabetic())
        && letters.all(|one| one.is_ascii_alphanumeric() || one == '_');
    match value {
        _ if !is_name => quote(word),
        None => name.to_owned(),
        Some(value) if ["$true", "$false"].contains(&value.to_lowercase().as_str()) => word.to_owned(),
        Some(value) => format!("{name}:{}", quote(value)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn given(words: &[&str]) -> Vec<String> {
        given_on(false, words)
    }

    fn given_on(windows: bool, words: &[&str]) -> Vec<String> {
        let words: Vec<String> = words.iter().map(ToString::to_string).collect();
        let (_temp, folders) = Folders::temporary();
        let arguments = Arguments::parse(&words, Edition::Core).unwrap();
        arguments.on(windows, &folders, Path::new("/c/o'n.ps1")).unwrap()
    }

    const FIRST: &str =
        ". '/c/o''n.ps1'\nif (-not (Microsoft.PowerShell.Core\\Get-Module -Name 'lyncsh-*')) { exit 1 }\n";

    #[test]
    fn user_options_precede_the_connect_script() {
        assert_eq!(given(&[]), ["-NoLogo", "-NoExit", "-File", "/c/o'n.ps1"]);
        assert_eq!(
            given(&["-Login", "-NoProfile", "-wd", "/tmp", "-Interactive"]),
            [
                "-Login",
                "-NoProfile",
                "-wd",
                "/tmp",
                "-Interactive",
                "-NoLogo",
                "-NoExit",
                "-File",
                "/c/o'n.ps1"
            ]
        );
    }

    #[test]
    fn windows_sets_the_execution_policy_for_the_connect_script() {
        let words = given_on(true, &["-NoProfile"]);
        assert_eq!(words[..4], ["-NoProfile", "-NoLogo", "-NoExit", "-Command"]);
        assert!(
            words[4].contains("Set-ExecutionPolicy -ExecutionPolicy RemoteSigned -Scope Process"),
            "{words:?}"
        );
        assert!(words[4].contains(". '/c/o''n.ps1'"), "{words:?}");
    }

    #[test]
    fn a_command_runs_after_the_connect_script() {
        let ends = ["-Command", &format!("{FIRST}Get-CsTenant | fl Name")];
        assert_eq!(given(&["-nop", "-c", "Get-CsTenant", "| fl", "Name"])[2..], ends);
        let encoded = base64::engine::general_purpose::STANDARD
            .encode("Get-CsTenant | fl Name".encode_utf16().flat_map(u16::to_le_bytes).collect::<Vec<_>>());
        assert_eq!(given(&["-EncodedCommand", &encoded])[1..], ends);
        assert_eq!(
            given(&["-CommandWithArgs", "$args", "a b", "-c"])[1..],
            ["-CommandWithArgs", &format!("{FIRST}$args"), "a b", "-c"]
        );
    }

    #[test]
    fn a_script_keeps_its_arguments_and_its_exit_code() {
        let here = std::path::absolute("Cargo.toml").unwrap();
        let script = quote(here.to_str().unwrap());
        let text = &format!(
            "{FIRST}$global:LASTEXITCODE = 0\n\
             & {script} -User 'a b' -Force -Size:'3' -Quiet:$false 'it''s' '-1'\n\
             if ($?) {{ exit 0 }} elseif ($LASTEXITCODE) {{ exit $LASTEXITCODE }} else {{ exit 1 }}"
        );
        let words = ["Cargo.toml", "-User", "a b", "-Force", "-Size:3", "-Quiet:$false", "it's", "-1"];
        assert_eq!(given(&words)[1..], ["-Command", text]);
        assert_eq!(given(&[&["-File"], words.as_slice()].concat())[1..], ["-Command", text]);
    }

    #[test]
    fn a_script_with_noexit_is_dot_sourced() {
        let here = quote(std::path::absolute("Cargo.toml").unwrap().to_str().unwrap());
        let words = given(&["-NoExit", "-File", "Cargo.toml", "-User", "a b"]);
        assert_eq!(words, ["-NoExit", "-NoLogo", "-Command", &format!("{FIRST}. {here} -User 'a b'")]);
    }

    #[test]
    fn commands_on_standard_input_are_refused() {
        for words in [["-Command", "-"], ["-File", "-"]] {
            let words = words.map(str::to_owned);
            let error = Arguments::parse(&words, Edition::Core).unwrap_err();
            assert!(error.to_string().contains("standard input"), "{error}");
        }
        assert!(Arguments::parse(&["-Command".to_owned()], Edition::Core).is_err());
        let missing = Arguments::parse(&["Get-CsTenant".to_owned()], Edition::Core).unwrap_err();
        assert_eq!(missing.to_string(), "cannot find the script Get-CsTenant");
        assert!(Arguments::parse(&["-e".to_owned(), "?".to_owned()], Edition::Core).is_err());
    }
}
