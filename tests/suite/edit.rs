//! `lyncsh edit` in a terminal, with editors that do what people do.

use std::io::{Read as _, Write as _};
use std::sync::mpsc;

use portable_pty::{CommandBuilder, PtySize, native_pty_system};

use crate::agent_world::{PATIENCE, World};

const GOOD: &str = "kind = \"wsman\"\nuser = \"a@b.example\"\nuri = \"https://host.example/wsman\"\n";

fn world() -> World {
    let world = World::without_endpoint();
    std::fs::create_dir_all(world.folders.profiles()).unwrap();
    std::fs::write(world.folders.profile("work"), GOOD).unwrap();
    world
}

/// Runs `lyncsh edit work` in a terminal with this editor; answers are typed when their question comes.
fn edited(world: &World, editor: &str, answers: &[(&str, &str)]) -> (u32, String) {
    let size = PtySize { rows: 25, cols: 200, pixel_width: 0, pixel_height: 0 };
    let terminal = native_pty_system().openpty(size).unwrap();
    let mut command = CommandBuilder::new(env!("CARGO_BIN_EXE_lyncsh"));
    command.args(["edit", "work"]);
    command.env("LYNCSH_CONFIG_DIR", world.root());
    command.env_remove("VISUAL");
    command.env("EDITOR", editor);
    let mut child = terminal.slave.spawn_command(command).unwrap();
    drop(terminal.slave);
    let mut reader = terminal.master.try_clone_reader().unwrap();
    let mut writer = terminal.master.take_writer().unwrap();
    let (said, saying) = mpsc::channel();
    std::thread::spawn(move || {
        let mut bytes = [0; 4096];
        while let Ok(count) = reader.read(&mut bytes) {
            if count == 0 || said.send(String::from_utf8_lossy(&bytes[..count]).into_owned()).is_err() {
                break;
            }
        }
    });
    let (mut screen, mut seen) = (String::new(), 0);
    for (question, answer) in answers {
        while !screen[seen..].contains(question) {
            screen
                .push_str(&saying.recv_timeout(PATIENCE).unwrap_or_else(|_| panic!("{question}: {screen}")));
        }
        seen = screen.len();
        writer.write_all(answer.as_bytes()).unwrap();
    }
    let code = child.wait().unwrap().exit_code();
    screen.extend(saying);
    (code, screen)
}

fn text(world: &World) -> String {
    std::fs::read_to_string(world.folders.profile("work")).unwrap()
}

#[test]
fn what_is_saved_without_a_mistake_becomes_the_profile() {
    let world = world();
    let (code, screen) = edited(&world, "sed -i 's/host.example/other.example/'", &[]);
    assert!(code == 0 && screen.contains("'work' is changed."), "{screen}");
    assert_eq!(text(&world), GOOD.replace("host.example", "other.example"));
    let (code, screen) = edited(&world, "true", &[]);
    assert!(code == 0 && screen.contains("Nothing was changed."), "{screen}");
    assert_eq!(std::fs::read_dir(world.folders.profiles()).unwrap().count(), 1);
}

#[test]
fn a_mistake_is_shown_and_nothing_that_was_typed_is_lost() {
    let world = world();
    let again = "Edit it again";
    let (code, screen) = edited(&world, "sed -i 's/^user/usr/'", &[(again, "n\r")]);
    assert!(code == 1 && screen.contains("did you mean user?"), "{screen}");
    assert_eq!(text(&world), GOOD);
    // The next time goes on with the draft.
    let (code, screen) = edited(&world, "sed -i 's/^usr/user/; s/a@b/c@d/'", &[]);
    assert!(code == 0 && screen.contains("draft of 'work'"), "{screen}");
    assert_eq!(text(&world), GOOD.replace("a@b", "c@d"));
    // Edited again at once, and right at last.
    let editor = "sed -i 's/^user/usr/; s/^usrr*/usr/; /^usr/{s/$/ # x/}; s/^usr\\(.* # x # x\\)$/user\\1/'";
    let (code, screen) = edited(&world, editor, &[(again, "y\r")]);
    assert!(code == 0 && screen.contains("is changed"), "{screen}");
    assert!(text(&world).contains("# x # x"), "{}", text(&world));
}

#[test]
fn an_editor_that_fails_or_is_missing_changes_nothing() {
    let world = world();
    let (code, screen) = edited(&world, "false", &[]);
    assert!(code == 1 && screen.contains("the editor `false` failed"), "{screen}");
    assert_eq!(text(&world), GOOD);
    let (code, _, error) = world.run(&["edit", "work"]);
    assert!(code == 1 && error.contains("no terminal for an editor"), "{error}");
    let (code, _, error) = world.run(&["edit", "wrok"]);
    assert!(code == 2 && error.contains("did you mean 'work'?"), "{error}");
}

#[test]
fn settings_are_shown_as_json_and_words_completed() {
    let world = world();
    let (code, out, error) = world.run(&["show", "work", "--json"]);
    assert_eq!(code, 0, "{error}");
    let shown: serde_json::Value = serde_json::from_str(&out).unwrap();
    assert_eq!(shown["uri"], "https://host.example/wsman");
    assert_eq!(shown["timeouts"]["token"], "30s");
    assert_eq!(shown["prefix"], serde_json::Value::Null);
    for shell in ["bash", "zsh", "fish", "powershell"] {
        let (code, out, error) = world.run(&["completions", shell]);
        assert!(code == 0 && out.contains("shortcut"), "{shell}: {error}");
    }
}
