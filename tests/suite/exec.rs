//! `lyncsh exec`: one command, in one profile and in many.

use std::process::Stdio;
use std::time::{Duration, Instant};

use lyncsh::simulator::{MadeUpCommand, Options, Server, TenantFault};
use serde_json::{Value, json};

use crate::agent_simulator::{empty, online, run};
use crate::agent_world::{PATIENCE, World};
use crate::program::{Program, Ran, signal, until};
use crate::stand_in::Terminal;

/// Creates a user with the profiles `t1` to `tN`, one for each additional tenant of an endpoint.
pub async fn tenants(count: usize, options: Options) -> (World, Server) {
    let server = Server::start(Options { tenants: count, ..options }).await.unwrap();
    let world = World::without_endpoint();
    tenant_profiles(&world, count, &server.url, "T3nant!");
    (world, server)
}

/// Writes the profiles of additional tenants.
fn tenant_profiles(world: &World, count: usize, uri: &str, password: &str) {
    std::fs::create_dir_all(world.folders.profiles()).unwrap();
    for number in 1..=count {
        let text = format!(
            "kind = \"lync-online\"\nuri = \"{uri}\"\nuser = \"admin@tenant{number:04}.example\"\n\
             tags = [\"customers\"]\ncredential = {{ command = \"echo {password}\" }}\n"
        );
        std::fs::write(world.folders.profile(&format!("t{number}")), text).unwrap();
    }
}

/// Runs the program with an input, without blocking the simulator.
async fn fed(world: &World, arguments: &[&str], input: &str) -> Ran {
    let program = world.program(arguments).stdin(input);
    tokio::task::spawn_blocking(move || program.run()).await.unwrap()
}

