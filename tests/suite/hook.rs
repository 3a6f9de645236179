//! The startup hook in scripts with other content.

use lyncsh::desktop::block::{self, BlockError, Newline};
use lyncsh::desktop::startup::{self, Before, StartupError};
use proptest::prelude::*;

#[cfg(unix)]
use crate::agent_world::{REMOVAL_TIMEOUT, World};
use crate::program::{Program, lyncsh};
#[cfg(unix)]
use crate::stand_in::Terminal;

const BODY: &str = "# one\n$x = 'two'\n";
const OTHER: &str = "$x = 'three'\n\n# four\n";

fn utf16(text: &str, big: bool) -> Vec<u8> {
    let bytes = |unit: u16| if big { unit.to_be_bytes() } else { unit.to_le_bytes() };
    std::iter::once(0xFEFF).chain(text.encode_utf16()).flat_map(bytes).collect()
}

/// Returns scripts as users, editors and PowerShells of all versions write them.
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
fn the_other_content_of_a_script_is_unchanged() {
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
fn lines_after_the_block_are_kept() {
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
fn a_block_uses_the_scripts_encoding() {
    let script = block::install(&utf16("Grüße\r\n", false), BODY, Newline::Lf).unwrap();
    let whole = format!("Grüße\r\n{}\r\n", block::render(BODY, Newline::CrLf));
    assert_eq!(script, utf16(&whole, false));
}

#[test]
fn an_edited_or_truncated_block_is_an_error() {
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
        (without(1), BlockError::MissingStart(4)),
        (without(lines.len() - 1), BlockError::MissingEnd(2)),
        (good.clone() + &good, BlockError::SeveralBlocks(2, 7)),
        (without(lines.len() - 1) + &good, BlockError::MissingEnd(2)),
        (good.clone() + "# SIG # Begin signature block\n", BlockError::Signed(6)),
    ] {
        assert_eq!(block::install(script.as_bytes(), OTHER, Newline::Lf), Err(expected.clone()), "{script}");
        assert_eq!(block::remove(script.as_bytes()), Err(expected), "{script}");
    }
    for (script, expected) in [
        (&b"\xFF\xFEa"[..], BlockError::IncompleteUtf16),
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
    fn removal_reverses_installation_in_any_script(script in arbitrary(), crlf: bool) {
        let newline = if crlf { Newline::CrLf } else { Newline::Lf };
        let had = block::body(&script);
        match block::install(&script, OTHER, newline) {
            Ok(once) => {
                prop_assert_eq!(block::install(&once, OTHER, newline), Ok(once.clone()));
                let removed = block::remove(&once).unwrap();
                // The existing block was removed.
                let expected =
                    if had.unwrap().is_some() { block::remove(&script).unwrap() } else { Some(script) };
                prop_assert_eq!(removed, expected);
            }
            Err(_) => prop_assert!(had.is_err() || script.starts_with(b"\xFF\xFE") || script.starts_with(b"\xFE\xFF")),
        }
    }
}

#[test]
fn a_created_script_is_removed_with_its_block() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("powershell/profile.ps1");
    startup::install(&path, BODY).unwrap().write().unwrap();
    startup::install(&path, OTHER).unwrap().write().unwrap();
    let change = startup::install(&path, OTHER).unwrap();
    assert!(!change.changes() && change.before() == Before::Block);
    startup::remove(&path).unwrap().unwrap().write().unwrap();
    assert!(!path.exists());
    assert!(startup::remove(&path).unwrap().is_none());
    assert!(!path.parent().unwrap().exists(), "it was made for the script");
    std::fs::create_dir(path.parent().unwrap()).unwrap();
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
fn a_read_only_or_changed_script_is_not_written() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("profile.ps1");
    std::fs::write(&path, "mine\n").unwrap();
    let change = startup::install(&path, BODY).unwrap();
    std::fs::write(&path, "mine, and more\n").unwrap();
    let error = change.write().unwrap_err().to_string();
    assert!(error.contains("the file has changed meanwhile"), "{error}");
    let mut permissions = std::fs::metadata(&path).unwrap().permissions();
    permissions.set_readonly(true);
    std::fs::set_permissions(&path, permissions).unwrap();
    assert!(matches!(startup::install(&path, BODY), Err(StartupError::ReadOnly { .. })));
    assert_eq!(std::fs::read(&path).unwrap(), b"mine, and more\n");
}

/// A home folder with a profile.
struct Home(tempfile::TempDir);

impl Home {
    fn new() -> Self {
        let home = Self(tempfile::tempdir().unwrap());
        home.put(
            "conf/profiles/work.toml",
            "kind = 'lync-online'\nuser = 'a@litwareinc.com'\ncredential = 'prompt'\n",
        );
        home
    }

    fn put(&self, name: &str, text: &str) {
        let path = self.0.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }

    fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.0.path().join(name)).unwrap_or_default()
    }

    /// Runs `lyncsh hook`; returns its output and whether it succeeded.
    fn hook(&self, arguments: &[&str]) -> (String, bool) {
        let program = Program::lyncsh().env("LYNCSH_CONFIG_DIR", self.0.path().join("conf"));
        self.run(program.env("PATH", self.0.path().join("bin")), arguments)
    }

    fn run(&self, program: Program, arguments: &[&str]) -> (String, bool) {
        let program = program.args(["hook"]).args(arguments).env("HOME", self.0.path());
        program.env_remove("XDG_CONFIG_HOME").run().combined_output()
    }
}

const SCRIPT: &str = ".config/powershell/profile.ps1";

