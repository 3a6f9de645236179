//! Shells on the agent, the agent on WSMan, and psrpcore's server at the far end, which shares no code with
//! lyncsh.

use std::time::Duration;

use super::{attach, finish, host, invoke, next, pipeline, within};
use crate::wsman_client_psrpcore::{MANNERS, Peer};
use lyncsh::agent::mux::{ClientInfo, Mux, Options};
use lyncsh::psrp::client::{ClientPool, PipelineEvent};
use lyncsh::psrp::clixml::{Secure, Value};
use lyncsh::psrp::pipeline::Argument;
use lyncsh::psrp::record::PipelineState;
use lyncsh::transport::backpressure::PAUSE_AT;
use lyncsh::transport::session::{Running, Session};
use lyncsh::transport::{Limits, stream, wsman};
use secrecy::ExposeSecret as _;
use uuid::Uuid;

async fn open(peer: &Peer, max_runspaces: usize) -> Mux {
    let mut pool = ClientPool::new(Uuid::new_v4(), host(80), (1, max_runspaces as i32));
    pool.open();
    let opening = pool.take_outgoing();
    let (connection, _) =
        within(wsman::connect(peer.endpoint(), pool.id(), opening, |_| true)).await.unwrap();
    within(Mux::open(connection, pool, Options { max_runspaces, ..Options::default() })).await.unwrap()
}

async fn start(session: &Session, name: &str, arguments: &[(&str, Value)]) -> Running {
    let argument =
        |(name, value): &(&str, Value)| Argument { name: Some((*name).into()), value: Some(value.clone()) };
    let mut pipeline = pipeline(name, None);
    pipeline.commands[0].arguments = arguments.iter().map(argument).collect();
    session.invoke(&pipeline).await.unwrap()
}

async fn until_output(running: &mut Running) {
    while !matches!(next(running).await, PipelineEvent::Output(_)) {}
}

#[tokio::test]
async fn two_shells_share_one_wsman_session() {
    for manner in MANNERS {
        let peer = Peer::start(manner);
        let mux = open(&peer, 1).await;
        let (first, _events) = attach(&mux, 100).await;
        let (second, _events) = attach(&mux, 120).await;
        for text in ["one", "twenty-two"] {
            let length = [("Text", Value::string(text))];
            let (mut one, mut two) =
                tokio::join!(start(&first, "Get-Length", &length), start(&second, "Get-Length", &length));
            for running in [&mut one, &mut two] {
                let expected = vec![Value::I32(text.len() as i32)];
                assert_eq!(finish(running).await, (expected, PipelineState::Completed));
            }
        }
        let big = [("Size", Value::I32(400_000)), ("Count", Value::I32(3))];
        assert_eq!(finish(&mut start(&first, "Get-Big", &big).await).await.0.len(), 3);

        let secret = |text: &str| [("Secret", Value::secure(text.to_owned().into()))];
        for (shell, text, back) in [(&first, "abc", "cba"), (&second, "12345", "54321")] {
            let (output, _) = finish(&mut start(shell, "Test-Secret", &secret(text)).await).await;
            let Value::Secure(Secure::Plain(said)) = &output[1] else { panic!("{output:?}") };
            assert_eq!(said.expose_secret(), back);
        }
        assert_eq!(peer.shells(), 1);
        within(mux.close()).await.unwrap();
        assert_eq!(peer.shells(), 0);
    }
}

#[tokio::test]
async fn ctrl_c_in_one_shell_lets_the_other_run_on_wsman() {
    for manner in MANNERS {
        let peer = Peer::start(manner);
        let mux = open(&peer, 1).await;
        let (first, _events) = attach(&mux, 100).await;
        let (second, _events) = attach(&mux, 120).await;
        let mut wait = invoke(&first, "Wait-Forever", None).await;
        until_output(&mut wait).await;
        let mut queued = start(&second, "Get-Length", &[("Text", Value::string("four"))]).await;
        assert!(matches!(next(&mut queued).await, PipelineEvent::Progress(_)));
        wait.stop().await.unwrap();
        assert_eq!(finish(&mut wait).await.1, PipelineState::Stopped);
        assert_eq!(finish(&mut queued).await, (vec![Value::I32(4)], PipelineState::Completed));
    }
}

#[tokio::test]
async fn a_killed_shell_frees_the_runspace_on_wsman() {
    for manner in MANNERS {
        let peer = Peer::start(manner);
        let mux = open(&peer, 1).await;
        let (here, mut near) = tokio::io::duplex(4096);
        let (mut far, there) = tokio::io::duplex(4096);
        let wire = tokio::spawn(async move { tokio::io::copy_bidirectional(&mut near, &mut far).await });
        mux.attach(here, ClientInfo::default()).await;
        let (killed, _events) =
            within(Session::open(stream::connect(there, Limits::default()), host(90))).await.unwrap();
        let mut wait = invoke(&killed, "Wait-Forever", None).await;
        until_output(&mut wait).await;
        wire.abort();
        let (other, _events) = attach(&mux, 120).await;
        let mut after = start(&other, "Get-Length", &[("Text", Value::string("four"))]).await;
        assert_eq!(finish(&mut after).await.1, PipelineState::Completed);
    }
}

#[tokio::test]
async fn a_stalled_shell_pauses_its_receives_on_wsman() {
    let peer = Peer::start(MANNERS[0]);
    let mux = open(&peer, 2).await;
    let (slow, _events) = attach(&mux, 100).await;
    let (quick, _events) = attach(&mux, 120).await;
    let size = [("Size", Value::I32(100_000)), ("Count", Value::I32(200))];
    let mut big = start(&slow, "Get-Big", &size).await;
    until_output(&mut big).await;
    let unread = || async { mux.status().await.unwrap().clients[0].unread };
    while unread().await < PAUSE_AT {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    for _ in 0..20 {
        let mut length = start(&quick, "Get-Length", &[("Text", Value::string("four"))]).await;
        assert_eq!(finish(&mut length).await.1, PipelineState::Completed);
    }
    assert!(unread().await < 3 * PAUSE_AT, "only output in transit arrived");
    let (rest, state) = finish(&mut big).await;
    assert_eq!((rest.len(), state), (199, PipelineState::Completed));
}
