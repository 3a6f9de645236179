//! In a terminal the user can choose sessions to remove when the session limit is reached.

use crate::agent_world::World;
use crate::program::lyncsh;
use crate::stand_in::Terminal;

#[test]
fn a_selected_session_is_removed_for_the_new_one() {
    let (world, mut terminal) = asked("1\n", "second.sock");
    assert_eq!(terminal.wait_exit(), 0, "{}", terminal.text());
    assert_eq!(world.shells(), 1);
}

#[test]
fn ctrl_c_at_the_prompt_exits() {
    let (world, mut terminal) = asked("\x03", "^C");
    assert_eq!(terminal.wait_exit(), 130, "{}", terminal.text());
    assert_eq!(world.shells(), 1);
    assert!(world.agent().is_some(), "the other session stays");
}

/// Opens a second session at a limit of one in a terminal, types `keys`, and waits for `text`.
fn asked(keys: &str, text: &str) -> (World, Terminal) {
    let world = World::on(&["--most", "1"], "");
    world.profile("second", "");
    world.attach();
    let arguments = ["attach", "second", "--socket"];
    let terminal = Terminal::open(&world, lyncsh(), &arguments, "");
    terminal.wait_for_text("1. this machine's 'work', from 127.0.0.1");
    terminal.wait_for_text("Sessions to remove");
    terminal.press(keys);
    terminal.wait_for_text(text);
    (world, terminal)
}
