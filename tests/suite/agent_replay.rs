//! Recorded input of real PowerShell, sent to the socket of a real agent in front of an endpoint that behaves
//! like the recorded one.

use lyncsh::psrp::record::PipelineState;
use lyncsh::simulator::Options;
use tokio::net::UnixStream;

use crate::agent_mux::replay::{Replay, recorded_ends};
use crate::agent_simulator::{empty, online, run};

const RECORDINGS: [&str; 4] = ["import", "prompts", "enter-pssession", "securestring-2.3"];

async fn assert_ends_as_recorded(socket: &str, recording: &str) {
    let stream = UnixStream::connect(socket).await.unwrap();
    let ends = Replay::new(recording, stream).run().await;
    let mut recorded = recorded_ends(recording);
    if recording == "enter-pssession" {
        // `prompt` failed in the recording, because the endpoint lacks it; the agent answers it.
        let (failed, answered) = (Some(PipelineState::Failed as i64), Some(PipelineState::Completed as i64));
        let mut prompts = 0;
        for ((_, now), (_, then)) in ends.iter().zip(&mut recorded) {
            if (*now, *then) == (answered, failed) {
                *then = answered;
                prompts += 1;
            }
        }
        assert!(prompts > 0, "{ends:?}");
    }
    assert_eq!(ends, recorded, "{recording}");
}

#[tokio::test(flavor = "multi_thread")]
async fn recorded_shells_end_as_recorded_at_the_socket() {
    let (world, server) = online(Options { fixtures: true, ..Options::default() }, "keep = \"1m\"").await;
    let (code, out, err) = run(&world, &["attach", "work", "--socket"]).await;
    assert_eq!(code, 0, "{err}");
    let socket = out.trim();
    for recording in RECORDINGS {
        assert_ends_as_recorded(socket, recording).await;
    }
    for (one, other) in [(0, 1), (2, 3), (1, 2), (3, 0)] {
        tokio::join!(
            assert_ends_as_recorded(socket, RECORDINGS[one]),
            assert_ends_as_recorded(socket, RECORDINGS[other])
        );
    }
    assert_eq!(server.shells().len(), 1, "all of them had one session");
    assert_eq!(run(&world, &["stop", "work"]).await.0, 0);
    empty(&server).await;
}
