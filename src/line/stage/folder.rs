//! Get-ChildItem and Get-Location: the local file system.

use std::fs::Metadata;
use std::path::{Path, PathBuf};

use super::bind::{BoundParameters, Parameter, ParameterKind};
use super::date::file_time;
use super::input::SourceOutput;
use super::kinds::{FILE, FOLDER};
use super::path::{self, PROVIDER, absolute, check_drive, is_pattern, located, missing};
use crate::line::error::LineError;
use crate::psrp::clixml::{Name, Object, Value, type_names};
use crate::wildcard::like;

pub const CHILDREN: [Parameter; 12] = [
    ("Path", ParameterKind::Positional),
    ("Filter", ParameterKind::Positional),
    ("LiteralPath", ParameterKind::Named),
    ("Include", ParameterKind::Named),
    ("Exclude", ParameterKind::Named),
    ("Recurse", ParameterKind::Switch),
    ("Depth", ParameterKind::Named),
    ("Force", ParameterKind::Switch),
    ("Name", ParameterKind::Switch),
    ("File", ParameterKind::Switch),
    ("Directory", ParameterKind::Switch),
    ("Hidden", ParameterKind::Switch),
];

/// Maximum depth of a recursion.
const MAX_DEPTH: usize = 256;

/// Returns the current folder.
pub fn location() -> SourceOutput {
    match path::current() {
        Value::Null => {
            SourceOutput::failed(LineError("Get-Location: The current folder does not exist.".into()))
        }
        folder => SourceOutput::of(vec![folder]),
    }
}

/// Selection of items.
#[derive(Clone)]
struct Choice {
    /// Pattern for the names: the last part of a path with -Recurse.
    named: Option<String>,
    filter: Option<String>,
    include: Vec<String>,
    exclude: Vec<String>,
    depth: usize,
    /// Also hidden items, unless `hidden` is set.
    force: bool,
    /// Only hidden items, also those in folders that are not hidden.
    hidden: bool,
    files: bool,
    folders: bool,
}

impl Choice {
    /// Returns whether hidden files and folders are looked at.
    fn sees_hidden(&self) -> bool {
        self.force || self.hidden
    }

    fn takes(&self, name: &str, metadata: &Metadata) -> bool {
        let any = |patterns: &[String]| patterns.iter().any(|pattern| like(pattern, name));
        let is_hidden = is_hidden(name, metadata);
        let visible = if self.hidden { is_hidden } else { self.force || !is_hidden };
        // Without -File or -Directory, both are listed.
        let kind = if metadata.is_dir() { self.folders || !self.files } else { self.files || !self.folders };
        kind && visible
            && self.named.as_ref().is_none_or(|named| like(named, name))
            && self.filter.as_ref().is_none_or(|filter| like(filter, name))
            && (self.include.is_empty() || any(&self.include))
            && !any(&self.exclude)
    }
}

/// An item of a folder.
struct Item {
    path: PathBuf,
    name: String,
    /// Metadata of a link itself, not of its target.
    metadata: Metadata,
}

impl Item {
    fn read(path: PathBuf) -> std::io::Result<Self> {
        let metadata = path.symlink_metadata()?;
        let name = path.file_name().unwrap_or(path.as_os_str()).to_string_lossy().into_owned();
        Ok(Self { path, name, metadata })
    }
}

/// Lists files and folders.
pub fn children(bound: &BoundParameters) -> Result<SourceOutput, LineError> {
    let depth = bound.count("Depth")?;
    let recurses = bound.switch("Recurse") || depth.is_some();
    let choice = Choice {
        named: None,
        filter: bound.text("Filter"),
        include: bound.names("Include"),
        exclude: bound.names("Exclude"),
        depth: depth.unwrap_or(if recurses { MAX_DEPTH } else { 0 }).min(MAX_DEPTH),
        force: bound.switch("Force"),
        hidden: bound.switch("Hidden"),
        files: bound.switch("File"),
        folders: bound.switch("Directory"),
    };
    let is_literal = bound.has("LiteralPath");
    let mut paths = if is_literal { bound.names("LiteralPath") } else { bound.names("Path") };
    if paths.is_empty() {
        paths.push(".".to_owned());
    }
    let names_only = bound.switch("Name");
    let mut found = SourceOutput::default();
    for text in paths {
        if let Err(error) = check_drive(bound.name, &text) {
            found.errors.push(error);
            continue;
        }
        let base = located(&text);
        // Each folder to which the names of -Name are relative, with its items.
        let mut listed: Vec<(PathBuf, Vec<Item>)> = Vec::new();
        if !is_literal && recurses && !base.is_dir() {
            let (roots, named) = roots(&text, &base, choice.sees_hidden());
            let choice = Choice { named, ..choice.clone() };
            for root in roots {
                if !root.is_dir() {
                    found.errors.push(missing(bound.name, &root));
                    continue;
                }
                let mut items = Vec::new();
                walk(bound, &root, choice.depth, &choice, &mut items, &mut found.errors);
                listed.push((root, items));
            }
        } else if !is_literal && is_pattern(&text) {
            let matched = path::matching(&text, choice.sees_hidden()).into_iter();
            let matched = matched.filter_map(|path| Item::read(path).ok());
            let mut items: Vec<Item> =
                matched.filter(|item| choice.takes(&item.name, &item.metadata)).collect();
            sort(&mut items);
            listed.push((base, items));
        } else {
            let mut items = Vec::new();
            match std::fs::metadata(&base).or_else(|_| base.symlink_metadata()) {
                Err(_) => {
                    found.errors.push(missing(bound.name, &base));
                    continue;
                }
                Ok(metadata) if metadata.is_dir() => {
                    walk(bound, &base, choice.depth, &choice, &mut items, &mut found.errors);
                }
                Ok(_) => match Item::read(base.clone()) {
                    Ok(item) if choice.takes(&item.name, &item.metadata) => items.push(item),
                    Ok(item) if !choice.force && is_hidden(&item.name, &item.metadata) => {
                        let whole = absolute(&item.path);
                        found.errors.push(bound.wrong(&format!("Could not find item {}.", whole.display())));
                    }
                    _ => {}
                },
            }
            listed.push((base, items));
        }
        for (base, items) in listed {
            if bound.is_stopped() {
                break;
            }
            found.values.extend(items.iter().map(|item| {
                if names_only {
                    let shown =
                        item.path.strip_prefix(&base).ok().filter(|rest| !rest.as_os_str().is_empty());
                    return shown.map_or(item.name.clone(), |rest| rest.display().to_string()).into();
                }
                object(item)
            }));
        }
    }
    Ok(found)
}

