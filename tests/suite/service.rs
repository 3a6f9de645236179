//! Profiles whose session a PowerShell module opens: Teams, Exchange Online.

use std::path::Path;

use lyncsh::folders::Folders;
use lyncsh::profile::parse;
use lyncsh::profile::service::SignIn;
use lyncsh::shell::module::Module;

use crate::program::{Program, Ran, lyncsh};

fn mistakes(text: &str) -> String {
    let error = parse("work", Path::new("work.toml"), text).expect_err(text);
    error.mistakes.iter().map(|one| format!("{}: {}\n", error.line(one), one.message)).collect()
}

#[test]
fn a_service_accepts_few_profile_keys() {
    for (text, expected) in [
        (
            "kind = 'teams'\nuri = 'https://a/'",
            "2: uri is not valid for kind \"teams\": the module MicrosoftTeams opens the session",
        ),
        ("kind = 'teams'\nprefix = 'T'", "2: prefix is not valid"),
        (
            "kind = 'teams'\nauthentication = 'basic'",
            "2: invalid authentication \"basic\"; expected one of device-code, browser, credential, token, certificate, managed-identity",
        ),
        (
            "kind = 'teams'\nclient_id = 'x'",
            "2: client_id is not valid with authentication = \"device-code\"",
        ),
        ("kind = 'teams'\nsign_in = 'browser'", "2: sign_in is not valid for kind \"teams\""),
        ("kind = 'teams'\norganization = 'x'", "2: organization is not valid for kind \"teams\""),
        (
            "kind = 'teams'\nauthentication = 'certificate'\nclient_id = 'x'",
            "1: authentication \"certificate\" of kind \"teams\" needs certificate",
        ),
        (
            "kind = 'exchange-online'\nauthentication = 'managed-identity'",
            "1: authentication \"managed-identity\" of kind \"exchange-online\" needs organization",
        ),
        ("kind = 'teams'\nauthentication = 'credential'", "1: authentication \"credential\" needs user"),
        ("kind = 'exchange-online'\nauthentication = 'token'", "1: authentication \"token\" needs user"),
        (
            "kind = 'exchange-online'\nshell = 'console'",
            "2: kind \"exchange-online\" needs PowerShell: the console cannot load its module",
        ),
    ] {
        let said = mistakes(text);
        assert!(said.contains(expected), "{text}\n{said}");
    }
    let profile = parse("work", Path::new("work.toml"), "kind = 'exchange-online'\nprefix = 'Ex'").unwrap();
    assert_eq!(profile.service.unwrap().sign_in, SignIn::DeviceCode);
}

#[test]
fn every_service_module_signs_in_and_out() {
    let home = tempfile::tempdir().unwrap();
    let folders = Folders::find(Some(home.path())).unwrap();
    let key = "-----BEGIN ENCRYPTED PRIVATE KEY-----";
    for name in ["it's.pem", "k"] {
        std::fs::write(home.path().join(name), key).unwrap();
    }
    for (kind, more, out) in [
        ("teams", "", "{ Disconnect-MicrosoftTeams -ErrorAction Ignore }"),
        (
            "exchange-online",
            "prefix = 'Ex'",
            "{ Disconnect-ExchangeOnline -Confirm:$false -ErrorAction Ignore }",
        ),
        ("exchange-online", "", "{ Disconnect-ExchangeOnline -Confirm:$false -ErrorAction Ignore }"),
    ] {
        for sign_in in SignIn::ALL {
            let (tenant, of) = if kind == "teams" { ("tenant", "t") } else { ("organization", "o") };
            let keys = match sign_in {
                SignIn::Certificate => {
                    format!(
                        "{tenant} = \"{of}'\"\nclient_id = \"c'\"\ncertificate = \"it's.pem\"\nkey = 'k'\n"
                    )
                }
                SignIn::ManagedIdentity => format!("{tenant} = \"{of}'\"\n"),
                _ => String::new(),
            };
            let text = format!(
                "kind = '{kind}'\nuser = \"ö'’$x`@b.c\"\nauthentication = '{}'\ncredential = 'prompt'\n{keys}{more}",
                sign_in.name()
            );
            let profile = parse("it's", &home.path().join("work.toml"), &text).unwrap();
            let module = Module::prepare(&folders, Path::new("/opt/it's/lyncsh"), &profile).unwrap();
            let script = std::fs::read_to_string(&module.script).unwrap();
            let mut parser = tree_sitter::Parser::new();
            parser.set_language(&tree_sitter_powershell::LANGUAGE.into()).unwrap();
            // The grammar does not know typographic quotes.
            let tree = parser.parse(script.trim_start_matches('\u{feff}').replace('’', "x"), None).unwrap();
            assert!(!tree.root_node().has_error(), "{script}\n{}", tree.root_node().to_sexp());
            assert_eq!(crate::pwsh_syntax::newer_than_5_1(&script), Vec::<String>::new());
            assert!(script.contains(out) && script.contains("Install-Module -Name "), "{script}");
            assert!(script.contains("PowerShell.Exiting") && script.contains(".OnRemove = "), "{script}");
            let has_secret = matches!(sign_in, SignIn::Credential | SignIn::Token | SignIn::Certificate);
            assert_eq!(script.contains("--secret"), has_secret, "{script}");
            assert_eq!(script.contains("$how.Prefix = 'Ex'"), !more.is_empty(), "{script}");
        }
    }
}

