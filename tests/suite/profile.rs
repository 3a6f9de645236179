//! Profiles as users write them.

use std::path::{Path, PathBuf};

use lyncsh::profile::{
    Authentication, CredentialSource, KEYS, Kind, Read, Value, check_name, parse, read, schema,
};

/// Returns the example profiles with their texts.
fn examples() -> Vec<(PathBuf, String)> {
    let paths = std::fs::read_dir("profiles").unwrap().map(|entry| entry.unwrap().path());
    let profiles = paths.filter(|path| path.extension().is_some_and(|end| end == "toml"));
    profiles.map(|path| (path.clone(), std::fs::read_to_string(path).unwrap())).collect()
}

fn mistakes(text: &str) -> Vec<(usize, String)> {
    let error = parse("work", Path::new("work.toml"), text).expect_err(text);
    error.mistakes.iter().map(|one| (error.line(one), one.message.clone())).collect()
}

#[test]
fn every_example_profile_is_valid() {
    let (mut kinds, mut several) = (Vec::new(), 0);
    for (path, text) in examples() {
        assert!(text.starts_with("#:schema ./schema.json\n"), "{}", path.display());
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

/// Mistaken profiles with the line and a part of the message of the mistake.
const MISTAKEN: &[(&str, usize, &str)] = &[
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
    ("kind = \"lync-online\"\nuser = \"a@b.c\"\ncredential = \"hunter2\"", 3, "must not contain a secret"),
    ("kind = \"lync-online\"\nuser = \"a@b.c\"\ntags = \"eu\"", 3, "expected a list"),
    ("kind = \"teams\"\ntags = [\"eu\", \"a b\"]", 2, "expected a tag"),
    ("kind = \"teams\"\ntags = [\"eu\", \"eu\"]", 2, "the tag 'eu' is listed twice"),
    ("kind = \"teams\"\ntags = [1]", 2, "expected text in quotes"),
    ("kind = \"lync-online\"\nuser = \"a@b.c\"\nidle_timeout = \"1ms\"", 3, "at least 1s"),
    ("kind = \"wsman\"\ncredential = { keyring = \"a/b\" }", 2, "invalid name of a keyring entry"),
    ("kind = \"wsman\"\ncredential = { file = \"a\", command = \"b\" }", 2, "expected credential = {"),
    ("kind = \"wsman\"\nuser = \"a\"\nsign_in = \"browser\"", 3, "sign_in needs authentication = \"token\""),
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
];

/// Mistakes that only the reader finds, by a part of their messages: contents of values, and combinations of keys.
const BEYOND_THE_SCHEMA: [&str; 12] = [
    "needs user",
    "cannot find the domain to administer",
    "does not send tokens",
    "at most a week (\"7days\")",
    "expected https://",
    "must not contain a user name or password",
    "at least 1s",
    "or socks5://HOST:PORT, \"none\" or \"system\"",
    "needs proxy_user",
    "proxy_user needs a proxy",
    "a SOCKS proxy needs a password",
    "New-PSSession does not support proxy",
];

#[test]
fn a_mistake_is_shown_with_line_and_suggestion() {
    for (text, line, part) in MISTAKEN {
        let found = mistakes(text);
        assert!(found.iter().any(|(at, said)| at == line && said.contains(part)), "{text:?}: {found:?}");
    }
}

/// Returns whether the schema accepts a profile.
fn fits(schema: &jsonschema::Validator, text: &str) -> bool {
    let Ok(table) = text.parse::<toml::Table>() else { return false };
    schema.is_valid(&serde_json::to_value(table).unwrap())
}

#[test]
fn the_schema_accepts_and_refuses_what_the_reader_does() {
    let file: serde_json::Value =
        serde_json::from_str(&std::fs::read_to_string("profiles/schema.json").unwrap()).unwrap();
    assert_eq!(file, schema(), "write it again: lyncsh schema > profiles/schema.json");
    assert!(jsonschema::meta::is_valid(&file));
    let schema = jsonschema::validator_for(&file).unwrap();
    for (path, text) in examples() {
        assert!(fits(&schema, &text), "{}", path.display());
    }
    let mut beyond = 0;
    for (text, _, part) in MISTAKEN {
        let is_beyond = BEYOND_THE_SCHEMA.contains(part);
        // The schema may find another mistake of the same profile.
        assert!(is_beyond || !fits(&schema, text), "{text:?}");
        beyond += usize::from(is_beyond && fits(&schema, text));
    }
    assert!(beyond >= BEYOND_THE_SCHEMA.len(), "{beyond}");
}

/// Returns values that a key does not permit, in TOML.
fn wrong(value: Value) -> Vec<&'static str> {
    match value {
        Value::Text | Value::Path | Value::Uri => vec!["1", "true", "[\"x\"]", "\"\""],
        Value::Word(_) => vec!["1", "\"nonsense\""],
        Value::Flag => vec!["\"true\"", "1"],
        Value::Duration => vec!["5", "\"soon\""],
        Value::Number(..) => vec!["0", "101", "\"2\"", "1.5"],
        Value::List(_) => vec!["\"x\"", "[1]", "[\"\"]"],
        Value::Table(_) => vec!["1", "{ nonsense = 1 }"],
        Value::Choice(_) | Value::OneOf(_) => vec!["1", "\"nonsense\"", "{ nonsense = \"x\" }", "{}"],
    }
}

#[test]
fn every_key_has_its_declared_type_in_reader_and_schema() {
    let schema = jsonschema::validator_for(&schema()).unwrap();
    let mut count = 0;
    for key in KEYS {
        let base = match key.name {
            "connections" => "",
            "kind" => "user = \"a@b.c\"\n",
            "tenant" => "kind = \"teams\"\n",
            "organization" => "kind = \"exchange-online\"\n",
            _ => "kind = \"lync-online\"\ndomain = \"b.c\"\nuser = \"a@b.c\"\n",
        };
        for value in wrong(key.value) {
            let kept: String = base
                .lines()
                .filter(|line| !line.starts_with(key.name))
                .map(|line| format!("{line}\n"))
                .collect();
            let text = format!("{} = {value}\n{kept}", key.name);
            let error = read("work", Path::new("work.toml"), &text).expect_err(&text);
            assert!(error.mistakes.iter().any(|mistake| error.line(mistake) == 1), "{text}: {error:?}");
            assert!(!fits(&schema, &text), "{text}");
            count += 1;
        }
        assert!(base.is_empty() || !fits(&schema, &format!("{base}{}x = 1\n", key.name)), "{}", key.name);
    }
    assert!(count > 100, "{count}");
}

#[test]
fn an_included_file_has_the_defaults_and_its_own_mistakes() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| {
        let path = folder.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    };
    let path = folder.path().join("profiles/work.toml");
    std::fs::create_dir(folder.path().join("profiles")).unwrap();
    let parsed = |text: &str| parse("work", &path, text);
    write(
        "team/base.toml",
        "kind = \"wsman\"\nuri = \"https://a.b/c\"\nca = \"ca.pem\"\ninclude = \"more/times.toml\"\n",
    );
    write(
        "team/more/times.toml",
        "user = \"base@b.c\"\ntags = [\"base\"]\ncredential = { file = \"pw\" }\n[timeouts]\nopen = \"9s\"\nclose = \"1s\"\n",
    );
    let include = "include = \"../team/base.toml\"\n";
    let text = format!(
        "{include}user = \"own@b.c\"\nkey = \"k.pem\"\ncertificate = \"c.pem\"\nauthentication = \"certificate\"\n[timeouts]\nopen = \"7s\"\n"
    );
    let profile = parsed(&text).unwrap();
    assert_eq!(
        (profile.user.as_deref(), profile.tags.as_slice()),
        (Some("own@b.c"), &["base".to_owned()][..])
    );
    assert_eq!((profile.limits.open.as_secs(), profile.limits.close.as_secs()), (7, 1));
    // Each path starts at the folder of its file.
    assert_eq!(profile.ca.unwrap(), folder.path().join("profiles/../team/ca.pem"));
    assert_eq!(profile.key.unwrap(), folder.path().join("profiles/k.pem"));
    let CredentialSource::File(file) = profile.credential else { panic!("{:?}", profile.credential) };
    assert_eq!(file, folder.path().join("profiles/../team/more/pw"));
    // Mistakes are reported with the file and the line in which they stand.
    write("team/more/times.toml", "user = \"base@b.c\"\n\npassword = \"hunter2\"\nuse = 1\n");
    let error = parsed(&format!("{include}usr = \"x\"\n")).unwrap_err();
    assert!(error.path.ends_with("work.toml") && !error.is_included);
    let [other] = error.others.as_slice() else { panic!("{:?}", error.others) };
    assert!(other.path.ends_with("times.toml") && other.is_included);
    assert_eq!(other.mistakes.iter().map(|one| other.line(one)).collect::<Vec<_>>(), [3, 4]);
    let report = format!("{:?}", miette::Report::new(error));
    assert!(report.contains("times.toml:3") && !report.contains("hunter2"), "{report}");
    for (base, part) in [
        ("include = \"../profiles/work.toml\"", "the files include each other"),
        ("include = \"missing.toml\"", "cannot read"),
        ("kind = ", "kind"),
        ("connections = [\"x\"]\nkind = \"teams\"", "connections is not valid in an included file"),
    ] {
        write("team/base.toml", base);
        write("profiles/work.toml", include);
        let error = parsed(include).unwrap_err();
        assert!(error.is_included && error.path.ends_with("base.toml"), "{error:?}");
        assert!(part == "kind" || error.mistakes[0].message.contains(part), "{error:?}");
    }
    for number in 0..9 {
        write(&format!("team/{number}.toml"), &format!("include = \"{}.toml\"\n", number + 1));
    }
    let error = parsed("include = \"../team/0.toml\"").unwrap_err();
    assert!(error.mistakes[0].message.contains("at most 8 files"), "{error:?}");
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
