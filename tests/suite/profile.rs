//! Profiles as users write them.

use std::path::{Path, PathBuf};

use lyncsh::profile::{
    Authentication, CredentialSource, KEYS, Kind, Parsed, Value, check_name, parse, read, schema,
};

use crate::program::Program;

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
            Ok(Parsed::Single(profile)) => kinds.push(profile.kind),
            Ok(Parsed::Group(list)) => several += list.names.len(),
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
        "kind = \"lync-online\"\nuser = \"a@b.c\"\ndelegate = true",
        3,
        "delegate needs authentication = \"kerberos\"",
    ),
    ("kind = \"teams\"\norganization = \"b.c\"", 2, "organization is not valid for kind \"teams\""),
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
        "kind = \"wsman\"\nuser = \"a@b.c\"\nauthority = \"https://a:b@sts/\"\nauthentication = \"token\"\nuri = \"https://h/\"",
        3,
        "must not contain a user name or password",
    ),
    (
        "kind = \"lync-online\"\nuser = \"a@b.c\"\ndiscovery = \"https://a:b@host/\"",
        3,
        "must not contain a user name or password",
    ),
    (
        "kind = \"wsman\"\nuser = \"a@b.c\"\nauthority = \"https://sts/\"\nuri = \"https://h/\"",
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
    (
        "kind = \"wsman\"\ncredential = { keyring = \"a/b\" }\nuri = \"https://h/\"\nuser = \"a\"",
        2,
        "invalid name of a keyring entry",
    ),
    (
        "kind = \"wsman\"\ncredential = { file = \"a\", command = \"b\" }\nuri = \"https://h/\"\nuser = \"a\"",
        2,
        "expected credential = {",
    ),
    (
        "kind = \"wsman\"\nuser = \"a\"\nsign_in = \"browser\"\nuri = \"https://h/\"",
        3,
        "sign_in needs authentication = \"token\"",
    ),
    (
        "kind = \"wsman\"\nauthentication = \"token\"\nclient_id = \"x\"\nuri = \"https://h/\"\nuser = \"a\"",
        3,
        "client_id needs sign_in",
    ),
    (
        "kind = \"wsman\"\nauthentication = \"token\"\ntenant = \"x\"\nuri = \"https://h/\"\nuser = \"a\"",
        3,
        "tenant is only valid for kinds",
    ),
    (
        "kind = \"wsman\"\nauthentication = \"token\"\nsign_in = \"device_code\"\nuri = \"https://h/\"\nuser = \"a\"",
        3,
        "did you mean \"device-code\"?",
    ),
    (
        "kind = \"wsman\"\nauthentication = \"token\"\nsign_in = \"client-secret\"\nclient_id = \"x\"\nuri = \"https://h/\"",
        3,
        "sign_in \"client-secret\" needs authority",
    ),
    (
        "kind = \"wsman\"\nauthentication = \"token\"\nsign_in = \"client-certificate\"\nauthority = \"https://sts/\"\nclient_id = \"x\"\nuri = \"https://h/\"",
        3,
        "sign_in \"client-certificate\" needs certificate",
    ),
    (
        "kind = \"wsman\"\nauthentication = \"token\"\nsign_in = \"federated\"\ncredential = \"prompt\"\nauthority = \"https://sts/\"\nclient_id = \"x\"\nuri = \"https://h/\"",
        4,
        "sign_in \"federated\" needs credential = { file",
    ),
    (
        "kind = \"wsman\"\nauthentication = \"token\"\nsign_in = \"browser\"\ncredential = { file = \"x\" }\nuri = \"https://h/\"",
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
    ("kind = \"lync-online\"\nuser = \"a@b.c\"\nmax_runspaces = 0x65", 3, "from 1 to 100"),
    ("kind = \"lync-online\"\nuser = 1", 2, "got integer"),
    ("kind = \"lync-online\"\nuser = \"a@b.c\"\n[timeouts]\nopne = \"1s\"", 4, "did you mean open?"),
    ("kind = \"lync-online\nuser = 1", 1, ""),
];

/// Mistakes that only the reader finds, by a part of their messages: contents of values, and combinations of keys.
const BEYOND_THE_SCHEMA: [&str; 20] = [
    "needs user",
    "authority needs authentication = \"token\"",
    "invalid name of a keyring entry",
    "sign_in needs authentication = \"token\"",
    "client_id needs sign_in",
    "sign_in \"client-secret\" needs authority",
    "sign_in \"client-certificate\" needs certificate",
    "sign_in \"federated\" needs credential = { file",
    "sign_in \"browser\" needs credential = \"keyring\"",
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
        // No other mistake hides a check of the schema.
        assert_eq!(found.len(), 1, "{text:?}: {found:?}");
        assert!(found[0].0 == *line && found[0].1.contains(part), "{text:?}: {found:?}");
    }
}

