//! Error recovery: skipping of an invalid statement, so that the next ones are parsed too.

use super::{MAX_DEPTH, Parser, is_double_quote, is_single_quote};

/// Keywords that continue a statement on another line.
const CONTINUED: [&str; 5] = ["else", "elseif", "catch", "finally", "until"];

impl Parser {
    /// Skips from a statement's beginning to its end: a line end or `;` outside of brackets, or a closing
    /// bracket of an outer block.
    pub(super) fn pass_over(&mut self, start: usize) {
        self.at = start;
        while self.pass_rest() {
            let end = self.at;
            self.blank(true);
            let word: String = (0..)
                .map_while(|ahead| self.peek_at(ahead))
                .take_while(|letter| letter.is_alphabetic())
                .take(8)
                .collect();
            if !CONTINUED.iter().any(|one| one.eq_ignore_ascii_case(&word)) {
                self.at = end;
                return;
            }
        }
    }

    /// Skips to the statement's end; returns `false` at the end of its block.
    fn pass_rest(&mut self) -> bool {
        let mut open = 0_usize;
        while let Some(letter) = self.peek() {
            match letter {
                '\n' | ';' if open == 0 => return true,
                ')' | '}' if open == 0 => return false,
                ')' | '}' => open = open.saturating_sub(1),
                '(' | '{' => open += 1,
                _ => {}
            }
            self.pass_token(0);
        }
        false
    }

    /// Skips past the matching closing brace, over nested brackets, quotes and comments. Returns `false` if
    /// there is none.
    pub(super) fn pass_block(&mut self) -> bool {
        let mut open = 1_usize;
        while let Some(letter) = self.peek() {
            match letter {
                '{' => open += 1,
                '}' => open -= 1,
                _ => {}
            }
            self.pass_token(0);
            if open == 0 {
                return true;
            }
        }
        false
    }

    /// Skips a letter, string or comment.
    fn pass_token(&mut self, depth: usize) {
        let Some(letter) = self.next() else { return };
        let before = self.at.checked_sub(2).and_then(|at| self.letters.get(at)).map(|(_, letter)| *letter);
        match (letter, self.peek()) {
            ('`', Some(_)) => self.at += 1,
            ('<', Some('#')) => {
                self.at -= 1;
                self.block_comment();
            }
            // `#` within a word is an ordinary letter.
            ('#', _) if before.is_none_or(|one| one.is_whitespace() || "(){};|,=".contains(one)) => {
                while self.peek().is_some_and(|letter| letter != '\n') {
                    self.at += 1;
                }
            }
            ('@', Some(quote)) if is_single_quote(quote) || is_double_quote(quote) => {
                self.at += 1;
                self.pass_here_string(is_double_quote(quote));
            }
            (quote, _) if is_single_quote(quote) => {
                while self.next().is_some_and(|letter| !is_single_quote(letter)) {}
            }
            (quote, _) if is_double_quote(quote) => self.pass_double_quoted(depth + 1),
            _ => {}
        }
    }

    /// Skips a string with the strings of its `$( )`. Beyond the maximum nesting, it ends at the first quote.
    fn pass_double_quoted(&mut self, depth: usize) {
        while let Some(letter) = self.next() {
            match letter {
                '`' => self.at += usize::from(self.peek().is_some()),
                '$' if self.peek() == Some('(') && depth <= MAX_DEPTH => {
                    self.at += 1;
                    let mut open = 1_usize;
                    while open > 0
                        && let Some(inner) = self.peek()
                    {
                        match inner {
                            '(' => open += 1,
                            ')' => open -= 1,
                            _ => {}
                        }
                        self.pass_token(depth);
                    }
                }
                letter if is_double_quote(letter) => return,
                _ => {}
            }
        }
    }

    fn pass_here_string(&mut self, double: bool) {
        let mut fresh = false;
        while let Some(letter) = self.next() {
            let quote = if double { is_double_quote(letter) } else { is_single_quote(letter) };
            if fresh && quote && self.take('@') {
                return;
            }
            fresh = letter == '\n';
        }
    }
}