/// Returns the folders in which a recursion begins, and the pattern for the names in them. As in PowerShell,
/// `*.txt` is looked for in all folders below, unless it matches only folders, which are then listed.
fn roots(text: &str, base: &Path, force: bool) -> (Vec<PathBuf>, Option<String>) {
    if is_pattern(text) {
        let matched = path::matching(text, force);
        if !matched.is_empty() && matched.iter().all(|path| path.is_dir()) {
            return (matched, None);
        }
    }
    let above = match base.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    let whole = above.to_string_lossy();
    let mut roots = vec![above.to_owned()];
    if is_pattern(&whole) {
        roots = path::matching(&whole, force);
        roots.retain(|root| root.is_dir());
    }
    (roots, base.file_name().map(|name| name.to_string_lossy().into_owned()))
}

/// Adds the items of a folder, then the items of its subfolders.
fn walk(
    bound: &BoundParameters,
    folder: &Path,
    depth: usize,
    choice: &Choice,
    items: &mut Vec<Item>,
    errors: &mut Vec<LineError>,
) {
    if bound.is_stopped() {
        return;
    }
    let cmdlet = bound.name;
    let entries = match std::fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) => {
            let path = absolute(folder);
            errors.push(LineError(match error.kind() {
                std::io::ErrorKind::PermissionDenied => {
                    format!("{cmdlet}: Access to the path '{}' is denied.", path.display())
                }
                _ => format!("{cmdlet}: Cannot read '{}': {error}", path.display()),
            }));
            return;
        }
    };
    // An entry can be removed while the folder is read.
    let mut here: Vec<Item> = entries.flatten().filter_map(|entry| Item::read(entry.path()).ok()).collect();
    sort(&mut here);
    let inner: Vec<PathBuf> = here
        .iter()
        .filter(|item| {
            item.metadata.is_dir() && (choice.sees_hidden() || !is_hidden(&item.name, &item.metadata))
        })
        .map(|item| item.path.clone())
        .collect();
    items.extend(here.into_iter().filter(|item| choice.takes(&item.name, &item.metadata)));
    if depth > 0 {
        for folder in inner {
            walk(bound, &folder, depth - 1, choice, items, errors);
        }
    }
}

/// Sorts folders before files, by name.
fn sort(items: &mut [Item]) {
    items.sort_by_key(|item| (!item.metadata.is_dir(), item.name.to_uppercase()));
}

#[cfg(unix)]
fn is_hidden(name: &str, _: &Metadata) -> bool {
    name.starts_with('.')
}

#[cfg(windows)]
fn is_hidden(_: &str, metadata: &Metadata) -> bool {
    /// FILE_ATTRIBUTE_HIDDEN.
    const HIDDEN: u32 = 2;
    std::os::windows::fs::MetadataExt::file_attributes(metadata) & HIDDEN != 0
}

/// Returns PowerShell's mode: folder, archive, read-only, hidden, system.
fn mode(item: &Item) -> String {
    let metadata = &item.metadata;
    let kind = if metadata.is_symlink() {
        'l'
    } else if metadata.is_dir() {
        'd'
    } else {
        '-'
    };
    #[cfg(windows)]
    let (archive, system) = {
        let bits = std::os::windows::fs::MetadataExt::file_attributes(metadata);
        (bits & 0x20 != 0, bits & 4 != 0)
    };
    #[cfg(unix)]
    let (archive, system) = (false, false);
    let flag = |is_set: bool, letter: char| if is_set { letter } else { '-' };
    let read_only = !metadata.is_dir() && !metadata.is_symlink() && metadata.permissions().readonly();
    [
        kind,
        flag(archive, 'a'),
        flag(read_only, 'r'),
        flag(is_hidden(&item.name, metadata), 'h'),
        flag(system, 's'),
    ]
    .iter()
    .collect()
}

