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
