//! Masks secrets in a profile's text when mistakes are shown.

use super::mistake::Mistake;

/// Words in the names of keys that may contain a secret.
const SECRETS: [&str; 7] = ["password", "passwort", "passwd", "pwd", "secret", "token", "credential"];

/// Minimum Jaro-Winkler similarity of a misspelt key to a word of [`SECRETS`]. It is low, because masking too much does
/// no harm.
const MIN_SIMILARITY: f64 = 0.8;

pub(super) fn is_secret(key: &str) -> bool {
    let key = key.trim().to_lowercase();
    has_secret_word(&key) || SECRETS.iter().any(|word| strsim::jaro_winkler(&key, word) >= MIN_SIMILARITY)
}

/// Values of `credential` that name a source.
const SOURCES: [&str; 3] = ["\"keyring\"", "\"prompt\"", "\"system\""];

/// Returns the text for display: values that may be a secret are masked, also on lines that surround a mistake and on
/// lines that are not TOML.
pub(super) fn mask_secrets(text: &str, mistakes: &[Mistake]) -> String {
    let mut at = 0;
    // The end of a value that continues on the next line.
    let mut until: Option<&str> = None;
    let lines = text.split_inclusive('\n').map(|line| {
        let range = at..at + line.len();
        at = range.end;
        if let Some(end) = until {
            if line.contains(end) {
                until = None;
            }
            return masked(line);
        }
        let is_wrong = mistakes.iter().any(|mistake| range.contains(&mistake.span.start));
        let value = line.find('=').map_or(0, |at| at + 1);
        let of_uri = has_user(&line[value..]).then_some(value);
        let start = match (secret_start(line, is_wrong), of_uri) {
            (Some(start), of_uri) => of_uri.map_or(start, |value| start.min(value)),
            (None, Some(value)) => value,
            (None, None) => return line.to_owned(),
        };
        let (shown, value) = line.split_at(start);
        until = continued(shown, value);
        format!("{shown}{}", masked(value))
    });
    lines.collect()
}

/// Returns the position in a line from which the value of a secret may follow: after the name of a key, or without a
/// separator after a word that may be such a name.
fn secret_start(line: &str, is_wrong: bool) -> Option<usize> {
    let (mut quote, mut is_comment, mut is_first) = (None, false, true);
    let mut chars = line.char_indices().peekable();
    while let Some((at, one)) = chars.next() {
        match one {
            '#' if quote.is_none() => (is_comment, is_first) = (true, false),
            // A quote without its end is a mistake, and quotes nothing.
            '"' | '\'' if !is_comment && quote.is_none() && line[at + 1..].contains(one) => quote = Some(one),
            '"' | '\'' if quote == Some(one) => quote = None,
            // The key may be on the line before.
            '=' if is_first => return Some(at + 1),
            _ if !is_part_of_word(one) => {}
            _ => {
                let rest = line[at..].trim_start_matches(is_part_of_word);
                let (end, is_key_place) = (line.len() - rest.len(), std::mem::take(&mut is_first));
                while chars.next_if(|(at, _)| *at < end).is_some() {}
                let word = &line[at..end];
                let after = rest.trim_start_matches(['"', '\'']).trim_start();
                let value = after.strip_prefix(['=', ':']);
                let may_be_key = is_key_place || value.is_some();
                let is_named = quote.is_none() && has_secret_word(&word.to_lowercase());
                let is_source = is_key_place
                    && ["credential", "proxy_credential"].contains(&word)
                    && value.is_some_and(is_source);
                if !(is_named || may_be_key && is_secret(word)) || is_source && !is_wrong {
                    continue;
                }
                match value {
                    Some(value) => return Some(line.len() - value.len()),
                    // The name of a table, or an element of an array.
                    None if ends_element(rest) => {}
                    None => return Some(end),
                }
            }
        }
    }
    None
}

/// Returns whether only the end of a quoted word, of an element or of a table's name follows.
fn ends_element(rest: &str) -> bool {
    let rest = rest.trim_end();
    !rest.is_empty() && rest.chars().all(|one| "\"'],".contains(one))
}

fn is_part_of_word(one: char) -> bool {
    !one.is_whitespace() && !"\"'=:{}[](),#".contains(one)
}

fn has_secret_word(key: &str) -> bool {
    SECRETS.iter().any(|word| key.contains(word))
}

/// Returns whether the value of `credential` is a source instead of a secret.
fn is_source(value: &str) -> bool {
    let value = value.split('#').next().unwrap_or_default().trim();
    SOURCES.contains(&value) || value.starts_with('{')
}

/// Returns the end of a value that continues on the next line.
fn continued(shown: &str, value: &str) -> Option<&'static str> {
    let is_comment = shown.trim_start().starts_with('#');
    if value.trim().is_empty() && !is_comment {
        return Some("\n");
    }
    [("\"\"\"", "\"\"\""), ("'''", "'''"), ("[", "]"), ("{", "}")].into_iter().find_map(|(start, end)| {
        let rest = value.trim_start().strip_prefix(start)?;
        (!rest.contains(end)).then_some(end)
    })
}

/// Returns whether a value contains a URI with a user, and so perhaps a password.
fn has_user(value: &str) -> bool {
    let authority =
        value.split_once("://").map(|(_, rest)| rest.split(['/', '?', '#']).next().unwrap_or(rest));
    authority.is_some_and(|authority| authority.contains('@'))
}

/// Masks a text, keeping its length in bytes.
pub(super) fn masked(text: &str) -> String {
    let mask = |one: char| {
        if one.is_ascii_graphic() || !one.is_ascii() { "*".repeat(one.len_utf8()) } else { one.to_string() }
    };
    text.chars().map(mask).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_line_shows_a_secret() {
        for (text, shown) in [
            ("password hunter2\n", "password *******\n"),
            ("pasword: hunter2 two\n", "pasword: ******* ***\n"),
            ("password hunter2 = 3\n", "password ******* * *\n"),
            // A quote without its end.
            ("user = 'ken password hunter2\n", "user = 'ken password *******\n"),
            ("don't use password hunter2\n", "don't use password *******\n"),
            ("\"password\": \"hunter2\",\n", "\"password\": **********\n"),
            ("password =\n\"hunter2\"\nuser = \"a\"\n", "password =\n*********\nuser = \"a\"\n"),
            ("password\n= \"hunter2\"\n", "password\n* *********\n"),
            ("\n= \"hunter2\"\n", "\n= *********\n"),
            ("user = \"a\" password = \"hunter2\"\n", "user = \"a\" password = *********\n"),
            ("user ken token hunter2\n", "user ken token *******\n"),
            ("timeouts = { password = \"hunter2\" }\n", "timeouts = { password = ********* *\n"),
            ("# password hunter2\n", "# password *******\n"),
            ("proxy http://u:hunter2@host\n", "***** *********************\n"),
            (
                "password = \"\"\"\nhunter2\n\"\"\"\nuser = \"a\"",
                "password = ***\n*******\n***\nuser = \"a\"",
            ),
        ] {
            assert_eq!(mask_secrets(text, &[]), shown);
        }
    }

    #[test]
    fn other_lines_are_shown() {
        let text = "# Don't edit: a generated file\nuri = \"https://token.example/password\"\n[credential]\n\
                    credential = { command = \"pass show work\" }\ntags = [\n  \"token-tests\",\n  \"b\"\n]\n\
                    sign_in = \"client-secret\"\ncredential = \"prompt\"\n";
        assert_eq!(mask_secrets(text, &[]), text);
    }
}