#[test]
fn a_key_with_an_invalid_value_is_not_reported_as_missing() {
    let wsman = "kind = \"wsman\"\nuser = \"a\"\nuri = \"https://h/\"\n";
    let schema = jsonschema::validator_for(&schema()).unwrap();
    for (text, line, part) in [
        ("kind = \"wsman\"\nuser = \"a\"\nuri = \"host.example\"", 3, "expected a URI such as"),
        ("kind = \"wsman\"\nuri = \"https://h/\"\nuser = 1", 3, "expected text in quotes"),
        ("kind = \"lync-online\"\nuser = \"a\"\nuri = \"host\"", 3, "expected a URI such as"),
        ("kind = \"lync-online\"\nuser = \"a\"\ndiscovery = \"host\"", 3, "expected a URI such as"),
        ("kind = \"teams\"\nauthentication = \"credential\"\nuser = \"\"", 3, "user is empty"),
        (&format!("{wsman}authentication = \"certificate\"\ncertificate = \"\""), 5, "certificate is empty"),
        (&format!("{wsman}proxy_user = \"\"\nproxy_credential = \"prompt\""), 4, "proxy_user is empty"),
        (
            &format!(
                "{wsman}authentication = \"token\"\nsign_in = \"client-secret\"\nclient_id = \"x\"\nauthority = \"sts\""
            ),
            7,
            "expected a URI such as",
        ),
    ] {
        let found = mistakes(text);
        let [(at, message)] = found.as_slice() else { panic!("{text:?}: {found:?}") };
        assert!(*at == line && message.contains(part), "{text:?}: {found:?}");
        assert!(!fits(&schema, text), "{text:?}");
    }
}

#[test]
fn a_number_may_have_a_radix_and_underscores() {
    for (number, value) in [("0x10", 16), ("0o10", 8), ("0b10", 2), ("1_0", 10), ("+3", 3)] {
        let text = format!("kind = \"lync-online\"\nuser = \"a@b.c\"\nmax_runspaces = {number}");
        let profile = parse("work", Path::new("work.toml"), &text).unwrap();
        assert_eq!(profile.max_runspaces, value, "{number}");
    }
}

#[test]
fn a_tilde_in_a_path_is_the_home_directory() {
    let home = lyncsh::folders::home().unwrap();
    let text = "kind = \"wsman\"\nuser = \"a\"\nuri = \"https://h/\"\nca = \"~/ca.pem\"\ntranscript = \"~\"\n\
                credential = { file = \"~/pw\" }\n";
    let profile = parse("work", Path::new("/p/work.toml"), text).unwrap();
    assert_eq!(profile.ca, Some(home.join("ca.pem")));
    assert_eq!(profile.transcript, Some(home.clone()));
    assert_eq!(profile.credential, CredentialSource::File(home.join("pw")));
}

/// Returns whether the schema accepts a profile.
fn fits(schema: &jsonschema::Validator, text: &str) -> bool {
    let Ok(table) = text.parse::<toml::Table>() else { return false };
    schema.is_valid(&serde_json::to_value(table).unwrap())
}

#[test]
fn the_schema_accepts_and_refuses_what_the_reader_does() {
    let text = std::fs::read_to_string("profiles/schema.json").unwrap();
    let file: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!(file, schema(), "write it again: lyncsh schema > profiles/schema.json");
    assert_eq!(Program::lyncsh().args(["schema"]).run().success_output(), text);
    assert!(jsonschema::meta::is_valid(&file));
    let schema = jsonschema::validator_for(&file).unwrap();
    for (path, text) in examples() {
        assert!(fits(&schema, &text), "{}", path.display());
    }
    for (text, _, part) in MISTAKEN {
        assert_eq!(fits(&schema, text), BEYOND_THE_SCHEMA.contains(part), "{text:?}");
    }
}

/// Returns a valid value of a key, in TOML.
fn right(key: &str, kind: Kind) -> &'static str {
    match key {
        "include" => "\"base.toml\"",
        "connections" => "[\"a\"]",
        "tags" => "[\"eu\"]",
        "user" => "\"a@b.c\"",
        "uri" | "discovery" | "authority" => "\"https://h.b.c/\"",
        "redirects" => "[\"*.b.c\"]",
        "proxy" => "\"none\"",
        "proxy_credential" | "credential" => "\"prompt\"",
        "pin" => {
            "\"00:11:22:33:44:55:66:77:88:99:aa:bb:cc:dd:ee:ff:00:11:22:33:44:55:66:77:88:99:aa:bb:cc:dd:ee:ff\""
        }
        "tls" => "\"rustls\"",
        "authentication" if kind.module().is_some() => "\"browser\"",
        "authentication" => "\"token\"",
        "sign_in" => "\"device-code\"",
        "delegate" | "keep_alive" | "allow_clobber" | "cache" | "attach" => "true",
        "keep" | "idle_timeout" => "\"9m\"",
        "max_runspaces" => "2",
        "timeouts" => "{ open = \"9s\" }",
        "import" | "format_data" => "[\"X*\"]",
        _ => "\"x\"",
    }
}

