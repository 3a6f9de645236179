//! Select Graphic Rendition: the escape sequences for colours and text attributes (ECMA-48 8.3.117).

use vte::{Params, Perform};

/// Resets all colours and attributes.
pub const RESET: &str = "\u{1b}[0m";

/// Effect of a sequence.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sgr {
    /// The sequence contains a reset.
    pub resets: bool,
    /// The sequence sets an attribute after its last reset.
    pub sets: bool,
}

/// Collects the first escape sequence that the parser dispatches.
#[derive(Default)]
pub struct Listener {
    /// `Some(None)`: a sequence that is not SGR.
    pub sequence: Option<Option<Sgr>>,
}

impl Perform for Listener {
    fn csi_dispatch(&mut self, parameters: &Params, intermediates: &[u8], ignore: bool, action: char) {
        let is_sgr = action == 'm' && intermediates.is_empty() && !ignore;
        self.sequence = Some(is_sgr.then(|| read(parameters)).flatten());
    }

    fn esc_dispatch(&mut self, _: &[u8], _: bool, _: u8) {
        self.sequence = Some(None);
    }

    fn osc_dispatch(&mut self, _: &[&[u8]], _: bool) {
        self.sequence = Some(None);
    }

    fn hook(&mut self, _: &Params, _: &[u8], _: bool, _: char) {
        self.sequence = Some(None);
    }

    fn execute(&mut self, _: u8) {
        self.sequence = Some(None);
    }

    fn print(&mut self, _: char) {
        self.sequence = Some(None);
    }
}

/// Parses the parameters. Returns `None` if a parameter is unknown or conceals text.
fn read(parameters: &Params) -> Option<Sgr> {
    let mut sgr = Sgr::default();
    let mut parameters = parameters.iter();
    while let Some(parameter) = parameters.next() {
        match parameter {
            [0] => {
                sgr = Sgr { resets: true, sets: false };
                continue;
            }
            [38 | 48 | 58] => {
                let count = match parameters.next()? {
                    [5] => 1,
                    [2] => 3,
                    _ => return None,
                };
                for _ in 0..count {
                    if !matches!(parameters.next()?, [0..=255]) {
                        return None;
                    }
                }
            }
            [38 | 48 | 58, 5, 0..=255]
            | [38 | 48 | 58, 2, 0..=255, 0..=255, 0..=255]
            | [38 | 48 | 58, 2, _, 0..=255, 0..=255, 0..=255]
            | [4, 0..=5] => {}
            // 8 conceals; 10 to 20 change the font.
            [1..=7 | 9 | 21..=25 | 27..=37 | 39..=47 | 49 | 53 | 55 | 59 | 90..=97 | 100..=107] => {}
            _ => return None,
        }
        sgr.sets = true;
    }
    Some(sgr)
}

/// Returns the sequence with omitted parameters written as 0 and without leading zeros.
pub fn canonical(sequence: &str) -> String {
    let parameters = sequence.strip_prefix("\u{1b}[").and_then(|rest| rest.strip_suffix('m')).unwrap_or("0");
    let number = |text: &str| match text.trim_start_matches('0') {
        "" => "0".to_owned(),
        digits => digits.to_owned(),
    };
    let parameter = |text: &str| text.split(':').map(number).collect::<Vec<_>>().join(":");
    format!("\u{1b}[{}m", parameters.split(';').map(parameter).collect::<Vec<_>>().join(";"))
}
