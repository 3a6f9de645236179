//! The startup hook in scripts that hold other things.

use lyncsh::desktop::block::{self, BlockError, Newline};
use lyncsh::desktop::startup::{self, StartupError};
use proptest::prelude::*;

const BODY: &str = "# one\n$x = 'two'\n";
const OTHER: &str = "$x = 'three'\n\n# four\n";

fn utf16(text: &str, big: bool) -> Vec<u8> {
    let bytes = |unit: u16| if big { unit.to_be_bytes() } else { unit.to_le_bytes() };
    std::iter::once(0xFEFF).chain(text.encode_utf16()).flat_map(bytes).collect()
}

/// Scripts as people, editors and PowerShells of all ages leave them.
fn scripts() -> Vec<Vec<u8>> {
    let mut all = Vec::new();
    for text in [
        "",
        "\n",
        "Set-Alias ll Get-ChildItem\n",
        "Set-Alias ll Get-ChildItem\r\n",
        "no newline at the end",
        "a\r\nb",
        "mixed\r\nlines\n",
        "mixed\nlines\r\n\r\n",
        "old\rmac\r",
        "Grüße = 'für „alle“' # 🦀\n",
        "# <#\n",
    ] {
        all.push(text.as_bytes().to_vec());
        all.push([b"\xEF\xBB\xBF", text.as_bytes()].concat());
        all.push(utf16(text, false));
        all.push(utf16(text, true));
    }
    all.push(b"windows-1252: Gr\xFC\xDFe\r\n".to_vec());
    all
}

#[test]
fn what_else_stands_in_a_script_stays_byte_for_byte() {
    for script in scripts() {
        for newline in [Newline::Lf, Newline::CrLf] {
            let once = block::install(&script, BODY, newline).unwrap();
            assert!(once.starts_with(&script), "{script:x?}");
            assert_eq!(block::body(&once).unwrap().as_deref(), Some(BODY));
            assert_eq!(block::install(&once, BODY, newline).unwrap(), once, "twice is once");
            let updated = block::install(&once, OTHER, newline).unwrap();
            assert_eq!(block::body(&updated).unwrap().as_deref(), Some(OTHER));
            assert_eq!(block::install(&updated, BODY, newline).unwrap(), once, "updated in place");
            assert_eq!(block::remove(&updated).unwrap(), Some(script.clone()));
            assert_eq!(block::remove(&script).unwrap(), None);
        }
    }
}

#[test]
fn lines_written_behind_the_block_stay_where_they_are() {
    for before in ["", "a\n", "a\r\n", "a"] {
        let once = block::install(before.as_bytes(), BODY, Newline::Lf).unwrap();
        let newline: &[u8] = if before.contains('\r') { b"\r\n" } else { b"\n" };
        let more = if once.ends_with(newline) { once.clone() } else { [&once, newline].concat() };
        let more = [&more, &b"b"[..], newline].concat();
        let updated = block::install(&more, OTHER, Newline::Lf).unwrap();
        assert!(updated.ends_with(&[&b"b"[..], newline].concat()));
        let expected = [before.as_bytes(), if before == "a" { newline } else { b"" }, b"b", newline].concat();
        assert_eq!(block::remove(&updated).unwrap(), Some(expected));
    }
}

#[test]
fn a_block_is_encoded_as_the_script_is() {
    let script = block::install(&utf16("Grüße\r\n", false), BODY, Newline::Lf).unwrap();
    let whole = format!("Grüße\r\n{}\r\n", block::render(BODY, Newline::CrLf));
    assert_eq!(script, utf16(&whole, false));
}

#[test]
fn a_block_that_was_changed_or_cut_by_hand_is_not_guessed_at() {
    let good = String::from_utf8(block::install(b"first\n", BODY, Newline::Lf).unwrap()).unwrap();
    let lines: Vec<&str> = good.lines().collect();
    let without = |at: usize| {
        let kept: Vec<&str> =
            lines.iter().enumerate().filter(|(n, _)| *n != at).map(|(_, line)| *line).collect();
        kept.join("\n") + "\n"
    };
    for (script, expected) in [
        (good.replace("two", "2"), BlockError::Edited(2)),
        (good.replace("# one\n", "# one\r\n"), BlockError::Edited(2)),
        (good.replace("# >>>", "  # >>>"), BlockError::Edited(2)),
        (without(2), BlockError::Edited(2)),
        (without(1), BlockError::Headless(4)),
        (without(lines.len() - 1), BlockError::Cut(2)),
        (good.clone() + &good, BlockError::Twice(2, 7)),
        (without(lines.len() - 1) + &good, BlockError::Cut(2)),
        (good.clone() + "# SIG # Begin signature block\n", BlockError::Signed(6)),
    ] {
        assert_eq!(block::install(script.as_bytes(), OTHER, Newline::Lf), Err(expected.clone()), "{script}");
        assert_eq!(block::remove(script.as_bytes()), Err(expected), "{script}");
    }
    for (script, expected) in [
        (&b"\xFF\xFEa"[..], BlockError::Torn),
        (b"\xFF\xFE\0\0a\0\0\0", BlockError::Utf32),
        (b"# SIG # Begin signature block\r\n", BlockError::Signed(1)),
    ] {
        assert_eq!(block::install(script, BODY, Newline::Lf), Err(expected));
    }
}

