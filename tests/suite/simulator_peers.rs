//! The simulator, and a real PowerShell behind the same service, with independent clients.

use std::process::Command;

use lyncsh::simulator::{Options, PASSWORD, Server, USER};
use serde_json::{Value, json};

use crate::front::{self, Front};
use crate::simulator::{no_shell_is_left, python};

/// Returns the output of a peer of `tests/peers` for an endpoint.
async fn peer(script: &'static str, url: &str, more: &'static [&'static str]) -> Value {
    let arguments = json!({ "url": url, "user": USER, "password": PASSWORD }).to_string();
    let run = move || {
        let mut command = Command::new(python());
        command.arg(format!("tests/peers/{script}")).arg(arguments).args(more);
        command.env_remove("HTTP_PROXY").env_remove("http_proxy").output()
    };
    let output = tokio::task::spawn_blocking(run).await.unwrap().expect("tests/run installs the peers");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

async fn start() -> Server {
    Server::start(Options { fixtures: true, ..Options::default() }).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn pywinrm_asks_for_a_cmd_shell_and_is_refused() {
    let server = start().await;
    let seen = peer("pywinrm_check.py", &server.url, &[]).await;
    assert_eq!(seen, json!({ "code": 2_150_858_811_u32, "subcode": "a:DestinationUnreachable" }));
    assert_eq!(server.shells().len(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn ansible_runs_script_text_and_gets_the_refusal() {
    let server = start().await;
    let seen = peer("ansible_psrp.py", &server.url, &["Get-CsTenant"]).await;
    assert_eq!(seen[0][0], 1, "{seen}");
    assert!(seen[0][2].as_str().unwrap().contains("The syntax is not supported by this runspace"), "{seen}");
    no_shell_is_left(&server).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn ansible_runs_script_text_in_a_real_powershell() {
    let Some(pwsh) = front::powershell() else { return };
    let front = Front::start(front::Options::new(pwsh)).await.unwrap();
    let commands = &["1 + 1", "Write-Error bad", "exit 3", "throw 'x'"];
    let seen = peer("ansible_psrp.py", &front.uri, commands).await;
    assert_eq!((&seen[0][0], &seen[0][1]), (&json!(0), &json!("2")), "{seen}");
    assert!(seen[1][2].as_str().unwrap().starts_with("bad"), "{seen}");
    assert_eq!((&seen[2][0], &seen[3][0]), (&json!(3), &json!(1)), "{seen}");
    front.wait_empty().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn pypsrp_changes_a_pool_s_size_runs_statements_and_has_no_host() {
    let server = start().await;
    let simulated = peer("pypsrp_pools.py", &server.url, &["simulator"]).await;
    no_shell_is_left(&server).await;
    let wanted = json!({
        "max": [[4, 4], [4, 4], [1, 1], [0, "refused"], [-1, "refused"], [10, 10], [3, 3]],
        "min": [[2, 3], [3, 3], [4, "refused"], [0, "refused"], [1, 3]],
        "reset": ["refused", "done", "busy refused"],
        "ten": 10,
        "sizes": ["refused", "refused", "refused"],
        "statements": [[2, 4, 0], [1, 4, 1], [1, 5, 1], [0, 5, 2]],
        "no host": [[5, "HostFunctionNotImplemented", "HostException"]],
    });
    assert_eq!(simulated, wanted);
    let Some(pwsh) = front::powershell() else { return };
    let front = Front::start(front::Options::new(pwsh)).await.unwrap();
    assert_eq!(peer("pypsrp_pools.py", &front.uri, &["PowerShell"]).await, wanted, "a real PowerShell");
}
