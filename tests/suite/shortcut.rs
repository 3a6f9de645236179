//! Shortcuts, as those read them who are to open them.

use std::path::{Path, PathBuf};
use std::process::Command;

use lyncsh::desktop::icon::{self, Colour};
use lyncsh::desktop::quote;
use lyncsh::desktop::shortcut::{Desktop, Shortcut};
use proptest::prelude::*;
use serde_json::Value;

const NAMES: [&str; 6] = ["work", "Müller & Söhne", "50% off", "it's $5 `x` #1", "=", "Контора"];

fn shortcut<'a>(name: &'a str, program: &'a str, config: Option<&'a Path>) -> Shortcut<'a> {
    Shortcut { name, program: Path::new(program), config, icons: Path::new("/home/ünal/icons") }
}

/// What `tests/peers/shortcut.py` says.
fn peer(arguments: &[&str]) -> Value {
    let root = env!("CARGO_MANIFEST_DIR");
    let python =
        std::env::var("LYNCSH_TEST_PYTHON").unwrap_or_else(|_| format!("{root}/target/venv/bin/python"));
    let output = Command::new(&python)
        .arg(format!("{root}/tests/peers/shortcut.py"))
        .args(arguments)
        .output()
        .unwrap_or_else(|e| panic!("{python}: {e}; `tests/run` makes it, or LYNCSH_TEST_PYTHON names one"));
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

fn saved(folder: &tempfile::TempDir, name: &str, bytes: &[u8]) -> String {
    let path = folder.path().join(name);
    std::fs::write(&path, bytes).unwrap();
    path.to_str().unwrap().to_owned()
}

#[test]
fn a_windows_shortcut_is_read_back_as_it_was_meant() {
    let folder = tempfile::tempdir().unwrap();
    for (name, program, names) in [
        ("work", r"C:\Program Files\lyncsh\lyncsh.exe", vec!["Program Files", "lyncsh", "lyncsh.exe"]),
        ("Müller & Söhne", r"D:\Jürgen\lyncsh.exe", vec!["Jürgen", "lyncsh.exe"]),
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
fn an_icon_is_read_back_with_its_initials_and_colour() {
    let folder = tempfile::tempdir().unwrap();
    for name in NAMES {
        let colour = Colour::of(name);
        let svg = peer(&["svg", &saved(&folder, "a.svg", icon::svg(name).unwrap().as_bytes())]);
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
fn a_desktop_entry_is_valid_whatever_the_profile_is_called() {
    let folder = tempfile::tempdir().unwrap();
    for name in NAMES {
        for config in [None, Some(Path::new("/tmp/a b\\c$"))] {
            let file =
                shortcut(name, "/opt/my tools/lyncsh", config).file(Desktop::Free, folder.path()).unwrap();
            std::fs::write(&file.path, &file.bytes).unwrap();
            let output = Command::new("desktop-file-validate").arg(&file.path).output().expect(
                "desktop-file-validate: Debian's desktop-file-utils has it, and `tests/run` installs it",
            );
            let said = String::from_utf8_lossy(&output.stdout).into_owned();
            assert!(output.status.success() && said.is_empty(), "{said}");
        }
    }
    let equals = shortcut("work", "/opt/a=b/lyncsh", None).file(Desktop::Free, folder.path());
    assert!(equals.unwrap_err().to_string().contains("equals sign"));
}

#[test]
fn windows_terminal_gets_a_profile_in_the_tenants_colour() {
    let text = shortcut("my work", r"C:\x y\lyncsh.exe", None).terminal_profile().unwrap();
    let profile = &serde_json::from_str::<Value>(&text).unwrap()["profiles"][0];
    assert_eq!(profile["name"], "lyncsh my work");
    assert_eq!(profile["commandline"], "\"C:\\x y\\lyncsh.exe\" shortcut \"my work\" --here");
    assert_eq!(profile["tabColor"], Colour::of("my work").to_string());
}

/// Undoes the escapes of a string value, then takes the command line apart, as the Desktop Entry
/// Specification says.
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
    fn a_desktop_takes_a_command_line_apart_into_what_it_was(
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
fn windows_and_a_posix_shell_take_a_command_line_apart_into_what_it_was() {
    let words = ["a", "", "two words", r"C:\a b\", r#"say "hi""#, r#"\\" \"#, "it's", "$x `y` \\z", "ü\tt"];
    let words = words.map(str::to_owned);
    let mut arguments = vec!["argv"];
    arguments.extend(words.iter().map(String::as_str));
    assert_eq!(peer(&arguments), quote::windows(&words));
    let script = format!("printf '%s|' {}", quote::posix(&words));
    let output = Command::new("sh").args(["-c", &script]).output().unwrap();
    assert_eq!(String::from_utf8(output.stdout).unwrap(), words.join("|") + "|");
}