/// Returns the mode as `ls` shows it: `-rw-r--r--`.
#[cfg(unix)]
fn unix_mode(metadata: &Metadata) -> String {
    use std::os::unix::fs::{FileTypeExt as _, PermissionsExt as _};
    let kind = metadata.file_type();
    let letters = [
        (kind.is_symlink(), 'l'),
        (kind.is_dir(), 'd'),
        (kind.is_block_device(), 'b'),
        (kind.is_char_device(), 'c'),
        (kind.is_fifo(), 'p'),
        (kind.is_socket(), 's'),
    ];
    let first = letters.into_iter().find_map(|(is, letter)| is.then_some(letter)).unwrap_or('-');
    let bits = metadata.permissions().mode();
    let mut text = String::from(first);
    for (shift, special, letter) in [(6, 0o4000, 's'), (3, 0o2000, 's'), (0, 0o1000, 't')] {
        let three = bits >> shift;
        text.push(if three & 4 != 0 { 'r' } else { '-' });
        text.push(if three & 2 != 0 { 'w' } else { '-' });
        text.push(match (three & 1 != 0, bits & special != 0) {
            (true, true) => letter,
            (false, true) => letter.to_ascii_uppercase(),
            (true, false) => 'x',
            (false, false) => '-',
        });
    }
    text
}

/// Returns the properties that only Unix has.
#[cfg(unix)]
fn of_system(item: &Item) -> Vec<(Name, Value)> {
    use std::os::unix::fs::MetadataExt as _;
    let metadata = &item.metadata;
    let name = |known: Option<String>, id: u32| Value::String(known.unwrap_or_else(|| id.to_string()));
    let size = i64::try_from(metadata.len()).unwrap_or(i64::MAX);
    vec![
        ("UnixMode".into(), unix_mode(metadata).into()),
        ("User".into(), name(crate::platform::user_name(metadata.uid()), metadata.uid())),
        ("Group".into(), name(crate::platform::group_name(metadata.gid()), metadata.gid())),
        ("Size".into(), Value::I64(size)),
    ]
}

#[cfg(windows)]
fn of_system(_: &Item) -> Vec<(Name, Value)> {
    Vec::new()
}

/// Returns the FileInfo or DirectoryInfo of an item.
fn object(item: &Item) -> Value {
    let metadata = &item.metadata;
    let is_folder = metadata.is_dir();
    let whole = absolute(&item.path);
    let parent = whole.parent().unwrap_or(&whole).display().to_string();
    let full = whole.display().to_string();
    let extension = match item.name.rfind('.') {
        Some(at) if at + 1 < item.name.len() => &item.name[at..],
        _ => "",
    };
    let base = if is_folder { &item.name } else { item.name.strip_suffix(extension).unwrap_or(&item.name) };
    let target = std::fs::read_link(&item.path).ok().map(|target| target.display().to_string());
    let target = || target.clone().map_or(Value::Null, Value::String);
    let link = if metadata.is_symlink() { "SymbolicLink".into() } else { Value::Null };
    let time = |time: std::io::Result<std::time::SystemTime>| time.map_or(Value::Null, file_time);
    let mut properties: Vec<(Name, Value)> = vec![
        ("PSPath".into(), format!("{PROVIDER}::{full}").into()),
        ("PSParentPath".into(), format!("{PROVIDER}::{parent}").into()),
        ("PSChildName".into(), item.name.as_str().into()),
        ("PSProvider".into(), PROVIDER.into()),
        ("PSIsContainer".into(), Value::Bool(is_folder)),
    ];
    properties.extend(of_system(item));
    let mut add = |name: &str, value: Value| properties.push((name.into(), value));
    add("Mode", mode(item).into());
    add("BaseName", base.into());
    add("Target", target());
    add("LinkType", link);
    add("Name", item.name.as_str().into());
    if is_folder {
        add("Parent", parent.into());
    } else {
        add("Length", Value::I64(i64::try_from(metadata.len()).unwrap_or(i64::MAX)));
        add("DirectoryName", parent.into());
        add("IsReadOnly", Value::Bool(!metadata.is_symlink() && metadata.permissions().readonly()));
    }
    add("Exists", Value::Bool(true));
    add("FullName", full.as_str().into());
    add("Extension", extension.into());
    // Some file systems do not record the creation.
    add("CreationTime", time(metadata.created().or_else(|_| metadata.modified())));
    add("LastAccessTime", time(metadata.accessed()));
    add("LastWriteTime", time(metadata.modified()));
    add("LinkTarget", target());
    let (own, base) =
        if is_folder { (FOLDER, "System.IO.DirectoryInfo") } else { (FILE, "System.IO.FileInfo") };
    Object {
        type_names: type_names([
            own,
            base,
            "System.IO.FileSystemInfo",
            "System.MarshalByRefObject",
            "System.Object",
        ]),
        to_string: Some(full),
        adapted: properties,
        ..Object::default()
    }
    .into()
}
