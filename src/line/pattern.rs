//! .NET regular expressions on the regex crate: syntax, substitutions and splitting
//! (<https://learn.microsoft.com/dotnet/standard/base-types/regular-expression-language-quick-reference>).

use regex::{Captures, Regex};

/// A regular expression that was translated from .NET's syntax.
pub struct Pattern {
    pub regex: Regex,
    /// Whether the pattern has `\Z`, or `$` without the option `m`, which in .NET also match before a line feed at the
    /// end of the text.
    pub has_end: bool,
    /// Whether the pattern has `\z`, which matches only at the end of the text.
    pub has_absolute_end: bool,
}

/// A pattern in the syntax of the regex crate, with the flags of [`Pattern`].
#[derive(Debug, Default)]
pub struct Translated {
    pub form: String,
    pub has_end: bool,
    pub has_absolute_end: bool,
}

/// Translates a pattern to the syntax of the regex crate. In .NET, a `{` that does not begin a quantifier and a `[`
/// in a class are literals.
pub fn translated(pattern: &str) -> Translated {
    let Translated { mut form, mut has_end, mut has_absolute_end } = Translated::default();
    let mut rest = pattern;
    let mut class: Option<usize> = None;
    while let Some(letter) = rest.chars().next() {
        let after = &rest[letter.len_utf8()..];
        let next = after.chars().next();
        let mut taken = letter.len_utf8();
        match (letter, class) {
            ('\\', _) => match next {
                Some(angle @ ('<' | '>')) => {
                    form.push(angle);
                    taken += 1;
                }
                Some('e') => {
                    form.push_str("\\x1B");
                    taken += 1;
                }
                // `has_end` makes the caller handle a line feed at the end of the text.
                Some('Z') if class.is_none() => {
                    has_end = true;
                    form.push_str("\\z");
                    taken += 1;
                }
                Some(other) => {
                    has_absolute_end |= other == 'z';
                    // `\p{L}`
                    let name = after.strip_prefix(['p', 'P']).filter(|name| name.starts_with('{'));
                    let length = name.and_then(|name| name.find('}')).map_or(other.len_utf8(), |end| end + 2);
                    form.push('\\');
                    form.push_str(&after[..length]);
                    taken += length;
                }
                None => form.push('\\'),
            },
            ('{', None) if !is_quantifier(after) => form.push_str("\\{"),
            ('[', None) => {
                form.push('[');
                // The first letter may be a closing bracket.
                for first in ["^", "]"] {
                    if rest[taken..].starts_with(first) {
                        form.push_str(first);
                        taken += 1;
                    }
                }
                class = Some(0);
            }
            // `[a-z-[aeiou]]` is a subtraction.
            ('-', Some(depth)) if next == Some('[') => {
                form.push_str("--[");
                taken += 1;
                class = Some(depth + 1);
            }
            // A range to `-`, or a `-` at the beginning; the regex crate reads `--` as a difference.
            ('-', Some(_)) if next == Some('-') => {
                if form.ends_with('[') || form.ends_with("[^") {
                    form.push_str("\\-");
                } else {
                    form.push_str("-\\-");
                    taken += 1;
                }
            }
            ('[', Some(_)) => form.push_str("\\["),
            ('&' | '~', Some(_)) => {
                form.push('\\');
                form.push(letter);
            }
            (']', Some(depth)) => {
                form.push(']');
                class = depth.checked_sub(1);
            }
            ('$', None) => {
                // With `(?m)`, `$` matches before each line feed in the regex crate too.
                has_end |= !is_multiline(pattern);
                form.push('$');
            }
            _ => form.push(letter),
        }
        rest = &rest[taken..];
    }
    Translated { form, has_end, has_absolute_end }
}

/// Returns whether a pattern sets the option `m`, as in `(?im)`.
fn is_multiline(pattern: &str) -> bool {
    pattern.split("(?").skip(1).any(|options| {
        let end = options.find(|letter: char| !letter.is_ascii_alphabetic()).unwrap_or(options.len());
        options[..end].contains('m') && options[end..].starts_with([')', ':', '-'])
    })
}

