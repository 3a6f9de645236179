//! A profile's icon: the initials of its name on a colour derived from the name. Pure.

use font8x8::UnicodeFonts as _;
use minijinja::context;

use super::Templates;
use crate::platform;

/// Sizes of the images in an `.ico`, in pixels.
const SIDES: [u32; 4] = [16, 32, 48, 256];
/// Samples of a pixel in each direction.
const SAMPLES: u32 = 4;
/// Corner radius and width of the letters, relative to the size.
const CORNER: f32 = 0.18;
const LETTER_WIDTH: f32 = 0.8;

/// A colour whose contrast to white letters is at least 4.5 (WCAG 2.1, 1.4.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Colour {
    pub red: u8,
    pub green: u8,
    pub blue: u8,
}

impl Colour {
    /// Returns the colour for a name.
    pub fn of(name: &str) -> Self {
        // The upper bits of FNV-1a depend on all bytes of a short name.
        let hue = f32::from(u16::try_from(platform::hash(name.as_bytes()) >> 48).unwrap_or_default());
        let hue = hue / 65_536.0 * 6.0;
        let mut value = 0.85;
        loop {
            let colour = Self::from_hue(hue, 0.7, value);
            if colour.contrast_to_white() >= 4.5 {
                return colour;
            }
            value *= 0.95;
        }
    }

    /// Converts hue (0 to 6), saturation and value (0 to 1).
    fn from_hue(hue: f32, saturation: f32, value: f32) -> Self {
        let part = |shift: f32| {
            let at = (hue + shift) % 6.0;
            let down = saturation * at.min(4.0 - at).clamp(0.0, 1.0);
            byte(value * (1.0 - down))
        };
        Self { red: part(5.0), green: part(3.0), blue: part(1.0) }
    }

    fn contrast_to_white(self) -> f32 {
        let linear = |byte: u8| {
            let part = f32::from(byte) / 255.0;
            if part <= 0.04045 { part / 12.92 } else { ((part + 0.055) / 1.055).powf(2.4) }
        };
        let light = 0.2126 * linear(self.red) + 0.7152 * linear(self.green) + 0.0722 * linear(self.blue);
        1.05 / (light + 0.05)
    }
}

impl std::fmt::Display for Colour {
    /// Formats the colour for SVG and Windows Terminal.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "#{:02x}{:02x}{:02x}", self.red, self.green, self.blue)
    }
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "it is clamped")]
fn byte(part: f32) -> u8 {
    (part * 255.0).round().clamp(0.0, 255.0) as u8
}

/// Returns the first letters of the name's first two words, in capitals.
pub fn initials(name: &str) -> String {
    let words = name.split(|letter: char| !letter.is_alphanumeric()).filter(|word| !word.is_empty());
    // A letter whose capital form has several letters, such as the sharp s, is not changed.
    let capital = |letter: char| {
        let mut upper = letter.to_uppercase();
        upper.next().filter(|_| upper.next().is_none()).unwrap_or(letter)
    };
    words.filter_map(|word| word.chars().next()).take(2).map(capital).collect()
}

/// Renders the icon as SVG.
///
/// # Errors
/// The template cannot be rendered.
pub fn svg(templates: &Templates, name: &str) -> Result<String, minijinja::Error> {
    let context = context! { initials => initials(name), colour => Colour::of(name).to_string() };
    templates.render("icon.svg", context)
}

/// Renders the icon as ICO with images of 16, 32, 48 and 256 pixels. Letters without a glyph in the font are
/// left out.
///
/// # Errors
/// An image cannot be encoded.
pub fn ico(name: &str) -> std::io::Result<Vec<u8>> {
    let mut folder = ico::IconDir::new(ico::ResourceType::Icon);
    for side in SIDES {
        let image = ico::IconImage::from_rgba_data(side, side, pixels(name, side));
        // All readers support bitmaps; the large image would have 256 KiB as a bitmap.
        let entry = if side < 256 {
            ico::IconDirEntry::encode_as_bmp(&image)
        } else {
            ico::IconDirEntry::encode_as_png(&image)
        };
        folder.add_entry(entry?);
    }
    let mut bytes = Vec::new();
    folder.write(&mut bytes)?;
    Ok(bytes)
}

/// Returns red, green, blue and alpha of every pixel, from the upper left.
fn pixels(name: &str, side: u32) -> Vec<u8> {
    let colour = Colour::of(name);
    let letters = Letters::new(&initials(name));
    let samples = side * SAMPLES;
    let at = |place: u32| (f32::from(u16::try_from(place).unwrap_or(u16::MAX)) + 0.5) / side_of(samples);
    let mut bytes = Vec::new();
    for y in 0..side {
        for x in 0..side {
            let (mut inside, mut white) = (0.0, 0.0);
            for sample in 0..SAMPLES * SAMPLES {
                let (x, y) = (at(x * SAMPLES + sample % SAMPLES), at(y * SAMPLES + sample / SAMPLES));
                if is_inside(x, y) {
                    inside += 1.0;
                    white += if letters.cover(x, y) { 1.0 } else { 0.0 };
                }
            }
            let share = if inside > 0.0 { white / inside } else { 0.0 };
            let mix = |part: u8| byte(f32::from(part) / 255.0 * (1.0 - share) + share);
            let alpha = byte(inside / side_of(SAMPLES * SAMPLES));
            bytes.extend([mix(colour.red), mix(colour.green), mix(colour.blue), alpha]);
        }
    }
    bytes
}

fn side_of(count: u32) -> f32 {
    f32::from(u16::try_from(count).unwrap_or(u16::MAX))
}

/// Returns whether a position (0 to 1) is within the rounded square.
fn is_inside(x: f32, y: f32) -> bool {
    let beyond = |place: f32| (CORNER - place.min(1.0 - place)).max(0.0);
    beyond(x).hypot(beyond(y)) <= CORNER
}

/// Letters of 8 by 8 cells, side by side.
struct Letters(Vec<[u8; 8]>);

impl Letters {
    fn new(text: &str) -> Self {
        let glyph = |letter| font8x8::BASIC_FONTS.get(letter).or_else(|| font8x8::LATIN_FONTS.get(letter));
        let more = |letter| font8x8::GREEK_FONTS.get(letter);
        Self(text.chars().filter_map(|letter| glyph(letter).or_else(|| more(letter))).collect())
    }

    /// Returns whether a position (0 to 1) is on a letter.
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "it is within the cells")]
    fn cover(&self, x: f32, y: f32) -> bool {
        // The last column and row of a capital are empty.
        let wide = side_of(u32::try_from(self.0.len()).unwrap_or(1) * 8) - 1.0;
        let cells = wide.max(9.0);
        let (column, row) =
            ((x - 0.5) / LETTER_WIDTH * cells + wide / 2.0, (y - 0.5) / LETTER_WIDTH * cells + 3.5);
        if column < 0.0 || !(0.0..8.0).contains(&row) {
            return false;
        }
        let (column, row) = (column as usize, row as usize);
        self.0.get(column / 8).is_some_and(|rows| rows[row] >> (column % 8) & 1 == 1)
    }
}
