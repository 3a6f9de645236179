//! Quoting of command lines for desktops and shells. Pure.

/// Quotes a command line for a desktop entry's `Exec` (Desktop Entry Specification 1.5, "The Exec key"):
/// arguments are quoted, percent signs doubled, and the result is escaped as a string value.
pub fn exec(words: &[String]) -> String {
    /// Characters that need quotes.
    const RESERVED: &str = " \t\n\"'\\><~|&;$*?#()`";
    let word = |word: &String| {
        let doubled = word.replace('%', "%%");
        if !doubled.is_empty() && !doubled.contains(|letter| RESERVED.contains(letter)) {
            return doubled;
        }
        let mut quoted = String::from("\"");
        for letter in doubled.chars() {
            if matches!(letter, '"' | '`' | '$' | '\\') {
                quoted.push('\\');
            }
            quoted.push(letter);
        }
        quoted + "\""
    };
    entry_value(&words.iter().map(word).collect::<Vec<_>>().join(" "))
}

/// Escapes a string value of a desktop entry ("Possible value types").
pub fn entry_value(text: &str) -> String {
    let mut value = String::new();
    for letter in text.chars() {
        match letter {
            '\\' => value.push_str("\\\\"),
            '\n' => value.push_str("\\n"),
            '\t' => value.push_str("\\t"),
            '\r' => value.push_str("\\r"),
            // Leading spaces would be skipped after the equals sign.
            ' ' if value.is_empty() => value.push_str("\\s"),
            letter => value.push(letter),
        }
    }
    value
}

/// Quotes a command line for a POSIX shell.
pub fn posix(words: &[String]) -> String {
    let quoted = words.iter().map(|word| format!("'{}'", word.replace('\'', r"'\''")));
    quoted.collect::<Vec<_>>().join(" ")
}

/// Escapes a word for a POSIX shell with backslashes, as the completion of bash does. A `~` keeps its meaning.
pub fn posix_word(word: &str) -> String {
    /// Characters with a meaning in bash.
    const SPECIAL: &str = " \t\n!\"#$&'()*;<>?[\\]^`{|}";
    let mut escaped = String::with_capacity(word.len());
    for letter in word.chars() {
        if SPECIAL.contains(letter) {
            escaped.push('\\');
        }
        escaped.push(letter);
    }
    escaped
}

/// Removes the backslashes and quotes from a word of a POSIX shell. The closing quote may be missing. Variables and
/// other expansions are not expanded.
pub fn without_quotes(word: &str) -> String {
    let (mut plain, mut quote) = (String::with_capacity(word.len()), None);
    let mut letters = word.chars().peekable();
    while let Some(letter) = letters.next() {
        match (letter, quote) {
            ('\'' | '"', None) => quote = Some(letter),
            (letter, Some(open)) if letter == open => quote = None,
            ('\\', None) => plain.extend(letters.next()),
            // In double quotes, a backslash escapes only these.
            ('\\', Some('"')) => match letters.next_if(|next| "$`\"\\".contains(*next)) {
                Some(next) => plain.push(next),
                None => plain.push('\\'),
            },
            (letter, _) => plain.push(letter),
        }
    }
    plain
}

/// Quotes a command line for Windows programs (`CommandLineToArgvW`).
pub fn windows(words: &[String]) -> String {
    let word = |word: &String| {
        if !word.is_empty() && !word.contains([' ', '\t', '"']) {
            return word.clone();
        }
        let mut quoted = String::from("\"");
        let mut backslashes = 0;
        for letter in word.chars() {
            match letter {
                '\\' => backslashes += 1,
                '"' => {
                    // Backslashes before a quote are doubled, and one more escapes the quote.
                    quoted.push_str(&"\\".repeat(backslashes + 1));
                    backslashes = 0;
                }
                _ => backslashes = 0,
            }
            quoted.push(letter);
        }
        quoted + &"\\".repeat(backslashes) + "\""
    };
    words.iter().map(word).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn quotes_of_typed_words_are_removed() {
        for (word, plain) in [
            ("my\\ profile", "my profile"),
            ("'my prof", "my prof"),
            ("\"my \\\"x\\y", "my \"x\\y"),
            ("a'b c'\"d e\"", "ab cd e"),
            ("end\\", "end"),
            ("$HOME/x", "$HOME/x"),
        ] {
            assert_eq!(without_quotes(word), plain, "{word}");
        }
        assert_eq!(posix_word("my profile"), "my\\ profile");
        assert_eq!(posix_word("~/a-b_c.d,e=ü"), "~/a-b_c.d,e=ü");
    }

    proptest! {
        #[test]
        fn escaped_words_are_read_back(word in "[ -~äß\t]*") {
            prop_assert_eq!(without_quotes(&posix_word(&word)), word.clone());
            prop_assert_eq!(without_quotes(&posix(std::slice::from_ref(&word))), word);
        }
    }
}
