//! Suggestions for misspelt words.

/// Minimum length of a word with a suggestion, and of the beginning that two words must share.
const MIN_LENGTH: usize = 3;

/// Returns the word of `known` with the fewest different letters, if they are few; case is ignored. Names may share
/// their beginning, so a measure that favours equal beginnings would return unrelated ones.
pub fn misspelt<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let word = word.to_lowercase();
    let length = word.chars().count();
    // A word of one or two letters is one edit away from many unrelated words.
    if length < MIN_LENGTH {
        return None;
    }
    let most = (length / 6).clamp(1, 3);
    known
        .into_iter()
        .map(|one| (strsim::damerau_levenshtein(&word, &one.to_lowercase()), one))
        .filter(|(distance, _)| *distance <= most)
        // Transposed letters are likelier than a missing letter.
        .min_by_key(|(distance, one)| (*distance, one.chars().count().abs_diff(length), *one))
        .map(|(_, one)| one)
}

/// Returns the word of `known` that [`misspelt`] returns, or else the only one that begins with `word`, or else the
/// longest one with which `word` begins.
pub fn nearest<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let known: Vec<&str> = known.into_iter().collect();
    if let Some(found) = misspelt(word, known.iter().copied()) {
        return Some(found);
    }
    let word = word.to_lowercase();
    let is_long = |word: &str| word.chars().count() >= MIN_LENGTH;
    let mut longer = known.iter().filter(|one| is_long(&word) && one.to_lowercase().starts_with(&word));
    match (longer.next(), longer.next()) {
        (Some(one), None) => Some(one),
        (Some(_), Some(_)) => None,
        (None, _) => {
            let shorter = known.iter().filter(|one| is_long(one) && word.starts_with(&one.to_lowercase()));
            shorter.max_by_key(|one| one.len()).copied()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_word_has_few_different_letters_or_the_same_beginning() {
        let known = ["north", "south", "exchange-server", "exchange-online", "user"];
        for (typed, meant) in [
            ("noth", Some("north")),
            ("nroth", Some("north")),
            ("North", Some("north")),
            ("nor", Some("north")),
            ("northern", Some("north")),
            ("exchange-onlien", Some("exchange-online")),
            ("exchange", None),
            ("usr", Some("user")),
            ("username", Some("user")),
            ("no", None),
            ("nope", None),
            ("", None),
        ] {
            assert_eq!(nearest(typed, known), meant, "{typed}");
        }
        assert_eq!(misspelt("northern", ["north"]), None);
    }
}
