//! Profiles as users write them.

use std::path::Path;

use lyncsh::profile::{Authentication, CredentialSource, Kind, Read, check_name, parse, read};

fn mistakes(text: &str) -> Vec<(usize, String)> {
    let error = parse("work", Path::new("work.toml"), text).expect_err(text);
    error.mistakes.iter().map(|one| (error.line(one), one.message.clone())).collect()
}

#[test]
fn every_example_profile_is_valid() {
    let (mut kinds, mut several) = (Vec::new(), 0);
    for entry in std::fs::read_dir("profiles").unwrap() {
        let path = entry.unwrap().path();
        let text = std::fs::read_to_string(&path).unwrap();
        match read("work", &path, &text) {
            Ok(Read::One(profile)) => kinds.push(profile.kind),
            Ok(Read::Several(list)) => several += list.names.len(),
            Err(error) => panic!("{error}: {:?}", error.mistakes),
        }
    }
    assert!(Kind::ALL.iter().all(|kind| kinds.contains(kind)), "{kinds:?}");
    assert_eq!(several, 2);
}

#[test]
fn defaults_depend_on_the_kind() {
    let text = "kind = \"lync-online\"\nuser = \"admin@litwareinc.com\"\n";
    let profile = parse("work", Path::new("work.toml"), text).unwrap();
    assert_eq!(profile.domain.as_deref(), Some("litwareinc.com"));
    assert_eq!(profile.authentication, Authentication::Basic);
    assert_eq!(profile.credential, CredentialSource::Keyring);
}

#[test]
fn a_mistake_is_shown_with_line_and_suggestion() {
    for (text, line, part) in [
        ("kind = \"lync-onlin\"", 1, "did you mean \"lync-online\"?"),
        ("user = \"a@b.c\"", 1, "kind is missing"),
        ("kind = \"lync-online\"\nusr = \"a@b.c\"\nuser = \"a@b.c\"", 2, "did you mean user?"),
        ("kind = \"lync-online\"", 1, "needs user"),
        ("kind = \"lync-online\"\nuser = \"admin\"", 2, "cannot find the domain to administer"),
        ("kind = \"lync-online\"\nuser = \"a@b.c\"\nattach = \"no\"", 3, "or \"New-CsOnlineSession\""),
        (
            "kind = \"lync-online\"\nuser = \"a@b.c\"\nattach = false\nauthentication = \"token\"",
            3,
            "does not send tokens",
        ),
        ("kind = \"wsman\"\nuser = \"a@b.c\"", 1, "needs uri"),
        (
            "kind = \"lync-online\"\nuser = \"a@b.c\"\n[timeouts]\nclose = \"584000000000 years\"",
            4,
            "at most a week (\"7days\")",
        ),
        (
            "kind = \"wsman\"\nuser = \"a@b.c\"\nauthentication = \"basic\"\nuri = \"http://host/wsman\"",
            4,
            "expected https://",
        ),
        (
            "kind = \"wsman\"\nuser = \"a@b.c\"\nuri = \"https://a:b@host/wsman\"",
            3,
            "must not contain a user name or password",
        ),
        (
            "kind = \"wsman\"\nuser = \"a@b.c\"\nauthority = \"https://a:b@sts/\"\nauthentication = \"token\"",
            3,
            "must not contain a user name or password",
        ),
        (
            "kind = \"lync-online\"\nuser = \"a@b.c\"\ndiscovery = \"https://a:b@host/\"",
            3,
            "must not contain a user name or password",
        ),
        (
            "kind = \"wsman\"\nuser = \"a@b.c\"\nauthority = \"https://sts/\"",
            3,
            "authority needs authentication = \"token\"",
        ),
        (
            "kind = \"lync-online\"\nuser = \"a@b.c\"\nauthentication = \"kerberos\"",
            3,
            "expected one of basic, token",
        ),
        (
            "kind = \"lync-online\"\nuser = \"a@b.c\"\ncredential = \"hunter2\"",
            3,
            "must not contain a secret",
        ),
        ("kind = \"lync-online\"\nuser = \"a@b.c\"\nidle_timeout = \"1ms\"", 3, "at least 1s"),
        ("kind = \"wsman\"\ncredential = { keyring = \"a/b\" }", 2, "invalid name of a keyring entry"),
        ("kind = \"wsman\"\ncredential = { file = \"a\", command = \"b\" }", 2, "expected credential = {"),
        (
            "kind = \"wsman\"\nuser = \"a\"\nsign_in = \"browser\"",
            3,
            "sign_in needs authentication = \"token\"",
        ),
        ("kind = \"wsman\"\nauthentication = \"token\"\nclient_id = \"x\"", 3, "client_id needs sign_in"),
        ("kind = \"wsman\"\nauthentication = \"token\"\ntenant = \"x\"", 3, "tenant is only valid for kinds"),
        (
            "kind = \"wsman\"\nauthentication = \"token\"\nsign_in = \"device_code\"",
            3,
            "did you mean \"device-code\"?",
        ),
        (
            "kind = \"wsman\"\nauthentication = \"token\"\nsign_in = \"client-secret\"\nclient_id = \"x\"",
            3,
            "sign_in \"client-secret\" needs authority",
        ),
        (
            "kind = \"wsman\"\nauthentication = \"token\"\nsign_in = \"client-certificate\"",
            3,
            "sign_in \"client-certificate\" needs certificate",
        ),
        (
            "kind = \"wsman\"\nauthentication = \"token\"\nsign_in = \"federated\"\ncredential = \"prompt\"",
            4,
            "sign_in \"federated\" needs credential = { file",
        ),
        (
            "kind = \"wsman\"\nauthentication = \"token\"\nsign_in = \"browser\"\ncredential = { file = \"x\" }",
            4,
            "sign_in \"browser\" needs credential = \"keyring\"",
        ),
        (
            "kind = \"lync-online\"\nuser = \"a@b.c\"\nproxy = \"proxy:3128\"",
            3,
            "or socks5://HOST:PORT, \"none\" or \"system\"",
        ),
        ("kind = \"lync-online\"\nuser = \"a@b.c\"\nproxy_credential = \"prompt\"", 3, "needs proxy_user"),
        (
            "kind = \"lync-online\"\nuser = \"a@b.c\"\nproxy = \"none\"\nproxy_user = \"u\"",
            4,
            "proxy_user needs a proxy",
        ),
        (
            "kind = \"lync-online\"\nuser = \"a@b.c\"\nproxy = \"socks5h://h\"\nproxy_credential = \"system\"",
            4,
            "a SOCKS proxy needs a password",
        ),
        (
            "kind = \"lync-online\"\nuser = \"a@b.c\"\nattach = false\nproxy = \"http://h:1\"",
            4,
            "New-PSSession does not support proxy",
        ),
        ("kind = \"lync-online\"\nuser = \"a@b.c\"\nkeep = 10", 3, "expected a duration in quotes"),
        ("kind = \"lync-online\"\nuser = \"a@b.c\"\nmax_runspaces = 0", 3, "from 1 to 100"),
        ("kind = \"lync-online\"\nuser = \"a@b.c\"\n[timeouts]\nopne = \"1s\"", 4, "did you mean open?"),
        ("kind = \"lync-online\nuser = 1", 1, ""),
    ] {
        let found = mistakes(text);
        assert!(found.iter().any(|(at, said)| *at == line && said.contains(part)), "{text:?}: {found:?}");
    }
}

