//! Writer for Windows shortcuts (`.lnk`, MS-SHLLINK). Pure, so that it can be tested on every system.
//!
//! The crate `lnk` (0.6.4) reads shortcuts, but its `ShellLink::save` writes neither the LinkTargetIDList nor any
//! ExtraData: its shortcuts would have no target.

/// Contents of a shortcut.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ShellLink {
    /// Absolute path of the program.
    pub target: String,
    /// Command line without the program's name.
    pub arguments: String,
    /// Working directory.
    pub folder: String,
    pub description: String,
    /// Absolute path of an `.ico`.
    pub icon: String,
}

/// Flags of the header (MS-SHLLINK 2.1.1).
mod flag {
    pub const HAS_ID_LIST: u32 = 1;
    pub const HAS_NAME: u32 = 1 << 2;
    pub const HAS_WORKING_DIR: u32 = 1 << 4;
    pub const HAS_ARGUMENTS: u32 = 1 << 5;
    pub const HAS_ICON: u32 = 1 << 6;
    pub const IS_UNICODE: u32 = 1 << 7;
    pub const HAS_EXPANDABLE_TARGET: u32 = 1 << 9;
}

/// Class id `00021401-0000-0000-C000-000000000046` (2.1).
const CLASS: [u8; 16] = [1, 0x14, 2, 0, 0, 0, 0, 0, 0xC0, 0, 0, 0, 0, 0, 0, 0x46];
/// "This PC", `20D04FE0-3AEA-1069-A2D8-08002B30309D`, as an item of the shell's namespace.
const COMPUTER: [u8; 18] = [
    0x1F, 0x50, 0xE0, 0x4F, 0xD0, 0x20, 0xEA, 0x3A, 0x69, 0x10, 0xA2, 0xD8, 0x08, 0x00, 0x2B, 0x30, 0x30,
    0x9D,
];
/// FILE_ATTRIBUTE_ARCHIVE and FILE_ATTRIBUTE_DIRECTORY (2.1.2).
const FILE: u16 = 0x20;
const FOLDER: u16 = 0x10;
/// The width of a target in its data block, in characters (2.5.4).
const EXPANDABLE_TARGET: usize = 260;

impl ShellLink {
    /// Returns the file. It contains the target twice: as a list of shell items, and as text. A target
    /// without a drive has only the text, and a target of 260 or more UTF-16 units only the list. Returns `None` if it
    /// has neither.
    pub fn write(&self) -> Option<Vec<u8>> {
        let items = items(&self.target);
        let fits = self.target.encode_utf16().count() < EXPANDABLE_TARGET;
        if items.is_none() && !fits {
            return None;
        }
        let mut flags =
            flag::HAS_NAME | flag::HAS_WORKING_DIR | flag::HAS_ARGUMENTS | flag::HAS_ICON | flag::IS_UNICODE;
        flags |= if items.is_some() { flag::HAS_ID_LIST } else { 0 };
        flags |= if fits { flag::HAS_EXPANDABLE_TARGET } else { 0 };
        let mut file = Vec::new();
        file.extend(0x4C_u32.to_le_bytes());
        file.extend(CLASS);
        file.extend(flags.to_le_bytes());
        file.extend(u32::from(FILE).to_le_bytes());
        // Times and size are unknown; the icon's index is 0.
        file.extend([0; 24 + 4 + 4]);
        // SW_SHOWNORMAL, no hot key, reserved fields.
        file.extend(1_u32.to_le_bytes());
        file.extend([0; 2 + 2 + 4 + 4]);
        if let Some(items) = items {
            file.extend(items);
        }
        for text in [&self.description, &self.folder, &self.arguments, &self.icon] {
            file.extend(string(text));
        }
        if fits {
            file.extend(expandable(&self.target));
        }
        // The end of the extra data (2.5).
        file.extend(0_u32.to_le_bytes());
        Some(file)
    }
}