#[cfg(unix)]
#[test]
fn a_service_shell_gets_the_secret_through_a_pipe() {
    use std::os::unix::fs::PermissionsExt as _;
    let home = tempfile::tempdir().unwrap();
    let put = |name: &str, text: &str| {
        let path = home.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, text).unwrap();
        path
    };
    let lyncsh = lyncsh();
    let lyncsh = lyncsh.display();
    let pwsh = put(
        "bin/pwsh",
        &format!(
            "#!/bin/sh\n[ \"$1\" = --version ] && {{ echo PowerShell 7.6.0; exit; }}\n\
             echo \"$@\"; got=$('{lyncsh}' attach mail --secret); echo \"got $got\"; exit 7\n"
        ),
    );
    std::fs::set_permissions(&pwsh, std::fs::Permissions::from_mode(0o755)).unwrap();
    put(
        "conf/profiles/mail.toml",
        &format!(
            "kind = 'exchange-online'\nuser = 'a@b.c'\nauthentication = 'token'\nshell = '{}'\ncredential = {{ command = 'echo säcret' }}\n",
            pwsh.display()
        ),
    );
    put(
        "conf/profiles/work.toml",
        "kind = 'lync-online'\nuser = 'a@b.c'\ncredential = { command = 'echo s3cret' }\n",
    );
    let run = |arguments: &[&str]| {
        let program = Program::lyncsh().args(arguments).env("LYNCSH_CONFIG_DIR", home.path().join("conf"));
        let Ran { code, out, err } = program.run();
        (out, err, code)
    };
    let (out, err, code) = run(&["mail"]);
    assert_eq!(code, Some(7), "{out}{err}");
    assert!(
        out.contains("-NoLogo -NoExit -File ") && out.contains(r#"got {"secret":"s\u00e4cret"}"#),
        "{out}{err}"
    );
    assert!(!out.lines().next().unwrap().contains("cret"), "never an argument: {out}");
    let (out, err, code) = run(&["attach", "work", "--secret"]);
    assert!(code == Some(1) && out.is_empty() && err.contains("secret is not printed"), "{out}{err}");
    let (_, err, code) = run(&["attach", "mail", "--socket"]);
    assert!(
        code == Some(2) && err.contains("the module ExchangeOnlineManagement opens its session"),
        "{err}"
    );
}

#[test]
fn a_service_profile_shows_only_valid_keys() {
    let home = tempfile::tempdir().unwrap();
    std::fs::create_dir(home.path().join("profiles")).unwrap();
    std::fs::write(home.path().join("profiles/meet.toml"), "kind = 'teams'\n").unwrap();
    let out =
        Program::lyncsh().args(["show", "meet"]).env("LYNCSH_CONFIG_DIR", home.path()).run().success_output();
    let keys: Vec<&str> = out.lines().filter_map(|line| line.split_whitespace().next()).collect();
    assert_eq!(
        keys,
        [
            "file",
            "kind",
            "tags",
            "user",
            "certificate",
            "key",
            "authentication",
            "client_id",
            "tenant",
            "password",
            "shell"
        ],
        "{out}"
    );
    assert!(out.contains("device-code") && out.contains("not needed"), "{out}");
}