/// Returns whether a pattern has .NET constructs that the regex crate does not support: lookarounds, atomic groups,
/// conditionals, `(?'name'…)`, backreferences and `\G`.
pub fn needs_dotnet(pattern: &str) -> bool {
    let has_group =
        ["(?=", "(?!", "(?<=", "(?<!", "(?>", "(?'", "(?("].iter().any(|one| pattern.contains(one));
    has_group || escapes(pattern).any(|one| matches!(one, '1'..='9' | 'k' | 'G'))
}

/// Returns the letters after the backslashes of a pattern.
fn escapes(pattern: &str) -> impl Iterator<Item = char> {
    let mut letters = pattern.chars();
    std::iter::from_fn(move || {
        letters.by_ref().find(|letter| *letter == '\\')?;
        letters.next()
    })
}

/// Returns the text without the line feed at its end, before which `$` and `\Z` also match in .NET. With `\z` in the
/// pattern, they do not.
fn without_end<'a>(pattern: &Pattern, text: &'a str) -> Option<&'a str> {
    text.strip_suffix('\n').filter(|_| pattern.has_end && !pattern.has_absolute_end)
}

/// Returns whether a text matches, as in .NET.
pub fn is_match(pattern: &Pattern, text: &str) -> bool {
    let without_end = without_end(pattern, text);
    pattern.regex.is_match(text) || without_end.is_some_and(|text| pattern.regex.is_match(text))
}

/// Returns the matches of a text, as in .NET.
pub fn captures<'a>(pattern: &Pattern, text: &'a str) -> Vec<Captures<'a>> {
    let found = matches(&pattern.regex, text);
    let Some(without_end) = without_end(pattern, text) else { return found };
    let start = |found: &[Captures<'_>]| found.first().and_then(|one| one.get(0)).map(|whole| whole.start());
    let before = matches(&pattern.regex, without_end);
    // The match that begins first is .NET's.
    match (start(&before), start(&found)) {
        (Some(one), Some(other)) if one >= other => found,
        (Some(_), _) => before,
        (None, _) => found,
    }
}

/// Returns the matches as .NET finds them: an empty match may follow another match directly.
pub fn matches<'a>(pattern: &Regex, text: &'a str) -> Vec<Captures<'a>> {
    let (mut found, mut at) = (Vec::new(), 0);
    while at <= text.len()
        && let Some(captures) = pattern.captures_at(text, at)
    {
        let Some(whole) = captures.get(0) else { break };
        let after = text[whole.end()..].chars().next().map_or(1, char::len_utf8);
        at = whole.end() + if whole.is_empty() { after } else { 0 };
        found.push(captures);
    }
    found
}

/// Replaces the matches.
pub fn replaced(pattern: &Regex, text: &str, template: &str) -> String {
    let order = order(pattern);
    let (mut done, mut at) = (String::new(), 0);
    for captures in &matches(pattern, text) {
        let Some(whole) = captures.get(0) else { continue };
        done.push_str(&text[at..whole.start()]);
        done.push_str(&expanded(template, captures, pattern, &order, text));
        at = whole.end();
    }
    done + &text[at..]
}

/// Returns whether the text after a `{` completes a quantifier.
fn is_quantifier(after: &str) -> bool {
    let Some((inner, _)) = after.split_once('}') else { return false };
    let (least, most) = inner.split_once(',').unwrap_or((inner, ""));
    let is_number = |text: &str| text.bytes().all(|one| one.is_ascii_digit());
    !least.is_empty() && is_number(least) && is_number(most)
}

/// Returns the group indexes of the regex crate, ordered by .NET's group numbers. .NET numbers named groups after
/// unnamed ones.
pub fn order(pattern: &Regex) -> Vec<usize> {
    let (named, others): (Vec<_>, Vec<_>) =
        pattern.capture_names().enumerate().partition(|(_, name)| name.is_some());
    others.into_iter().chain(named).map(|(at, _)| at).collect()
}

