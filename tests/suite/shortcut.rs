//! Shortcuts, checked with parsers of the programs that open them.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::LazyLock;

use lyncsh::desktop::Templates;
use lyncsh::desktop::icon::{self, Colour};
use lyncsh::desktop::shortcut::{Desktop, Shortcut, ShortcutError};
use lyncsh::folders::Folders;
use lyncsh::quote::desktop as quote;
use proptest::prelude::*;
use serde_json::Value;

use crate::program::{ChildGuard, PATIENCE, Program, holds};

const NAMES: [&str; 6] = ["work", "Müller & Söhne", "50% off", "it's $5 `x` #1", "=", "Контора"];

fn shortcut<'a>(name: &'a str, program: &'a str, config: Option<&'a Path>) -> Shortcut<'a> {
    static OWN: LazyLock<Templates> = LazyLock::new(own);
    let icons = Path::new("/home/ünal/icons");
    Shortcut { name, program: Path::new(program), config, icons, templates: &OWN }
}

/// Returns the built-in templates.
fn own() -> Templates {
    Templates::of(&Folders::find(Some(Path::new("/nonexistent"))).unwrap())
}

/// Returns the output of `tests/peers/shortcut.py`.
fn peer(arguments: &[&str]) -> Value {
    Program::peer("shortcut.py").args(arguments).run().json()
}

fn saved(folder: &tempfile::TempDir, name: &str, bytes: &[u8]) -> String {
    let path = folder.path().join(name);
    std::fs::write(&path, bytes).unwrap();
    path.to_str().unwrap().to_owned()
}

#[test]
fn a_windows_shortcut_round_trips() {
    let folder = tempfile::tempdir().unwrap();
    for (name, program, names) in [
        ("work", r"C:\Program Files\lyncsh\lyncsh.exe", vec!["Program Files", "lyncsh", "lyncsh.exe"]),
        ("Müller & Söhne", r"D:\Jürgen\lyncsh.exe", vec!["J_rgen", "lyncsh.exe"]),
        ("work", r"\\server\share\lyncsh.exe", vec![]),
    ] {
        let file = shortcut(name, program, None).file(Desktop::Windows, Path::new("")).unwrap();
        assert_eq!(file.path, PathBuf::from(format!("lyncsh {name}.lnk")));
        let read = peer(&["lnk", &saved(&folder, "a.lnk", &file.bytes)]);
        let data = &read["data"];
        let quoted = if name.contains(' ') { format!("\"{name}\"") } else { name.to_owned() };
        assert_eq!(data["command_line_arguments"], format!("shortcut {quoted} --here"), "{read:#}");
        assert_eq!(data["description"], format!("Opens the shell of the lyncsh profile '{name}'"));
        assert_eq!(data["working_directory"], "%USERPROFILE%");
        assert!(data["icon_location"].as_str().unwrap().ends_with(&format!("{name}.ico")));
        let block = &read["extra"]["ENVIRONMENTAL_VARIABLES_LOCATION_BLOCK"];
        assert_eq!(block["target_unicode"], program, "{read:#}");
        assert_eq!(read["names"], serde_json::json!(names), "{read:#}");
    }
}

#[test]
fn a_long_path_needs_a_drive_letter() {
    let long = "x".repeat(150);
    let file = |root: &str| {
        let program = format!(r"{root}\{long}\{long}\lyncsh.exe");
        shortcut("work", &program, None).file(Desktop::Windows, Path::new(""))
    };
    assert!(file("C:").is_ok());
    assert!(matches!(file(r"\\server\share"), Err(ShortcutError::TooLong(_))));
}

#[test]
fn an_icon_is_read_back_with_its_initials_and_colour() {
    let folder = tempfile::tempdir().unwrap();
    for name in NAMES {
        let colour = Colour::of(name);
        let svg = peer(&["svg", &saved(&folder, "a.svg", icon::svg(&own(), name).unwrap().as_bytes())]);
        assert_eq!(svg["fill"], colour.to_string());
        assert_eq!(svg["text"].as_str().unwrap_or_default(), icon::initials(name));
        let pictures = peer(&["ico", &saved(&folder, "a.ico", &icon::ico(name).unwrap())]);
        let sides: Vec<&Value> = pictures.as_array().unwrap().iter().map(|one| &one["size"][0]).collect();
        assert_eq!(sides, [16, 32, 48, 256]);
        for picture in pictures.as_array().unwrap() {
            assert_eq!(picture["ground"], serde_json::json!([colour.red, colour.green, colour.blue, 255]));
            assert!(picture["corner"].as_u64().unwrap() < 128, "the corners are round: {picture}");
            let drawn = icon::initials(name).is_ascii() && name != "=" || name.starts_with('M');
            assert_eq!(picture["white"].as_u64().unwrap() > 0, drawn, "{name}: {picture}");
        }
    }
}

