//! Commands that manage profiles: `add` with questions and from a table, `rename`, `copy`, `list`.

use lyncsh::simulator::{Options, PASSWORD, Server as Simulator, USER};
use serde_json::Value;

use crate::agent_world::World;
use crate::passwords::in_session;
use crate::program::lyncsh;
use crate::stand_in::Terminal;

#[test]
fn a_renamed_profile_keeps_everything_but_its_agent() {
    let world = World::simulated(&[], "shell = \"console\"\ntags = [\"eu\"]");
    let folders = &world.folders;
    // Its settings come from another file, which the agent needs too.
    std::fs::rename(folders.profile("work"), world.root().join("base.toml")).unwrap();
    std::fs::write(folders.profile("work"), "include = \"../base.toml\"\n").unwrap();
    std::fs::write(folders.profile("both"), "connections = [\"work\"]\n").unwrap();
    std::fs::write(folders.profile("derived"), "include = \"work.toml\"\n").unwrap();
    let home = world.root().to_str().unwrap();
    let run = |arguments: &[&str]| {
        let run = world.program(arguments).env("HOME", home).env("XDG_DATA_HOME", world.root().join("data"));
        run.run().parts()
    };
    let (code, _, err) = run(&["shortcut", "work", "--menu"]);
    assert_eq!(code, 0, "{err}");
    let history = folders.state.join("history");
    std::fs::create_dir_all(&history).unwrap();
    std::fs::write(history.join("work.txt"), "Get-CsTenant\n").unwrap();
    let names = folders.cache.join("commands");
    for stale in ["work", "office"] {
        std::fs::create_dir_all(names.join(stale)).unwrap();
        std::fs::write(names.join(stale).join(stale), "").unwrap();
    }
    world.attach();
    let (code, _, err) = run(&["rename", "work", "office"]);
    assert!(code == 2 && err.contains("its agent is running") && err.contains("lyncsh stop work"), "{err}");
    let (_, out, _) = run(&["list", "--json"]);
    let rows: Value = serde_json::from_str(&out).unwrap();
    let row = rows.as_array().unwrap().iter().find(|row| row["name"] == "work").unwrap();
    assert!(row["last_used"].is_string() && row["tags"] == serde_json::json!(["eu"]), "{row}");
    assert_eq!(run(&["stop", "work"]).0, 0);
    for (new, said) in
        [("both", "already exists"), ("status", "a command of that name"), ("a/b", "use letters")]
    {
        let (code, _, err) = run(&["rename", "work", new]);
        assert!(code == 2 && err.contains(said), "{new}: {err}");
    }
    let (code, out, err) = run(&["rename", "work", "office"]);
    assert!(code == 0 && out.contains("The profile 'work' is now 'office'."), "{out}{err}");
    assert!(
        out.contains("lyncsh-office.desktop opens") && out.contains("lyncsh-work.desktop is removed"),
        "{out}"
    );
    let text = |name: &str| std::fs::read_to_string(folders.profile(name)).unwrap();
    assert_eq!(
        (text("both"), text("derived")),
        ("connections = [\"office\"]\n".into(), "include = \"office.toml\"\n".into())
    );
    assert!(history.join("office.txt").exists() && !history.join("work.txt").exists());
    assert!(names.join("office/work").exists() && !names.join("office/office").exists());
    assert!(!names.join("work").exists());
    assert!(folders.state.join("log/office.log").exists() && !folders.profile("work").exists());
    let (code, _, err) = run(&["attach", "office", "--socket"]);
    assert_eq!(code, 0, "{err}");
    assert_eq!(run(&["stop", "office"]).0, 0);
    let (code, out, err) = run(&["copy", "office", "lab"]);
    assert!(code == 0 && text("lab") == text("office") && out.contains("lyncsh edit lab"), "{out}{err}");
    assert_eq!(run(&["copy", "office", "lab"]).0, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn profiles_from_a_table_share_a_password_that_login_changes_for_all() {
    let simulator = Simulator::start(Options::default()).await.unwrap();
    let world = World::without_endpoint();
    let table = format!(
        "\u{feff}name;kind;user;uri;tags\r\na;lync-online;{USER};{0};\"eu;gold\"\r\nb;lync-online;{USER};{0};eu\r\n",
        simulator.url
    );
    std::fs::write(world.root().join("tenants.csv"), table).unwrap();
    std::fs::write(world.root().join("pw"), PASSWORD).unwrap();
    let script = "cd \"$LYNCSH_CONFIG_DIR\"; echo wrong | $LYNCSH add --from tenants.csv --keyring partner --password-stdin\n\
         $LYNCSH attach a --socket </dev/null; echo FIRST $?; $LYNCSH login b --password-stdin <pw\n\
         $LYNCSH attach a --socket; $LYNCSH attach b --socket; echo SECOND $?; $LYNCSH stop --all\n\
         $LYNCSH add own --kind wsman --user u --uri https://a.b/c --password-stdin <pw\n\
         $LYNCSH copy own lab; $LYNCSH rename own office; cp profiles/office.toml profiles/own.toml\n\
         for name in lab office own; do $LYNCSH show $name | grep ^password; done; echo END\n";
    tokio::task::spawn_blocking(move || {
        let mut terminal = in_session(&world, script);
        terminal.wait_for_text("2 profiles are written to");
        terminal.wait_for_text("FIRST 3");
        terminal.wait_for_text("The password in the keyring entry 'partner' is stored, for a, b.");
        terminal.wait_for_text("SECOND 0");
        terminal.wait_for_text("END");
        assert_eq!(terminal.wait_exit(), 0);
        let text = terminal.text();
        let places: Vec<&str> = text.lines().filter(|line| line.starts_with("password")).collect();
        let places: Vec<&str> = places.iter().map(|line| line["password".len()..].trim()).collect();
        assert_eq!(
            places,
            ["stored in the keyring", "stored in the keyring", "not stored in the keyring"],
            "{text}"
        );
    })
    .await
    .unwrap();
}

#[test]
fn hundreds_of_rows_share_one_keyring_entry() {
    let world = World::without_endpoint();
    let rows: String = (1..=300)
        .map(|number| format!("t{number},lync-online,admin@t{number}.example,https://host.example/x\n"))
        .collect();
    std::fs::write(world.root().join("tenants.csv"), format!("name,kind,user,uri\n{rows}")).unwrap();
    let items = "dbus-send --session --print-reply --dest=org.freedesktop.secrets \
                 /org/freedesktop/secrets/collection/login org.freedesktop.DBus.Properties.Get \
                 string:org.freedesktop.Secret.Collection string:Items";
    let script = format!(
        "cd \"$LYNCSH_CONFIG_DIR\"\n\
         echo hunter2 | $LYNCSH add --from tenants.csv --keyring partner --password-stdin; echo ADDED $?\n\
         for name in t1 t300; do $LYNCSH show $name | grep ^password; done\n\
         {items} >items; echo ENTRIES $(grep -c 'object path' items)\n"
    );
    let mut terminal = in_session(&world, &script);
    terminal.wait_for_text("ADDED 0");
    terminal.wait_for_text("ENTRIES 1");
    assert_eq!(terminal.wait_exit(), 0);
    let text = terminal.text();
    assert!(text.contains("300 profiles are written to"), "{text}");
    assert_eq!(text.matches("stored in the keyring entry 'partner'").count(), 2, "{text}");
    for number in 1..=300 {
        let file = world.folders.profile(&format!("t{number}"));
        let profile: toml::Table = std::fs::read_to_string(file).unwrap().parse().unwrap();
        assert_eq!(profile["user"].as_str(), Some(format!("admin@t{number}.example").as_str()));
        assert_eq!(profile["credential"]["keyring"].as_str(), Some("partner"), "t{number}");
    }
    assert_eq!(std::fs::read_dir(world.folders.profiles()).unwrap().count(), 300);
}

#[test]
fn list_and_remove_are_used_at_a_terminal() {
    let world = World::without_endpoint();
    std::fs::create_dir_all(world.folders.profiles()).unwrap();
    let text =
        "kind = \"wsman\"\nuri = \"https://a.b/c\"\nuser = \"u\"\ncredential = \"prompt\"\ntags = [\"eu\"]\n";
    for name in ["north", "south"] {
        std::fs::write(world.folders.profile(name), text).unwrap();
    }
    let list = || {
        let mut terminal = Terminal::open_with(&world, lyncsh(), &["list"], []);
        assert_eq!(terminal.wait_exit(), 0);
        let text = terminal.text();
        let rows = text.lines().map(|line| line.split_whitespace().map(str::to_owned).collect::<Vec<_>>());
        rows.filter(|row| !row.is_empty()).collect::<Vec<_>>()
    };
    let head = ["name", "kind", "user", "endpoint", "tags", "shells", "last", "used"];
    let row = |name| [name, "wsman", "u", "https://a.b/c", "eu", "0", "-"];
    assert_eq!(list(), [&head[..], &row("north"), &row("south")]);
    let remove = |answer: &str, outcome: &str| {
        let home = [("HOME", world.root().to_str().unwrap().to_owned())];
        let mut terminal = Terminal::open_with(&world, lyncsh(), &["remove", "south"], home);
        terminal.ends_with("Remove the profile 'south', its password and its shortcuts (y/N)?");
        terminal.line(answer);
        terminal.wait_for_text(outcome);
        assert_eq!(terminal.wait_exit(), 0, "{}", terminal.text());
    };
    for answer in ["n", ""] {
        remove(answer, "'south' was not removed.");
        assert!(world.folders.profile("south").exists(), "{answer:?}");
    }
    remove("y", "The profile 'south' is removed");
    assert!(!world.folders.profile("south").exists());
    assert_eq!(list(), [&head[..], &row("north")]);
}

#[test]
fn a_table_with_a_bad_row_creates_nothing() {
    let world = World::without_endpoint();
    let table = world.root().join("tenants.csv");
    std::fs::write(&table, "name,kind,user\na,teams,x@a.b\nb,team,y@a.b\n").unwrap();
    let table = table.to_str().unwrap();
    let (code, _, err) = world.run(&["add", "--from", table, "--keyring", "partner"]);
    assert!(code == 2 && err.contains("line 3, column kind: invalid kind \"team\""), "{err}");
    assert!(err.contains("no profile was created") && !world.folders.profiles().exists(), "{err}");
    std::fs::write(table, "name,kind,user\na,lync-online,x@a.b\n").unwrap();
    let (code, _, err) = world.run(&["add", "--from", table]);
    assert!(code == 2 && err.contains("pass --keyring ENTRY") && !world.folders.profiles().exists(), "{err}");
    let (code, _, err) = world.run(&["add", "--from", "missing.csv"]);
    assert!(
        code == 2 && err.contains("cannot read missing.csv") && err.contains("no profile was created"),
        "{err}"
    );
    let (code, _, err) = world.run(&["add"]);
    assert!(code == 2 && err.contains("no terminal") && err.contains("--kind"), "{err}");
}

#[tokio::test(flavor = "multi_thread")]
async fn add_asks_for_the_settings_and_tries_the_connection() {
    let simulator = Simulator::start(Options::default()).await.unwrap();
    let world = World::without_endpoint();
    let uri = simulator.url.clone();
    tokio::task::spawn_blocking(move || {
        let mut terminal = Terminal::open_with(&world, lyncsh(), &["add"], []);
        terminal.wait_for_text("Name of the profile:");
        terminal.line("status");
        terminal.wait_for_text("a command of that name");
        terminal.line("work");
        terminal.wait_for_text("Kind [lync-online]:");
        terminal.line("lync-onlin");
        terminal.wait_for_text("Did you mean lync-online?");
        terminal.line("");
        terminal.wait_for_text("or Enter to discover it:");
        // Each answer is checked when it is given.
        terminal.line("ftp://host/");
        terminal.wait_for_text("needs a URI that begins with https://");
        terminal.wait_until("the URI again", |text| text.matches("or Enter to discover it:").count() == 2);
        terminal.line("host.example");
        terminal.wait_for_text("expected a URI such as https://host/path");
        terminal.wait_until("the URI again", |text| text.matches("or Enter to discover it:").count() == 3);
        terminal.line(&uri);
        terminal.wait_for_text("Source [k]:");
        terminal.line("s");
        terminal.wait_for_text("Name of the entry:");
        terminal.line("a/b");
        terminal.wait_for_text("invalid name of a keyring entry");
        terminal.wait_until("the source again", |text| text.matches("Source [k]:").count() == 2);
        terminal.line("p");
        terminal.wait_for_text("User, as name@domain:");
        terminal.line(USER);
        terminal.wait_for_text("Try the connection now (Y/n)?");
        terminal.line("");
        terminal.wait_for_text("Password for");
        terminal.line(PASSWORD);
        terminal.wait_for_text("The connection works.");
        assert_eq!(terminal.wait_exit(), 0, "{}", terminal.text());
        assert_eq!(world.run(&["show", "work"]).0, 0);
        // A connection that fails: the profile is removed if the user wishes.
        let mut terminal = Terminal::open_with(&world, lyncsh(), &["add", "away"], []);
        terminal.wait_for_text("Kind [lync-online]:");
        terminal.line("wsman");
        terminal.wait_for_text("URI of the endpoint, such as https://HOST:5986/wsman:");
        terminal.line("http://127.0.0.1:1/wsman");
        terminal.wait_for_text("Source [k]:");
        terminal.line("c");
        terminal.wait_for_text("The command, for example");
        terminal.line("echo x");
        terminal.wait_for_text("User, as name@domain:");
        terminal.line("a@b.example");
        terminal.wait_for_text("Try the connection now (Y/n)?");
        assert!(world.folders.profile("away").exists());
        terminal.line("y");
        terminal.wait_for_text("Keep the profile (Y/n)?");
        terminal.line("n");
        terminal.wait_for_text("The profile 'away' is removed;");
        assert_eq!(terminal.wait_exit(), 0);
        assert!(!world.folders.profile("away").exists());
        // A ticket has the account, and a module the endpoint.
        let mut terminal = Terminal::open_with(&world, lyncsh(), &["add", "ticket"], []);
        terminal.wait_for_text("Kind [lync-online]:");
        terminal.line("exchange-server");
        terminal.wait_for_text("such as https://HOST/PowerShell/:");
        terminal.line("https://mail.example/PowerShell/");
        terminal.wait_for_text("Source [k]:");
        terminal.line("t");
        terminal.wait_for_text("Try the connection now (Y/n)?");
        terminal.line("n");
        assert_eq!(terminal.wait_exit(), 0, "{}", terminal.text());
        let mut terminal = Terminal::open_with(&world, lyncsh(), &["add", "mail"], []);
        terminal.wait_for_text("Kind [lync-online]:");
        terminal.line("exchange-online");
        terminal.wait_for_text("signs in with: device-code, browser, credential, token");
        terminal.wait_for_text("Authentication [device-code]:");
        terminal.line("token");
        terminal.wait_for_text("Source [k]:");
        terminal.line("p");
        terminal.wait_for_text("User, as name@domain:");
        terminal.line("a@b.example");
        assert_eq!(terminal.wait_exit(), 0, "{}", terminal.text());
        let (_, shown, _) = world.run(&["show", "mail"]);
        assert!(shown.contains("token") && shown.contains("a@b.example"), "{shown}");
        world.wait_agent_gone();
    })
    .await
    .unwrap();
}

#[cfg(unix)]
#[test]
fn add_checks_the_file_of_a_password() {
    use std::os::unix::fs::PermissionsExt as _;
    let world = World::without_endpoint();
    let home = world.root().to_str().unwrap().to_owned();
    let mode = |name: &str, mode: u32| {
        std::fs::set_permissions(world.root().join(name), std::fs::Permissions::from_mode(mode)).unwrap();
    };
    std::fs::write(world.root().join("pw"), "secret\n").unwrap();
    mode("pw", 0o644);
    let mut terminal = Terminal::open_with(&world, lyncsh(), &["add", "asked"], [("HOME", home.clone())]);
    terminal.wait_for_text("Kind [lync-online]:");
    terminal.line("wsman");
    terminal.wait_for_text("URI of the endpoint");
    terminal.line("https://host.example/wsman");
    terminal.wait_for_text("Source [k]:");
    terminal.line("f");
    terminal.wait_for_text("The file:");
    terminal.line("~/missing");
    terminal.wait_for_text("cannot read the secret in");
    terminal.wait_for_text("The file [~/missing]:");
    terminal.line("~/pw");
    terminal.wait_for_text("other users can read the file");
    terminal.wait_for_text("The file [~/pw]:");
    mode("pw", 0o600);
    terminal.line("");
    terminal.wait_for_text("User, as name@domain:");
    terminal.line("a@host.example");
    terminal.wait_for_text("Try the connection now (Y/n)?");
    terminal.line("n");
    assert_eq!(terminal.wait_exit(), 0, "{}", terminal.text());
    let file = |name: &str| {
        let text = std::fs::read_to_string(world.folders.profile(name)).unwrap();
        let table: toml::Table = text.parse().unwrap();
        table["credential"]["file"].as_str().unwrap().to_owned()
    };
    assert_eq!(file("asked"), format!("{home}/pw"));
    // The options: a file may be written later.
    let add = |name: &str, option: &str| {
        let words = ["add", name, "--kind", "wsman", "--uri", "https://a.b/c", "--user", "u", option];
        world.program(&words).env("HOME", &home).run()
    };
    let ran = add("given", "--credential-file=~/pw");
    assert_eq!((ran.code, ran.err.as_str()), (Some(0), ""), "{ran:?}");
    assert_eq!(file("given"), format!("{home}/pw"));
    let ran = add("later", "--credential-file=~/missing");
    assert!(ran.code == Some(0) && ran.text().contains("cannot read the secret in"), "{ran:?}");
    mode("pw", 0o644);
    let ran = add("open", "--credential-file=~/pw");
    assert!(ran.code == Some(0) && ran.text().contains("other users can read the file"), "{ran:?}");
    let ran = add("service", "--credential-file=$CREDENTIALS_DIRECTORY/pw");
    assert_eq!((ran.code, ran.err.as_str()), (Some(0), ""), "{ran:?}");
    assert_eq!(file("service"), "$CREDENTIALS_DIRECTORY/pw");
}

#[cfg(unix)]
#[test]
fn a_tilde_is_the_home_directory_in_options_and_files() {
    let world = World::without_endpoint();
    let (home, folders) = (world.root(), &world.folders);
    for folder in [home.join("team"), folders.profiles()] {
        std::fs::create_dir_all(folder).unwrap();
    }
    let text = "kind = \"wsman\"\nuri = \"https://a.b/c\"\nuser = \"u\"\ncredential = \"prompt\"\n";
    std::fs::write(home.join("base.toml"), text).unwrap();
    std::fs::write(home.join("team/shared.toml"), text).unwrap();
    std::fs::write(folders.profile("work"), "include = \"~/base.toml\"\n").unwrap();
    std::fs::write(folders.config.join("config.toml"), "profiles = [\"~/team\"]\n").unwrap();
    let run = |arguments: &[&str], folder: &str| {
        let run = world.program(arguments).env("HOME", home).env("LYNCSH_CONFIG_DIR", folder);
        run.run().success_output()
    };
    for name in ["work", "shared"] {
        assert!(run(&["show", name], "~").contains("https://a.b/c"), "{name}");
        assert!(run(&["--config-dir=~", "show", name], "/nonexistent").contains("https://a.b/c"), "{name}");
    }
    run(&["man", "show", "--config-dir=~"], "~");
    run(&["man", "--output=~/man"], "~");
    assert!(home.join("man/lyncsh-show.1").is_file());
    std::fs::write(home.join("tenants.csv"), "name\nrow\n").unwrap();
    let wsman = ["--kind", "wsman", "--uri", "https://a.b/c", "--user", "u", "--prompt"];
    run(&[&["add", "--from=~/tenants.csv"], wsman.as_slice()].concat(), "~");
    assert!(folders.profile("row").is_file());
    // A renamed profile is found in an include with a tilde.
    std::fs::write(folders.profile("derived"), "include = \"~/profiles/row.toml\"\n").unwrap();
    run(&["rename", "row", "line"], "~");
    let derived = std::fs::read_to_string(folders.profile("derived")).unwrap();
    assert_eq!(derived, "include = \"~/profiles/line.toml\"\n");
}

#[test]
fn an_unknown_profile_is_suggested_by_every_command() {
    let world = World::without_endpoint();
    std::fs::create_dir_all(world.folders.profiles()).unwrap();
    let text = "kind = \"wsman\"\nuri = \"https://a.b/c\"\nuser = \"u\"\ncredential = \"prompt\"\n";
    for name in ["north", "south"] {
        std::fs::write(world.folders.profile(name), text).unwrap();
    }
    for arguments in [
        &["noth"][..],
        &["nor"],
        &["North-"],
        &["attach", "noth"],
        &["copy", "noth", "new"],
        &["doctor", "noth"],
        &["edit", "noth"],
        &["exec", "noth", "--", "1"],
        &["exec", "--profiles", "south,noth", "--", "1"],
        &["hook", "print", "noth"],
        &["login", "noth"],
        &["refresh", "noth"],
        &["remove", "noth", "--yes"],
        &["rename", "noth", "new"],
        &["shortcut", "noth"],
        &["show", "noth"],
        &["stop", "noth"],
        &["stop", "south", "noth"],
    ] {
        let ran = world.program(arguments).run();
        assert!(
            ran.code == Some(2) && ran.text().contains("did you mean 'north'?"),
            "{arguments:?}: {ran:?}"
        );
    }
}

#[test]
fn a_teams_profile_is_used_but_not_changed() {
    let world = World::without_endpoint();
    let team = world.root().join("team");
    std::fs::create_dir_all(&team).unwrap();
    std::fs::create_dir_all(world.folders.profiles()).unwrap();
    let text =
        "kind = \"wsman\"\nuri = \"https://a.b/c\"\nuser = \"u\"\nca = \"ca.pem\"\ncredential = \"prompt\"\n";
    for name in ["shared", "mine", "secret"] {
        std::fs::write(team.join(format!("{name}.toml")), text).unwrap();
    }
    let lync = "kind = \"lync-online\"\nuser = \"a@b.c\"\ncredential = \"prompt\"\n";
    std::fs::write(team.join("lync.toml"), lync).unwrap();
    std::fs::write(team.join("both.toml"), "connections = [\"shared\", \"lync\"]\n").unwrap();
    std::fs::write(team.join("secret.toml"), format!("{text}password = \"hunter2\"\n")).unwrap();
    std::fs::write(world.folders.profile("mine"), text).unwrap();
    std::fs::write(world.folders.config.join("config.toml"), "profiles = [\"team\", \"gone\"]\n").unwrap();
    let (code, out, err) = world.run(&["list"]);
    assert!(code == 0 && err.contains("cannot read the profiles in"), "{err}");
    assert!(out.contains("shared") && out.contains("The profile 'mine' hides the team's"), "{out}");
    let (code, _, err) = world.run(&["show", "secret"]);
    assert!(code == 2 && err.contains("must not contain a secret") && !err.contains("hunter2"), "{err}");
    assert!(err.contains("secret.toml:6") && !err.contains("lyncsh edit"), "{err}");
    let (code, _, err) = world.run(&["exec", "--tag", "none", "--", "1"]);
    assert!(code == 2 && err.contains("cannot read the profiles in"), "{err}");
    for arguments in [&["remove", "shared", "--yes"][..], &["rename", "shared", "x"], &["edit", "shared"]] {
        let (code, _, err) = world.run(arguments);
        assert!(
            code == 2 && err.contains("it is a team's profile") && err.contains("lyncsh copy shared"),
            "{err}"
        );
    }
    assert_eq!(world.run(&["copy", "shared", "own"]).0, 0);
    assert_eq!(world.run(&["copy", "both", "two"]).0, 0);
    let (_, out, _) = world.run(&["show", "two", "--json"]);
    let shown: Value = serde_json::from_str(&out).unwrap();
    assert_eq!(shown["connections"], serde_json::json!(["shared", "lync"]));
    let (_, out, _) = world.run(&["show", "own", "--json"]);
    let shown: Value = serde_json::from_str(&out).unwrap();
    assert_eq!(shown["ca"], team.join("ca.pem").to_str().unwrap());
    std::fs::write(world.folders.config.join("config.toml"), "profile = []\n").unwrap();
    let (code, _, err) = world.run(&["show", "mine"]);
    assert!(code == 0 && err.contains("did you mean profiles"), "{err}");
}
