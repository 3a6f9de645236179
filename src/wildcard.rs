//! PowerShell's wildcards (about_Wildcards): `*`, `?`, `[abc]` and `[a-c]`. A backtick escapes the next character,
//! also between brackets; at the end of the pattern, it is a plain character.

/// Returns whether a pattern matches a whole text, without regard to case.
pub fn like(pattern: &str, text: &str) -> bool {
    matches(pattern, text, Case::Ignored)
}

/// Case sensitivity.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Case {
    Ignored,
    Sensitive,
}

/// Returns whether a pattern matches a whole text. A `[` without its `]` is a plain character.
pub fn matches(pattern: &str, text: &str, case: Case) -> bool {
    let parts = parts(pattern, case);
    let text: Vec<char> = fold(text, case);
    // `star`: position of the last `*` in the pattern, and the end of its match in the text.
    let (mut at, mut taken, mut star) = (0, 0, None);
    while let Some(letter) = text.get(taken) {
        match parts.get(at) {
            Some(Part::Any) => {
                star = Some((at, taken));
                at += 1;
            }
            Some(part) if part.takes(*letter) => {
                at += 1;
                taken += 1;
            }
            _ => match &mut star {
                Some((star_at, from)) => {
                    *from += 1;
                    (at, taken) = (*star_at + 1, *from);
                }
                None => return false,
            },
        }
    }
    parts[at..].iter().all(|part| matches!(part, Part::Any))
}

/// An element of a pattern.
enum Part {
    /// `*`
    Any,
    /// `?`
    One,
    Letter(char),
    /// The ranges between `[` and `]`.
    Set(Vec<(char, char)>),
}

impl Part {
    fn takes(&self, letter: char) -> bool {
        match self {
            Self::Any => false,
            Self::One => true,
            Self::Letter(own) => *own == letter,
            Self::Set(ranges) => ranges.iter().any(|(first, last)| (*first..=*last).contains(&letter)),
        }
    }
}

fn fold(text: &str, case: Case) -> Vec<char> {
    match case {
        Case::Ignored => text.to_lowercase().chars().collect(),
        Case::Sensitive => text.chars().collect(),
    }
}

fn parts(pattern: &str, case: Case) -> Vec<Part> {
    let letters = fold(pattern, case);
    let mut parts = Vec::new();
    let mut rest = letters.as_slice();
    while let [letter, after @ ..] = rest {
        rest = after;
        parts.push(match letter {
            '*' => Part::Any,
            '?' => Part::One,
            '`' => match after {
                [escaped, after @ ..] => {
                    rest = after;
                    Part::Letter(*escaped)
                }
                [] => Part::Letter('`'),
            },
            '[' => match set(after) {
                Some((set, after)) => {
                    rest = after;
                    set
                }
                None => Part::Letter('['),
            },
            other => Part::Letter(*other),
        });
    }
    parts
}

/// Reads a set after its `[`; returns the set and the characters after its `]`. A `]` at the beginning is a member.
fn set(mut rest: &[char]) -> Option<(Part, &[char])> {
    // Each member, and whether it is escaped.
    let mut members: Vec<(char, bool)> = Vec::new();
    loop {
        rest = match rest {
            ['`', escaped, after @ ..] => {
                members.push((*escaped, true));
                after
            }
            [']', after @ ..] if !members.is_empty() => {
                return Some((Part::Set(ranges(&members)), after));
            }
            [letter, after @ ..] => {
                members.push((*letter, false));
                after
            }
            [] => return None,
        };
    }
}

fn ranges(mut members: &[(char, bool)]) -> Vec<(char, char)> {
    let mut ranges = Vec::new();
    loop {
        members = match members {
            [(first, _), ('-', false), (last, _), rest @ ..] => {
                ranges.push((*first, *last));
                rest
            }
            [(one, _), rest @ ..] => {
                ranges.push((*one, *one));
                rest
            }
            [] => return ranges,
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Seen in PowerShell 7.6.9. There, a `[` without its `]` is an error.
    #[test]
    fn patterns_match_as_in_powershell() {
        for (pattern, text, expected) in [
            ("*", "", true),
            ("Get-Cs*", "get-csUser", true),
            ("*user", "Get-CsOnlineUser", true),
            ("*online*user", "Get-CsOnlineOnlineUsers", false),
            ("g?t", "get", true),
            ("g?t", "gt", false),
            ("[a-c]x", "Bx", true),
            ("[a-c]x", "dx", false),
            ("[abc-]", "-", true),
            ("[]]", "]", true),
            ("[]abc]", "a", true),
            ("[`]]", "]", true),
            ("[`]]", "`]", false),
            ("[`a]", "a", true),
            ("[`a]", "`", false),
            ("[``]", "`", true),
            ("[a`-c]", "-", true),
            ("[a`-c]", "b", false),
            ("[a-c-e]", "d", false),
            ("[[-]]", "[]", true),
            ("a`", "a`", true),
            ("a`", "a", false),
            ("`*", "*", true),
            ("`*", "a", false),
            ("a[", "a[", true),
            ("Ö*", "öl", true),
            ("", "a", false),
        ] {
            assert_eq!(like(pattern, text), expected, "{pattern} {text}");
        }
        assert!(!matches("A*", "abc", Case::Sensitive) && matches("a*", "abc", Case::Sensitive));
        assert!(matches("[A-C]", "B", Case::Sensitive) && !matches("[A-C]", "b", Case::Sensitive));
    }

    #[test]
    fn many_wildcards_match_quickly() {
        assert!(!like(&"*a".repeat(200), &"b".repeat(5000)));
        assert!(!like(&format!("{}b", "*a".repeat(50)), &"a".repeat(5000)));
    }
}