#[test]
fn initials_are_those_of_the_first_two_words() {
    for (name, expected) in [
        ("work", "W"),
        ("contoso-emea 2", "CE"),
        ("Müller & Söhne", "MS"),
        ("ünal", "Ü"),
        ("ß", "ß"),
        ("=", ""),
    ] {
        assert_eq!(icon::initials(name), expected);
    }
}

#[test]
fn a_desktop_entry_is_valid_for_any_name() {
    let folder = tempfile::tempdir().unwrap();
    for name in NAMES {
        for config in [None, Some(Path::new("/tmp/a b\\c$"))] {
            let file = shortcut(name, "/opt/my tools/lyncsh", config)
                .file(Desktop::Freedesktop, folder.path())
                .unwrap();
            std::fs::write(&file.path, &file.bytes).unwrap();
            let said = Program::new("desktop-file-validate").args([&file.path]).run().success_output();
            assert!(said.is_empty(), "{said}");
        }
    }
    let equals = shortcut("work", "/opt/a=b/lyncsh", None).file(Desktop::Freedesktop, folder.path());
    assert!(equals.unwrap_err().to_string().contains("equals sign"));
}

#[test]
fn windows_terminal_profiles_have_the_tenants_colour() {
    let text = shortcut("my work", r"C:\x y\lyncsh.exe", None).terminal_profile().unwrap();
    let profile = &serde_json::from_str::<Value>(&text).unwrap()["profiles"][0];
    assert_eq!(profile["name"], "lyncsh my work");
    assert_eq!(profile["commandline"], "\"C:\\x y\\lyncsh.exe\" shortcut \"my work\" --here");
    assert_eq!(profile["tabColor"], Colour::of("my work").to_string());
}

/// Unescapes a string value, then splits the command line, as in the Desktop Entry Specification.
fn exec_words(value: &str) -> Vec<String> {
    let mut line = String::new();
    let mut letters = value.chars();
    while let Some(letter) = letters.next() {
        line.push(match (letter, letter == '\\') {
            (_, true) => match letters.next().unwrap() {
                's' => ' ',
                'n' => '\n',
                't' => '\t',
                'r' => '\r',
                '\\' => '\\',
                other => panic!("\\{other}"),
            },
            (letter, _) => letter,
        });
    }
    let mut words = Vec::new();
    let mut letters = line.chars().peekable();
    while letters.peek().is_some() {
        let mut word = String::new();
        if letters.next_if_eq(&'"').is_some() {
            loop {
                match letters.next().expect("a quote that ends") {
                    '"' => break,
                    '\\' => word.push(letters.next().filter(|one| "\"`$\\".contains(*one)).unwrap()),
                    letter => word.push(letter),
                }
            }
        } else {
            while let Some(letter) = letters.next_if(|letter| *letter != ' ') {
                assert!(!"\t\n\"'\\><~|&;$*?#()`".contains(letter), "{letter:?} outside of quotes in {line}");
                word.push(letter);
            }
        }
        assert!(letters.next().is_none_or(|letter| letter == ' '));
        assert!(!word.replace("%%", "").contains('%'), "a field code in {word}");
        words.push(word.replace("%%", "%"));
    }
    words
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn desktop_quoting_round_trips(
        words in prop::collection::vec("[a-z \\\\\"'$`%;&\n\t\rü=#~]{0,8}", 1..5)
    ) {
        let value = quote::exec(&words);
        prop_assert!(!value.contains(['\n', '\r', '\t']));
        prop_assert_eq!(exec_words(&value), words);
    }

    #[test]
    fn every_colour_leaves_white_letters_readable(name in ".{0,12}") {
        let Colour { red, green, blue } = Colour::of(&name);
        let linear = |byte: u8| (f64::from(byte) / 255.0).powf(2.2);
        let light = 0.2126 * linear(red) + 0.7152 * linear(green) + 0.0722 * linear(blue);
        prop_assert!(1.05 / (light + 0.05) > 4.3);
    }
}

