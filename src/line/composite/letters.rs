//! Custom format strings of dates and time spans.

/// Formats by a custom format string. Quoted and escaped letters are text; `part` formats a letter and its number of
/// repetitions. Returns `None` for an invalid format string.
pub fn by_letters(
    form: &str,
    mut part: impl FnMut(char, usize, &mut String) -> Option<()>,
) -> Option<String> {
    let letters: Vec<char> = form.chars().collect();
    let mut text = String::new();
    let mut at = 0;
    while let Some(&letter) = letters.get(at) {
        match letter {
            '\\' => {
                text.push(*letters.get(at + 1)?);
                at += 2;
            }
            '%' => {
                letters.get(at + 1).filter(|next| **next != '%')?;
                at += 1;
            }
            '\'' | '"' => {
                let end = letters[at + 1..].iter().position(|one| *one == letter)?;
                text.extend(&letters[at + 1..at + 1 + end]);
                at += end + 2;
            }
            _ => {
                let count = letters[at..].iter().take_while(|one| **one == letter).count();
                at += count;
                part(letter, count, &mut text)?;
            }
        }
    }
    Some(text)
}
