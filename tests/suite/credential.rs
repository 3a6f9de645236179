//! Profiles and their passwords in a real keyring: gnome-keyring in a D-Bus session of the test.

use std::path::Path;

use lyncsh::simulator::{Options, PASSWORD, Server};

use crate::program::{Program, Ran, lyncsh};

/// Runs `script` with `$LYNCSH` in a session with an unlocked, empty keyring.
fn in_session(folder: &Path, script: &str, input: &str) -> Ran {
    let start = "printf 'session\\n' | gnome-keyring-daemon --unlock --components=secrets >/dev/null 2>&1\n";
    Program::new("dbus-run-session")
        .args(["--", "sh", "-c", &format!("{start}{script}")])
        .env("LYNCSH", lyncsh())
        .env("LYNCSH_CONFIG_DIR", folder.join("lyncsh"))
        .env("HOME", folder)
        .env("PATH", crate::agent_world::path_without_powershell())
        .env("XDG_DATA_HOME", folder.join("data"))
        .env("XDG_CACHE_HOME", folder.join("cache"))
        .env("XDG_RUNTIME_DIR", folder)
        .stdin(input)
        .run()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Returns every file below a folder that contains `wanted`.
fn files_with(folder: &Path, wanted: &str) -> Vec<String> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        if entry.file_type().unwrap().is_dir() {
            found.extend(files_with(&path, wanted));
        } else if std::fs::read(&path).is_ok_and(|bytes| text(&bytes).contains(wanted)) {
            found.push(path.display().to_string());
        }
    }
    found
}

#[tokio::test(flavor = "multi_thread")]
async fn an_added_profile_is_usable() {
    let server = Server::start(Options::default()).await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let script = format!(
        "$LYNCSH add work --kind lync-online --user admin@litwareinc.com --discovery {} --password-stdin || exit 9\n\
         $LYNCSH list; $LYNCSH show work\n\
         printf 'Get-CsTenant\\nexit\\n' | $LYNCSH -vvv work --shell console || exit 8\n\
         $LYNCSH remove work --yes; $LYNCSH list",
        server.discovery
    );
    let root = folder.path().to_owned();
    let output = tokio::task::spawn_blocking(move || in_session(&root, &script, &format!("{PASSWORD}\n")))
        .await
        .unwrap();
    let Ran { code, out, err } = output;
    assert_eq!(code, Some(0), "{out}\n{err}");
    assert!(out.contains("Open its shell with: lyncsh work"), "{out}");
    assert!(out.contains("stored in the keyring"), "{out}");
    assert!(out.contains("DisplayName                : Litware"), "{out}\n{err}");
    assert!(err.contains("VERBOSE: AdminDomain = 'litwareinc.com'"), "{err}");
    assert!(out.contains("The profile 'work' and its password are removed."), "{out}");
    assert!(out.contains("There are no profiles."), "{out}");
    assert!(!out.contains(PASSWORD) && !err.contains(PASSWORD), "the password is in the output");
    assert_eq!(files_with(folder.path(), PASSWORD), Vec::<String>::new());
    assert!(server.shells().is_empty(), "{:?}", server.shells());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_password_is_a_clear_error_and_leaves_no_shell() {
    let server = Server::start(Options::default()).await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let script = format!(
        "$LYNCSH add work --kind lync-online --user admin@litwareinc.com --discovery {} --password-stdin || exit 9\n\
         printf 'Get-CsTenant\\n' | $LYNCSH work --shell console",
        server.discovery
    );
    let root = folder.path().to_owned();
    let output = tokio::task::spawn_blocking(move || in_session(&root, &script, "wrong\n")).await.unwrap();
    assert_eq!(output.code, Some(3));
    let err = output.err;
    assert!(err.contains("refused the credential of") && err.contains("admin@litwareinc.com"), "{err}");
    assert!(server.shells().is_empty());
}

#[test]
fn the_password_for_a_proxy_has_its_own_entry() {
    let folder = tempfile::tempdir().unwrap();
    let profiles = folder.path().join("lyncsh/profiles");
    std::fs::create_dir_all(&profiles).unwrap();
    let lines =
        "kind = 'wsman'\nuser = 'ken'\nuri = 'https://host.invalid/'\nproxy = 'http://proxy.invalid'\n";
    std::fs::write(profiles.join("plain.toml"), lines).unwrap();
    std::fs::write(profiles.join("work.toml"), format!("{lines}proxy_user = 'ken'\n")).unwrap();
    let script = "$LYNCSH login plain --proxy --password-stdin && exit 9\n\
                  $LYNCSH show work; $LYNCSH login work --proxy --password-stdin || exit 8\n\
                  $LYNCSH show work; $LYNCSH remove work --yes || exit 7\n\
                  cp $LYNCSH_CONFIG_DIR/profiles/plain.toml $LYNCSH_CONFIG_DIR/profiles/work.toml\n\
                  echo \"proxy_user = 'ken'\" >> $LYNCSH_CONFIG_DIR/profiles/work.toml; $LYNCSH show work";
    let output = in_session(folder.path(), script, "pr0xy-secret\n");
    let (code, out, err) = output.parts();
    assert_eq!(code, 0, "{out}\n{err}");
    assert!(err.contains("'plain' has no account at a proxy"), "{err}");
    assert!(out.contains("The proxy password of 'work' is stored."), "{out}");
    let shown = out.lines().filter(|line| line.starts_with("proxy_password"));
    let stored: Vec<_> = shown.map(|line| !line.contains("not stored")).collect();
    assert_eq!(stored, [false, true, false], "{out}");
    assert!(
        out.lines().filter(|line| line.starts_with("password")).all(|line| line.contains("not stored")),
        "{out}"
    );
    assert_eq!(files_with(&folder.path().join("lyncsh"), "pr0xy-secret"), Vec::<String>::new());
}

#[test]
fn without_a_keyring_the_other_sources_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let add = ["add", "work", "--kind", "lync-online", "--user", "a@litwareinc.com", "--password-stdin"];
    let run = Program::lyncsh().args(add).env("LYNCSH_CONFIG_DIR", folder.path());
    let Ran { code, err, .. } =
        run.env("DBUS_SESSION_BUS_ADDRESS", "unix:path=/nonexistent").stdin("x\n").run();
    assert_eq!(code, Some(1), "{err}");
    assert!(
        err.contains("the keyring is not usable") && err.contains("prompt") && err.contains("command"),
        "{err}"
    );
    assert!(!folder.path().join("profiles/work.toml").exists());
}
