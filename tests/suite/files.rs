//! User files that the console reads and writes, and that lyncsh's commands replace.

use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};

use lyncsh::simulator::{Options, PASSWORD, USER};

use crate::agent_simulator::{empty, online};
use crate::agent_world::World;
use crate::program::{Program, lyncsh};
use crate::stand_in::Terminal;

/// Runs `script` in the console, with `@` replaced by a folder; returns exit code and standard error.
fn console(world: &World, folder: &Path, script: &str) -> (i32, String) {
    let script = script.replace('@', folder.to_str().unwrap());
    let (code, _, err) = world.program(&["work", "--shell", "console"]).stdin(script).run().parts();
    (code, err)
}

fn read(path: impl AsRef<Path>) -> String {
    std::fs::read_to_string(path.as_ref()).unwrap_or_else(|error| format!("{error}"))
}

/// Runs `test` with a user, an endpoint, and a folder with a file `keep`.
async fn with_folder(test: impl FnOnce(&World, &Path) + Send + 'static) {
    let (world, server) = online(Options::default(), "").await;
    tokio::task::spawn_blocking(move || {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("keep"), "old\n").unwrap();
        test(&world, folder.path());
    })
    .await
    .unwrap();
    empty(&server).await;
}

/// All commands that write a file.
const WRITERS: [&str; 6] = [
    "> '@/keep'",
    "| Export-Csv '@/keep'",
    "| Out-File '@/keep'",
    "| ConvertTo-Csv > '@/keep'",
    "| Measure-Object > '@/keep'",
    "| Select-Object Name | Out-File -Force '@/keep'",
];

