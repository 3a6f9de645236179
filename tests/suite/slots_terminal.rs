//! The sessions that hold the slots are offered for removal in a terminal.

use std::io::{Read as _, Write as _};
use std::sync::mpsc;

use portable_pty::{CommandBuilder, PtySize, native_pty_system};

use crate::agent_world::{PATIENCE, World};

#[test]
fn a_session_that_is_chosen_makes_room_for_the_new_one() {
    let (world, mut child, screen, _terminal) = asked(b"1\n", "second.sock");
    assert!(child.wait().unwrap().success(), "{screen}");
    assert_eq!(world.shells(), 1);
}

#[test]
fn ctrl_c_at_the_question_ends_it_at_once() {
    let (world, mut child, screen, _terminal) = asked(b"\x03", "^C");
    assert_eq!(child.wait().unwrap().exit_code(), 130, "{screen}");
    assert_eq!(world.shells(), 1);
    assert!(world.agent().is_some(), "the other session stays");
}

type Asked = (World, Box<dyn portable_pty::Child + Send + Sync>, String, Terminal);

/// Kept until the program has ended: without the one it is hung up, and the other types an end of file
/// when it is dropped.
type Terminal = (Box<dyn portable_pty::MasterPty + Send>, Box<dyn std::io::Write + Send>);

/// One session holds the only slot; another is tried in a terminal, `keys` answer, and `text` comes.
fn asked(keys: &[u8], text: &str) -> Asked {
    let world = World::on(&["--most", "1"], "");
    world.profile("second", "");
    world.attach();
    let size = PtySize { rows: 25, cols: 200, pixel_width: 0, pixel_height: 0 };
    let terminal = native_pty_system().openpty(size).unwrap();
    let mut command = CommandBuilder::new(env!("CARGO_BIN_EXE_lyncsh"));
    command.args(["attach", "second", "--socket"]);
    command.env("LYNCSH_CONFIG_DIR", world.root());
    let child = terminal.slave.spawn_command(command).unwrap();
    drop(terminal.slave);
    let mut reader = terminal.master.try_clone_reader().unwrap();
    let (said, saying) = mpsc::channel();
    std::thread::spawn(move || {
        let mut bytes = [0; 4096];
        while let Ok(count) = reader.read(&mut bytes) {
            if count == 0 || said.send(String::from_utf8_lossy(&bytes[..count]).into_owned()).is_err() {
                break;
            }
        }
    });
    let mut screen = String::new();
    let mut wait_for = |text: &str| {
        while !screen.contains(text) {
            screen.push_str(&saying.recv_timeout(PATIENCE).unwrap_or_else(|_| panic!("{text}: {screen}")));
        }
    };
    wait_for("1. this machine's 'work', from 127.0.0.1");
    wait_for("Remove which");
    let mut writer = terminal.master.take_writer().unwrap();
    writer.write_all(keys).unwrap();
    wait_for(text);
    (world, child, screen, (terminal.master, writer))
}