#[test]
fn windows_and_posix_quoting_round_trip() {
    let words = ["a", "", "two words", r"C:\a b\", r#"say "hi""#, r#"\\" \"#, "it's", "$x `y` \\z", "ü\tt"];
    let words = words.map(str::to_owned);
    let mut arguments = vec!["argv"];
    arguments.extend(words.iter().map(String::as_str));
    assert_eq!(peer(&arguments), quote::windows(&words));
    let script = format!("printf '%s|' {}", quote::posix(&words));
    assert_eq!(Program::new("sh").args(["-c", &script]).run().success_output(), words.join("|") + "|");
}

/// A home folder with a profile and its endpoint.
struct Home {
    folder: tempfile::TempDir,
    _endpoint: ChildGuard,
}

impl Home {
    fn new(profile: &str) -> Self {
        let mut endpoint = Program::lyncsh().args(["demo", "--serve"]).start();
        let ready = endpoint.ready();
        let home = Self { folder: tempfile::tempdir().unwrap(), _endpoint: endpoint };
        let text = format!(
            "kind = 'lync-online'\nuser = {}\ndiscovery = {}\nshell = 'console'\ncredential = {{ command = \"printf %s '{}'\" }}\n",
            ready["user"],
            ready["discovery"],
            ready["password"].as_str().unwrap(),
        );
        let folder = home.path("conf/profiles");
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::create_dir(home.path("Desktop")).unwrap();
        std::fs::write(folder.join(format!("{profile}.toml")), text).unwrap();
        home
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Runs lyncsh; returns its output and whether it succeeded.
    fn lyncsh(&self, arguments: &[&str]) -> (String, bool) {
        self.lyncsh_on(crate::agent_world::path_without_powershell(), arguments)
    }

    /// The same with this PATH.
    fn lyncsh_on(&self, path: std::ffi::OsString, arguments: &[&str]) -> (String, bool) {
        let mut program = Program::lyncsh().args(arguments).env("PATH", path).env("HOME", self.folder.path());
        for name in ["XDG_CONFIG_HOME", "XDG_DATA_HOME", "DISPLAY"] {
            program = program.env_remove(name);
        }
        program.env("LYNCSH_CONFIG_DIR", self.path("conf")).run().combined_output()
    }
}

#[cfg(target_os = "linux")]
#[test]
fn flags_select_the_shortcut_locations() {
    use std::os::unix::fs::PermissionsExt as _;
    let home = Home::new("my work");
    let name = "lyncsh-my work.desktop";
    let desk = home.path("Desktop").join(name);
    let menu = home.path(".local/share/applications").join(name);
    let autostart = home.path(".config/autostart").join(name);
    let (said, good) = home.lyncsh(&["shortcut", "my work"]);
    assert!(good && said.contains(&format!("{} opens the shell of 'my work'.", desk.display())), "{said}");
    assert_eq!(std::fs::metadata(&desk).unwrap().permissions().mode() & 0o777, 0o755);
    assert!(!menu.exists());
    let out = home.path("out");
    for _ in 0..2 {
        let (said, good) =
            home.lyncsh(&["shortcut", "my work", "--menu", "--autostart", "--output", out.to_str().unwrap()]);
        assert!(good, "{said}");
    }
    assert!(menu.exists() && autostart.exists());
    assert!(out.join(name).exists());
    let icon = home.path("conf/state/icons/my work.svg");
    assert!(home.lyncsh(&["shortcut", "my work", "--remove", "--menu"]).1);
    assert!(!menu.exists() && desk.exists() && icon.exists());
    assert!(home.lyncsh(&["shortcut", "my work", "--remove"]).1);
    assert!(!desk.exists() && !autostart.exists() && !icon.exists());
    let (said, good) = home.lyncsh(&["shortcut", "my work", "--remove"]);
    assert!(good && said.contains("There is no shortcut for 'my work'."), "{said}");
    let (said, good) = home.lyncsh(&["shortcut", "wrok"]);
    assert!(!good && said.contains("there is no profile 'wrok'"), "{said}");
}

#[cfg(target_os = "linux")]
#[test]
fn removing_a_profile_removes_its_files_and_session() {
    let home = Home::new("work");
    for arguments in [&["shortcut", "work", "--menu"][..], &["shortcut", "work"]] {
        assert!(home.lyncsh(arguments).1);
    }
    // The console caches the command names, and the agent keeps running for the next shell.
    let profile = home.path("conf/profiles/work.toml");
    let text = std::fs::read_to_string(&profile).unwrap();
    std::fs::write(&profile, format!("{text}keep = \"10m\"\n")).unwrap();
    std::fs::write(home.path("conf/profiles/both.toml"), "connections = [\"work\"]\n").unwrap();
    // There is no PowerShell to import into.
    let (said, good) =
        home.lyncsh_on(home.path("nothing").into(), &["hook", "install", "work", "--eager", "--yes"]);
    assert!(good, "{said}");
    let script = home.path("modules.ps1");
    std::fs::write(&script, "Get-Module | Out-Null\n").unwrap();
    let (said, good) = home.lyncsh(&["work", script.to_str().unwrap()]);
    assert!(good, "{said}");
    let below = |folder: &str| {
        let entries = std::fs::read_dir(home.path("conf/cache").join(folder));
        entries.map_or(0, |entries| entries.count())
    };
    assert_eq!((below("modules"), below("exports"), below("commands")), (1, 1, 1));
    let history = home.path("conf/state/history/work.txt");
    std::fs::create_dir_all(history.parent().unwrap()).unwrap();
    std::fs::write(&history, "Get-CsTenant\n").unwrap();
    let (said, good) = home.lyncsh(&["remove", "work", "--yes"]);
    assert!(good, "{said}");
    assert!(said.contains("Its session is removed."), "{said}");
    assert!(said.contains("The profile 'both' still lists it in connections."), "{said}");
    assert!(said.contains("still imports it: run `lyncsh hook install --eager`"), "{said}");
    assert_eq!((below("modules"), below("exports"), below("commands")), (0, 0, 0));
    for path in ["Desktop", ".local/share/applications", "conf/state/icons"] {
        assert_eq!(std::fs::read_dir(home.path(path)).unwrap().count(), 0, "{path}");
    }
    assert!(!profile.exists() && !history.exists());
}

#[cfg(target_os = "linux")]
#[test]
fn user_templates_render_entry_icon_and_hook() {
    let home = Home::new("work");
    for (name, text) in [
        ("shortcut.desktop", "[Desktop Entry]\nType=Application\nName=mine\nExec={{ exec }}\n"),
        ("icon.svg", "<svg><text>{{ initials }} mine</text></svg>"),
        ("powershell/hook.ps1", "# mine in {{ root }}"),
    ] {
        let file = home.path("conf/templates").join(name);
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        std::fs::write(file, text).unwrap();
    }
    let (said, good) = home.lyncsh(&["shortcut", "work"]);
    assert!(good, "{said}");
    let read = |path: &str| std::fs::read_to_string(home.path(path)).unwrap();
    assert!(read("Desktop/lyncsh-work.desktop").contains("Name=mine"));
    assert!(read("conf/state/icons/work.svg").contains("W mine"));
    let (said, good) = home.lyncsh(&["hook", "print"]);
    assert!(good && said.contains("# mine in '"), "{said}");
    std::fs::write(home.path("conf/templates/icon.svg"), "{{ nothing }}").unwrap();
    let (said, good) = home.lyncsh(&["shortcut", "work"]);
    assert!(!good && said.contains("cannot render a template"), "{said}");
}

#[cfg(target_os = "linux")]
#[test]
fn a_desktop_entry_opens_a_terminal_with_the_prompt() {
    let home = Home::new("my work");
    assert!(home.lyncsh(&["shortcut", "my work"]).1);
    let display = ["-displayfd", "1", "-screen", "0", "800x600x24", "-nolisten", "tcp"];
    let mut display = Program::new("Xvfb").args(display).stderr(Stdio::null()).start();
    let number = display.line();
    // Debian's alternative for the terminal is set to xterm, which logs its output.
    let bin = home.path("bin");
    std::fs::create_dir(&bin).unwrap();
    let xterm = which::which("xterm").expect("xterm: `tests/run` installs it");
    std::os::unix::fs::symlink(xterm, bin.join("x-terminal-emulator")).unwrap();
    std::os::unix::fs::symlink(which::which("sh").unwrap(), bin.join("sh")).unwrap();
    let log = home.path("shown");
    let resources = format!("*logging: true\n*logFile: {}\n*geometry: 80x24\n", log.display());
    std::fs::write(home.path("resources"), resources).unwrap();
    Program::new(which::which("gio").expect("gio: `tests/run` installs it, with libglib2.0-bin"))
        .args(["launch"])
        .args([home.path("Desktop/lyncsh-my work.desktop")])
        .env("DISPLAY", format!(":{}", number.trim()))
        .env("XENVIRONMENT", home.path("resources"))
        .env("PATH", &bin)
        .env("HOME", home.folder.path())
        .env("LC_ALL", "C.UTF-8")
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .run()
        .success_output();
    let shown = || {
        let mut screen = vt100::Parser::new(24, 80, 0);
        screen.process(&std::fs::read(&log).unwrap_or_default());
        screen.screen().contents()
    };
    assert!(holds(PATIENCE, || shown().contains("[my work] PS>")), "{}", shown());
    let status = || home.lyncsh(&["status", "--json"]).0;
    assert!(status().contains("my work"), "{}", status());
    // All windows close with their display.
    drop(display);
    assert!(holds(PATIENCE, || !status().contains("my work")), "{}", status());
}