/// Encodes a counted string (2.4).
fn string(text: &str) -> Vec<u8> {
    let units: Vec<u16> = text.encode_utf16().take(usize::from(u16::MAX)).collect();
    let count = u16::try_from(units.len()).unwrap_or(u16::MAX);
    [count].into_iter().chain(units).flat_map(u16::to_le_bytes).collect()
}

fn utf16(text: &str) -> Vec<u8> {
    text.encode_utf16().chain([0]).flat_map(u16::to_le_bytes).collect()
}

/// Encodes an EnvironmentVariableDataBlock (2.5.4): the target as text, in ASCII and in UTF-16.
fn expandable(target: &str) -> Vec<u8> {
    let ascii = |letter: char| u8::try_from(letter).ok().filter(u8::is_ascii).unwrap_or(b'?');
    let mut narrow: Vec<u8> = target.chars().map(ascii).collect();
    narrow.resize(EXPANDABLE_TARGET, 0);
    let mut wide = utf16(target);
    wide.resize(EXPANDABLE_TARGET * 2, 0);
    [&0x314_u32.to_le_bytes()[..], &0xA000_0001_u32.to_le_bytes(), &narrow, &wide].concat()
}

/// Encodes a LinkTargetIDList (2.2): computer, drive, folders, file. Returns `None` for a path without a
/// drive or a path that is too long for the list.
fn items(target: &str) -> Option<Vec<u8>> {
    let (drive, path) = target.split_once(":\\")?;
    let letter = drive.bytes().next().filter(|one| drive.len() == 1 && one.is_ascii_alphabetic())?;
    let mut list = item(&COMPUTER)?;
    // The drive's root, in a field of fixed width.
    let mut root = vec![0x2F, letter, b':', b'\\'];
    root.resize(23, 0);
    list.extend(item(&root)?);
    let mut names = path.split('\\').peekable();
    while let Some(name) = names.next() {
        list.extend(item(&entry(name, names.peek().is_some()))?);
    }
    list.extend([0, 0]);
    let mut counted = u16::try_from(list.len()).ok()?.to_le_bytes().to_vec();
    counted.extend(list);
    Some(counted)
}

fn item(data: &[u8]) -> Option<Vec<u8>> {
    let size = u16::try_from(data.len() + 2).ok()?;
    Some([&size.to_le_bytes(), data].concat())
}

/// Encodes a shell item for a file or folder. The layout is documented by the libfwsi project ("Windows Shell
/// Item format"). The extension block 0xBEEF0004 contains the name as UTF-16, here in its first version (3,
/// of Windows XP), which later versions of Windows read.
fn entry(name: &str, folder: bool) -> Vec<u8> {
    let attributes = if folder { FOLDER } else { FILE };
    let kind = if folder { 0x31 } else { 0x32 };
    // The name for readers without Unicode; others use the name in the extension block.
    let narrow = |letter: char| u8::try_from(letter).ok().filter(u8::is_ascii).unwrap_or(b'_');
    let mut primary: Vec<u8> = name.chars().map(narrow).chain([0]).collect();
    if primary.len() % 2 == 1 {
        primary.push(0);
    }
    // Size and time of change: unknown.
    let mut entry = [&[kind, 0][..], &[0; 4 + 4], &attributes.to_le_bytes(), &primary].concat();
    // Offset from the start of the item, whose size field has two bytes.
    let extension = u16::try_from(entry.len() + 2).unwrap_or(u16::MAX);
    let long = utf16(name);
    let size = u16::try_from(2 + 2 + 4 + 4 + 4 + 2 + 2 + long.len() + 2).unwrap_or(u16::MAX);
    entry.extend(size.to_le_bytes());
    entry.extend(3_u16.to_le_bytes());
    entry.extend(0xBEEF_0004_u32.to_le_bytes());
    entry.extend([0; 4 + 4]);
    entry.extend(0x14_u16.to_le_bytes());
    entry.extend([0; 2]);
    entry.extend(long);
    entry.extend(extension.to_le_bytes());
    entry
}
