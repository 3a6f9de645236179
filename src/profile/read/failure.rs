//! The error of a profile that has several files.

use super::mistake::{Mistake, ProfileError};
use super::secret;
use super::source::{Source, start_of};

impl ProfileError {
    /// Creates the error from mistakes with positions in the concatenation of all files of the profile.
    pub(in crate::profile) fn of(sources: &[Source], mut mistakes: Vec<Mistake>) -> Self {
        mistakes.sort_by_key(|mistake| mistake.span.start);
        let mut errors = Vec::new();
        for (at, source) in sources.iter().enumerate() {
            let (start, end) = (start_of(sources, at), start_of(sources, at + 1));
            let here = mistakes.iter().filter(|mistake| (start..end).contains(&mistake.span.start));
            let mistakes: Vec<Mistake> = here
                .map(|mistake| Mistake {
                    span: mistake.span.start - start..mistake.span.end - start,
                    message: mistake.message.clone(),
                })
                .collect();
            let is_last = at + 1 == sources.len() && errors.is_empty();
            if !mistakes.is_empty() || is_last {
                errors.push(Self {
                    path: source.path.display().to_string(),
                    source_text: secret::mask_secrets(&source.text, &mistakes),
                    mistakes,
                    is_included: at > 0,
                    is_of_team: false,
                    others: Vec::new(),
                });
            }
        }
        let mut errors = errors.into_iter();
        match errors.next() {
            Some(first) => Self { others: errors.collect(), ..first },
            // A profile has at least its own file.
            None => Self {
                path: String::new(),
                source_text: String::new(),
                mistakes,
                is_included: false,
                is_of_team: false,
                others: Vec::new(),
            },
        }
    }
}