/// Returns the replacement for a match. `order`: result of [`order`]; `text`: the whole text.
fn expanded(template: &str, found: &Captures<'_>, pattern: &Regex, order: &[usize], text: &str) -> String {
    let mut done = String::new();
    let mut rest = template;
    while let Some((before, after)) = rest.split_once('$') {
        done.push_str(before);
        if let Some((part, length)) = substituted(after, found, pattern, order, text) {
            done.push_str(part);
            rest = &after[length..];
        } else {
            done.push('$');
            rest = after;
        }
    }
    done + rest
}

/// Returns the text of the substitution after a `$`, and the length of the substitution.
fn substituted<'a>(
    after: &str,
    found: &Captures<'a>,
    pattern: &Regex,
    order: &[usize],
    text: &'a str,
) -> Option<(&'a str, usize)> {
    let whole = found.get(0)?;
    let group = |at: usize| order.get(at).map(|at| found.get(*at).map_or("", |group| group.as_str()));
    Some(match after.chars().next()? {
        '$' => ("$", 1),
        '&' => (whole.as_str(), 1),
        '`' => (&text[..whole.start()], 1),
        '\'' => (&text[whole.end()..], 1),
        '_' => (text, 1),
        '+' => (group(order.len().checked_sub(1)?)?, 1),
        '{' => {
            let (name, _) = after[1..].split_once('}')?;
            let is_named = pattern.capture_names().flatten().any(|one| one == name);
            let named = is_named.then(|| found.name(name).map_or("", |group| group.as_str()));
            (named.or_else(|| group(name.parse().ok()?))?, name.len() + 2)
        }
        '0'..='9' => {
            let length = after.find(|letter: char| !letter.is_ascii_digit()).unwrap_or(after.len());
            (group(after[..length].parse().ok()?)?, length)
        }
        _ => return None,
    })
}

/// Splits a text at matches, with the captured groups between the parts. `most`: maximum number of parts, counted
/// from the end if it is negative; 0 for all.
pub fn split(pattern: &Regex, text: &str, most: i64) -> Vec<String> {
    let mut found = matches(pattern, text);
    let limit = usize::try_from(most.unsigned_abs()).unwrap_or(usize::MAX);
    if let Some(cuts) = limit.checked_sub(1) {
        let over = found.len().saturating_sub(cuts);
        if most < 0 {
            found.drain(..over);
        } else {
            found.truncate(cuts);
        }
    }
    let order = order(pattern);
    let mut parts = Vec::new();
    let mut at = 0;
    for captures in &found {
        let Some(whole) = captures.get(0) else { continue };
        parts.push(text[at..whole.start()].to_owned());
        let groups = order.iter().skip(1).filter_map(|at| captures.get(*at));
        parts.extend(groups.map(|group| group.as_str().to_owned()));
        at = whole.end();
    }
    parts.push(text[at..].to_owned());
    parts
}

#[cfg(test)]
mod tests {
    use super::*;

    fn regex(pattern: &str) -> Regex {
        Regex::new(&translated(pattern).form).expect(pattern)
    }