#[cfg(unix)]
#[test]
fn install_shows_and_writes_the_hook_and_connects() {
    let world = World::simulated(&["--cmdlets", "20"], "");
    let home = Home::new();
    let hook = |arguments: &[&str]| home.run(world.program(&[]), arguments);
    home.put(SCRIPT, "Set-Alias ll Get-ChildItem");
    let (said, good) = hook(&["install"]);
    assert!(!good && said.contains("PSModulePath") && said.contains("pass --yes"), "{said}");
    assert_eq!(home.read(SCRIPT), "Set-Alias ll Get-ChildItem");

    // PowerShell is not needed: the one on PATH fails.
    let typed = |answer: &str| {
        let home = home.0.path().to_str().unwrap();
        let folders = [("HOME", home.to_owned()), ("XDG_CONFIG_HOME", format!("{home}/.config"))];
        let mut terminal = Terminal::open_with(&world, lyncsh(), &["hook", "install"], folders);
        terminal.ends_with("Write these lines (y/N)?");
        terminal.line(answer);
        assert_eq!(terminal.wait_exit(), 0, "{}", terminal.text());
        terminal.text()
    };
    let said = typed("n");
    assert!(said.contains("Nothing was written."), "{said}");
    assert_eq!(home.read(SCRIPT), "Set-Alias ll Get-ChildItem");
    let said = typed("y");
    assert!(
        said.contains("The cmdlets of 'work' are now available in every new PowerShell.")
            && said.contains("work  72 cmdlets"),
        "{said}"
    );
    world.wait_removed(REMOVAL_TIMEOUT);
    let script = home.read(SCRIPT);
    assert!(script.starts_with("Set-Alias ll Get-ChildItem\n# >>> lyncsh hook "), "{script}");
    let root = world.root().join("cache/modules");
    assert!(script.contains(root.to_str().unwrap()) && !script.contains("Import-Module"), "{script}");
    let manifest = std::fs::read_to_string(root.join("lyncsh-work/lyncsh-work.psd1")).unwrap();
    assert!(manifest.contains("'Get-CsTenant'"), "{manifest}");

    let asked = world.requests();
    let (said, good) = hook(&["install", "--yes"]);
    assert!(good && said.contains("already has the hook"), "{said}");
    assert_eq!(world.requests(), asked, "the names are known");
    let (said, good) = hook(&["install", "work", "--eager", "--yes"]);
    assert!(good && said.contains("in place of its current hook"), "{said}");
    assert!(home.read(SCRIPT).contains("\nImport-Module "), "{}", home.read(SCRIPT));
    let (said, good) = hook(&["remove"]);
    assert!(good && said.contains("The hook is removed from"), "{said}");
    assert_eq!(home.read(SCRIPT), "Set-Alias ll Get-ChildItem");
    let (said, good) = hook(&["remove"]);
    assert!(good && said.contains("No startup script has the hook."), "{said}");
}

#[cfg(unix)]
#[test]
fn a_failed_first_connection_keeps_the_hook() {
    // The password cannot be prompted for.
    let home = Home::new();
    let (said, good) = home.hook(&["install", "--yes"]);
    assert!(
        !good && said.contains("no terminal") && said.contains("the first connection failed: work"),
        "{said}"
    );
    assert!(home.read(SCRIPT).starts_with("# >>> lyncsh hook"));
    assert!(home.hook(&["remove"]).1);
    assert!(!home.0.path().join(SCRIPT).exists());
    let (said, good) = home.hook(&["install", "wrok", "--yes"]);
    assert!(!good && said.contains("there is no profile 'wrok'"), "{said}");
}

#[cfg(unix)]
#[test]
fn one_failed_profile_does_not_affect_the_others() {
    let world = World::simulated(&["--cmdlets", "20"], "");
    let home = Home::new();
    let broken = std::fs::read_to_string(world.folders.profile("work")).unwrap();
    std::fs::write(
        world.folders.profile("away"),
        format!("{broken}prefix = \"Lw\"\n").replace("cat ", "false "),
    )
    .unwrap();
    let (said, good) = home.run(world.program(&[]), &["install", "--yes"]);
    assert!(
        !good && said.contains("work  72 cmdlets") && said.contains("the first connection failed: away"),
        "{said}"
    );
    assert!(home.read(SCRIPT).starts_with("# >>> lyncsh hook"));
    world.wait_removed(REMOVAL_TIMEOUT);
}

#[cfg(unix)]
#[test]
fn an_edited_hook_is_not_modified() {
    let home = Home::new();
    assert!(home.hook(&["install", "--yes"]).0.contains("is written"));
    let edited = home.read(SCRIPT).replace("-notcontains", "-contains");
    home.put(SCRIPT, &edited);
    for arguments in [&["install", "--yes"][..], &["remove"]] {
        let (said, good) = home.hook(arguments);
        assert!(!good && said.contains("was edited") && said.contains("remove the rest"), "{said}");
        assert_eq!(home.read(SCRIPT), edited);
    }
}

#[test]
fn printed_lines_are_ascii_powershell_for_any_name() {
    let home = Home::new();
    let profile = home.read("conf/profiles/work.toml");
    for name in ["it's", "Müller’s $x `n", "Контора 🦀"] {
        home.put(&format!("conf/profiles/{name}.toml"), &profile);
        let (said, good) = home.hook(&["print", name, "--eager"]);
        assert!(good && said.is_ascii(), "{said}");
        let mut parser = tree_sitter::Parser::new();
        parser.set_language(&tree_sitter_powershell::LANGUAGE.into()).unwrap();
        let tree = parser.parse(&said, None).unwrap();
        assert!(!tree.root_node().has_error(), "{said}\n{}", tree.root_node().to_sexp());
        assert_eq!(crate::pwsh_syntax::newer_than_5_1(&said), Vec::<String>::new());
        let body = block::body(said.as_bytes()).unwrap().unwrap();
        assert!(body.contains("Import-Module -Name "), "{body}");
    }
}
