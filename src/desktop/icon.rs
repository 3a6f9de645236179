//! A profile's icon: its name's initials on a colour that the name alone decides. Pure.

use font8x8::UnicodeFonts as _;
use minijinja::context;

use super::Templates;
use crate::platform;

/// The sides of the pictures in an `.ico`, in pixels.
const SIDES: [u32; 4] = [16, 32, 48, 256];
/// How many samples a pixel takes along each side.
const SAMPLES: u32 = 4;
/// The rounding of the corners, and the room for the letters, of the whole side.
const CORNER: f32 = 0.18;
const ROOM: f32 = 0.8;

/// A colour whose contrast to white letters is at least 4.5 (WCAG 2.1, 1.4.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Colour {
    pub red: u8,
    pub green: u8,
    pub blue: u8,
}

impl Colour {
    /// The name's own, the same on every machine.
    pub fn of(name: &str) -> Self {
        // FNV-1a's upper bits depend on all of a short name.
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

    /// From hue (0 to 6), saturation and value (0 to 1).
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
    /// As SVG and Windows Terminal write it.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "#{:02x}{:02x}{:02x}", self.red, self.green, self.blue)
    }
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "it is clamped")]
fn byte(part: f32) -> u8 {
    (part * 255.0).round().clamp(0.0, 255.0) as u8
}

/// The first letters of the name's first two words, in capitals.
pub fn initials(name: &str) -> String {
    let words = name.split(|letter: char| !letter.is_alphanumeric()).filter(|word| !word.is_empty());
    // A letter whose capital is several (as the sharp s) stays as it is.
    let capital = |letter: char| {
        let mut upper = letter.to_uppercase();
        upper.next().filter(|_| upper.next().is_none()).unwrap_or(letter)
    };
    words.filter_map(|word| word.chars().next()).take(2).map(capital).collect()
}

/// The icon as SVG.
///
/// # Errors
/// The template can't be rendered.
pub fn svg(templates: &Templates, name: &str) -> Result<String, minijinja::Error> {
    let context = context! { initials => initials(name), colour => Colour::of(name).to_string() };
    templates.render("icon.svg", context)
}

/// The icon as ICO: pictures of 16, 32, 48 and 256 pixels. Letters that the small built-in font lacks are left out.
///
/// # Errors
/// A picture can't be encoded.
pub fn ico(name: &str) -> std::io::Result<Vec<u8>> {
    let mut folder = ico::IconDir::new(ico::ResourceType::Icon);
    for side in SIDES {
        let image = ico::IconImage::from_rgba_data(side, side, pixels(name, side));
        // Bitmaps are what every reader knows; the large one would be 256 KiB.
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

/// Red, green, blue, alpha of every pixel, from the upper left.
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

/// Whether a place (0 to 1) is within the rounded square.
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

    /// Whether a place (0 to 1) is on a letter.
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "it is within the cells")]
    fn cover(&self, x: f32, y: f32) -> bool {
        // The last column and row of a capital are empty.
        let wide = side_of(u32::try_from(self.0.len()).unwrap_or(1) * 8) - 1.0;
        let cells = wide.max(9.0);
        let (column, row) = ((x - 0.5) / ROOM * cells + wide / 2.0, (y - 0.5) / ROOM * cells + 3.5);
        if column < 0.0 || !(0.0..8.0).contains(&row) {
            return false;
        }
        let (column, row) = (column as usize, row as usize);
        self.0.get(column / 8).is_some_and(|rows| rows[row] >> (column % 8) & 1 == 1)
    }
}