    /// Seen in PowerShell 7.6.9.
    #[test]
    fn patterns_have_the_syntax_of_dotnet() {
        for (pattern, text, is_match) in [
            ("a{b", "a{b", true),
            ("{", "{", true),
            ("a{,2}", "a{,2}", true),
            ("^a{2,3}$", "aaa", true),
            ("^{id:\\d+}$", "{id:12}", true),
            ("\\<b\\>", "<b>", true),
            ("^[[]x[]]$", "[x]", true),
            ("^[]a]+$", "]a", true),
            ("^[^]]$", "]", false),
            ("^[a&&b]+$", "a&b", true),
            ("^[a-z-[aeiou]]+$", "bcd", true),
            ("^[a-z-[aeiou]]+$", "bad", false),
            ("^[\\w.-]+$", "a.b-c", true),
            ("a\\Z", "a\n", true),
            ("a$", "a\n", true),
            ("a$", "a\nb", false),
            ("a\\z", "a\n", false),
            ("a\\z|c$", "a\n", false),
            ("(?m)a\\Z", "a\n", true),
            ("(?im)b|A\\Z", "a\n", true),
            ("(?m)a\\Z", "a\nb\n", false),
            ("(?m)a\\z", "a\n", false),
            ("(?m)a$", "a\nb", true),
            ("(?im)^A$", "b\na\n", true),
            ("^[+--]+$", "+,-", true),
            ("^[--/]+$", "-./", true),
            ("^[^--/]+$", "-", false),
            ("\\{\\[", "{[", true),
            ("^\\p{Lu}[\\p{Ll}{]+$", "Ab{", true),
            ("日{1}本", "日本", true),
        ] {
            let Translated { has_end, has_absolute_end, .. } = translated(pattern);
            let built = Pattern { regex: regex(pattern), has_end, has_absolute_end };
            assert_eq!(super::is_match(&built, text), is_match, "{pattern} {text}");
            assert_eq!(captures(&built, text).is_empty(), !is_match, "{pattern} {text}");
        }
    }

    /// Seen in PowerShell 7.6.9.
    #[test]
    fn substitutions_are_those_of_dotnet() {
        for (pattern, template, result) in [
            ("(b)(c)?", "<$1>", "a<b>d"),
            ("(b)", "$1x", "abxcd"),
            ("b", "$1", "a$1cd"),
            ("(b)", "$10", "a$10cd"),
            ("b", "$$1", "a$1cd"),
            ("b", "[$&]", "a[b]cd"),
            ("b", "[$0]", "a[b]cd"),
            ("b", "[$`|$']", "a[a|cd]cd"),
            ("b", "$_", "aabcdcd"),
            ("(?<n>b)", "${n}${n}", "abbcd"),
            ("(b)", "${1}1${2}", "ab1${2}cd"),
            ("b", "5$", "a5$cd"),
            ("b", "$x", "a$xcd"),
            ("(b)(c)", "$+", "acd"),
            ("(?<n>b)(c)", "$1$2", "acbd"),
        ] {
            assert_eq!(replaced(&regex(pattern), "abcd", template), result, "{pattern} {template}");
        }
        for (text, pattern, template, result) in [
            ("abc", "(?<x>z)?b", "[${x}]", "a[]c"),
            ("x", "(?<n>y)|x", "<${n}>", "<>"),
            ("abc", ".*", "x", "xx"),
            ("baac", "a*", "x", "xbxxcx"),
            ("a+b,c", "[+--]", "X", "aXbXc"),
            ("aß", "", "-", "-a-ß-"),
        ] {
            assert_eq!(replaced(&regex(pattern), text, template), result, "{text} {pattern} {template}");
        }
    }

    /// Seen in PowerShell 7.6.9.
    #[test]
    fn texts_are_split_as_in_dotnet() {
        for (pattern, text, most, parts) in [
            (",", "a,b,c", 0, &["a", "b", "c"][..]),
            (",", "a,b,c", 2, &["a", "b,c"]),
            (",", "a,b,c", 1, &["a,b,c"]),
            (",", "a,b,c", -2, &["a,b", "c"]),
            (",", "a,b,c", 9, &["a", "b", "c"]),
            ("(,)", "a,b", 0, &["a", ",", "b"]),
            ("(-)|,", "a,b-c", 0, &["a", "b", "-", "c"]),
            (",", "", 0, &[""]),
            ("", "ab", 0, &["", "a", "b", ""]),
            ("b*", "abc", 0, &["", "a", "", "c", ""]),
        ] {
            assert_eq!(split(&regex(pattern), text, most), parts, "{pattern} {text} {most}");
        }
    }
}
