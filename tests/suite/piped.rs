//! Failures of piped input and output: encodings of scripts, readers that close early, full disks.

use std::io::{BufRead as _, BufReader, Write as _};
use std::process::Stdio;

use lyncsh::simulator::Options;

use crate::agent_simulator::{empty, online};
use crate::agent_world::{Killed, World};
use crate::program::Lyncsh;

/// Runs the console on a script; returns exit code, standard output and error.
fn script(world: &World, text: &[u8], output: Stdio) -> (i32, String, String) {
    Lyncsh::new(world).args(["work", "--shell", "console"]).stdin(text).stdout(output).run().parts()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_script_is_utf_8_with_or_without_a_byte_order_mark_and_other_encodings_are_refused() {
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
async fn output_that_cannot_be_written_is_a_failure() {
    let (world, server) = online(Options::default(), "").await;
    tokio::task::spawn_blocking(move || {
        let full = || Stdio::from(std::fs::File::options().write(true).open("/dev/full").unwrap());
        let (code, _, err) = script(&world, b"Get-CsTenant\nGet-CsTenant\n", full());
        assert_eq!(code, 1);
        assert!(err.contains("cannot write to standard output: No space left on device"), "{err}");
        let output = world.lyncsh(&["list"]).stdout(full()).stderr(Stdio::piped()).output().unwrap();
        let err = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1));
        assert_eq!(err, "lyncsh: cannot write to standard output: No space left on device (os error 28)\n");
    })
    .await
    .unwrap();
    empty(&server).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reader_that_goes_early_ends_the_pipeline_and_the_session() {
    let (world, server) = online(Options { fixtures: true, ..Options::default() }, "").await;
    tokio::task::spawn_blocking(move || {
        let mut command = world.lyncsh(&["work", "--shell", "console"]);
        let command = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut console = Killed(command.spawn().unwrap());
        let mut input = console.0.stdin.take().unwrap();
        // More than can be read while the test waits.
        input.write_all(b"Get-CsBig -Count 10000000\n").unwrap();
        drop(input);
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
