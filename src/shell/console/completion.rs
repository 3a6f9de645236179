//! Candidates for the word at the cursor: from the endpoints' catalogues, the variables, the objects seen, and
//! the local files.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::{Arc, Mutex};

use tokio::runtime::Handle;

use super::links::{Link, Links, RemoteCommand};
use crate::line::complete::{self, Argument, ArgumentKind, CompletionKind, MemberSource, TypedWord};
use crate::line::{self, Variables, help};
use crate::psrp::clixml::Value;
use crate::screen;

/// A candidate for completion.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Candidate {
    pub text: String,
    /// Set if a space follows: not after a folder or a variable.
    pub ends_word: bool,
}

/// Maximum number of files offered.
const MAX_FILES: usize = 500;

/// Variables and objects of a console, for completion. Clones share them.
#[derive(Clone, Default)]
pub struct Seen(Arc<Mutex<Known>>);

#[derive(Default)]
struct Known {
    variables: Variables,
    /// Properties of the last objects of a command, by its name on the endpoint in lower case.
    properties: HashMap<String, Vec<String>>,
}

impl Seen {
    pub fn update(&self, variables: &Variables) {
        if let Ok(mut known) = self.0.lock() {
            known.variables = variables.clone();
        }
    }

    /// Stores the property names of an object that a command returned.
    pub fn object(&self, command: &str, value: &Value) {
        let names = complete::members_of_value(value);
        if let Ok(mut known) = self.0.lock()
            && !names.is_empty()
        {
            known.properties.insert(command.to_lowercase(), names);
        }
    }

    fn variables(&self) -> Variables {
        self.0.lock().map(|known| known.variables.clone()).unwrap_or_default()
    }

    fn properties(&self, command: &str) -> Option<Vec<String>> {
        self.0.lock().ok()?.properties.get(&command.to_lowercase()).cloned()
    }
}

/// Source of candidates.
struct Completer {
    links: Links,
    seen: Seen,
    runtime: Handle,
}

/// Returns the completion callback of the editor, which calls it on its own thread.
pub fn completer(
    links: Links,
    seen: Seen,
    runtime: Handle,
) -> impl FnMut(&str, usize) -> (Range<usize>, Vec<Candidate>) + Send + 'static {
    let completer = Completer { links, seen, runtime };
    move |text, cursor| {
        let found = complete::complete(text, cursor);
        let mut candidates = completer.candidates(&found.kind);
        // The editor draws candidates unescaped, so names with control characters are dropped.
        candidates.retain(|one| screen::is_plain(&one.text));
        (found.span, candidates)
    }
}

fn begins(prefix: &str, word: &str) -> bool {
    word.get(..prefix.len()).is_some_and(|start| start.eq_ignore_ascii_case(prefix))
}

/// Returns the words with a prefix, sorted and without duplicates.
fn matching<T: Into<String>>(prefix: &str, words: impl IntoIterator<Item = T>) -> Vec<String> {
    let mut words: Vec<String> =
        words.into_iter().map(Into::into).filter(|word| begins(prefix, word)).collect();
    words.sort_by_key(|word| word.to_lowercase());
    words.dedup_by(|a, b| a.eq_ignore_ascii_case(b));
    words
}

fn whole(words: Vec<String>) -> Vec<Candidate> {
    words.into_iter().map(|text| Candidate { text, ends_word: true }).collect()
}

/// Returns candidates that more text may follow.
fn open(words: Vec<String>) -> Vec<Candidate> {
    words.into_iter().map(|text| Candidate { text, ends_word: false }).collect()
}

impl Completer {
    fn candidates(&self, kind: &CompletionKind) -> Vec<Candidate> {
        match kind {
            CompletionKind::Command(prefix) => whole(self.commands(prefix)),
            CompletionKind::Parameter { command, prefix } => {
                let names = matching(prefix, self.parameters(command));
                whole(names.into_iter().map(|name| format!("-{name}")).collect())
            }
            CompletionKind::Argument(argument) => self.argument(argument),
            CompletionKind::Variable(prefix) => open(variables(prefix, &self.seen.variables())),
            CompletionKind::Member { source, prefix } => open(matching(prefix, self.members(source))),
            CompletionKind::File(word) => files(word, false),
            CompletionKind::Nothing => Vec::new(),
        }
    }