fn arbitrary() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        prop::collection::vec(any::<u8>(), 0..20),
        prop::sample::select(vec![
            &b"\n"[..],
            b"\r\n",
            b"\r",
            b"\xEF\xBB\xBF",
            b"\xFF\xFE",
            b"\xFE\xFF",
            b"\0"
        ])
        .prop_map(<[u8]>::to_vec),
        Just(block::render(BODY, Newline::Lf).into_bytes()),
        Just(block::render(BODY, Newline::CrLf).into_bytes()),
        Just(b"# >>> lyncsh hook".to_vec()),
        Just(b"# <<< lyncsh hook <<<".to_vec()),
    ];
    prop::collection::vec(piece, 0..6).prop_map(|pieces| pieces.concat())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn whatever_a_script_is_removing_undoes_installing(script in arbitrary(), crlf: bool) {
        let newline = if crlf { Newline::CrLf } else { Newline::Lf };
        let had = block::body(&script);
        match block::install(&script, OTHER, newline) {
            Ok(once) => {
                prop_assert_eq!(block::install(&once, OTHER, newline), Ok(once.clone()));
                let removed = block::remove(&once).unwrap();
                match had.unwrap() {
                    None => prop_assert_eq!(removed, Some(script)),
                    // The block that was there went.
                    Some(_) => prop_assert_eq!(removed, block::remove(&script).unwrap()),
                }
            }
            Err(_) => prop_assert!(had.is_err() || script.starts_with(b"\xFF\xFE") || script.starts_with(b"\xFE\xFF")),
        }
    }
}

#[test]
fn a_script_made_for_the_block_goes_with_it_and_an_empty_one_stays() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("powershell/profile.ps1");
    startup::install(&path, BODY).unwrap().write().unwrap();
    startup::install(&path, OTHER).unwrap().write().unwrap();
    let change = startup::install(&path, OTHER).unwrap();
    assert!(!change.changes() && change.updates());
    startup::remove(&path).unwrap().unwrap().write().unwrap();
    assert!(!path.exists());
    assert!(startup::remove(&path).unwrap().is_none());
    std::fs::write(&path, "").unwrap();
    startup::install(&path, BODY).unwrap().write().unwrap();
    startup::remove(&path).unwrap().unwrap().write().unwrap();
    assert_eq!(std::fs::read(&path).unwrap(), b"");
}

#[cfg(unix)]
#[test]
fn a_linked_script_stays_a_link_and_keeps_its_permissions() {
    use std::os::unix::fs::PermissionsExt as _;
    let folder = tempfile::tempdir().unwrap();
    let real = folder.path().join("dotfiles.ps1");
    std::fs::write(&real, "mine").unwrap();
    std::fs::set_permissions(&real, std::fs::Permissions::from_mode(0o640)).unwrap();
    let place = folder.path().join("profile.ps1");
    std::os::unix::fs::symlink("dotfiles.ps1", &place).unwrap();
    startup::install(&place, BODY).unwrap().write().unwrap();
    assert!(place.is_symlink());
    assert!(std::fs::read_to_string(&real).unwrap().starts_with("mine\n# >>> lyncsh hook"));
    assert_eq!(std::fs::metadata(&real).unwrap().permissions().mode() & 0o777, 0o640);
    startup::remove(&place).unwrap().unwrap().write().unwrap();
    assert_eq!(std::fs::read(&real).unwrap(), b"mine");
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 2, "nothing is left beside it");

    std::fs::remove_file(&real).unwrap();
    assert!(matches!(startup::install(&place, BODY), Err(StartupError::Io { .. })), "leads nowhere");
}

#[test]
fn a_read_only_script_and_one_saved_meanwhile_are_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("profile.ps1");
    std::fs::write(&path, "mine\n").unwrap();
    let change = startup::install(&path, BODY).unwrap();
    std::fs::write(&path, "mine, and more\n").unwrap();
    let error = change.write().unwrap_err().to_string();
    assert!(error.contains("it has changed meanwhile"), "{error}");
    let mut permissions = std::fs::metadata(&path).unwrap().permissions();
    permissions.set_readonly(true);
    std::fs::set_permissions(&path, permissions).unwrap();
    assert!(matches!(startup::install(&path, BODY), Err(StartupError::ReadOnly { .. })));
    assert_eq!(std::fs::read(&path).unwrap(), b"mine, and more\n");
}
