//! The PowerShell module of a profile, tested without PowerShell: the rendered scripts parse, are written
//! once, and are accessible only to their owner.

use std::path::{Path, PathBuf};

use lyncsh::exports::Exports;
use lyncsh::folders::Folders;
use lyncsh::profile::{self, Profile};
use lyncsh::shell::module::{Module, ModuleCommand, command_text, connect_script};

const PROGRAM: &str = "/opt/O'Brien’s tools/[x64]/lyncsh";

struct User {
    folders: Folders,
    _temp: tempfile::TempDir,
}

impl User {
    fn new() -> Self {
        let temp = tempfile::tempdir().unwrap();
        let folders = Folders::find(Some(&temp.path().join("Jürgen’s [config]"))).unwrap();
        Self { folders, _temp: temp }
    }

    fn profile(&self, name: &str, more: &str) -> Profile {
        let text = format!(
            "kind = \"wsman\"\nuser = \"kenmyer@litwareinc.com\"\nuri = \"https://example.com/wsman\"\n{more}"
        );
        profile::parse(name, &self.folders.profile(name), &text).unwrap()
    }

    fn module(&self, profile: &Profile) -> Module {
        Module::prepare(&self.folders, Path::new(PROGRAM), profile).unwrap()
    }

    /// Writes an export of these commands, as a PowerShell does.
    fn exported(&self, profile: &Profile, names: &[&str]) -> PathBuf {
        let stem = Exports::of(&self.folders, &profile.name).stem(profile, profile.uri.as_ref().unwrap());
        let folder = PathBuf::from(format!("{}-7.6.5", stem.display()));
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(folder.join("names"), names.join("\r\n")).unwrap();
        std::fs::write(folder.join("aliases"), "gcst\n").unwrap();
        folder
    }
}

/// Returns the text of a script, which must parse without errors.
fn parsed(path: &Path) -> String {
    let text = std::fs::read_to_string(path).unwrap();
    let text = text.strip_prefix('\u{feff}').expect("Windows PowerShell needs the mark").to_owned();
    // The grammar knows only `'` as a quote; PowerShell also accepts typographic quotes.
    let plain = ['\u{2018}', '\u{2019}', '\u{201a}', '\u{201b}']
        .iter()
        .fold(text.clone(), |text, one| text.replace(&format!("{one}{one}"), "''"));
    let mut parser = tree_sitter::Parser::new();
    parser.set_language(&tree_sitter_powershell::LANGUAGE.into()).unwrap();
    let tree = parser.parse(&plain, None).unwrap();
    let mut wrong = Vec::new();
    mistakes(tree.root_node(), &mut wrong);
    wrong.extend(crate::pwsh_syntax::newer_than_5_1(&text));
    assert!(wrong.is_empty(), "{}: {wrong:?}\n{text}", path.display());
    text
}

/// Returns the module with its library.
fn whole(module: &Module) -> String {
    parsed(&module.script) + &parsed(&module.script.with_file_name("library.ps1"))
}

fn mistakes(node: tree_sitter::Node<'_>, wrong: &mut Vec<String>) {
    if node.is_error() || node.is_missing() {
        let place = node.start_position();
        wrong.push(format!("line {} column {}: {}", place.row + 1, place.column + 1, node.kind()));
    }
    let mut cursor = node.walk();
    for child in node.children(&mut cursor) {
        mistakes(child, wrong);
    }
}

const NAMES: [&str; 5] = ["work", "O'Brien", "Jürgen’s Büro", "a [b] `c`", "$(exit 3); & {}"];

#[test]
fn every_module_parses_with_any_profile() {
    let user = User::new();
    let keys: [&[&str]; 7] = [
        &["", "attach = false\n"],
        &["", "import = [\"Get-Cs*\", \"O'*\"]\n"],
        &["", "prefix = \"Lw\"\n"],
        &["", "allow_clobber = true\n"],
        &["", "format_data = []\n", "format_data = [\"Microsoft.Rtc*\", \"’\"]\n"],
        &["", "cache = false\n"],
        &["", "session = \"sitzung_ä\"\n"],
    ];
    let mut all = vec![String::new()];
    for choices in keys {
        all =
            all.iter().flat_map(|so_far| choices.iter().map(move |more| format!("{so_far}{more}"))).collect();
    }
    for (index, more) in all.iter().enumerate() {
        let profile = user.profile(NAMES[index % NAMES.len()], more);
        let module = user.module(&profile);
        whole(&module);
        parsed(&module.manifest);
    }
}

