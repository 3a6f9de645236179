//! Quoting of values for PowerShell scripts.

use std::fmt::Write as _;

/// Quotes a value as a single-quoted literal.
///
/// PowerShell treats four typographic quotes like `'` (`CharTraits.IsSingleQuote` in its tokenizer); two of
/// them in a row stand for the second one. Other characters, including line breaks, are not special. A NUL may
/// end the script, so it is inserted with an expression.
pub fn quote(value: &str) -> String {
    let literal = |part: &str| {
        let mut quoted = String::with_capacity(part.len() + 2);
        quoted.push('\'');
        for one in part.chars() {
            if is_quote(one) {
                quoted.push(one);
            }
            quoted.push(one);
        }
        quoted.push('\'');
        quoted
    };
    if !value.contains('\0') {
        return literal(value);
    }
    let parts: Vec<_> = value.split('\0').map(literal).collect();
    format!("({})", parts.join(" + [char]0 + "))
}

/// Returns an ASCII expression for `text`, because the encoding is not known: a startup script may have any
/// encoding, and PowerShell decodes a line from lyncsh with `[Console]::OutputEncoding`, which is an OEM code
/// page on Windows. Other characters are escaped for .NET's `Regex.Unescape` (seen in PowerShell 7.6.9).
pub fn ascii(text: &str) -> String {
    if text.chars().all(|letter| (' '..='~').contains(&letter)) {
        return quote(text);
    }
    format!("([regex]::Unescape({}))", quote(&escape(text)))
}

/// Escapes the backslash and all characters except printable ASCII for .NET's `Regex.Unescape`.
pub fn escape(text: &str) -> String {
    let mut escaped = String::new();
    for unit in text.encode_utf16() {
        match u8::try_from(unit) {
            Ok(b'\\') => escaped.push_str(r"\\"),
            Ok(letter @ b' '..=b'~') => escaped.push(char::from(letter)),
            // Writing to a string does not fail.
            _ => drop(write!(escaped, "\\u{unit:04x}")),
        }
    }
    escaped
}

fn is_quote(one: char) -> bool {
    matches!(one, '\'' | '\u{2018}' | '\u{2019}' | '\u{201a}' | '\u{201b}')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Evaluates a literal like PowerShell: `ScanStringLiteral` of its tokenizer, and `+`.
    fn read(source: &str) -> Option<String> {
        let mut chars = source.strip_prefix('(').unwrap_or(source).chars().peekable();
        let mut value = String::new();
        if !is_quote(chars.next()?) {
            return None;
        }
        loop {
            let one = chars.next()?;
            if is_quote(one) {
                match chars.peek() {
                    Some(&second) if is_quote(second) => {
                        chars.next();
                        value.push(second);
                    }
                    _ => break,
                }
            } else {
                value.push(one);
            }
        }
        let rest: String = chars.collect();
        if rest.is_empty() || rest == ")" {
            return Some(value);
        }
        value.push('\0');
        read(rest.strip_prefix(" + [char]0 + ")?).map(|end| value + &end)
    }

    /// Returns whether the grammar parses the literal as one string.
    fn is_one_literal(source: &str) -> bool {
        let mut parser = tree_sitter::Parser::new();
        parser.set_language(&tree_sitter_powershell::LANGUAGE.into()).unwrap();
        let script = format!("$x = {source}\n");
        let tree = parser.parse(&script, None).unwrap();
        !tree.root_node().has_error() && tree.root_node().child_count() == 1
    }

    proptest! {
        #[test]
        fn quoted_values_are_read_back(value in "([ -~]|['\u{2018}-\u{201f}`$\"\r\n\t\0äß🦀{}()@#&;|])*") {
            prop_assert_eq!(read(&quote(&value)), Some(value));
        }

        #[test]
        fn expressions_are_ascii_and_one_literal(value in "([ -~]|['\u{2018}-\u{201f}\täß🦀{}\\\\])*") {
            prop_assert!(ascii(&value).is_ascii());
            prop_assert!(is_one_literal(&ascii(&value)));
        }

        /// The grammar only supports `'` as a quote, not typographic quotes.
        #[test]
        fn quoted_values_are_one_literal(value in "([ -~]|['`$\"\n\tä{}()@#&;|])*") {
            prop_assert!(is_one_literal(&quote(&value)));
        }
    }

    #[test]
    fn typographic_quotes_are_quotes() {
        assert_eq!(quote("O'Brien’s"), "'O''Brien’’s'");
        assert_eq!(quote("a\0b"), "('a' + [char]0 + 'b')");
    }
}
