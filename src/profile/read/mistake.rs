//! Mistakes in a profile's text, with their positions.

use std::ops::Range;

/// A mistake: its byte range in the file and its message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mistake {
    pub span: Range<usize>,
    pub message: String,
}

/// Error of an invalid profile: the mistakes of its file, or of a file that it includes.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{} {path} {}", if *.is_included { "the included file" } else { "the profile" }, verdict(.source_text, .mistakes))]
pub struct ProfileError {
    pub path: String,
    pub source_text: String,
    /// Sorted by position; never empty.
    pub mistakes: Vec<Mistake>,
    /// Whether the profile includes this file.
    pub is_included: bool,
    /// Whether the profile is in the folder of a team, where lyncsh does not edit it.
    pub is_of_team: bool,
    /// The mistakes of other files of the profile.
    pub others: Vec<Self>,
}

fn verdict(text: &str, mistakes: &[Mistake]) -> String {
    match mistakes {
        // miette cannot label an empty text.
        [mistake] if text.trim().is_empty() => format!("is empty: {}", mistake.message),
        [_] => "has a mistake".to_owned(),
        _ => format!("has {} mistakes", mistakes.len()),
    }
}

impl ProfileError {
    /// Returns the errors of all files of the profile, this one first.
    pub fn files(&self) -> impl Iterator<Item = &Self> {
        std::iter::once(self).chain(&self.others)
    }

    /// Returns each mistake of this file with its line.
    pub fn lines(&self) -> Vec<String> {
        let line = |one: &Mistake| format!("line {}: {}", self.line(one), one.message);
        self.mistakes.iter().map(line).collect()
    }

    /// Returns each mistake of all files with its line, and those of included files with their path.
    pub fn lines_of_files(&self) -> Vec<String> {
        let of_file = |file: &Self| {
            let path = if file.is_included { format!("{}, ", file.path) } else { String::new() };
            file.lines().into_iter().map(|line| format!("{path}{line}")).collect::<Vec<_>>()
        };
        self.files().flat_map(of_file).collect()
    }

    /// Returns the line of a mistake, starting at 1.
    pub fn line(&self, mistake: &Mistake) -> usize {
        let before = self.source_text.get(..mistake.span.start).unwrap_or(&self.source_text);
        before.matches('\n').count() + 1
    }
}

impl miette::Diagnostic for ProfileError {
    fn source_code(&self) -> Option<&dyn miette::SourceCode> {
        (!self.source_text.trim().is_empty()).then_some(&self.source_text as &dyn miette::SourceCode)
    }

    fn labels(&self) -> Option<Box<dyn Iterator<Item = miette::LabeledSpan> + '_>> {
        Some(Box::new(self.mistakes.iter().map(|mistake| {
            let length = mistake.span.len();
            miette::LabeledSpan::new(Some(mistake.message.clone()), mistake.span.start, length)
        })))
    }

    fn help<'a>(&'a self) -> Option<Box<dyn std::fmt::Display + 'a>> {
        let first = self.mistakes.first().map_or(1, |mistake| self.line(mistake));
        if self.is_included || self.is_of_team {
            return Some(Box::new(format!("edit {}:{first}", self.path)));
        }
        let name = std::path::Path::new(&self.path).file_stem().unwrap_or_default().to_string_lossy();
        Some(Box::new(format!("edit {}:{first}, or run `lyncsh edit {name}`", self.path)))
    }

    fn related<'a>(&'a self) -> Option<Box<dyn Iterator<Item = &'a dyn miette::Diagnostic> + 'a>> {
        (!self.others.is_empty())
            .then(|| Box::new(self.others.iter().map(|one| one as &dyn miette::Diagnostic)) as Box<_>)
    }
}