async fn objects(world: &World, arguments: &[&str]) -> Value {
    let (code, out, err) = run(world, arguments).await;
    assert_eq!((code, err.as_str()), (0, ""), "{arguments:?}");
    serde_json::from_str(&out).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn each_argument_is_one_value_and_one_argument_is_a_line() {
    let (world, server) = online(Options::default(), "").await;
    let name = "Ann O'Neil; $x \"q\"";
    let set = ["exec", "work", "--", "Set-CsUser", "kenmyer", "-LineUri", "tel:+1;ext=2", "-Confirm:$false"];
    assert_eq!(run(&world, &set).await, (0, String::new(), String::new()));
    let user = "Get-CsOnlineUser kenmyer | Select-Object DisplayName, LineURI, EnterpriseVoiceEnabled";
    let line = objects(&world, &["exec", "work", "--json", "--", user]).await;
    let wanted =
        json!([{ "DisplayName": "Ken Myer", "LineURI": "tel:+1;ext=2", "EnterpriseVoiceEnabled": false }]);
    assert_eq!(line, wanted);
    let words =
        ["exec", "work", "--json", "--", "Get-CsOnlineUser", "kenmyer", "|", "Select-Object", "DisplayName"];
    assert_eq!(objects(&world, &words).await, json!([{ "DisplayName": "Ken Myer" }]));
    let quoted = ["exec", "work", "--jsonl", "--", "Get-CsOnlineUser", name];
    let (code, out, err) = run(&world, &quoted).await;
    assert_eq!((code, out.as_str()), (1, ""), "{err}");
    assert!(err.contains(&format!("identity \"{name}\"")), "{err}");
    let list = ["exec", "work", "--", "Get-CsOnlineUser", "|", "Select-Object", "DisplayName,LineURI"];
    let (code, _, err) = run(&world, &list).await;
    assert_eq!(code, 2);
    assert!(err.contains("looks like a list: pass the whole line as one argument"), "{err}");
    empty(&server).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn output_has_the_requested_format() {
    let (world, server) = online(Options::default(), "").await;
    let line = "Get-CsOnlineUser kenmyer | Select-Object DisplayName, WhenCreated";
    let of = |format: &'static str| {
        let world = &world;
        async move { run(world, &["exec", "work", format, "--", line]).await }
    };
    let one = "{\"DisplayName\":\"Ken Myer\",\"WhenCreated\":\"2012-05-14T09:30:15Z\"}";
    assert_eq!(of("--json").await, (0, format!("[\n{one}\n]\n"), String::new()));
    assert_eq!(of("--jsonl").await, (0, format!("{one}\n"), String::new()));
    let csv = "\"DisplayName\",\"WhenCreated\"\n\"Ken Myer\",\"05/14/2012 09:30:15\"\n";
    assert_eq!(of("--csv").await, (0, csv.to_owned(), String::new()));
    let (code, clixml, _) = of("--clixml").await;
    assert_eq!(code, 0);
    assert!(lyncsh::psrp::clixml::read(clixml.trim()).is_ok(), "{clixml}");
    let (code, text, _) = run(&world, &["exec", "work", "--", line]).await;
    assert_eq!(code, 0);
    assert!(text.contains("DisplayName WhenCreated") && text.contains("Ken Myer"), "{text}");
    // A command without output, and one that fails, have a complete document.
    let (code, out, err) = run(&world, &["exec", "work", "--json", "--", "Get-CsOnlineUser none"]).await;
    assert_eq!((code, out.as_str()), (1, "[\n]\n"), "{err}");
    let (code, out, err) =
        run(&world, &["exec", "work", "--errors", "json", "--", "Get-CsOnlineUser none"]).await;
    assert_eq!((code, out.as_str()), (1, ""));
    let error: Value = serde_json::from_str(&err).unwrap();
    assert_eq!(error["category"], "ObjectNotFound");
    assert_eq!(error["command"], "Get-CsOnlineUser");
    empty(&server).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn standard_input_feeds_the_pipeline_or_is_the_script() {
    let (world, server) = online(Options::default(), "").await;
    let each = "ForEach-Object { Get-CsOnlineUser $_.Identity } | Select-Object -ExpandProperty DisplayName";
    for (format, input) in [
        ("json", "[{\"Identity\": \"kenmyer\"}, {\"Identity\": \"pilarackerman\"}]"),
        ("jsonl", "{\"Identity\": \"kenmyer\"}\n{\"Identity\": \"pilarackerman\"}\n"),
        ("csv", "Identity\nkenmyer\npilarackerman\n"),
    ] {
        let ran = fed(&world, &["exec", "work", "--jsonl", "--input", format, "--", each], input).await;
        assert_eq!(ran.success_output(), "\"Ken Myer\"\n\"Pilar Ackerman\"\n", "{format}");
    }
    let lines = ["exec", "work", "--jsonl", "--input", "lines", "--", "Measure-Object | % Count"];
    assert_eq!(fed(&world, &lines, "a b\nc\n").await.success_output(), "2\n");
    let script = "$u = Get-CsOnlineUser kenmyer\n$u.DisplayName\nexit 7\n";
    let ran = fed(&world, &["exec", "work"], script).await;
    assert_eq!((ran.code, ran.out.as_str()), (Some(7), "Ken Myer\n"));
    let file = world.root().join("s.ps1");
    std::fs::write(&file, "$args[1]\n").unwrap();
    let path = file.to_str().unwrap();
    let script = ["exec", "work", path, "--jsonl", "--", "a", "-b c"];
    assert_eq!(run(&world, &script).await, (0, "\"-b c\"\n".to_owned(), String::new()));
    let requests = server.requests();
    for (arguments, input, wanted) in [
        (
            &["exec", "work", "--input", "json", "--", "Get-CsTenant"][..],
            "[{\"A\": 1",
            "EOF while parsing an object at line 1 column 8",
        ),
        (&["exec", "work", "--input", "jsonl", "--", "Get-CsTenant"], "1\n{", "at line 2 column 1"),
        (&["exec", "work", "--input", "json"], "1", "--input needs a command"),
        (
            &["exec", "work", "--input", "lines", "--", "Get-A; Get-B"],
            "1",
            "the input needs a single pipeline",
        ),
        (&["exec", "work", "--", "if (1) { 2 }"], "", "'if' needs PowerShell's script engine"),
        (&["exec", "work", "Get-CsTenant"], "", "there is no script 'Get-CsTenant'"),
        (&["exec", "--", "Get-CsTenant"], "", "no profile is given"),
        (&["exec", "none", "--", "Get-CsTenant"], "", "there is no profile 'none'"),
        (&["exec", "--all", "--tag", "x", "--", "Get-CsTenant"], "", "cannot be used with"),
    ] {
        let ran = fed(&world, arguments, input).await;
        assert_eq!((ran.code, ran.out.as_str()), (Some(2), ""), "{arguments:?}");
        let err = ran.text();
        assert!(err.contains(wanted), "{arguments:?}: {err}");
    }
    assert_eq!(server.requests(), requests);
    empty(&server).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_uses_the_running_agent_or_leaves_none() {
    let (world, server) = online(Options { fixtures: true, ..Options::default() }, "keep = \"10m\"").await;
    let count = ["exec", "work", "--jsonl", "--", "Get-CsTenant | Measure-Object | % Count"];
    assert_eq!(run(&world, &count).await, (0, "1\n".to_owned(), String::new()));
    assert!(server.shells().is_empty());
    world.wait_agent_gone();
    let (code, socket, err) = run(&world, &["attach", "work", "--socket"]).await;
    assert_eq!(code, 0, "{err}");
    let shell = crate::agent_world::open(socket.trim().as_ref()).await;
    let id = server.shells()[0].id.clone();
    assert_eq!(run(&world, &count).await.1, "1\n");
    assert_eq!(server.shells().iter().map(|shell| shell.id.as_str()).collect::<Vec<_>>(), [id]);
    shell.close().await.unwrap();
    run(&world, &["stop", "work"]).await;
    empty(&server).await;
    // A shell that has used the session of a command leaves it open for `keep`.
    let mut child = world.program(&["exec", "work", "--", "Wait-Cs 600"]).start();
    until(PATIENCE, "a running command", || server.shells().first().is_some_and(|one| one.commands > 0))
        .await;
    let id = server.shells()[0].id.clone();
    let shell = world.program(&["work", "--shell", "console"]).stdin("'used'\n");
    let (code, out, err) = tokio::task::spawn_blocking(move || shell.run().parts()).await.unwrap();
    assert_eq!((code, out.as_str()), (0, "used\n"), "{err}");
    signal(child.0.id(), rustix::process::Signal::INT);
    tokio::task::spawn_blocking(move || child.wait()).await.unwrap();
    assert_eq!(run(&world, &count).await.1, "1\n");
    assert_eq!(server.shells().iter().map(|shell| shell.id.as_str()).collect::<Vec<_>>(), [id]);
    run(&world, &["stop", "work"]).await;
    empty(&server).await;
    // Two commands at once share one agent, without one before.
    let ids = ["exec", "work", "--jsonl", "--", "Get-CsBig 500 | % Id"];
    let both = tokio::join!(run(&world, &ids), run(&world, &ids));
    let wanted: String = (1..=500).map(|id| format!("{id}\n")).collect();
    for (code, out, err) in [both.0, both.1] {
        assert_eq!((code, out.as_str()), (0, wanted.as_str()), "{err}");
    }
    empty(&server).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_ends_at_its_time_limit_and_by_ctrl_c() {
    let (world, server) = online(Options { fixtures: true, ..Options::default() }, "").await;
    let slow = "Wait-Cs 600";
    let (code, _, err) = run(&world, &["exec", "work", "--timeout", "1s", "--", slow]).await;
    assert_eq!(code, 4, "{err}");
    assert!(err.contains("the command was stopped at the time limit of --timeout"), "{err}");
    empty(&server).await;
    let mut child = world.program(&["exec", "work", "--", slow]).start();
    until(PATIENCE, "a running command", || server.shells().first().is_some_and(|one| one.commands > 0))
        .await;
    signal(child.0.id(), rustix::process::Signal::INT);
    let status = tokio::task::spawn_blocking(move || child.wait()).await.unwrap();
    assert_eq!(status.code(), Some(130));
    empty(&server).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn output_that_is_not_read_delays_neither_time_limit_nor_ctrl_c() {
    let (world, server) = online(Options::default(), "").await;
    let started = Instant::now();
    let child = world.program(&["exec", "work", "--timeout", "5s", "--", "1..100000"]).start();
    let ran = tokio::task::spawn_blocking(move || {
        let mut child = child;
        let status = child.wait();
        let mut err = String::new();
        std::io::Read::read_to_string(&mut child.0.stderr.take().unwrap(), &mut err).unwrap();
        (status.code(), err)
    });
    let (code, err) = ran.await.unwrap();
    assert_eq!(code, Some(4), "{err}");
    assert!(err.contains("the command was stopped at the time limit of --timeout"), "{err}");
    assert!(started.elapsed() < Duration::from_secs(20), "{:?}", started.elapsed());
    empty(&server).await;
    let mut child = world.program(&["exec", "work", "--", "1..100000"]).start();
    let ended = tokio::task::spawn_blocking(move || {
        // The pipe stays open, but nothing more is read.
        let mut output = child.0.stdout.take().unwrap();
        std::io::Read::read_exact(&mut output, &mut [0]).unwrap();
        let ended = crate::program::found(PATIENCE, || {
            signal(child.0.id(), rustix::process::Signal::INT);
            child.0.try_wait().unwrap()
        });
        ended.and_then(|status| status.code())
    });
    assert_eq!(ended.await.unwrap(), Some(130));
    empty(&server).await;
}

/// The output fills the buffers long before the input ends.
#[tokio::test(flavor = "multi_thread")]
async fn input_is_sent_while_output_is_read() {
    let (world, server) = online(Options { fixtures: true, ..Options::default() }, "").await;
    let input: String = (0..300).map(|number| format!("{number:020000}\n")).collect();
    let line = ["exec", "work", "--jsonl", "--input", "lines", "--", "Measure-CsInput"];
    let out = fed(&world, &line, &input).await.success_output();
    assert_eq!(out.lines().count(), 301);
    assert!(out.ends_with("\"total 300\"\n"), "{:?}", out.lines().last());
    let first = ["exec", "work", "--jsonl", "--input", "lines", "--", "Measure-CsInput | select -First 1"];
    let ran = fed(&world, &first, &input).await;
    assert_eq!(ran.success_output(), format!("\"got {:020000}\"\n", 0));
    empty(&server).await;
}

/// Waiting for the acknowledgement of each object would take a request for each.
#[tokio::test(flavor = "multi_thread")]
async fn input_objects_share_requests_in_order() {
    let more = "keep = \"10m\"";
    let (world, server) = online(Options { fixtures: true, ..Options::default() }, more).await;
    assert_eq!(run(&world, &["attach", "work", "--socket"]).await.0, 0);
    let numbers: Vec<u32> = (0..400).collect();
    let input = serde_json::to_string(&numbers).unwrap();
    let before = server.requests();
    let line = ["exec", "work", "--jsonl", "--input", "json", "--", "Measure-CsInput"];
    let out = fed(&world, &line, &input).await.success_output();
    let mut wanted: String = numbers.iter().map(|number| format!("\"got {number}\"\n")).collect();
    wanted.push_str("\"total 400\"\n");
    assert_eq!(out, wanted);
    let requests = server.requests() - before;
    assert!(requests < 200, "{requests}");
    run(&world, &["stop", "work"]).await;
    empty(&server).await;
}

/// The requests of lyncsh itself, and pipelines that its clients have closed, are not errors.
#[tokio::test(flavor = "multi_thread")]
async fn the_errors_of_a_session_are_those_of_its_commands() {
    let more = "keep = \"10m\"";
    let (world, server) = online(Options { fixtures: true, ..Options::default() }, more).await;
    assert_eq!(run(&world, &["attach", "work", "--socket"]).await.0, 0);
    for (line, code, errors) in [
        ("Get-CsTenant", 0, 0),
        ("Get-CsTenant | Select-Object DisplayName", 0, 0),
        ("Get-CsOnlineUser none", 1, 1),
        ("Get-CsTenat", 1, 2),
        ("Get-CsTenat | Select-Object DisplayName", 1, 3),
        ("Get-CsTenant", 0, 3),
    ] {
        let (ended, _, err) = run(&world, &["exec", "work", "--", line]).await;
        assert_eq!(ended, code, "{line}: {err}");
        let (_, out, _) = run(&world, &["status", "--json"]).await;
        let status: Value = serde_json::from_str(&out).unwrap();
        assert_eq!(status["agents"][0]["traffic"]["errors"], errors, "{line}: {err}");
    }
    run(&world, &["stop", "work"]).await;
    empty(&server).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_misspelt_command_has_a_suggestion_with_and_without_an_agent() {
    let (world, server) = online(Options::default(), "keep = \"10m\"").await;
    for is_cold in [true, false] {
        if !is_cold {
            assert_eq!(run(&world, &["attach", "work", "--socket"]).await.0, 0);
        }
        for line in ["Get-CsTenat", "Get-CsTenat | Select-Object DisplayName"] {
            let _ = std::fs::remove_dir_all(world.folders.cache.join("commands"));
            let (code, _, err) = run(&world, &["exec", "work", "--", line]).await;
            assert!(
                code == 1 && err.contains("Did you mean Get-CsTenant?"),
                "{is_cold} {line}: {code} {err}"
            );
        }
    }
    run(&world, &["stop", "work"]).await;
    empty(&server).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_terminal_is_wrong_usage() {
    let (world, server) = tenants(2, Options::default()).await;
    let path = world.folders.profile("t1");
    let text = std::fs::read_to_string(&path).unwrap();
    let lines: String = text
        .lines()
        .filter(|line| !line.starts_with("credential"))
        .map(|line| line.to_owned() + "\n")
        .collect();
    std::fs::write(path, lines + "credential = \"prompt\"\n").unwrap();
    let (code, _, err) = run(&world, &["exec", "t1", "--", "Get-CsTenant"]).await;
    assert!(code == 2 && err.contains("cannot prompt for a password: no terminal"), "{code} {err}");
    let (code, _, err) = run(&world, &["exec", "--all", "--", "Get-CsTenant"]).await;
    assert!(code == 2 && err.contains("t1: the profile asks for its password"), "{code} {err}");
    empty(&server).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn many_profiles_give_one_document_and_the_highest_exit_code() {
    let faults = vec![
        ("tenant0002.example".to_owned(), TenantFault::Refused),
        ("tenant0004.example".to_owned(), TenantFault::QuotaReached),
    ];
    let (world, server) = tenants(5, Options { faults, ..Options::default() }).await;
    std::fs::write(world.folders.profile("broken"), "kind = \"wsman\"\nusr = 1\ntags = [\"customers\"]\n")
        .unwrap();
    let line = "Get-CsTenant | Select-Object -ExpandProperty DisplayName";
    let arguments = ["exec", "--tag", "customers", "--ordered", "--json", "--", line];
    let (code, out, err) = run(&world, &arguments).await;
    assert_eq!(code, 3, "{err}");
    assert_eq!(err, "6 profiles: 3 succeeded, 3 failed (broken: 2, t2: 3, t4: 3)\n");
    let results: Vec<Value> = serde_json::from_str(&out).unwrap();
    let brief: Vec<Value> =
        results.iter().map(|one| json!([one["profile"], one["exit_code"], one["output"]])).collect();
    let wanted = json!([
        ["broken", 2, []],
        ["t1", 0, ["tenant0001"]],
        ["t2", 3, []],
        ["t3", 0, ["tenant0003"]],
        ["t4", 3, []],
        ["t5", 0, ["tenant0005"]],
    ]);
    assert_eq!(json!(brief), wanted);
    let message = |at: usize| results[at]["errors"][0]["message"].as_str().unwrap();
    assert!(
        message(0).contains("line 2: unknown key usr in a profile; did you mean user?"),
        "{}",
        message(0)
    );
    assert!(message(2).contains("refused the credential of admin@tenant0002.example"), "{}", message(2));
    assert!(message(4).contains("The maximum number of concurrent shells"), "{}", message(4));
    empty(&server).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn results_carry_their_profile_in_every_format() {
    let (world, server) = tenants(3, Options::default()).await;
    let line = "Get-CsTenant | Select-Object DisplayName";
    let of = |format: &'static str| {
        let world = &world;
        async move {
            let (code, out, err) =
                run(world, &["exec", "--profiles", "t3,t1", "--ordered", format, "--", line]).await;
            assert_eq!((code, err.as_str()), (0, "2 profiles: 2 succeeded\n"), "{format}");
            out
        }
    };
    assert_eq!(
        of("--jsonl").await,
        "{\"profile\":\"t3\",\"output\":{\"DisplayName\":\"tenant0003\"}}\n{\"profile\":\"t1\",\"output\":{\"DisplayName\":\"tenant0001\"}}\n"
    );
    assert_eq!(
        of("--csv").await,
        "\"Profile\",\"DisplayName\"\n\"t3\",\"tenant0003\"\n\"t1\",\"tenant0001\"\n"
    );
    assert_eq!(of("--clixml").await.matches("<S N=\"Profile\">").count(), 2);
    let text = of("--errors=text").await;
    let lines: Vec<&str> = text.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    assert_eq!(
        lines,
        [
            "t3:",
            "DisplayName",
            "-----------",
            "tenant0003",
            "t1:",
            "DisplayName",
            "-----------",
            "tenant0001"
        ]
    );
    empty(&server).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mistake_in_the_selection_runs_nothing() {
    let (world, server) = tenants(2, Options::default()).await;
    for (arguments, wanted) in [
        (&["--tag", "customer"][..], "did you mean 'customers'?"),
        (&["--profiles", "t1,t9"], "there is no profile 't9'"),
        (&["--profiles", "t1, t1"], "the profile 't1' is named twice"),
        (&["--all", "t1"], "unexpected argument 't1'"),
        (&["--all", "--parallel", "0"], "invalid value '0'"),
    ] {
        let whole: Vec<&str> =
            ["exec"].iter().chain(arguments).chain(&["--", "Get-CsTenant"]).copied().collect();
        let (code, out, err) = run(&world, &whole).await;
        assert_eq!((code, out.as_str()), (2, ""), "{arguments:?}");
        assert!(err.contains(wanted), "{err}");
    }
    assert_eq!(server.requests(), 0);
    let nobody = World::without_endpoint();
    let (code, _, err) = run(&nobody, &["exec", "--all", "--", "Get-CsTenant"]).await;
    assert_eq!(code, 2);
    assert!(err.contains("cannot select all profiles: there are none"), "{err}");
}

#[tokio::test(flavor = "multi_thread")]
async fn errors_before_the_first_command_are_json_if_asked() {
    let (world, server) = tenants(2, Options::default()).await;
    for (arguments, wanted) in [
        (&["t9", "--", "Get-CsTenant"][..], "there is no profile 't9'"),
        (&["t1", "--", "if (1) { 2 }"], "'if' needs PowerShell"),
        (&["t1", "--input", "json", "--", "ForEach-Object { $_ }"], "cannot read the input"),
        (&["t1", "--input", "csv", "--", "ForEach-Object { $_ }"], "two columns are named 'a'"),
        (&["--tag", "customer", "--", "Get-CsTenant"], "customer"),
        (&["--tag", "customers", "--", "if (1) { 2 }"], "'if' needs PowerShell"),
        (&["t1", "none.ps1"], "none.ps1"),
    ] {
        let whole: Vec<&str> = ["exec", "--errors", "json"].iter().chain(arguments).copied().collect();
        let input = if arguments.contains(&"csv") { "A,a\n1,2\n" } else { "[{" };
        let ran = fed(&world, &whole, input).await;
        assert_eq!((ran.code, ran.out.as_str()), (Some(2), ""), "{arguments:?} {ran:?}");
        let read = |line| serde_json::from_str::<Value>(line).unwrap_or_else(|_| panic!("{ran:?}"));
        let errors: Vec<Value> = ran.err.lines().map(read).collect();
        assert!(errors.iter().any(|one| one["message"].as_str().unwrap().contains(wanted)), "{ran:?}");
    }
    assert_eq!(server.requests(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn failed_connections_of_a_group_are_json_if_asked() {
    let faults = vec![("tenant0001.example".to_owned(), TenantFault::Refused)];
    let (world, server) = tenants(2, Options { faults, ..Options::default() }).await;
    let first = std::fs::read_to_string(world.folders.profile("t1")).unwrap();
    std::fs::write(world.folders.profile("t1"), format!("prefix = \"One\"\n{first}")).unwrap();
    std::fs::write(world.folders.profile("both"), "connections = [\"t1\", \"t2\"]\n").unwrap();
    let line = "Get-CsTenant | Measure-Object | % Count";
    let (code, out, err) = run(&world, &["exec", "both", "--errors", "json", "--", line]).await;
    assert!(code == 0 && out.contains('1'), "{code} {out}{err}");
    let errors: Vec<Value> = err.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
    let message = errors[0]["message"].as_str().unwrap();
    assert!(errors.len() == 1 && message.contains("could not connect 't1'"), "{err}");
    assert!(!err.lines().any(|line| line.starts_with("could not connect")), "{err}");
    empty(&server).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sessions_of_shells_count_against_the_accounts_limit() {
    let (world, server) = online(Options { fixtures: true, ..Options::default() }, "").await;
    let text = std::fs::read_to_string(world.folders.profile("work")).unwrap();
    for name in ["a", "b", "c", "d"] {
        std::fs::write(world.folders.profile(name), &text).unwrap();
    }
    // The limit of an account is 3 sessions: two remain.
    assert_eq!(run(&world, &["attach", "work", "--socket"]).await.0, 0);
    let arguments = ["exec", "--profiles", "a,b,c,d", "--jsonl", "--", "Wait-Cs 1 | Out-Null; 'done'"];
    let (code, out, err) = run(&world, &arguments).await;
    assert_eq!((code, out.matches("done").count()), (0, 4), "{out}{err}");
    assert_eq!(run(&world, &["stop", "work"]).await.0, 0);
    empty(&server).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failure_stops_the_others_only_if_asked() {
    let faults = vec![("tenant0001.example".to_owned(), TenantFault::Refused)];
    let (world, server) = tenants(4, Options { faults, ..Options::default() }).await;
    let line = "Get-CsTenant | Measure-Object | % Count";
    let first = ["exec", "--all", "--json", "--parallel", "1", "--fail-fast", "--", line];
    let (code, out, err) = run(&world, &first).await;
    assert_eq!(code, 3);
    assert_eq!(err, "4 profiles: 0 succeeded, 1 failed (t1: 3), 3 not run\n");
    let results: Vec<Value> = serde_json::from_str(&out).unwrap();
    assert!(results[1..].iter().all(|one| one["exit_code"].is_null()), "{results:?}");
    let (code, _, err) = run(&world, &["exec", "--all", "--parallel", "1", "--", line]).await;
    assert_eq!(code, 3);
    assert!(err.contains("4 profiles: 3 succeeded, 1 failed (t1: 3)\n"), "{err}");
    empty(&server).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn dead_tenants_take_no_time_from_the_others() {
    let dead = |number: usize| (format!("tenant{number:04}.example"), TenantFault::NoResponse);
    let (world, server) =
        tenants(12, Options { faults: vec![dead(1), dead(2), dead(3)], ..Options::default() }).await;
    let line = "Get-CsTenant | Measure-Object | % Count";
    let begun = Instant::now();
    let child =
        world.program(&["exec", "--all", "--jsonl", "--parallel", "2", "--timeout", "40s", "--", line]);
    let mut child = child.stderr(Stdio::null()).start();
    let output = child.0.stdout.take().unwrap();
    let done = tokio::task::spawn_blocking(move || {
        let lines = std::io::BufRead::lines(std::io::BufReader::new(output));
        (child, lines.take(9).map(Result::unwrap).collect::<Vec<_>>())
    });
    let (mut child, lines) = done.await.unwrap();
    assert!(lines.iter().all(|line| line.contains("\"output\":1")), "{lines:?}");
    // Both places were taken by dead tenants, twice.
    assert!(begun.elapsed() < Duration::from_secs(30), "{:?}", begun.elapsed());
    signal(child.0.id(), rustix::process::Signal::INT);
    let status = tokio::task::spawn_blocking(move || child.wait()).await.unwrap();
    assert_eq!(status.code(), Some(130));
    empty(&server).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reader_that_ends_early_leaves_no_session() {
    let (world, server) = tenants(6, Options { fixtures: true, ..Options::default() }).await;
    for arguments in [
        &["exec", "--all", "--jsonl", "--parallel", "1", "--", "Get-CsTenant"][..],
        &["exec", "t1", "--jsonl", "--", "Get-CsBig 1000000"],
        &["exec", "t1", "--", "Get-CsBig 1000000"],
    ] {
        let mut child = world.program(arguments).start();
        let ran = tokio::task::spawn_blocking(move || {
            // Dropping the output closes the pipe.
            let line = child.line();
            (line, child.ran())
        });
        let (line, ran) = ran.await.unwrap();
        assert!(!line.is_empty(), "{arguments:?}");
        assert_eq!((ran.code, ran.err.as_str()), (Some(141), ""), "{arguments:?}");
        empty(&server).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_is_an_error_and_leaves_no_session() {
    let (world, server) = tenants(2, Options::default()).await;
    for selection in ["--all", "t1"] {
        for format in ["--csv", "--errors=text"] {
            let full = std::fs::File::options().write(true).open("/dev/full").unwrap();
            let program = world.program(&["exec", selection, format, "--", "Get-CsTenant"]).stdout(full);
            let ran = tokio::task::spawn_blocking(move || program.run()).await.unwrap();
            let err = ran.text();
            assert_eq!(ran.code, Some(1), "{selection} {format}: {err}");
            let wanted = "cannot write to standard output: No space left on device";
            assert_eq!(err.matches(wanted).count(), 1, "{selection} {format}: {err}");
            empty(&server).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn control_characters_and_bytes_are_data_for_a_pipe() {
    let answer = "a\0b\u{1b}[31mc\u{7}\u{7f}\u{9b}d".to_owned();
    let raw = MadeUpCommand { name: "Get-CsRaw".to_owned(), answer, ..MadeUpCommand::default() };
    let options = Options { fixtures: true, commands: vec![raw], ..Options::default() };
    let (world, server) = online(options, "").await;
    let of = |format: &'static str, line: &'static str| {
        let world = &world;
        async move { run(world, &["exec", "work", format, "--", line]).await }
    };
    let (code, out, err) = of("--jsonl", "Get-CsRaw").await;
    assert_eq!((code, err.as_str()), (0, ""));
    assert!(out.trim_end_matches('\n').chars().all(|letter| letter >= ' '), "{out:?}");
    let value: Value = serde_json::from_str(&out).unwrap();
    assert_eq!(value, "a\0b\u{1b}[31mc\u{7}\u{7f}\u{9b}d");
    // The plain text of a command is not changed for a pipe.
    let plain = of("--errors=text", "Get-CsRaw | % { $_ }").await;
    assert_eq!(plain, (0, "a\0b\u{1b}[31mc\u{7}\u{7f}\u{9b}d\n".to_owned(), String::new()));
    let bytes = of("--jsonl", "Get-CsTenant | % Logo").await;
    assert_eq!(bytes, (0, "\"AQIDBAUGBwgJCgsMDQ4PEA==\"\n".to_owned(), String::new()));
    empty(&server).await;
}

/// The rest of the output is unread when the memory is measured: the process cannot have ended.
#[cfg(target_os = "linux")]
#[tokio::test(flavor = "multi_thread")]
async fn large_output_is_not_kept_in_memory() {
    /// Width of an object, with two letters for each unit.
    const WIDTH: usize = 35_000;
    /// Number of objects that are read after the measurement: more than the buffers and pipes hold.
    const REST: usize = 20;
    let (world, server) = online(Options { fixtures: true, ..Options::default() }, "keep = \"10m\"").await;
    assert_eq!(run(&world, &["attach", "work", "--socket"]).await.0, 0);
    let peak = |count: usize| {
        let line = format!("Get-CsBig {count} {WIDTH}");
        let mut child = world.program(&["exec", "work", "--jsonl", "--", &line]).start();
        tokio::task::spawn_blocking(move || {
            let mut lines = std::io::BufRead::lines(child.output());
            let mut read = |count| lines.by_ref().take(count).map(|line| line.unwrap().len()).sum::<usize>();
            let mut length = read(count - REST);
            let peak = peak_resident(child.0.id());
            length += read(usize::MAX);
            assert!(length > count * WIDTH * 2, "{length}");
            assert_eq!(child.wait().code(), Some(0));
            peak
        })
    };
    let few = peak(2 * REST).await.unwrap();
    let many = peak(400).await.unwrap();
    // The output is about 42 MB.
    assert!(many < few + 12 * 1024, "{few} KiB for little output, {many} KiB for much");
    run(&world, &["stop", "work"]).await;
    empty(&server).await;
}

/// Returns the largest resident size of a process in KiB.
#[cfg(target_os = "linux")]
fn peak_resident(process: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

/// A command runs in one profile only; another profile does not connect.
#[tokio::test(flavor = "multi_thread")]
async fn a_slow_profile_ends_at_the_time_limit_while_others_succeed() {
    let faults = vec![("tenant0002.example".to_owned(), TenantFault::NoResponse)];
    let (world, server) = tenants(4, Options { faults, ..Options::default() }).await;
    let line = "Get-CsOnlineUser | ? SipAddress -like *tenant0003* | Start-CsExMeetingMigration";
    let arguments = ["exec", "--all", "--ordered", "--json", "--timeout", "6s", "--", line];
    let (code, out, err) = run(&world, &arguments).await;
    assert_eq!(code, 4, "{err}");
    assert!(err.ends_with("4 profiles: 2 succeeded, 2 failed (t2: 3, t3: 4)\n"), "{err}");
    let results: Vec<Value> = serde_json::from_str(&out).unwrap();
    let brief: Vec<Value> = results
        .iter()
        .map(|one| json!([one["profile"], one["exit_code"], one["errors"][0]["message"]]))
        .collect();
    let wanted = json!([
        ["t1", 0, null],
        ["t2", 3, "could not connect within the time limit of --timeout"],
        ["t3", 4, "the command was stopped at the time limit of --timeout"],
        ["t4", 0, null],
    ]);
    assert_eq!(json!(brief), wanted);
    empty(&server).await;
}

#[test]
fn the_printed_accounts_of_a_served_demo_are_used() {
    let options = ["demo", "--serve", "--tenants", "3", "--fault", "tenant0002.example=refused"];
    let mut endpoint = Program::lyncsh().args(options).stderr(Stdio::inherit()).start();
    let ready = endpoint.ready();
    assert_eq!(ready["tenants"], 3);
    let text = |key: &str| ready[key].as_str().unwrap();
    let world = World::without_endpoint();
    tenant_profiles(&world, 3, text("url"), text("tenant_password"));
    let line = "Get-CsTenant | % DisplayName";
    let (code, out, err) = world.run(&["exec", "--all", "--ordered", "--json", "--", line]);
    assert_eq!((code, err.as_str()), (3, "3 profiles: 2 succeeded, 1 failed (t2: 3)\n"));
    let results: Vec<Value> = serde_json::from_str(&out).unwrap();
    let brief: Vec<Value> = results.iter().map(|one| json!([one["exit_code"], one["output"]])).collect();
    assert_eq!(json!(brief), json!([[0, ["tenant0001"]], [3, []], [0, ["tenant0003"]]]));
    let message = results[1]["errors"][0]["message"].as_str().unwrap();
    assert!(message.contains("refused the credential of admin@tenant0002.example"), "{message}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_terminal_shows_progress_and_results() {
    let faults = vec![("tenant0002.example".to_owned(), TenantFault::Slow(Duration::from_millis(400)))];
    let (world, server) = tenants(2, Options { faults, ..Options::default() }).await;
    let seen = tokio::task::spawn_blocking(move || {
        let line = "Get-CsTenant | Select-Object DisplayName";
        let terminal = Terminal::open(&world, crate::program::lyncsh(), &["exec", "--all", "--", line], "");
        terminal.wait_for_text("1/2");
        terminal.wait_for_text("2 profiles: 2 succeeded");
        terminal.text()
    });
    let text = seen.await.unwrap();
    assert!(text.contains("t1:") && text.contains("tenant0002"), "{text}");
    // The bar is gone.
    assert!(!text.contains("1/2") && !text.contains("2/2"), "{text}");
    empty(&server).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_terminal_shows_one_profile_like_the_console_and_answers_questions() {
    let (world, server) =
        online(Options { fixtures: true, ..Options::default() }, "shell = \"console\"").await;
    let done = tokio::task::spawn_blocking(move || {
        let exec = |line: &str| {
            Terminal::open_with(&world, crate::program::lyncsh(), &["exec", "work", "--", line], [])
        };
        let line = "Get-CsOnlineUser kenmyer | Select-Object DisplayName, SipAddress";
        let mut terminal = exec(line);
        assert_eq!(terminal.wait_exit(), 0, "{}", terminal.text());
        let table = "DisplayName SipAddress\n----------- ----------\nKen Myer    sip:kenmyer@litwareinc.com";
        // A terminal keeps the spaces at the ends of lines.
        let trimmed =
            |text: &str| text.lines().map(|line| format!("{}\n", line.trim_end())).collect::<String>();
        assert_eq!(trimmed(&terminal.text()).trim(), table);
        let console = Terminal::open_with(&world, crate::program::lyncsh(), &["work"], []);
        console.ends_with("[work] PS>");
        console.line(line);
        let wanted = format!("{line}\n\n{table}\n");
        console.wait_until(&wanted, |text| trimmed(text).contains(&wanted));
        drop(console);
        // The questions of a command at the endpoint.
        let mut terminal = exec("$a = Read-CsInput; \"<$($a.Name)|$($a.PinLength)|$($a.Choice)|$($a.Age)>\"");
        for (question, answer) in [
            ("Your name:", "Ken"),
            ("Pin:", "1234"),
            ("[R] Red  [B] Blue  [?] Help (default is \"B\"):", "r"),
            ("Password for user litwareinc.com\\ken:", "hunter2"),
            ("Age:", "42"),
        ] {
            terminal.ends_with(question);
            terminal.line(answer);
        }
        assert_eq!(terminal.wait_exit(), 0, "{}", terminal.text());
        let text = terminal.text().trim_end().to_owned();
        assert!(
            text.ends_with("<Ken|4|0|42>") && !text.contains("1234") && !text.contains("hunter2"),
            "{text}"
        );
        let mut terminal = exec("$name = Read-Host 'Your name'; \"hello $name\"; exit 3");
        terminal.ends_with("Your name:");
        terminal.line("Ken");
        assert_eq!(terminal.wait_exit(), 3, "{}", terminal.text());
        assert_eq!(terminal.text().trim_end(), "Your name: Ken\nhello Ken");
        server
    })
    .await;
    empty(&done.unwrap()).await;
}
