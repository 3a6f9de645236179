//! The simulator as the `powershell` subsystem of a host: one client on standard input and output.

use std::process::Stdio;

use lyncsh::psrp::client::PipelineEvent;
use lyncsh::psrp::clixml::Value;
use lyncsh::psrp::record::PipelineState;
use lyncsh::transport::session::Session;
use lyncsh::transport::{Limits, stream};
use tokio::process::Command;

use crate::program::{PATIENCE, lyncsh};
use crate::simulator::{host, pipeline};

#[tokio::test]
async fn the_subsystem_exits_with_its_client() {
    let mut child = Command::new(lyncsh())
        .args(["demo", "--stdio", "--fixtures"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let streams = tokio::io::join(child.stdout.take().unwrap(), child.stdin.take().unwrap());
    let connection = stream::connect(streams, Limits::default());
    let (session, _events) = Session::open(connection, host()).await.unwrap();

    let mut tenant = session.invoke(&pipeline(&["Get-CsTenant"])).await.unwrap();
    let mut names = Vec::new();
    while let Some(event) = tenant.next().await {
        if let PipelineEvent::Output(value) = event.unwrap() {
            names.extend(value.property("DisplayName").map(Value::display_text));
        }
    }
    assert_eq!(names, ["Litware"]);

    let mut wait = session.invoke(&pipeline(&["Wait-Cs"])).await.unwrap();
    wait.stop().await.unwrap();
    let mut end = None;
    while let Some(event) = wait.next().await {
        if let PipelineEvent::State(state, _) = event.unwrap() {
            end = Some(state);
        }
    }
    assert_eq!(end, Some(PipelineState::Stopped));

    session.close().await.unwrap();
    let status =
        tokio::time::timeout(PATIENCE, child.wait()).await.expect("it ends with its client").unwrap();
    assert!(status.success(), "{status}");
}
