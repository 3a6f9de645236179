//! A failed Delete is retried, the session is listed until its removal is confirmed, and it is never reported
//! as removed earlier.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use lyncsh::agent::guard::Guard;
use lyncsh::agent::journal::Journal;
use lyncsh::agent::orphans::sweep;
use lyncsh::agent::resolver::EndpointResolver;
use lyncsh::folders::Folders;
use lyncsh::transport::Error;
use lyncsh::transport::wsman::envelope::{Items, RequestEnvelope, Response, ShellInfo, WsmanRequest as Asks};
use lyncsh::transport::wsman::fault::{Fault, FaultDialect};
use uuid::Uuid;

use crate::agent_world::{PATIENCE, World};
use crate::program::one_line;
use crate::wsman_client_faults::{actions, soap, soap_in};
use crate::wsman_client_http::{Answer, Server, http};

/// Answer to Delete. A test has a list of them; the last one is repeated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Delete {
    Done,
    Silent,
    Gone,
    Fault,
    Http(&'static str),
}

/// The endpoint's list of sessions, with or without the test's session.
#[derive(Clone, Copy, Debug)]
enum List {
    Refused,
    WithIt,
    WithoutIt,
}

/// A user with a session on an endpoint with scripted answers.
struct UnremovedSession {
    world: World,
    journal: Journal,
    shell: Uuid,
    server: Server,
    list: Arc<std::sync::Mutex<List>>,
}

impl UnremovedSession {
    async fn on(deletes: &'static [Delete]) -> Self {
        let (shell, asked) = (Uuid::new_v4(), Arc::new(AtomicUsize::new(0)));
        let list = Arc::new(std::sync::Mutex::new(List::Refused));
        let listed = list.clone();
        let server = Server::start(None, move |given| {
            let (asked, list) = (asked.clone(), *listed.lock().unwrap());
            async move {
                let request = RequestEnvelope::read(&given.body).unwrap();
                match request.request {
                    Asks::Delete => {
                        let number = asked.fetch_add(1, Ordering::Relaxed).min(deletes.len() - 1);
                        deleted(&request, deletes[number])
                    }
                    Asks::Enumerate(_) => enumerated(&request, list, shell),
                    _ => None,
                }
            }
        })
        .await;
        let mut world = World::without_endpoint();
        world.uri = format!("http://127.0.0.1:{}/wsman", server.port);
        std::fs::write(world.root().join("password"), "secret").unwrap();
        // Only if the limit is meant to expire.
        let is_slow = deletes.contains(&Delete::Silent)
            || matches!(deletes.last(), Some(Delete::Fault | Delete::Http(_)));
        let close = if is_slow { "1500ms" } else { "20s" };
        world.profile("work", &format!("[timeouts]\nclose = \"{close}\"\noperation = \"5s\""));
        let journal = Journal::of(&world.folders);
        Self { world, journal, shell, server, list }
    }

    async fn guard(&self) -> Guard {
        let mut guard = self.connecting().await;
        guard.record_created();
        guard
    }

    /// Returns the guard of a session whose Create was not answered.
    async fn connecting(&self) -> Guard {
        let profile = lyncsh::profile::load(&self.world.folders, "work").unwrap();
        let (report, _steps) = tokio::sync::mpsc::unbounded_channel();
        let mut access = EndpointResolver::new(&self.world.folders, profile, None);
        let endpoint = access.endpoint(&report).await.unwrap();
        let mut guard = Guard::new(&self.journal, &access.profile, endpoint, self.shell).unwrap();
        guard.record_unanswered_create();
        guard
    }

    fn password(&self) -> String {
        self.world.root().join("password").display().to_string()
    }

    fn lists(&self, list: List) {
        *self.list.lock().unwrap() = list;
    }

    fn deletes(&self) -> usize {
        actions(&self.server).iter().filter(|action| *action == "Delete").count()
    }

    /// Returns whether `lyncsh status` lists the session. The removal is not due again so soon.
    fn is_listed(&self) -> bool {
        let (code, out, err) = self.world.run(&["status"]);
        assert_eq!(code, 0, "{err}");
        out.contains("work: orphaned session on")
    }

    async fn sweep(&self) -> String {
        tokio::time::timeout(PATIENCE, sweep(&self.world.folders, true)).await.unwrap().join("\n")
    }

    fn files(&self) -> usize {
        let count = |folder: &str| {
            let folder = self.world.folders.state.join(folder);
            std::fs::read_dir(folder).map_or(0, |files| files.count())
        };
        count("sessions") + count("notes")
    }
}

