//! Profiles and their passwords in a real keyring: gnome-keyring in a D-Bus session of the test.

use std::path::Path;

use lyncsh::simulator::{Options, PASSWORD, Server};

use crate::program::{Program, Ran, lyncsh};

/// Runs `script` with `$LYNCSH` in a session with an unlocked, empty keyring.
pub fn in_session(folder: &Path, script: &str, input: &str) -> Ran {
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
pub fn files_with(folder: &Path, wanted: &str) -> Vec<String> {
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
    assert!(err.contains("a proxy password for 'plain': the profile has no proxy_user"), "{err}");
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
    // An entry that may exist, for one profile and for many.
    let table = folder.path().join("tenants.csv");
    std::fs::write(&table, "name,user\nwork,a@litwareinc.com\n").unwrap();
    let one = ["add", "work", "--kind", "lync-online", "--user", "a@litwareinc.com", "--keyring", "partner"];
    let many = ["add", "--from", table.to_str().unwrap(), "--kind", "lync-online", "--keyring", "partner"];
    for arguments in [&one[..], &many] {
        let run = Program::lyncsh().args(arguments).env("LYNCSH_CONFIG_DIR", folder.path());
        let Ran { code, err, .. } =
            run.env("DBUS_SESSION_BUS_ADDRESS", "unix:path=/nonexistent").stdin("").run();
        assert!(code == Some(1) && err.contains("the keyring is not usable"), "{err}");
        assert!(!folder.path().join("profiles").exists(), "{err}");
    }
}

#[test]
fn an_entry_that_other_profiles_use_stays_and_an_earlier_secret_is_not_used() {
    let folder = tempfile::tempdir().unwrap();
    let script = "cd FOLDER; add() { name=$1; shift; echo secret | $LYNCSH add $name --kind wsman --user u --uri https://a.b/c \"$@\"; }\n\
         add shared --keyring partner --password-stdin; add partner --password-stdin; echo ADD $?\n\
         $LYNCSH copy shared partner; echo COPY $?; $LYNCSH rename shared partner; echo RENAME $?\n\
         add early --password-stdin; rm lyncsh/profiles/early.toml; add source --prompt\n\
         sed -i s/prompt/keyring/ lyncsh/profiles/source.toml; $LYNCSH rename source early; $LYNCSH show early\n\
         add own --password-stdin; printf \"credential = { keyring = 'own' }\\nusr = 1\\n\" >lyncsh/profiles/torn.toml\n\
         $LYNCSH rename own office; $LYNCSH show office; cp lyncsh/profiles/office.toml lyncsh/profiles/own.toml; $LYNCSH show own\n\
         $LYNCSH remove own --yes; rm lyncsh/profiles/torn.toml; cp lyncsh/profiles/office.toml lyncsh/profiles/own.toml\n\
         $LYNCSH remove own --yes; $LYNCSH show shared\n";
    let script = script.replace("FOLDER", folder.path().to_str().unwrap());
    let Ran { out, err, .. } = in_session(folder.path(), &script, "");
    for word in ["ADD 2", "COPY 2", "RENAME 2"] {
        assert!(out.contains(word), "{word}: {out}\n{err}");
    }
    let message = "cannot use the name 'partner'";
    assert_eq!(err.matches(message).count(), 3, "{err}");
    let shown = out.lines().filter_map(|line| line.strip_prefix("password"));
    let shown: Vec<&str> = shown.map(str::trim).collect();
    assert_eq!(
        shown,
        [
            "not stored in the keyring",
            "stored in the keyring",
            "stored in the keyring",
            "stored in the keyring entry 'partner'",
        ],
        "{out}\n{err}"
    );
    assert!(out.contains("Its password also stays in the keyring under 'own', for torn."), "{out}");
    assert!(
        out.contains("The profile 'own' is removed; its password stays in the keyring for torn."),
        "{out}"
    );
    assert!(out.contains("The profile 'own' and its password are removed."), "{out}");
}

#[test]
fn one_login_changes_a_shared_entry_for_all_its_profiles() {
    let folder = tempfile::tempdir().unwrap();
    // Longer than an entry on Windows.
    let long = "long-s3cret-".repeat(300);
    let script = "for name in one two; do $LYNCSH add $name --kind exchange-online --user a@b.c --authentication token \
         --keyring gdap-admin --password-stdin <first || exit 9; done\n\
         $LYNCSH show two; $LYNCSH attach two --secret | cat\n\
         $LYNCSH login one --password-stdin <second || exit 8\n\
         $LYNCSH attach two --secret | cat; echo; $LYNCSH login two --password-stdin <first || exit 7\n\
         $LYNCSH attach one --secret | cat; $LYNCSH remove one --yes; $LYNCSH remove two --yes\n\
         $LYNCSH add two --kind teams --authentication token --keyring gdap-admin --prompt";
    std::fs::write(folder.path().join("first"), "sh0rt\n").unwrap();
    std::fs::write(folder.path().join("second"), format!("{long}\n")).unwrap();
    let output = in_session(folder.path(), &format!("cd '{}'\n{script}", folder.path().display()), "");
    let Ran { code, out, err } = output;
    assert_eq!(code, Some(2), "{out}\n{err}");
    assert!(err.contains("cannot be used with"), "{err}");
    assert_eq!(out.matches(r#"{"secret":"sh0rt"}"#).count(), 2, "{out}");
    assert!(out.contains(&format!(r#"{{"secret":"{long}"}}"#)), "{out}\n{err}");
    assert!(out.contains("stored in the keyring entry 'gdap-admin'"), "{out}");
    assert!(out.contains("in the keyring entry 'gdap-admin' is stored, for one, two."), "{out}");
    assert!(
        out.contains("The profile 'one' is removed; its password stays in the keyring for two."),
        "{out}"
    );
    assert!(out.contains("The profile 'two' and its password are removed."), "{out}");
}

#[test]
fn a_secret_in_a_file_is_read_only_if_it_is_private() {
    let folder = tempfile::tempdir().unwrap();
    let run = |profile: &str, variables: &[(&str, &Path)]| {
        let path = folder.path().join("profiles/mail.toml");
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        let text = format!("kind = 'teams'\nauthentication = 'token'\ncredential = {profile}\n");
        std::fs::write(path, text).unwrap();
        let mut run = Program::lyncsh().args(["attach", "mail", "--secret"]);
        for (name, value) in variables {
            run = run.env(name, value);
        }
        run.env("LYNCSH_CONFIG_DIR", folder.path()).run()
    };
    let mode = |file: &Path, mode: u32| {
        std::fs::set_permissions(file, std::os::unix::fs::PermissionsExt::from_mode(mode)).unwrap();
    };
    let file = folder.path().join("profiles/token");
    std::fs::create_dir_all(file.parent().unwrap()).unwrap();
    std::fs::write(&file, "s3cret\nmore\n").unwrap();
    for open in [0o640, 0o604, 0o660] {
        mode(&file, open);
        let Ran { code, out, err } = run("{ file = 'token' }", &[]);
        assert!(code == Some(1) && out.is_empty() && !err.contains("s3cret"), "{out}{err}");
        assert!(err.contains("other users can read the file"), "{err}");
    }
    for closed in [0o600, 0o400] {
        mode(&file, closed);
        let Ran { out, err, .. } = run("{ file = 'token' }", &[]);
        assert!(out.contains(r#"{"secret":"s3cret"}"#), "{out}{err}");
    }
    let systemd = "{ file = '$CREDENTIALS_DIRECTORY/token' }";
    let Ran { out, err, .. } = run(systemd, &[("CREDENTIALS_DIRECTORY", file.parent().unwrap())]);
    assert!(out.contains(r#"{"secret":"s3cret"}"#), "{out}{err}");
    let Ran { err, .. } = run(systemd, &[]);
    assert!(err.contains("CREDENTIALS_DIRECTORY is not set"), "{err}");
    for (profile, expected) in
        [("{ file = 'none' }", "cannot read the secret in"), ("{ file = '.' }", "it is not a file")]
    {
        let Ran { err, .. } = run(profile, &[]);
        assert!(err.contains(expected), "{err}");
    }
}
