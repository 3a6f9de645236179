//! `lyncsh edit` in a terminal, with scripted editors.

use crate::agent_world::World;
use crate::program::lyncsh;
use crate::stand_in::Terminal;

const GOOD: &str = "kind = \"wsman\"\nuser = \"a@b.example\"\nuri = \"https://host.example/wsman\"\n";

fn world() -> World {
    let world = World::without_endpoint();
    std::fs::create_dir_all(world.folders.profiles()).unwrap();
    std::fs::write(world.folders.profile("work"), GOOD).unwrap();
    world
}

/// Runs `lyncsh edit work` in a terminal with this editor, answers each question and waits for the text
/// `last`. Returns the exit code.
fn edited(world: &World, editor: &str, answers: &[(&str, &str)], last: &str) -> u32 {
    let variables = [("VISUAL", String::new()), ("EDITOR", editor.to_owned())];
    let mut terminal = Terminal::open_with(world, lyncsh(), &["edit", "work"], variables);
    for (question, answer) in answers {
        terminal.wait_for_text(question);
        terminal.press(answer);
    }
    terminal.wait_for_text(last);
    terminal.wait_exit()
}

fn text(world: &World) -> String {
    std::fs::read_to_string(world.folders.profile("work")).unwrap()
}

#[test]
fn a_valid_edit_is_saved() {
    let world = world();
    assert_eq!(edited(&world, "sed -i 's/host.example/other.example/'", &[], "'work' is changed."), 0);
    assert_eq!(text(&world), GOOD.replace("host.example", "other.example"));
    assert_eq!(edited(&world, "true", &[], "Nothing was changed."), 0);
    assert_eq!(std::fs::read_dir(world.folders.profiles()).unwrap().count(), 1);
}

#[test]
fn an_invalid_edit_is_kept_as_a_draft() {
    let world = world();
    let again = "Edit it again";
    let answers = [("did you mean user?", ""), (again, "n\r")];
    assert_eq!(edited(&world, "sed -i 's/^user/usr/'", &answers, "'work' was not modified"), 1);
    assert_eq!(text(&world), GOOD);
    // The next edit continues with the draft.
    assert_eq!(
        edited(&world, "sed -i 's/^usr/user/; s/a@b/c@d/'", &[("draft of 'work'", "")], "is changed"),
        0
    );
    assert_eq!(text(&world), GOOD.replace("a@b", "c@d"));
    // Edited again immediately, and finally valid.
    let editor = "sed -i 's/^user/usr/; s/^usrr*/usr/; /^usr/{s/$/ # x/}; s/^usr\\(.* # x # x\\)$/user\\1/'";
    assert_eq!(edited(&world, editor, &[(again, "y\r")], "is changed"), 0);
    assert!(text(&world).contains("# x # x"), "{}", text(&world));
}

#[test]
fn an_editor_that_fails_or_is_missing_changes_nothing() {
    let world = world();
    assert_eq!(edited(&world, "false", &[], "the editor `false` failed"), 1);
    assert_eq!(text(&world), GOOD);
    let (code, _, error) = world.run(&["edit", "work"]);
    assert!(code == 2 && error.contains("cannot open an editor: no terminal"), "{error}");
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
        assert!(code == 0 && out.contains("LYNCSH_COMPLETE"), "{shell}: {error}");
    }
}
