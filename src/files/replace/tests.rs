#![cfg(unix)]

use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};

use super::*;

fn mode(path: &Path) -> u32 {
    path.metadata().unwrap().mode() & 0o7777
}

fn set_mode(path: &Path, mode: u32) {
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
}

fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap()
}

/// Returns the folder's entries, which must not include temporary files.
fn entries(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).unwrap();
    let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
fn a_replaced_file_keeps_owner_and_mode() {
    let temp = tempfile::tempdir().unwrap();
    let file = temp.path().join("file");
    for wanted in [0o640, 0o755, 0o600, 0o666] {
        std::fs::write(&file, "old and longer").unwrap();
        set_mode(&file, wanted);
        let before = file.metadata().unwrap();
        replace(&file, b"new", New::Private).unwrap();
        let after = file.metadata().unwrap();
        assert_eq!((read(&file).as_str(), mode(&file)), ("new", wanted));
        assert_ne!(before.ino(), after.ino());
        assert_eq!((before.uid(), before.gid()), (after.uid(), after.gid()));
    }
    assert_eq!(entries(temp.path()), ["file"]);
}

#[test]
fn a_foreign_owner_is_kept() {
    if platform::user() != 0 {
        return;
    }
    let temp = tempfile::tempdir().unwrap();
    let file = temp.path().join("file");
    std::fs::write(&file, "old").unwrap();
    std::os::unix::fs::chown(&file, Some(4711), Some(4712)).unwrap();
    set_mode(&file, 0o640);
    replace(&file, b"new", New::Private).unwrap();
    let after = file.metadata().unwrap();
    assert_eq!((after.uid(), after.gid(), mode(&file), read(&file).as_str()), (4711, 4712, 0o640, "new"));
}

#[test]
fn chained_symlinks_are_kept() {
    let temp = tempfile::tempdir().unwrap();
    let folder = temp.path().join("repository");
    std::fs::create_dir(&folder).unwrap();
    std::fs::write(folder.join("file"), "old").unwrap();
    symlink("repository/file", temp.path().join("one")).unwrap();
    symlink("one", temp.path().join("two")).unwrap();
    replace(&temp.path().join("two"), b"new", New::Private).unwrap();
    assert!(temp.path().join("two").is_symlink() && temp.path().join("one").is_symlink());
    assert_eq!(read(&folder.join("file")), "new");
    // A dangling link.
    symlink("repository/later", temp.path().join("three")).unwrap();
    replace(&temp.path().join("three"), b"there", New::Private).unwrap();
    assert!(temp.path().join("three").is_symlink());
    assert_eq!(read(&folder.join("later")), "there");
    assert_eq!(entries(&folder), ["file", "later"]);
    symlink("round", temp.path().join("round")).unwrap();
    assert!(replace(&temp.path().join("round"), b"x", New::Private).is_err());
}

#[test]
fn a_hard_linked_file_is_written_in_place() {
    let temp = tempfile::tempdir().unwrap();
    let (file, other) = (temp.path().join("file"), temp.path().join("other"));
    std::fs::write(&file, "old and longer").unwrap();
    std::fs::hard_link(&file, &other).unwrap();
    replace(&file, b"new", New::Private).unwrap();
    assert_eq!((read(&file), read(&other)), ("new".into(), "new".into()));
    assert_eq!(file.metadata().unwrap().ino(), other.metadata().unwrap().ino());
}

#[test]
fn pipes_and_devices_are_written_in_place() {
    use std::os::unix::fs::FileTypeExt as _;
    let temp = tempfile::tempdir().unwrap();
    let pipe = temp.path().join("pipe");
    assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    let (reading, path) = (pipe.clone(), pipe.clone());
    let reader = std::thread::spawn(move || std::fs::read(reading).unwrap());
    replace(&path, b"through it", New::Private).unwrap();
    assert_eq!(reader.join().unwrap(), b"through it");
    assert!(pipe.metadata().unwrap().file_type().is_fifo());
    replace(Path::new("/dev/null"), b"x", New::Private).unwrap();
    assert!(Path::new("/dev/null").metadata().unwrap().file_type().is_char_device());
    assert!(replace(temp.path(), b"x", New::Private).is_err());
}