fn deleted(request: &RequestEnvelope, how: Delete) -> Answer {
    match how {
        Delete::Done => soap(request, Response::Deleted),
        Delete::Silent => None,
        Delete::Gone => {
            let fault = Fault {
                subcode: Some("a:DestinationUnreachable".to_owned()),
                text: "no such instance".to_owned(),
                ..Fault::default()
            };
            soap_in(FaultDialect::Omi, request, Response::Fault(fault))
        }
        Delete::Fault => {
            soap(request, Response::Fault(Fault::new(2_150_858_999, "w:InternalError", "It went wrong.")))
        }
        Delete::Http(status) => http(status, &[], b""),
    }
}

fn enumerated(request: &RequestEnvelope, list: List, shell: Uuid) -> Answer {
    let id = match list {
        List::Refused => {
            let fault = Fault::new(2_150_858_818, "w:UnsupportedFeature", "not here");
            return soap(request, Response::Fault(fault));
        }
        List::WithIt => shell,
        List::WithoutIt => Uuid::new_v4(),
    };
    let shells = vec![ShellInfo { shell_id: id.to_string().to_uppercase(), ..ShellInfo::default() }];
    soap(request, Response::Enumerated(Items { shells, end: true, ..Items::default() }))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failing_delete_is_retried_until_done() {
    let left =
        UnremovedSession::on(&[Delete::Fault, Delete::Http("500 Internal Server Error"), Delete::Done]).await;
    left.guard().await.remove().await.unwrap();
    assert_eq!((left.deletes(), left.files()), (3, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_permanently_failing_delete_leaves_a_listed_entry() {
    for how in [&[Delete::Fault; 1], &[Delete::Http("500 Internal Server Error"); 1], &[Delete::Silent; 1]] {
        let left = UnremovedSession::on(how).await;
        let error = left.guard().await.remove().await.unwrap_err();
        assert!(!matches!(error, Error::Unconfirmed), "{how:?}: {error}");
        assert!(left.is_listed(), "{how:?}");
        let lines = left.sweep().await;
        assert!(lines.contains("may still be on the server"), "{how:?}: {lines}");
        assert!(left.is_listed(), "{how:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_that_cannot_be_removed_can_be_forgotten() {
    let left = UnremovedSession::on(&[Delete::Silent]).await;
    left.guard().await.remove().await.unwrap_err();
    let way_out = "if its server is gone, run `lyncsh stop work --forget`";
    for (arguments, code) in [
        (&["status"][..], 0),
        (&["doctor", "work"], 3),
        (&["rename", "work", "other"], 2),
        (&["remove", "work", "--yes"], 1),
    ] {
        let (ended, out, err) = left.world.run(arguments);
        let text = one_line(&(out + &err));
        assert!(ended == code && text.contains(way_out), "{arguments:?}: {ended} {text}");
    }
    let lines = left.sweep().await;
    assert!(lines.contains(way_out), "{lines}");
    let (code, out, err) = left.world.run(&["stop", "work", "--forget"]);
    let uri = &left.world.uri;
    let wanted = format!(
        "'work': the session on {uri} is forgotten. If it still exists, the server ends it at its idle timeout.\n"
    );
    assert_eq!((code, out), (0, wanted), "{err}");
    assert!(!left.is_listed());
    assert_eq!(left.files(), 0);
    let (code, out, err) = left.world.run(&["stop", "work", "--forget"]);
    assert_eq!((code, out.as_str(), err.as_str()), (0, "'work' has no session\n", ""));
    let (code, _, err) = left.world.run(&["remove", "work", "--yes"]);
    assert_eq!(code, 0, "{err}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_without_a_profile_can_be_forgotten() {
    let left = UnremovedSession::on(&[Delete::Silent]).await;
    left.guard().await.remove().await.unwrap_err();
    std::fs::remove_file(left.world.folders.profile("work")).unwrap();
    let (code, out, err) = left.world.run(&["stop", "--all", "--forget"]);
    assert!(code == 0 && out.contains("is forgotten"), "{out}{err}");
    assert_eq!(left.files(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn not_found_after_a_silent_delete_is_checked_later() {
    let left = UnremovedSession::on(&[Delete::Silent, Delete::Gone]).await;
    left.guard().await.remove().await.unwrap_err();
    assert!(left.is_listed());
    // An endpoint without a list is no proof, and an endpoint that lists the session still has it.
    for list in [List::Refused, List::WithIt] {
        left.lists(list);
        let lines = left.sweep().await;
        assert!(lines.contains("did not confirm the removal of the session"), "{list:?}: {lines}");
        assert!(left.is_listed(), "{list:?}");
    }
    left.lists(List::WithoutIt);
    let lines = left.sweep().await;
    assert!(lines.contains("removed an orphaned session of 'work'"), "{lines}");
    assert!(!left.is_listed());
    assert_eq!(left.files(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn not_found_at_the_first_delete_is_removed() {
    let left = UnremovedSession::on(&[Delete::Gone]).await;
    left.guard().await.remove().await.unwrap();
    assert_eq!((left.deletes(), left.files()), (1, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_listed_session_reported_not_found_is_removed_again() {
    // The Delete of a killed agent is still pending.
    let left = UnremovedSession::on(&[Delete::Gone, Delete::Done]).await;
    left.lists(List::WithIt);
    left.guard().await.remove().await.unwrap();
    assert_eq!((left.deletes(), left.files()), (2, 0));
    let left = UnremovedSession::on(&[Delete::Gone]).await;
    left.lists(List::WithIt);
    let error = left.guard().await.remove().await.unwrap_err();
    assert!(matches!(error, Error::Unconfirmed), "{error}");
    assert_eq!(left.deletes(), 4);
    assert!(left.is_listed(), "the next command tries again");
    left.lists(List::WithoutIt);
    let lines = left.sweep().await;
    assert!(lines.contains("removed an orphaned session of 'work'"), "{lines}");
    assert_eq!(left.files(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unconfirmed_session_is_listed_until_its_idle_timeout() {
    let left = UnremovedSession::on(&[Delete::Silent, Delete::Gone]).await;
    left.guard().await.remove().await.unwrap_err();
    assert!(left.is_listed());
    let notes = left.journal.notes(left.shell);
    let mut known: serde_json::Value = serde_json::from_slice(&std::fs::read(&notes).unwrap()).unwrap();
    let since = known["doubtful"]["secs_since_epoch"].as_u64().unwrap();
    known["doubtful"]["secs_since_epoch"] = (since - Duration::from_secs(200).as_secs()).into();
    std::fs::write(&notes, known.to_string()).unwrap();
    // The endpoint did not return a timeout; the one in the profile may not be in effect.
    assert!(left.is_listed());
    known["idle_timeout"] = serde_json::json!({"secs": 60, "nanos": 0});
    std::fs::write(&notes, known.to_string()).unwrap();
    assert!(!left.is_listed());
    assert_eq!(left.files(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_late_create_is_awaited_and_removed() {
    // Delete overtakes Create, which completes in the meantime.
    let left = UnremovedSession::on(&[Delete::Gone, Delete::Done]).await;
    left.connecting().await.remove().await.unwrap();
    assert_eq!((left.deletes(), left.files()), (2, 0));
    // Its Create may still be pending.
    let left = UnremovedSession::on(&[Delete::Gone]).await;
    let error = left.connecting().await.remove().await.unwrap_err();
    assert!(matches!(error, Error::Unconfirmed), "{error}");
    assert!(left.is_listed());
    let lines = left.sweep().await;
    assert!(lines.contains("did not confirm the removal of the session"), "{lines}");
    // No endpoint works on Create for longer than a minute after its client has disconnected.
    let path = left.world.folders.state.join("sessions").join(format!("{}.json", left.shell));
    let text = std::fs::read_to_string(&path).unwrap();
    let mut entry: serde_json::Value = serde_json::from_str(text.lines().last().unwrap()).unwrap();
    for (time, is_removed) in [("written", false), ("first_tried", true)] {
        let before = entry[time]["secs_since_epoch"].as_u64().unwrap();
        entry[time]["secs_since_epoch"] = (before - 61).into();
        std::fs::write(&path, entry.to_string()).unwrap();
        if !is_removed {
            let lines = left.sweep().await;
            assert!(lines.contains("did not confirm the removal of the session"), "{lines}");
        }
    }
    let lines = left.sweep().await;
    assert!(lines.contains("removed an orphaned session of 'work'"), "{lines}");
    assert_eq!(left.files(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_in_place_of_the_answer_to_create_does_not_exclude_a_session() {
    const PAGES: [(u16, [Delete; 1]); 3] = [
        (200, [Delete::Http("200 OK")]),
        (400, [Delete::Http("400 Bad Request")]),
        (404, [Delete::Http("404 Not Found")]),
    ];
    // A gateway has replaced only that answer.
    let left = UnremovedSession::on(&[Delete::Done]).await;
    let mut guard = left.connecting().await;
    guard.record_foreign_answer(200);
    guard.remove().await.unwrap();
    assert_eq!((left.deletes(), left.files()), (1, 0));
    // No WSMan service is there.
    for (status, page) in &PAGES {
        let left = UnremovedSession::on(page).await;
        let mut guard = left.connecting().await;
        guard.record_foreign_answer(*status);
        guard.remove().await.unwrap();
        assert_eq!((left.deletes(), left.files()), (1, 0), "{page:?}");
    }
    // A gateway that refuses further requests.
    let left = UnremovedSession::on(&[Delete::Http("429 Too Many Requests")]).await;
    let mut guard = left.connecting().await;
    guard.record_foreign_answer(400);
    guard.remove().await.unwrap_err();
    assert!(left.is_listed());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_password_that_is_refused_after_create_proves_nothing() {
    let left = UnremovedSession::on(&[Delete::Http("401 Unauthorized"), Delete::Done]).await;
    let file = left.world.folders.profile("work");
    let text = std::fs::read_to_string(&file).unwrap();
    let (command, path) = (format!("command = \"cat '{}'\"", left.password()), left.password());
    assert!(text.contains(&command), "{text}");
    std::fs::write(&file, text.replace(&command, &format!("file = '{path}'"))).unwrap();
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o600);
    std::fs::set_permissions(&path, mode).unwrap();
    let error = left.connecting().await.remove().await.unwrap_err();
    assert!(matches!(error, Error::Unauthorized { .. }), "{error}");
    assert!(left.is_listed());
    // It is not sent again until it has changed.
    assert_eq!(left.sweep().await, "");
    assert_eq!(left.deletes(), 1);
    std::fs::write(&path, "corrected").unwrap();
    let file = std::fs::File::options().write(true).open(path).unwrap();
    file.set_modified(std::time::SystemTime::now() + Duration::from_secs(2)).unwrap();
    let lines = left.sweep().await;
    assert!(lines.contains("removed an orphaned session of 'work'"), "{lines}");
    assert_eq!((left.deletes(), left.files()), (2, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn stop_tries_once_more_to_remove_an_orphaned_session() {
    const DELETES: [Delete; 3] =
        [Delete::Http("401 Unauthorized"), Delete::Http("401 Unauthorized"), Delete::Done];
    let left = UnremovedSession::on(&DELETES).await;
    left.connecting().await.remove().await.unwrap_err();
    let (code, out, err) = left.world.run(&["stop", "work"]);
    assert!(code == 1 && out.is_empty() && err.contains("may still be on the server"), "{code} {out} {err}");
    assert_eq!(left.deletes(), 2);
    let (code, _, err) = left.world.run(&["stop", "work"]);
    assert!(code == 0 && err.contains("removed an orphaned session of 'work'"), "{code} {err}");
    assert_eq!((left.deletes(), left.files()), (3, 0));
}

/// The password of the new endpoint is not for the earlier one.
#[tokio::test(flavor = "multi_thread")]
async fn a_session_on_an_earlier_endpoint_of_the_profile_gets_no_password() {
    let left = UnremovedSession::on(&[Delete::Done]).await;
    let session = lyncsh::agent::control::Guarded {
        endpoint: left.world.uri.parse().unwrap(),
        configuration: "c".to_owned(),
        shell: left.shell,
    };
    let profile = lyncsh::profile::load(&left.world.folders, "work").unwrap();
    drop(left.journal.write(lyncsh::agent::journal::Entry::new(&profile, session)).unwrap());
    let file = left.world.folders.profile("work");
    let before = std::fs::read_to_string(&file).unwrap();
    let after = before.replace(&left.world.uri, "https://new.example.com/wsman");
    assert_ne!(before, after);
    std::fs::write(&file, after).unwrap();
    let lines = left.sweep().await;
    assert!(lines.contains("the profile names another endpoint than"), "{lines}");
    assert_eq!(actions(&left.server).len(), 0);
    assert!(left.is_listed());
    // Another path on the same server is the same recipient.
    std::fs::write(&file, before.replace("/wsman", "/other")).unwrap();
    let lines = left.sweep().await;
    assert!(lines.contains("removed an orphaned session of 'work'"), "{lines}");
}

/// `XDG_RUNTIME_DIR` can differ between a desktop session and cron or `su`.
#[tokio::test(flavor = "multi_thread")]
async fn an_agent_with_another_runtime_folder_is_found() {
    let world = World::simulated(&[], "keep = \"1h\"\nshell = \"console\"");
    let (code, _, err) = world.run(&["exec", "work", "--", "Get-CsTenant"]);
    assert_eq!(code, 0, "{err}");
    let mut shell = world.lyncsh(&["work"]);
    shell.stdin(std::process::Stdio::null()).stdout(std::process::Stdio::null());
    assert!(shell.status().unwrap().success());
    assert_eq!(world.shells(), 1);
    let elsewhere = Folders { runtime: world.root().join("elsewhere"), ..world.folders.clone() };
    let stopped = lyncsh::agent::control_client::stop(&elsewhere, "work").await.unwrap();
    assert_eq!(stopped, lyncsh::agent::control_client::Stopped::Removed);
    assert_eq!(world.shells(), 0);
}