    fn commands(&self, prefix: &str) -> Vec<String> {
        let mut names = self.runtime.block_on(self.links.names_soon());
        names.extend(line::local_cmdlets().map(str::to_owned));
        matching(prefix, names)
    }

    /// Returns the connection that offers a command, and the command's name there. While no connection is known to
    /// offer it, returns the first connection if its command names are not fetched yet.
    fn owner(&self, command: &str) -> Option<(&Link, String)> {
        if let Some(RemoteCommand { at, name }) = self.links.owner(command) {
            return Some((&self.links.all()[at], line::remote_name(&name).to_owned()));
        }
        let first = self.links.all().first().filter(|link| link.catalogue.is_empty())?;
        Some((first, line::remote_name(command).to_owned()))
    }

    fn parameters(&self, command: &str) -> Vec<String> {
        if let Some(names) = complete::parameters(command) {
            return names;
        }
        let Some((link, name)) = self.owner(command) else { return Vec::new() };
        let session = link.connection.current();
        self.runtime.block_on(link.catalogue.parameters(session.as_ref(), &name)).unwrap_or_default()
    }

    fn members(&self, source: &MemberSource) -> Vec<String> {
        match source {
            MemberSource::Expression(text) => complete::members_of(text, &self.seen.variables()),
            MemberSource::Pipeline(stages) => self.properties(stages),
        }
    }

    /// Returns the properties of a pipeline's output.
    fn properties(&self, stages: &[String]) -> Vec<String> {
        complete::properties(stages, |command| self.properties_of(command), &self.seen.variables())
    }

    /// Returns the properties of a remote command's output: those last seen, else those of its type's views.
    fn properties_of(&self, command: &str) -> Vec<String> {
        let Some((link, name)) = self.owner(command) else { return Vec::new() };
        if let Some(seen) = self.seen.properties(&name) {
            return seen;
        }
        let session = link.connection.current();
        let types = self.runtime.block_on(link.catalogue.output_types(session.as_ref(), &name));
        if let Some(session) = &session {
            self.runtime.block_on(link.catalogue.learn_views(session, |_| {}));
        }
        let views = link.catalogue.views();
        types.unwrap_or_default().iter().flat_map(|name| views.property_names(name)).collect()
    }

    fn argument(&self, argument: &Argument) -> Vec<Candidate> {
        let Argument { word, .. } = argument;
        let quoted =
            |names: Vec<String>| whole(names.iter().map(|name| complete::quoted(name, word.quote)).collect());
        match complete::argument_kind(argument) {
            Some(ArgumentKind::Property) => quoted(matching(&word.text, self.properties(&argument.pipeline))),
            Some(ArgumentKind::File) => files(word, false),
            Some(ArgumentKind::Folder) => files(word, true),
            Some(ArgumentKind::Command) => quoted(self.commands(&word.text)),
            Some(ArgumentKind::Help) => {
                let mut names = self.commands(&word.text);
                names.extend(help::topics().map(str::to_owned));
                quoted(matching(&word.text, names))
            }
            Some(ArgumentKind::Words(words)) => quoted(matching(&word.text, words.iter().copied())),
            Some(ArgumentKind::Colour) => quoted(matching(&word.text, line::colour_names())),
            Some(ArgumentKind::Variable) => {
                let known = self.seen.variables();
                quoted(matching(&word.text, known.names().map(str::to_owned).collect::<Vec<_>>()))
            }
            Some(ArgumentKind::Nothing) => Vec::new(),
            None => self.remote_argument(argument),
        }
    }