#[test]
fn only_windows_powershell_falls_back_to_a_standalone_session() {
    let user = User::new();
    let script = |more: &str| whole(&user.module(&user.profile("work", more)));
    let shared = script("");
    let fallback = shared.find("opening a standalone session").expect("5.1 may have to");
    assert!(shared[fallback..].contains(". $makeSession"), "said in one line, before");
    assert!(shared.contains("New-PSSession -ConnectionUri"));
    assert!(shared[..fallback].contains("if ($version.Major -ge 7)"), "7 attaches");
    let own = script("attach = false");
    assert!(own.contains("-Authentication $given.authentication\n"), "{own}");
    // PowerShell would send the credential to any host.
    assert!(!own.contains("AllowRedirection"), "{own}");
    assert!(own.contains("[System.IO.Directory]::Delete($fresh, $true)"), "nothing is saved");
    assert!(!own.contains("$kept/names"), "nothing is saved: {own}");
    assert!(!own.contains("--facts") && !own.contains("NamedPipeConnectionInfo"), "at once: {own}");
    // One command line with quoted paths.
    assert!(own.contains("[config]\" attach work --own'"), "{own}");
    for script in [shared, own] {
        assert!(script.contains("'PowerShell.Exiting'"), "`exit` removes the session");
        // Windows PowerShell lacks these operators.
        for word in [" ?? ", "?.", " && ", " || ", "ForEach-Object -Parallel", "-AsHashtable"] {
            assert!(!script.contains(word), "{word}: {script}");
        }
    }
    let text =
        "kind = \"lync-online\"\nuser = \"kenmyer@litwareinc.com\"\nattach = \"New-CsOnlineSession\"\n";
    let profile = profile::parse("work", &user.folders.profile("work"), text).unwrap();
    let script = whole(&user.module(&profile));
    assert!(script.contains("$session = New-CsOnlineSession @how") && !script.contains("New-PSSession -"));
}

/// Ctrl-C runs no `catch`, but every `finally`.
#[test]
fn an_import_that_is_stopped_leaves_no_session() {
    let user = User::new();
    for more in ["", "cache = false\n", "attach = false\n"] {
        let script = whole(&user.module(&user.profile("work", more)));
        let (_, end) = script.split_once("if (-not $imported) {").expect("it is removed");
        assert!(end.contains("Microsoft.PowerShell.Core\\Remove-PSSession -Session $session"));
        let blocks: Vec<_> = script.split("} finally {").collect();
        assert!(blocks.iter().any(|block| block.contains("$imported) {")), "{script}");
        assert!(!script.contains("} catch {\n    # The end of its input"), "{script}");
        // Commands that PowerShell skips must not end the import.
        assert_eq!(script.matches("ErrorAction = 'SilentlyContinue'; ErrorVariable = 'skipped'").count(), {
            script.matches("CommandName = $wanted").count()
        });
    }
}

#[test]
fn the_startup_script_parses_for_all_module_counts() {
    let user = User::new();
    let modules: Vec<_> = NAMES.iter().map(|name| user.module(&user.profile(name, ""))).collect();
    for (name, few) in
        NAMES.iter().zip([&modules[..1], &modules[..2], &modules[1..], &modules[3..], &modules])
    {
        let script = connect_script(&user.folders, Path::new(PROGRAM), name, few).unwrap();
        parsed(&script);
    }
    for module in modules {
        let line = user.folders.cache.join("line.ps1");
        for (several, start) in [(false, "Import-Module ([System"), (true, "try { Import-Module ([System")] {
            let text = module.import_line(&user.folders, several).unwrap();
            assert!(text.is_ascii(), "a PowerShell on Windows reads it in an OEM code page: {text}");
            std::fs::write(&line, format!("\u{feff}{text}")).unwrap();
            assert!(parsed(&line).starts_with(start), "a path with [ is a pattern");
        }
    }
}

#[test]
fn the_connect_script_parses_and_on_windows_sets_the_execution_policy() {
    let user = User::new();
    let connect = Path::new(PROGRAM);
    let line = user.folders.cache.join("line.ps1");
    std::fs::create_dir_all(&user.folders.cache).unwrap();
    for windows in [false, true] {
        let all = [
            ModuleCommand::Prompt,
            ModuleCommand::Text("Get-Module -All"),
            ModuleCommand::Script { path: "a’b.ps1", arguments: "-X 'y'", stays: false },
        ];
        for command in all {
            let text = command_text(&user.folders, connect, command, windows).unwrap();
            std::fs::write(&line, format!("\u{feff}{text}\n")).unwrap();
            let text = parsed(&line);
            assert_eq!(text.contains("-Scope Process"), windows, "for this process alone: {text}");
            assert_eq!(text.contains("exit 1"), !matches!(command, ModuleCommand::Prompt), "{text}");
        }
    }
}

