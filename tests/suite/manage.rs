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
        terminal.sees("2 profiles are written to");
        terminal.sees("FIRST 3");
        terminal.sees("The password in the keyring entry 'partner' is stored, for a, b.");
        terminal.sees("SECOND 0");
        terminal.sees("END");
        assert_eq!(terminal.ended(), 0);
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
        terminal.sees("Name of the profile:");
        terminal.line("status");
        terminal.sees("a command of that name");
        terminal.line("work");
        terminal.sees("Kind [lync-online]:");
        terminal.line("lync-onlin");
        terminal.sees("Did you mean lync-online?");
        terminal.line("");
        terminal.sees("or Enter to discover it:");
        terminal.line("ftp://host/");
        terminal.sees("Source [k]:");
        terminal.line("p");
        terminal.sees("User, as name@domain:");
        terminal.line(USER);
        terminal.sees("needs a URI that begins with https://");
        terminal.sees("Correct the answers (Y/n)?");
        terminal.line("");
        terminal.waits("the kind again", |text| text.matches("Kind [lync-online]:").count() == 3);
        terminal.line("");
        terminal.sees("or - to discover it [ftp://host/]:");
        terminal.line(&uri);
        terminal.sees("Source [p]:");
        terminal.line("");
        terminal.sees(&format!("User, as name@domain [{USER}]:"));
        terminal.line("");
        terminal.sees("Try the connection now (Y/n)?");
        terminal.line("");
        terminal.sees("Password for");
        terminal.line(PASSWORD);
        terminal.sees("The connection works.");
        assert_eq!(terminal.ended(), 0, "{}", terminal.text());
        assert_eq!(world.run(&["show", "work"]).0, 0);
        // A connection that fails: the profile is removed if the user wishes.
        let mut terminal = Terminal::open_with(&world, lyncsh(), &["add", "away"], []);
        terminal.sees("Kind [lync-online]:");
        terminal.line("wsman");
        terminal.sees("URI of the endpoint, such as https://HOST:5986/wsman:");
        terminal.line("http://127.0.0.1:1/wsman");
        terminal.sees("Source [k]:");
        terminal.line("c");
        terminal.sees("The command, for example");
        terminal.line("echo x");
        terminal.sees("User, as name@domain:");
        terminal.line("a@b.example");
        terminal.sees("Try the connection now (Y/n)?");
        assert!(world.folders.profile("away").exists());
        terminal.line("y");
        terminal.sees("Keep the profile (Y/n)?");
        terminal.line("n");
        terminal.sees("The profile 'away' is removed;");
        assert_eq!(terminal.ended(), 0);
        assert!(!world.folders.profile("away").exists());
        // A ticket has the account, and a module the endpoint.
        let mut terminal = Terminal::open_with(&world, lyncsh(), &["add", "ticket"], []);
        terminal.sees("Kind [lync-online]:");
        terminal.line("exchange-server");
        terminal.sees("such as https://HOST/PowerShell/:");
        terminal.line("https://mail.example/PowerShell/");
        terminal.sees("Source [k]:");
        terminal.line("t");
        terminal.sees("Try the connection now (Y/n)?");
        terminal.line("n");
        assert_eq!(terminal.ended(), 0, "{}", terminal.text());
        let mut terminal = Terminal::open_with(&world, lyncsh(), &["add", "mail"], []);
        terminal.sees("Kind [lync-online]:");
        terminal.line("exchange-online");
        terminal.sees("signs in with: device-code, browser, credential, token");
        terminal.sees("Authentication [device-code]:");
        terminal.line("token");
        terminal.sees("Source [k]:");
        terminal.line("p");
        terminal.sees("User, as name@domain:");
        terminal.line("a@b.example");
        assert_eq!(terminal.ended(), 0, "{}", terminal.text());
        let (_, shown, _) = world.run(&["show", "mail"]);
        assert!(shown.contains("token") && shown.contains("a@b.example"), "{shown}");
        world.wait_agent_gone();
    })
    .await
    .unwrap();
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