#[tokio::test(flavor = "multi_thread")]
async fn a_failed_pipeline_leaves_the_file_unchanged() {
    with_folder(|world, folder| {
        for writer in WRITERS {
            for fails in ["Get-CsOnlineUsr", "Get-CsOnlineUser nobody@nowhere.example"] {
                let (_, err) = console(world, folder, &format!("{fails} {writer}\n"));
                assert!(!err.is_empty(), "{fails} {writer}");
                assert_eq!(read(folder.join("keep")), "old\n", "{fails} {writer}");
                // No file is created.
                let other = writer.replace("/keep", "/new");
                console(world, folder, &format!("{fails} {other}\n"));
                assert!(!folder.join("new").exists(), "{fails} {other}");
            }
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pipeline_without_output_empties_the_file() {
    with_folder(|world, folder| {
        for writer in ["> '@/keep'", "| Out-File '@/keep'", "| Export-Csv '@/keep'"] {
            std::fs::write(folder.join("keep"), "old\n").unwrap();
            let line = format!("Get-CsOnlineUser | Where-Object {{ $_.DisplayName -eq 'x' }} {writer}\n");
            let (code, err) = console(world, folder, &line);
            assert_eq!((code, read(folder.join("keep")).as_str()), (0, ""), "{err}");
        }
        std::fs::write(folder.join("keep"), "old\n").unwrap();
        let (code, err) = console(
            world,
            folder,
            "Get-CsTenant 2> '@/keep' | Out-Null\nGet-CsTenant >> '@/more'\nGet-CsOnlineUser | where { $false } >> '@/more'\n",
        );
        assert_eq!(code, 0, "{err}");
        assert_eq!(read(folder.join("keep")), "");
        assert!(read(folder.join("more")).contains("Litware"));
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn redirected_errors_are_written_to_their_file() {
    with_folder(|world, folder| {
        console(world, folder, "Get-CsNothing 2> '@/keep'\nGet-CsNothing 2>> '@/keep'\n");
        let text = read(folder.join("keep"));
        assert_eq!(text.matches("'Get-CsNothing' is not recognized").count(), 2, "{text}");
        console(world, folder, "Get-CsTenant > '@/both' 2> '@/both'\n");
        assert!(read(folder.join("both")).contains("Litware"));
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unwritable_file_fails_before_the_pipeline_runs() {
    with_folder(|world, folder| {
        std::fs::create_dir(folder.join("folder")).unwrap();
        for (writer, said) in [
            ("| Out-File -NoClobber '@/keep'", "already exists"),
            ("| Export-Csv -NoClobber '@/keep'", "already exists"),
            ("> '@/none/file'", "Could not find a part of the path"),
            ("| Export-Csv '@/none/file'", "Could not find a part of the path"),
            ("2> '@/folder'", "is denied"),
            ("> '@/folder'", "is denied"),
        ] {
            let line = format!("Set-CsUser kenmyer -EnterpriseVoiceEnabled $true {writer}\n");
            let script = format!("{line}(Get-CsOnlineUser kenmyer).EnterpriseVoiceEnabled > '@/seen'\n");
            let (_, err) = console(world, folder, &script);
            assert!(err.contains(said), "{writer}: {err}");
            assert_eq!(read(folder.join("seen")), "False\n", "{writer}");
            assert_eq!(read(folder.join("keep")), "old\n");
        }
        let (code, err) = console(world, folder, "'x' | Out-File -NoClobber '@/fresh'\n");
        assert_eq!((code, read(folder.join("fresh")).as_str()), (0, "x\n"), "{err}");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn links_modes_devices_and_pipes_are_kept() {
    with_folder(|world, folder| {
        let at = |name: &str| folder.join(name);
        symlink("keep", at("link")).unwrap();
        std::fs::set_permissions(at("keep"), std::fs::Permissions::from_mode(0o640)).unwrap();
        let before = at("keep").metadata().unwrap();
        let (code, err) = console(world, folder, "'new' > '@/link'\n'x' > /dev/null\n");
        assert_eq!(code, 0, "{err}");
        let after = at("keep").metadata().unwrap();
        assert!(at("link").is_symlink());
        assert_eq!((read(at("keep")).as_str(), after.mode()), ("new\n", before.mode()));
        assert_ne!(before.ino(), after.ino(), "it was replaced as a whole");
        // Appending writes in place.
        console(world, folder, "'more' >> '@/link'\n");
        assert_eq!(read(at("keep")), "new\nmore\n");
        assert_eq!(at("keep").metadata().unwrap().ino(), after.ino());
        Program::new("mkfifo").args([at("pipe")]).run().success_output();
        let pipe = at("pipe");
        let reader = std::thread::spawn(move || read(pipe));
        console(world, folder, "'through' > '@/pipe'\n");
        assert_eq!(reader.join().unwrap(), "through\n");
        // With -Force, a read-only file is read-only again afterwards.
        std::fs::set_permissions(at("keep"), std::fs::Permissions::from_mode(0o440)).unwrap();
        let (code, err) = console(world, folder, "'forced' | Out-File -Force '@/keep'\n");
        assert_eq!((code, read(at("keep")).as_str()), (0, "forced\n"), "{err}");
        assert_eq!(at("keep").metadata().unwrap().mode() & 0o777, 0o440);
        let rest: Vec<_> =
            std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(rest.len(), 3, "{rest:?}");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_appended_export_keeps_the_files_encoding() {
    with_folder(|world, folder| {
        let (code, err) = console(
            world,
            folder,
            "Get-CsOnlineUser kenmyer | Select-Object DisplayName | Export-Csv -Encoding unicode '@/u.csv'\n\
             Get-CsOnlineUser kenmyer | Select-Object DisplayName | Export-Csv -Append '@/u.csv'\n\
             Import-Csv '@/u.csv' | ForEach-Object DisplayName > '@/seen'\n",
        );
        assert_eq!((code, read(folder.join("seen")).as_str()), (0, "Ken Myer\nKen Myer\n"), "{err}");
        let bytes = std::fs::read(folder.join("u.csv")).unwrap();
        assert!(bytes.starts_with(&[0xff, 0xfe]) && bytes.len() % 2 == 0);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn profiles_are_read_in_windows_encodings() {
    let (world, server) = online(Options::default(), "").await;
    let path = world.folders.profile("work");
    let text = read(&path);
    let run = move |world: &World| world.run(&["attach", "work", "--socket"]);
    tokio::task::spawn_blocking(move || {
        let marked = format!("\u{feff}{}", text.replace('\n', "\r\n"));
        let utf16 = |unit: fn(u16) -> [u8; 2]| marked.encode_utf16().flat_map(unit).collect::<Vec<u8>>();
        for bytes in [marked.clone().into_bytes(), utf16(u16::to_le_bytes), utf16(u16::to_be_bytes)] {
            std::fs::write(&path, bytes).unwrap();
            let (code, _, err) = run(&world);
            assert_eq!(code, 0, "{err}");
            assert_eq!(world.run(&["stop", "work"]).0, 0);
        }
        std::fs::write(&path, b"kind = \"wsman\"\n# f\xfcnf\n").unwrap();
        let (code, _, err) = run(&world);
        let words = crate::program::one_line(&err);
        assert!(code != 0 && words.contains("line 2 is not UTF-8"), "{err}");
    })
    .await
    .unwrap();
    empty(&server).await;
}

const PROFILE: &str =
    "kind = \"wsman\"\nuser = \"a@b.c\"\nuri = \"https://a.b/c\"\ncredential = \"prompt\"\n";

/// Creates a user whose profile is a link into a folder of dotfiles; also returns the link's target.
fn linked() -> (World, PathBuf) {
    let world = World::without_endpoint();
    let dotfiles = world.root().join("dotfiles");
    std::fs::create_dir_all(world.folders.profiles()).unwrap();
    std::fs::create_dir(&dotfiles).unwrap();
    let file = dotfiles.join("work.toml");
    std::fs::write(&file, PROFILE).unwrap();
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o640)).unwrap();
    symlink(&file, world.folders.profile("work")).unwrap();
    (world, file)
}

#[test]
fn a_linked_profile_stays_a_link() {
    let (world, file) = linked();
    let variables = [("VISUAL", String::new()), ("EDITOR", "sed -i '$a # edited'".to_owned())];
    let mut terminal = Terminal::open_with(&world, lyncsh(), &["edit", "work"], variables);
    terminal.wait_for_text("'work' is changed.");
    assert_eq!(terminal.wait_exit(), 0);
    assert!(world.folders.profile("work").is_symlink());
    assert_eq!(read(&file), format!("{PROFILE}# edited\n"));
    let (code, _, err) = world.run(&["add", "work", "--force", "--user", "c@d.e"]);
    assert_eq!(code, 0, "{err}");
    assert!(world.folders.profile("work").is_symlink());
    assert_eq!(read(&file), format!("{PROFILE}# edited\n").replace("a@b.c", "c@d.e"));
    assert_eq!(file.metadata().unwrap().mode() & 0o777, 0o640);
    assert_eq!(std::fs::read_dir(world.folders.profiles()).unwrap().count(), 1);
}

#[test]
fn a_profile_in_a_read_only_folder_is_written_in_place() {
    if lyncsh::platform::user() != 0 {
        // `files::replace` has this for a user without privileges.
        return;
    }
    let (world, file) = linked();
    let open =
        |path: &Path, mode| std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
    // The other user may write the file itself, but has access to the profile's folders only.
    open(world.root(), 0o777);
    open(&file, 0o666);
    let arguments = ["--reuid", "65534", "--regid", "65534", "--clear-groups"];
    let program = Program::new("setpriv").args(arguments).args([lyncsh()]);
    let program = program.args(["add", "work", "--force", "--user", "c@d.e"]);
    let run = program.env("LYNCSH_CONFIG_DIR", world.root()).run();
    if matches!(run.code, Some(126 | 127)) {
        // This user cannot access the program's folder.
        return;
    }
    run.success_output();
    assert_eq!(read(&file), PROFILE.replace("a@b.c", "c@d.e"));
    let after = file.metadata().unwrap();
    assert_eq!((after.uid(), after.mode() & 0o777), (0, 0o666));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_removed_profile_leaves_no_agent_files() {
    let (world, server) = online(Options::default(), "").await;
    let said = format!("{USER} {PASSWORD}");
    tokio::task::spawn_blocking(move || {
        let (code, _, err) = world.run(&["attach", "work", "--socket"]);
        assert_eq!(code, 0, "{err}");
        let named = |folder: &Path| -> Vec<String> {
            let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
            let names = entries.map(|entry| entry.file_name().into_string().unwrap());
            names.filter(|name| name.starts_with("work.")).collect()
        };
        let log = world.folders.state.join("log");
        assert!(!named(&world.folders.runtime).is_empty() && !named(&log).is_empty(), "{said}");
        let (code, _, err) = world.run(&["remove", "work", "--yes"]);
        assert_eq!(code, 0, "{err}");
        world.wait_agent_gone();
        assert_eq!(named(&world.folders.runtime), Vec::<String>::new());
        assert_eq!(named(&log), Vec::<String>::new());
    })
    .await
    .unwrap();
    empty(&server).await;
}

#[test]
fn leftovers_of_a_killed_journal_writer_are_removed() {
    let world = World::without_endpoint();
    let sessions = world.folders.state.join("sessions");
    std::fs::create_dir_all(&sessions).unwrap();
    std::fs::set_permissions(&sessions, std::fs::Permissions::from_mode(0o700)).unwrap();
    let left = sessions.join("0b9c0c1e-0000-4000-8000-000000000000.new");
    std::fs::write(&left, "{").unwrap();
    assert_eq!(world.run(&["status"]).0, 0);
    assert!(!left.exists());
}
