//! Completion in bash and zsh, whose scripts pass the words of the command line as they were typed: with backslashes
//! and quotes. bash inserts the answer as it is.

use std::ffi::{OsStr, OsString};
use std::io::{Error, Write};
use std::path::Path;

use clap_complete::engine;
use clap_complete::env::{Bash, EnvCompleter, Zsh};

use crate::quote::desktop::{posix_word, without_quotes};

/// Variable that the scripts of this version set: in bash to the first character of the current word, in zsh to an
/// empty text.
const QUOTE: &str = "LYNCSH_COMPLETE_QUOTE";
/// Variables of the scripts: the separator of the answers, and the position of the word to complete.
const SEPARATOR: &str = "_CLAP_IFS";
const INDEX: &str = "_CLAP_COMPLETE_INDEX";

/// Returns the words of the command line without their quotes; scripts of earlier versions pass words without quotes.
pub fn plain(words: impl Iterator<Item = OsString>) -> Vec<OsString> {
    let Some(quote) = std::env::var_os(QUOTE) else { return words.collect() };
    let index = index();
    let plain = |(at, word): (usize, OsString)| {
        // bash passes the current word without its opening quote.
        if Some(at) == index && is_quote(&quote) {
            return word;
        }
        word.to_str().map_or_else(|| word.clone(), |word| without_quotes(word).into())
    };
    words.enumerate().map(plain).collect()
}

/// Returns the position of the word to complete, if the shell passes it.
pub fn index() -> Option<usize> {
    std::env::var(INDEX).ok().and_then(|index| index.parse().ok())
}

fn is_quote(text: &OsStr) -> bool {
    text == "'" || text == "\""
}

/// Completion in bash.
pub struct QuotedBash;

impl EnvCompleter for QuotedBash {
    fn name(&self) -> &'static str {
        Bash.name()
    }

    fn is(&self, name: &str) -> bool {
        Bash.is(name)
    }

    fn write_registration(
        &self,
        _variable: &str,
        _name: &str,
        _program: &str,
        _completer: &str,
        to: &mut dyn Write,
    ) -> Result<(), Error> {
        to.write_all(include_bytes!("../../../templates/completions/lyncsh.bash"))
    }

    fn write_complete(
        &self,
        command: &mut clap::Command,
        words: Vec<OsString>,
        folder: Option<&Path>,
        to: &mut dyn Write,
    ) -> Result<(), Error> {
        let Some(quote) = std::env::var_os(QUOTE) else {
            return Bash.write_complete(command, words, folder, to);
        };
        let separator = std::env::var(SEPARATOR).unwrap_or_else(|_| "\n".to_owned());
        let found = engine::complete(command, plain(words.into_iter()), index().unwrap_or_default(), folder)?;
        let found = found.iter().map(|candidate| {
            let value = candidate.get_value().to_string_lossy();
            if is_quote(&quote) { value.into_owned() } else { posix_word(&value) }
        });
        to.write_all(found.collect::<Vec<_>>().join(&separator).as_bytes())
    }
}

/// Completion in zsh, which quotes the answers itself.
pub struct QuotedZsh;

impl EnvCompleter for QuotedZsh {
    fn name(&self) -> &'static str {
        Zsh.name()
    }

    fn is(&self, name: &str) -> bool {
        Zsh.is(name)
    }

    fn write_registration(
        &self,
        variable: &str,
        name: &str,
        program: &str,
        completer: &str,
        to: &mut dyn Write,
    ) -> Result<(), Error> {
        let marked = format!("{QUOTE}= {variable}");
        let mut script = Vec::new();
        Zsh.write_registration(&marked, name, program, completer, &mut script)?;
        // zsh filters the words by case, and names of commands have none.
        let any_case = "-M 'm:{[:lower:][:upper:]}={[:upper:][:lower:]}'";
        let mut script = String::from_utf8_lossy(&script).into_owned();
        for list in ["dirs", "other"] {
            let shown = format!("_describe -V 'values' {list}");
            script = script.replace(&shown, &format!("{shown} {any_case}"));
        }
        to.write_all(script.as_bytes())
    }

    fn write_complete(
        &self,
        command: &mut clap::Command,
        words: Vec<OsString>,
        folder: Option<&Path>,
        to: &mut dyn Write,
    ) -> Result<(), Error> {
        Zsh.write_complete(command, plain(words.into_iter()), folder, to)
    }
}
