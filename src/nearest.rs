//! Suggestions for misspelt words.

/// Minimum length of a word that gets a suggestion, and of the prefix that two words must share.
const MIN_LENGTH: usize = 3;

/// Returns the word of `known` with the smallest edit distance from `word`, if the distance is small enough; case is
/// ignored. A measure that favours a common prefix (Jaro-Winkler) would return unrelated names, because many names
/// begin with the same letters.
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
        // Transposed letters are likelier than a missing letter, so a word of the same length is preferred.
        .min_by_key(|(distance, one)| (*distance, one.chars().count().abs_diff(length), *one))
        .map(|(_, one)| one)
}

/// Returns the result of [`misspelt`], else the only word of `known` that begins with `word`, else the longest word of
/// `known` that is a prefix of `word`.
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