#[test]
fn a_manifest_lists_the_exported_cmdlets() {
    let user = User::new();
    let profile = user.profile("work", "");
    assert!(parsed(&user.module(&profile).manifest).contains("FunctionsToExport = '*'"));
    user.exported(&profile, &["Get-CsTenant", "Get-CsOnlineUser"]);
    let manifest = parsed(&user.module(&profile).manifest);
    assert!(manifest.contains("FunctionsToExport = @('Get-CsOnlineUser', 'Get-CsTenant')"), "{manifest}");
    // A pattern would disable PowerShell's fast path for the names.
    assert!(manifest.contains("AliasesToExport = @('gcst')"), "{manifest}");
    let prefixed = user.profile("work", "prefix = \"Lw\"\n");
    let manifest = parsed(&user.module(&prefixed).manifest);
    assert!(manifest.contains("@('Get-LwCsOnlineUser', 'Get-LwCsTenant')"), "{manifest}");
    Module::discard(&user.folders, "work").unwrap();
    assert!(parsed(&user.module(&profile).manifest).contains("FunctionsToExport = '*'"));
}

#[test]
fn an_expired_export_is_used_until_replaced() {
    let user = User::new();
    let profile = user.profile("work", "");
    let folder = user.exported(&profile, &["Get-CsTenant"]);
    let exports = Exports::of(&user.folders, "work");
    exports.expire().unwrap();
    assert!(folder.join("expired").exists());
    assert_eq!(exports.names(None).unwrap(), ["Get-CsTenant"], "it is still there");
}

#[test]
fn an_unchanged_module_is_not_rewritten() {
    let user = User::new();
    let profile = user.profile("work", "");
    let module = user.module(&profile);
    let old = std::fs::File::options().write(true).open(&module.script).unwrap();
    let long_ago = std::time::SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(1_000_000);
    old.set_modified(long_ago).unwrap();
    assert_eq!(user.module(&profile), module);
    assert_eq!(module.script.metadata().unwrap().modified().unwrap(), long_ago);
    Module::prepare(&user.folders, Path::new("/elsewhere/lyncsh"), &profile).unwrap();
    assert_ne!(module.script.metadata().unwrap().modified().unwrap(), long_ago);
    assert!(parsed(&module.script).contains("$program = '/elsewhere/lyncsh'"));
}

#[test]
fn a_user_template_is_used() {
    let user = User::new();
    let folder = user.folders.config.join("templates/powershell");
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::write(folder.join("attach.ps1"), "# mine for {{ profile }}\n").unwrap();
    let profile = user.profile("work", "");
    assert!(parsed(&user.module(&profile).script).contains("# mine for work"));
    std::fs::write(folder.join("attach.ps1"), "{{ nothing }}").unwrap();
    let error = Module::prepare(&user.folders, Path::new(PROGRAM), &profile).unwrap_err();
    assert!(error.to_string().contains("cannot render the template"), "{error}");
}

#[cfg(unix)]
#[test]
fn rendered_files_are_accessible_only_to_their_owner() {
    use std::os::unix::fs::PermissionsExt as _;
    let user = User::new();
    let module = user.module(&user.profile("work", ""));
    let exports = user.folders.cache.join("exports/work");
    for (path, mode) in [(module.root.as_path(), 0o700), (&module.script, 0o600), (&exports, 0o700)] {
        assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, mode, "{}", path.display());
    }
}

#[test]
fn leftovers_of_a_killed_start_are_removed() {
    let user = User::new();
    let profile = user.profile("work", "");
    let whole = user.exported(&profile, &["Get-CsTenant"]);
    let half = PathBuf::from(format!("{}.123.new", whole.display()));
    std::fs::rename(&whole, &half).unwrap();
    assert!(
        parsed(&user.module(&profile).manifest).contains("FunctionsToExport = '*'"),
        "the export is incomplete"
    );
    assert!(half.exists(), "another start may still write it");
    let long_ago = std::time::SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(1_000_000);
    std::fs::File::open(&half).unwrap().set_modified(long_ago).unwrap();
    user.module(&profile);
    assert!(!half.exists());
}

#[cfg(unix)]
mod attach {
    use std::collections::BTreeMap;

    use crate::agent_world::{PATIENCE, REMOVAL_TIMEOUT, World};
    use crate::program::until;

    fn facts(out: &str) -> BTreeMap<String, String> {
        let pairs = out.lines().map(|line| line.split_once('=').expect("KEY=VALUE"));
        pairs.map(|(key, value)| (key.to_owned(), value.to_owned())).collect()
    }

