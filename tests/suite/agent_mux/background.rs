//! lyncsh's own pipelines, which run while no shell needs the session, and output that belongs to no pipeline.

use std::time::Instant;

use super::*;

fn listing(name: &str, value: Option<Value>) -> Pipeline {
    pipeline(name, value).in_background()
}

#[tokio::test]
async fn any_command_interrupts_the_listing() {
    let (mux, endpoint) = open(Options::default()).await;
    let (first, _events) = attach(&mux, 100).await;
    let (second, _events) = attach(&mux, 120).await;
    for shell in [&first, &second] {
        let mut list = first.invoke(&listing("Wait-Cs", None)).await.unwrap();
        let id = list.id;
        endpoint.seen(|seen| seen.iter().any(|one| matches!(one, Seen::Created(of, ..) if *of == id))).await;
        let start = Instant::now();
        assert_eq!(run(shell, "Get-Cs", None).await.1, PipelineState::Completed);
        assert!(start.elapsed() < Duration::from_secs(1), "{:?}", start.elapsed());
        assert_eq!(finish(&mut list).await, (vec![], PipelineState::Stopped));
        let seen = endpoint.seen(|seen| seen.contains(&Seen::Closed(id))).await;
        assert!(seen.contains(&Seen::Stopped(id)), "{seen:?}");
        // Shells do not see commands that they did not run.
        assert!(mux.status().await.unwrap().clients.iter().all(|one| one.commands.is_empty()));
    }
}

#[tokio::test]
async fn an_interrupted_listing_is_repeated_when_idle() {
    let (mux, endpoint) = open(Options::default()).await;
    let (shell, _events) = attach(&mux, 100).await;
    let mut list = shell.invoke(&listing("Wait-Cs", None)).await.unwrap();
    endpoint.seen(|seen| created(seen) == 1).await;
    let mut busy = invoke(&shell, "Wait-Cs", None).await;
    assert_eq!(finish(&mut list).await.1, PipelineState::Stopped);
    let mut again = shell.invoke(&listing("Get-Cs", Some(Value::I32(7)))).await.unwrap();
    let start = Instant::now();
    busy.stop().await.unwrap();
    assert_eq!(finish(&mut busy).await.1, PipelineState::Stopped);
    assert_eq!(finish(&mut again).await, (vec![Value::I32(7)], PipelineState::Completed));
    assert!(
        start.elapsed() >= Duration::from_millis(1900),
        "not between two commands: {:?}",
        start.elapsed()
    );
}

#[tokio::test]
async fn fifty_commands_and_listings_all_finish() {
    let (mux, endpoint) = open(Options { quiet: Duration::ZERO, ..Options::default() }).await;
    let (shell, _events) = attach(&mux, 100).await;
    let (lists, _events) = attach(&mux, 120).await;
    for round in 0..50 {
        // Before it starts, while it starts, and while it runs.
        let mut list = lists.invoke(&listing("Wait-Cs", None)).await.unwrap();
        if round % 3 > 0 {
            mux.status().await;
        }
        if round % 3 == 2 {
            let id = list.id;
            let runs = |one: &Seen| matches!(one, Seen::Created(of, ..) if *of == id);
            endpoint.seen(|seen| seen.iter().any(runs)).await;
        }
        let value = Value::I32(round);
        assert_eq!(run(&shell, "Get-Cs", Some(value.clone())).await, (vec![value], PipelineState::Completed));
        list.stop().await.unwrap();
        assert_eq!(finish(&mut list).await.1, PipelineState::Stopped);
    }
}

#[tokio::test]
async fn early_pool_messages_reach_the_next_shell() {
    let (mux, endpoint) = open(Options::default()).await;
    endpoint.pool_host_call(HostMethod::WriteWarningLine, vec!["early".into()]);
    endpoint.pool_warning("as a record");
    // Both have arrived: later requests are answered.
    let (shell, mut events) = attach(&mux, 100).await;
    assert_eq!(run(&shell, "Get-Cs", None).await.1, PipelineState::Completed);
    endpoint.pool_host_call(HostMethod::WriteWarningLine, vec!["late".into()]);
    let mut lines = Vec::new();
    while lines.len() < 3 {
        if let ClientEvent::PoolHostCall(call) = within(events.recv()).await.unwrap() {
            assert_eq!(call.method, HostMethod::WriteWarningLine);
            lines.push(call.parameters[0].as_str().unwrap().to_owned());
        }
    }
    assert_eq!(lines, ["early", "as a record", "late"]);
}