#[test]
fn a_new_file_is_created_with_its_mode() {
    let temp = tempfile::tempdir().unwrap();
    let at = |name: &str| temp.path().join(name);
    replace(&at("private"), b"x", New::Private).unwrap();
    assert_eq!(mode(&at("private")), 0o600);
    std::fs::write(at("usual"), "x").unwrap();
    replace(&at("shared"), b"x", New::Shared).unwrap();
    assert_eq!(mode(&at("shared")), mode(&at("usual")));
    replace(&at("program"), b"x", New::Program).unwrap();
    assert_eq!(mode(&at("program")) & 0o700, 0o700);
    assert!(replace(&at("missing/file"), b"x", New::Shared).is_err_and(|e| e.kind() == ErrorKind::NotFound));
}

#[test]
fn an_existing_file_is_not_created() {
    let temp = tempfile::tempdir().unwrap();
    let file = temp.path().join("file");
    create_new(&file, b"one", New::Shared).unwrap();
    assert!(create_new(&file, b"two", New::Shared).is_err_and(|e| e.kind() == ErrorKind::AlreadyExists));
    assert_eq!(read(&file), "one");
    assert_eq!(entries(temp.path()), ["file"]);
}

#[test]
fn extended_attributes_are_copied() {
    let temp = tempfile::tempdir().unwrap();
    let file = temp.path().join("file");
    std::fs::write(&file, "old").unwrap();
    let set = rustix::fs::setxattr(&file, "user.lyncsh", b"kept", rustix::fs::XattrFlags::empty());
    if set.is_err() {
        // This file system has no extended attributes.
        return;
    }
    replace(&file, b"new", New::Private).unwrap();
    let mut value = [0; 16];
    let length = rustix::fs::getxattr(&file, "user.lyncsh", &mut value[..]).unwrap();
    assert_eq!(&value[..length], b"kept");
}

#[test]
fn a_file_in_a_read_only_folder_is_written_in_place() {
    if platform::user() == 0 {
        // Root can write everywhere; `tests/suite/files.rs` tests this as another user.
        return;
    }
    let temp = tempfile::tempdir().unwrap();
    let file = temp.path().join("file");
    std::fs::write(&file, "old and longer").unwrap();
    set_mode(temp.path(), 0o500);
    let result = replace(&file, b"new", New::Private);
    set_mode(temp.path(), 0o700);
    result.unwrap();
    assert_eq!(read(&file), "new");
}

#[test]
fn only_one_of_several_files_moves_to_a_path() {
    let temp = tempfile::tempdir().unwrap();
    let to = temp.path().join("to");
    for round in 0..200 {
        let moves: Vec<_> = (0..4).map(|at| temp.path().join(format!("{round}-{at}"))).collect();
        moves.iter().for_each(|from| std::fs::write(from, from.to_str().unwrap()).unwrap());
        let start = std::sync::Barrier::new(moves.len());
        let moved: Vec<_> = std::thread::scope(|scope| {
            let threads: Vec<_> = moves
                .iter()
                .map(|from| {
                    scope.spawn(|| {
                        start.wait();
                        move_new(from, &to)
                    })
                })
                .collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        assert_eq!(moved.iter().filter(|result| result.is_ok()).count(), 1);
        for (from, result) in moves.iter().zip(moved) {
            match result {
                Ok(()) => assert_eq!(read(&to), from.to_str().unwrap()),
                Err(error) => assert!(error.kind() == ErrorKind::AlreadyExists && from.exists()),
            }
        }
        std::fs::remove_file(&to).unwrap();
    }
    symlink("nowhere", &to).unwrap();
    let from = temp.path().join("from");
    std::fs::write(&from, "").unwrap();
    assert_eq!(move_new(&from, &to).unwrap_err().kind(), ErrorKind::AlreadyExists);
    assert!(from.exists());
}