    #[test]
    fn attach_prints_an_invocable_import_line() {
        let world = World::start();
        let (code, out, err) = world.run(&["attach", "work"]);
        let script = world.folders.cache.join("modules/lyncsh-work/lyncsh-work.psm1");
        assert_eq!((code, err.as_str()), (0, ""));
        assert!(out.starts_with(&format!("Import-Module '{}'", script.display())), "{out}");
        let (code, out, _) = world.run(&["attach", "work", "--module"]);
        assert_eq!((code, out.trim_end()), (0, script.to_str().unwrap()));
        assert!(super::parsed(&script).contains("--config-dir"), "the module finds the same folders");
        assert_eq!(world.shells(), 0, "importing is what connects");
    }

    #[test]
    fn the_module_gets_the_address_of_the_session_or_an_error() {
        let world = World::start();
        let (code, out, err) = world.run(&["attach", "work", "--facts"]);
        assert_eq!(code, 0, "{err}");
        let facts = self::facts(&out);
        assert_eq!(facts["socket"], world.place().socket.to_str().unwrap());
        assert_eq!(facts["agent"], world.agent().unwrap().to_string());
        assert_eq!(facts["endpoint"], world.uri);
        assert_eq!(facts["user"], crate::agent_world::USER);
        assert!(facts["connected"].parse::<u64>().unwrap() > 1_700_000_000);
        assert!(facts["cache"].contains("exports"));
        world.run(&["stop", "work"]);
        world.wait_removed(REMOVAL_TIMEOUT);

        world.profile("work", "timeouts = { connect = \"nothing\" }");
        let (code, out, err) = world.run(&["attach", "work", "--facts"]);
        assert_eq!((code, err.as_str()), (1, ""));
        assert!(self::facts(&out)["error"].contains("has a mistake"), "{out}");
    }

    /// PowerShell reads a program's standard error while it autoloads a module.
    #[test]
    fn the_first_call_of_a_cmdlet_can_ask_for_the_password_on_the_terminal() {
        let world = World::start();
        let text = std::fs::read_to_string(world.folders.profile("work")).unwrap();
        let text: String = text
            .lines()
            .filter(|line| !line.starts_with("credential"))
            .fold("credential = \"prompt\"\n".to_owned(), |text, line| text + line + "\n");
        std::fs::write(world.folders.profile("work"), text).unwrap();
        let script = "\"$LYNCSH\" attach work --facts 2>\"$LYNCSH_CONFIG_DIR/swallowed\"; cat \
                      \"$LYNCSH_CONFIG_DIR/swallowed\"; echo ended $?";
        let terminal = crate::stand_in::Terminal::open(&world, "sh", &["-c", script], "");
        terminal.wait_for_text("Password for");
        terminal.press("wrong\r");
        terminal.wait_for_text("or Enter to give up:");
        terminal.press("\r");
        terminal.wait_for_text("ended 0");
        let seen = terminal.text();
        assert_eq!(seen.matches("Password for").count(), 2, "nothing is swallowed: {seen}");
        assert!(seen.contains("error="), "{seen}");
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn an_idle_agent_records_the_command_set() {
        use lyncsh::simulator::{Options, PASSWORD, Server, USER};
        let server = Server::start(Options::default()).await.unwrap();
        let world = World::without_endpoint();
        std::fs::create_dir_all(world.folders.profiles()).unwrap();
        let text = format!(
            "kind = \"lync-online\"\nuser = \"{USER}\"\ndiscovery = \"{}\"\n\
             credential = {{ command = \"echo '{PASSWORD}'\" }}\n",
            server.discovery
        );
        std::fs::write(world.folders.profile("work"), text).unwrap();
        world.run(&["attach", "work", "--module"]);
        let program = world.program(&["attach", "work", "--facts"]);
        let out = tokio::task::spawn_blocking(move || program.run().out).await.unwrap();
        let facts = self::facts(&out);
        let shell = crate::agent_world::open(facts["socket"].as_ref()).await;
        let stem = facts["cache"].clone();
        let exported = std::path::PathBuf::from(format!("{stem}-7.6.5"));
        std::fs::create_dir_all(&exported).unwrap();
        std::fs::write(exported.join("commands"), "Get-CsGone\n").unwrap();
        let seen = format!("{stem}.commands");
        until(PATIENCE, "the agent's question", || std::path::Path::new(&seen).exists()).await;
        let text = std::fs::read_to_string(&seen).unwrap();
        let names: Vec<_> = text.lines().collect();
        assert!(names.is_sorted() && names.contains(&"Get-CsTenant"), "{text}");
        assert!(text.ends_with('\n') && names.len() > 20);
        assert_eq!(server.shells().len(), 1);
        shell.close().await.unwrap();
        drop(shell);
        until(REMOVAL_TIMEOUT, "no session", || server.shells().is_empty()).await;
    }
}
