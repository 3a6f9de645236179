//! Files of a profile: its own, and those that it includes.

use std::io;
use std::path::Path;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::mistake::{Mistake, ProfileError};
use super::secret::masked;
use super::source::{Source, start_of};
use crate::files::text;
use crate::folders::beside;

/// Returns the text of a file.
pub type ReadText<'a> = dyn Fn(&Path) -> io::Result<String> + 'a;

/// Maximum number of files of a profile.
const MAX_FILES: usize = 8;

/// Returns the files of a profile: its own with this text, then the file that it includes, and so on.
///
/// # Errors
/// A file is not TOML, or the file that it includes cannot be read.
pub fn sources(path: &Path, text: &str) -> Result<Vec<Source>, ProfileError> {
    sources_with(path, text, &text::read)
}

/// Returns the files of a profile like [`sources`]; `read` returns the texts of the included files.
pub(super) fn sources_with(
    path: &Path,
    text: &str,
    read: &ReadText<'_>,
) -> Result<Vec<Source>, ProfileError> {
    let mut sources = vec![Source { path: path.to_owned(), text: text.to_owned() }];
    while let Some(last) = sources.last() {
        let failed = |mistake| ProfileError::of(&sources, vec![mistake]);
        let table = table(&sources, sources.len() - 1)?;
        let Some((file, span)) = included(&table) else { break };
        let file = beside(last.path.parent().unwrap_or(&last.path), &file);
        let start = start_of(&sources, sources.len() - 1);
        let mistake = |message| failed(Mistake { span: start + span.start..start + span.end, message });
        if sources.iter().any(|source| is_same(&source.path, &file)) {
            return Err(mistake("the files include each other: remove one include".to_owned()));
        }
        if sources.len() >= MAX_FILES {
            return Err(mistake(format!("expected at most {MAX_FILES} files that include each other")));
        }
        let text = match read(&file) {
            Ok(text) => text,
            Err(error) => return Err(mistake(format!("cannot read {}: {error}", file.display()))),
        };
        sources.push(Source { path: file, text });
    }
    Ok(sources)
}

/// Returns the file that a table includes. A group includes none: the reader reports the key.
fn included(table: &DeTable<'_>) -> Option<(String, std::ops::Range<usize>)> {
    if table.contains_key("connections") {
        return None;
    }
    let value = table.get("include")?;
    let file = value.get_ref().as_str().filter(|file| !file.trim().is_empty())?;
    Some((file.to_owned(), value.span()))
}

fn is_same(one: &Path, other: &Path) -> bool {
    let real = |path: &Path| path.canonicalize().unwrap_or_else(|_| path.to_owned());
    real(one) == real(other)
}

fn table(sources: &[Source], at: usize) -> Result<DeTable<'_>, ProfileError> {
    DeTable::parse(&sources[at].text).map(Spanned::into_inner).map_err(|error| {
        let span = error.span().unwrap_or(0..0);
        let start = start_of(sources, at);
        let span = start + span.start..start + span.end;
        let error = ProfileError::of(sources, vec![Mistake { span, message: error.message().to_owned() }]);
        // An included file that is not TOML may be of any kind, and contain a secret on any line.
        let source_text = if at > 0 { masked(&error.source_text) } else { error.source_text };
        ProfileError { source_text, ..error }
    })
}

/// Returns the keys of all files, with their positions in the concatenation of the files, and the mistakes of the
/// included files. A file's keys are the defaults of the files before it; `timeouts` is merged key by key.
pub fn merged(sources: &[Source]) -> Result<(DeTable<'_>, Vec<Mistake>), ProfileError> {
    let (mut merged, mut mistakes) = (DeTable::new(), Vec::new());
    for at in 0..sources.len() {
        let start = start_of(sources, at);
        for (key, value) in table(sources, at)? {
            let key = Spanned::new(moved(key.span(), start), key.into_inner());
            let value = shifted(value, start);
            match key.get_ref().as_ref() {
                "connections" if at > 0 => mistakes.push(Mistake {
                    span: key.span(),
                    message: "connections is not valid in an included file".to_owned(),
                }),
                "include" if at > 0 => {
                    if value.get_ref().as_str().is_none_or(|file| file.trim().is_empty()) {
                        let message = "expected the path of a file in quotes".to_owned();
                        mistakes.push(Mistake { span: value.span(), message });
                    }
                }
                _ => insert(&mut merged, key, value),
            }
        }
    }
    Ok((merged, mistakes))
}

type Name<'a> = Spanned<std::borrow::Cow<'a, str>>;

fn insert<'a>(merged: &mut DeTable<'a>, key: Name<'a>, value: Spanned<DeValue<'a>>) {
    let name = key.get_ref().as_ref();
    match (merged.get_mut(name).map(Spanned::get_mut), value) {
        (None, value) => drop(merged.insert(key, value)),
        (Some(DeValue::Table(known)), value) if name == "timeouts" => {
            if let DeValue::Table(defaults) = value.into_inner() {
                for (key, value) in defaults {
                    if !known.contains_key(key.get_ref().as_ref()) {
                        known.insert(key, value);
                    }
                }
            }
        }
        (Some(_), _) => {}
    }
}

fn moved(span: std::ops::Range<usize>, by: usize) -> std::ops::Range<usize> {
    span.start + by..span.end + by
}

fn shifted(value: Spanned<DeValue<'_>>, by: usize) -> Spanned<DeValue<'_>> {
    let span = moved(value.span(), by);
    let value = match value.into_inner() {
        DeValue::Array(array) => DeValue::Array(array.into_iter().map(|item| shifted(item, by)).collect()),
        DeValue::Table(table) => DeValue::Table(
            table
                .into_iter()
                .map(|(key, value)| {
                    (Spanned::new(moved(key.span(), by), key.into_inner()), shifted(value, by))
                })
                .collect(),
        ),
        other => other,
    };
    Spanned::new(span, value)
}