    /// Returns the values that the endpoint declares for a parameter, or else files.
    fn remote_argument(&self, argument: &Argument) -> Vec<Candidate> {
        let word = &argument.word;
        let values = self.owner(&argument.command).and_then(|(link, name)| {
            let session = link.connection.current();
            let place = argument.parameter.as_deref().ok_or(argument.position);
            self.runtime.block_on(link.catalogue.values(session.as_ref(), &name, place))
        });
        match values {
            Some(values) if !values.is_empty() => {
                let is_expression = |text: &String| text.starts_with('$');
                let names = matching(&word.text, values);
                let shown = names.iter().map(|name| {
                    if is_expression(name) { name.clone() } else { complete::quoted(name, word.quote) }
                });
                whole(shown.collect())
            }
            _ => files(word, false),
        }
    }
}

/// Returns the names of variables with a prefix.
fn variables(prefix: &str, known: &Variables) -> Vec<String> {
    const BUILT_IN: [&str; 5] = ["true", "false", "null", "_", "PSVersionTable"];
    let names = known.names().filter(|name| !matches!(*name, "?" | "_"));
    matching(prefix, BUILT_IN.into_iter().chain(names))
}

/// Returns the files that begin with a word, quoted where needed.
fn files(word: &TypedWord, folders_only: bool) -> Vec<Candidate> {
    let is_separator = |letter: char| letter == '/' || cfg!(windows) && letter == '\\';
    let (folder, name) = match word.text.rfind(is_separator) {
        Some(at) => word.text.split_at(at + 1),
        None => ("", word.text.as_str()),
    };
    let at = if folder.is_empty() { std::path::PathBuf::from(".") } else { line::path::located(folder) };
    let mut found: Vec<Candidate> = std::fs::read_dir(at)
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| {
            let own = entry.file_name().into_string().ok()?;
            let is_hidden = own.starts_with('.') && !name.starts_with('.');
            if is_hidden || !begins(name, &own) {
                return None;
            }
            let is_folder = entry.path().is_dir();
            if folders_only && !is_folder {
                return None;
            }
            let end = if is_folder { std::path::MAIN_SEPARATOR_STR } else { "" };
            let text = complete::quoted(&format!("{folder}{own}{end}"), word.quote);
            Some(Candidate { text, ends_word: !is_folder })
        })
        .take(MAX_FILES)
        .collect();
    found.sort_by_key(|one| one.text.to_lowercase());
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_completed_with_quotes_where_needed() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["plain.txt", "with space.txt", "it's.txt", ".hidden"] {
            std::fs::write(folder.path().join(name), "").unwrap();
        }
        std::fs::create_dir(folder.path().join("plain folder")).unwrap();
        let root = folder.path().display().to_string();
        let of = |typed: &str, quote: Option<char>, folders: bool| -> Vec<String> {
            let word = TypedWord { text: format!("{root}/{typed}"), quote };
            files(&word, folders).into_iter().map(|one| one.text.replace(&root, "ROOT")).collect()
        };
        let sep = std::path::MAIN_SEPARATOR;
        assert_eq!(of("PL", None, false), [format!("'ROOT/plain folder{sep}'"), "ROOT/plain.txt".into()]);
        assert_eq!(of("w", None, false), ["'ROOT/with space.txt'"]);
        assert_eq!(of("it", Some('"'), false), ["\"ROOT/it's.txt\""]);
        assert_eq!(of("it", None, false), ["'ROOT/it''s.txt'"]);
        assert_eq!(of(".h", None, false), ["ROOT/.hidden"]);
        assert_eq!(of("", None, true), [format!("'ROOT/plain folder{sep}'")]);
    }

    #[test]
    fn variables_include_constants() {
        let mut known = Variables::default();
        known.set("Users", Value::Null);
        known.set("?", Value::Null);
        assert_eq!(variables("u", &known), ["Users"]);
        assert_eq!(variables("t", &known), ["true"]);
        assert_eq!(variables("", &known), ["_", "false", "null", "PSVersionTable", "true", "Users"]);
    }
}
