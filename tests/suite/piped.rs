//! Failures of piped input and output: encodings of scripts, readers that close early, full disks.

use std::io::{BufRead as _, BufReader};
use std::process::Stdio;

use lyncsh::simulator::Options;

use crate::agent_simulator::{empty, online};
use crate::agent_world::World;

/// Runs the console on a script; returns exit code, standard output and error.
fn script(world: &World, text: &[u8], output: Stdio) -> (i32, String, String) {
    world.program(&["work", "--shell", "console"]).stdin(text).stdout(output).run().parts()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_piped_script_must_be_utf_8() {
    let (world, server) = online(Options::default(), "").await;
    tokio::task::spawn_blocking(move || {
        let (code, out, err) =
            script(&world, b"\xef\xbb\xbf(Get-CsTenant).DisplayName\r\n'\xc3\xbc'\n", Stdio::piped());
        assert_eq!((code, out.as_str(), err.as_str()), (0, "Litware\n\u{fc}\n", ""));
        let (code, out, err) =
            script(&world, b"(Get-CsTenant).DisplayName\n'\xfc'\nGet-CsNix\n", Stdio::piped());
        assert_eq!((code, out.as_str()), (2, ""));
        assert!(err.contains("cannot read the input: line 2 is not UTF-8"), "{err}");
    })
    .await
    .unwrap();
    empty(&server).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_output_write_error_is_a_failure() {
    let (world, server) = online(Options::default(), "").await;
    tokio::task::spawn_blocking(move || {
        let full = || Stdio::from(std::fs::File::options().write(true).open("/dev/full").unwrap());
        let (code, _, err) = script(&world, b"Get-CsTenant\nGet-CsTenant\n", full());
        assert_eq!(code, 1);
        assert!(err.contains("cannot write to standard output: No space left on device"), "{err}");
        let run = world.program(&["list"]).stdout(full()).run();
        assert_eq!(run.code, Some(1));
        let expected = "lyncsh: cannot write to standard output: No space left on device (os error 28)\n";
        assert_eq!(run.err, expected);
    })
    .await
    .unwrap();
    empty(&server).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_closed_output_pipe_ends_the_session() {
    let (world, server) = online(Options { fixtures: true, ..Options::default() }, "").await;
    tokio::task::spawn_blocking(move || {
        // More than can be read while the test waits.
        let console = world.program(&["work", "--shell", "console"]).stdin("Get-CsBig -Count 10000000\n");
        let mut console = console.start();
        let mut lines = BufReader::new(console.0.stdout.take().unwrap()).lines();
        while !lines.next().unwrap().unwrap().starts_with("  3 ") {}
        drop(lines);
        // The exit code that a shell returns for a program ended by SIGPIPE.
        assert_eq!(console.wait().code(), Some(141));
    })
    .await
    .unwrap();
    empty(&server).await;
}
