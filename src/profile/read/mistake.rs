//! What is wrong with a profile's text, and where.

use std::ops::Range;

/// One mistake: where it is (bytes of the file), and what was expected.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mistake {
    pub span: Range<usize>,
    pub message: String,
}

/// A profile's text is not a profile.
#[derive(Clone, Debug, thiserror::Error)]
#[error("the profile {path} has {}", count(.mistakes.len()))]
pub struct ProfileError {
    pub path: String,
    pub source_text: String,
    /// In the order of their places; never empty.
    pub mistakes: Vec<Mistake>,
}

fn count(mistakes: usize) -> String {
    if mistakes == 1 { "a mistake".into() } else { format!("{mistakes} mistakes") }
}

impl ProfileError {
    /// The line of a mistake, from 1.
    pub fn line(&self, mistake: &Mistake) -> usize {
        let before = self.source_text.get(..mistake.span.start).unwrap_or(&self.source_text);
        before.matches('\n').count() + 1
    }
}

impl miette::Diagnostic for ProfileError {
    fn source_code(&self) -> Option<&dyn miette::SourceCode> {
        Some(&self.source_text)
    }

    fn labels(&self) -> Option<Box<dyn Iterator<Item = miette::LabeledSpan> + '_>> {
        Some(Box::new(self.mistakes.iter().map(|mistake| {
            let length = mistake.span.len();
            miette::LabeledSpan::new(Some(mistake.message.clone()), mistake.span.start, length)
        })))
    }

    fn help<'a>(&'a self) -> Option<Box<dyn std::fmt::Display + 'a>> {
        let first = self.mistakes.first().map_or(1, |mistake| self.line(mistake));
        Some(Box::new(format!("edit {}:{first}, or run `lyncsh edit`", self.path)))
    }
}