/// Returns the other keys that a key needs, in TOML.
fn companions(key: &str, kind: Kind) -> &'static str {
    let is_module = kind.module().is_some();
    match key {
        "client_id" | "certificate" | "key" if kind == Kind::Teams => {
            "authentication = \"certificate\"\nclient_id = \"x\"\ntenant = \"x\"\ncertificate = \"c\"\n"
        }
        "client_id" | "certificate" | "key" if is_module => {
            "authentication = \"certificate\"\nclient_id = \"x\"\norganization = \"x\"\ncertificate = \"c\"\n"
        }
        "certificate" | "key" => {
            "authentication = \"token\"\nsign_in = \"client-certificate\"\nauthority = \"https://sts/\"\n\
             client_id = \"x\"\ncertificate = \"c\"\n"
        }
        "authority" | "sign_in" if !is_module => "authentication = \"token\"\n",
        "client_id" | "scope" if !is_module => "authentication = \"token\"\nsign_in = \"device-code\"\n",
        "proxy_credential" if !is_module => "proxy_user = \"x\"\n",
        "service_principal" | "delegate" if !is_module && kind != Kind::LyncOnline => {
            "authentication = \"kerberos\"\n"
        }
        _ => "",
    }
}

#[test]
fn every_kind_has_its_keys_in_reader_and_schema() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("base.toml"), "").unwrap();
    let schema = jsonschema::validator_for(&schema()).unwrap();
    for kind in Kind::ALL {
        let name = kind.traits().name;
        let base = match kind {
            Kind::Teams | Kind::ExchangeOnline => "",
            Kind::LyncOnline => "user = \"a@b.c\"\n",
            _ => "user = \"a@b.c\"\nuri = \"https://h.b.c/\"\n",
        };
        for key in KEYS.iter().map(|key| key.name).filter(|key| *key != "kind") {
            let others: String = format!("{base}{}", companions(key, kind))
                .lines()
                .filter(|line| !line.starts_with(&format!("{key} ")))
                .map(|line| format!("{line}\n"))
                .collect();
            let text = format!("kind = \"{name}\"\n{key} = {}\n{others}", right(key, kind));
            let found = parse("work", &folder.path().join("work.toml"), &text);
            assert_eq!(found.is_ok(), kind.permits(key), "{text}{found:?}");
            assert_eq!(fits(&schema, &text), kind.permits(key), "{text}");
            if let Err(error) = found
                && key != "connections"
            {
                let [mistake] = error.mistakes.as_slice() else { panic!("{text}{error:?}") };
                assert!(error.line(mistake) == 2 && mistake.message.starts_with(key), "{text}{error:?}");
            }
        }
    }
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
        assert!(error.lines_of_files()[0].contains("base.toml, line 1: "), "{error:?}");
        assert!(part == "kind" || error.mistakes[0].message.contains(part), "{error:?}");
    }
    // A file of another kind is not shown.
    write("team/base.toml", "[default]\nkey = hunter2\nid = \"hunter2\"\n");
    let report = format!("{:?}", miette::Report::new(parsed(include).unwrap_err()));
    assert!(report.contains("base.toml:2") && !report.contains("hunter2"), "{report}");
    // A missing key belongs to the profile.
    write("team/base.toml", "kind = \"wsman\"\nuri = \"https://a.b/c\"\n");
    let error = parsed(&format!("{include}keep = \"9m\"\n")).unwrap_err();
    assert!(
        !error.is_included
            && error.lines()
                == ["line 1: kind \"wsman\" needs user, for example user = \"admin@example.com\""],
        "{error:?}"
    );
    assert!(error.mistakes[0].span.is_empty(), "{error:?}");
    for number in 0..9 {
        write(&format!("team/{number}.toml"), &format!("include = \"{}.toml\"\n", number + 1));
    }
    let error = parsed("include = \"../team/0.toml\"").unwrap_err();
    assert!(error.mistakes[0].message.contains("at most 8 files"), "{error:?}");
}

#[test]
fn several_mistakes_are_shown_at_once() {
    let found = mistakes("kind = \"wsman\"\nuser = 3\nkeep = true\n");
    assert_eq!(found.iter().map(|(line, _)| *line).collect::<Vec<_>>(), [1, 2, 3], "{found:?}");
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