#[test]
fn several_mistakes_are_shown_at_once() {
    assert_eq!(mistakes("kind = \"wsman\"\nuser = 3\nkeep = true\n").len(), 4);
}

#[test]
fn a_profile_is_not_named_like_a_command_or_a_path() {
    for name in ["", "status", "../work", "a/b", "-x", ".hidden", "a\nb"] {
        assert!(check_name(name, &["status"]).is_err(), "{name:?}");
    }
    assert!(check_name("Müller & Söhne", &["status"]).is_ok());
}

#[test]
fn a_secret_in_a_profile_is_refused_and_not_shown() {
    for key in ["password", "client_secret", "credential", "Passwort", "pasword", "passsword", "secrte"] {
        let text = format!("kind = \"lync-online\"\nuser = \"a@b.c\"\n{key} = \"h\u{fc}nter2\" # mine\n");
        let error = parse("work", Path::new("work.toml"), &text).expect_err(&text);
        let report = format!("{error:?} {:?}", miette::Report::new(error.clone()));
        assert!(!report.contains("nter2") && report.contains("must not contain a secret"), "{report}");
        assert_eq!(error.source_text.len(), text.len());
    }
    // On lines beside the mistake, and over several lines.
    for text in [
        "kind = \"wsman\"\npassword = \"hunter2\"\nuser = ken\n",
        "kind = \"wsman\"\npassword = \"\"\"\nhunter2\n\"\"\"\nuser = ken\n",
        "kind = \"wsman\"\ncredential = \"hunter2\"\nuser = ken\n",
        "kind = \"wsman\"\nsecret = [\n  \"hunter2\",\n]\nuser = \"a@b.c\"\n",
        "kind = \"lync-online\"\nuser = \"a@b.c\"\nproxy = \"http://ken:hunter2@proxy:3128\"\n",
        "kind = \"wsman\"\nuser = ken\nproxy = \"http://ken:hunter2@proxy:3128\"\n",
        "kind = \"wsman\"\nuri = \"https://ken:hunter2@host/\"\nuser = \"a@b.c\"\n",
        "kind = \"wsman\"\nproxy_credential = \"hunter2\"\nuser = \"a@b.c\"\n",
    ] {
        let error = parse("work", Path::new("work.toml"), text).expect_err(text);
        let report = format!("{error:?} {:?}", miette::Report::new(error.clone()));
        assert!(!report.contains("hunter2") && error.source_text.len() == text.len(), "{report}");
    }
}

#[test]
fn an_empty_profile_is_reported_as_empty() {
    let error = parse("work", Path::new("profiles/work.toml"), " \n").expect_err("it is empty");
    assert!(
        error.to_string().starts_with("the profile profiles/work.toml is empty: kind is missing"),
        "{error}"
    );
    let report = format!("{:?}", miette::Report::new(error));
    assert!(report.contains("lyncsh edit work"), "{report}");
}

#[test]
fn a_transcript_folder_starts_at_the_profile() {
    let text = |more: &str| format!("kind = \"lync-online\"\nuser = \"a@b.c\"\n{more}");
    let read =
        |more: &str| parse("work", Path::new("/etc/lyncsh/work.toml"), &text(more)).unwrap().transcript;
    assert_eq!(read(""), None);
    assert_eq!(read("transcript = \"audit\"").as_deref(), Some(Path::new("/etc/lyncsh/audit")));
    assert_eq!(read("transcript = \"/var/log/lyncsh\"").as_deref(), Some(Path::new("/var/log/lyncsh")));
    assert!(!mistakes(&text("transcript = true")).is_empty());
    let module = "kind = \"teams\"\nuser = \"a@b.c\"\ntranscript = \"audit\"";
    assert!(
        mistakes(module).iter().any(|(line, text)| *line == 3 && text.contains("transcript")),
        "{module}"
    );
}
