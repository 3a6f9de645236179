//! Hostile endpoint: its commands have names that PowerShell, its host or users call by habit, and their
//! output would run locally.

use lyncsh::exports::FORMAT;
use lyncsh::simulator::{MadeUpCommand, Options, Parameter};

use crate::terminal::Terminal;
use crate::world::World;

/// Names that must never become local commands, independent of the profile.
const NAMES: [&str; 38] = [
    "PSConsoleHostReadLine",
    "psconsolehostreadline",
    "prompt",
    "TabExpansion",
    "TabExpansion2",
    "Out-Default",
    "Out-Host",
    "Out-String",
    "Out-LineOutput",
    "cd",
    "cd..",
    "A:",
    "ls",
    "SH",
    "git",
    "ssh",
    "sudo",
    "env",
    "exec",
    "help",
    "more",
    "oss",
    "pause",
    "mkdir",
    "Clear-Host",
    "Read-Host",
    "Get-Credential",
    "Format-List",
    "Where-Object",
    "Get-Command",
    "Import-Module",
    "Write-Host",
    "Invoke-Expression",
    "PSReadLine\\PSConsoleHostReadLine",
    "global:prompt",
    "function:prompt",
    "*",
    "Out\u{2013}Default",
];

/// An endpoint with those names. Their output is a PowerShell line that leaves a trace.
struct Hostile {
    world: World,
    trace: std::path::PathBuf,
}

impl Hostile {
    fn start(more: &str, extra: &[MadeUpCommand]) -> Option<Self> {
        let temp = std::env::temp_dir();
        let trace = temp.join(format!("lyncsh-trace-{}", std::process::id()));
        let _ = std::fs::remove_file(&trace);
        let answer = format!("[IO.File]::AppendAllText('{}', 'ran'); exit 77", trace.display());
        let command = |name: &&str| MadeUpCommand {
            name: (*name).to_owned(),
            answer: answer.clone(),
            ..MadeUpCommand::default()
        };
        let mut commands: Vec<MadeUpCommand> = NAMES.iter().map(command).collect();
        for name in ["Get-CsGood", "deployment"] {
            commands.push(MadeUpCommand {
                name: name.to_owned(),
                answer: "<good>".to_owned(),
                ..MadeUpCommand::default()
            });
        }
        // Names of PowerShell's helpers in an exported module.
        commands.push(command(&"Get-PSImplicitRemotingSession"));
        commands.extend(extra.iter().cloned().map(|one| MadeUpCommand { answer: answer.clone(), ..one }));
        let world = World::with(Options { fixtures: true, commands, ..Options::default() }, more)?;
        Some(Self { world, trace })
    }

    fn untouched(&self) {
        assert!(!self.trace.exists(), "the endpoint's text ran: {:?}", std::fs::read_to_string(&self.trace));
    }
}

fn alias(name: &str, of: &str) -> MadeUpCommand {
    MadeUpCommand { name: name.to_owned(), resolves: Some(of.to_owned()), ..MadeUpCommand::default() }
}

/// Lists the functions and aliases of the module, and other items that may come from it.
const IMPORTED: &str = "$mine = Get-Module lyncsh-work
    'names: ' + ((@($mine.ExportedFunctions.Keys) + @($mine.ExportedAliases.Keys) | Sort-Object) -join ' ')
    'stray: ' + (@(Get-Command -CommandType Function, Alias | Where-Object { $_.Source -like '*proxies*' -or $_.Source -like 'lyncsh*' } |
        Where-Object { $_.Name -notlike '*-Cs*' -and $_.Name -ne 'deployment' }) -join ' ')
    'good: ' + (Get-CsGood) + (deployment)
    (Get-CsOnlineUser kenmyer).SipAddress";

fn check(hostile: &Hostile) {
    for _ in ["exported now", "from the cache"] {
        let output = hostile.world.output(&format!("{}\n{IMPORTED}", hostile.world.import("work")));
        let out = &output.out;
        let err = &output.err;
        assert!(output.code == Some(0), "{out}\n{err}");
        let lines: Vec<_> = out.lines().collect();
        let names = lines[0].strip_prefix("names: ").unwrap_or_else(|| panic!("{out}\n{err}"));
        for name in names.split(' ') {
            assert!(name == "deployment" || name.contains("-Cs"), "{name} is a command here: {out}\n{err}");
        }
        assert_eq!(lines[1..], ["stray: ", "good: <good><good>", "sip:kenmyer@litwareinc.com"], "{err}");
        let listed: Vec<_> = err.lines().filter(|line| line.contains("Left out")).collect();
        assert_eq!(listed.len(), 1, "one line: {err}");
        for name in ["PSConsoleHostReadLine", "prompt", "ssh", "Out-Default"] {
            assert!(listed[0].contains(name), "{name}: {err}");
        }
        hostile.world.wait_removed();
        let manifest =
            std::fs::read_to_string(hostile.world.folders.cache.join("modules/lyncsh-work/lyncsh-work.psd1"))
                .unwrap();
        for name in NAMES {
            assert!(!manifest.contains(&format!("'{name}'")), "{name}: {manifest}");
        }
        hostile.untouched();
    }
}

#[test]
fn reserved_names_are_never_imported() {
    for more in ["", "allow_clobber = true", "allow_clobber = true\ncache = false"] {
        let Some(hostile) = Hostile::start(more, &[]) else { return };
        if more.contains("cache") {
            let lines = hostile.world.with_work(IMPORTED);
            assert_eq!(lines[1..], ["stray: ", "good: <good><good>", "sip:kenmyer@litwareinc.com"]);
            hostile.untouched();
        } else {
            check(&hostile);
        }
    }
}

#[test]
fn endpoint_output_is_not_run_at_a_prompt() {
    for more in ["", "allow_clobber = true"] {
        let Some(hostile) = Hostile::start(more, &[]) else { return };
        for arguments in [
            &["work", "--", "-NoProfile"][..],
            // Without PSReadLine, PowerShell calls a function of that name.
            &["work", "--", "-NoProfile", "-NonInteractive"],
        ] {
            let mut terminal = Terminal::run(&hostile.world, arguments);
            terminal.prompts("[work] PS />", ">");
            terminal.line("'<' + (Get-CsGood) + '>'");
            terminal.sees_line("<<good>>");
            terminal.line("Remove-Module PSReadLine -Force -ErrorAction Ignore; 'with' + 'out'");
            terminal.sees_line("without");
            terminal.prompts("[work] PS />", ">");
            terminal.press("Get-CsOnl\t");
            terminal.press("\r");
            terminal.line("cd /tmp; 'in ' + $PWD.Path.ToUpper()");
            terminal.sees_line("in /TMP");
            terminal.line("exit 3");
            assert_eq!(terminal.wait_exit(), 3, "{}", terminal.text());
            hostile.untouched();
            hostile.world.wait_removed();
        }
    }
}

#[test]
fn an_endpoint_alias_resolves_to_its_own_command() {
    let links = [
        alias("Get-CsGoodAlias", "Get-CsGood"),
        alias("Get-CsRemove", "Remove-Item"),
        alias("Get-CsPrompt", "PSConsoleHostReadLine"),
        alias("gci", "Get-CsGood"),
    ];
    for more in ["", "allow_clobber = true"] {
        let Some(hostile) = Hostile::start(more, &links) else { return };
        let lines = hostile.world.with_work(
            "foreach ($one in 'Get-CsGoodAlias', 'Get-CsRemove', 'Get-CsPrompt', 'PSConsoleHostReadLine', 'gci') {
                 $found = Get-Command $one -ErrorAction Ignore
                 \"$one $(if ($found.CommandType -eq 'Alias') { $found.Definition }) $($found.Source -replace '^PSReadLine$')\"
             }
             Get-CsGoodAlias",
        );
        // With allow_clobber, the line runs the endpoint's Remove-Item, never the local one.
        let remove = if more.is_empty() { "Get-CsRemove  " } else { "Get-CsRemove Remove-Item lyncsh-work" };
        assert_eq!(
            lines,
            [
                "Get-CsGoodAlias Get-CsGood lyncsh-work",
                remove,
                "Get-CsPrompt  ",
                "PSConsoleHostReadLine  ",
                "gci Get-ChildItem ",
                "<good>"
            ],
            "{more}"
        );
        hostile.untouched();
    }
}

#[test]
fn a_command_with_an_unrequested_name_is_not_run_and_not_imported() {
    // PowerShell refuses some alias targets and accepts others.
    for name in ["*", "Get-PSImplicitRemotingSession", "script:..\\prompt", "x' ; exit 5; '"] {
        let Some(hostile) = Hostile::start("", &[alias("Get-CsLink", name)]) else { return };
        let output = hostile.world.output(&format!(
            "try {{ {} }} catch {{ $_.Exception.Message }}
             \"<$((Get-Command Get-CsLink -ErrorAction Ignore).Name)$((Get-Command prompt).Source)>\"",
            hostile.world.import("work")
        ));
        let (out, err) = (&output.out, &output.err);
        let printed = err.contains("Left out") && err.contains("Get-CsLink");
        assert!(printed, "{name}: {out}{err}");
        assert_eq!(out.lines().last(), Some("<>"), "{name}: {out}{err}");
        hostile.untouched();
        hostile.world.wait_removed();
    }
}

#[test]
fn a_prefix_cannot_form_a_reserved_name() {
    let extra = [("ReadLine", None), ("Get-Item", None)].map(|(name, resolves)| MadeUpCommand {
        name: name.to_owned(),
        resolves,
        answer: String::new(),
        ..MadeUpCommand::default()
    });
    let Some(hostile) =
        Hostile::start("prefix = \"PSConsoleHost\"\nimport = [\"ReadLine\", \"Get-*\"]", &extra)
    else {
        return;
    };
    let lines = hostile.world.with_work(
        "foreach ($one in 'PSConsoleHostReadLine', 'Get-PSConsoleHostItem', 'Get-PSConsoleHostCsGood') {
             \"$one $((Get-Command $one -ErrorAction Ignore).Source -replace '^PSReadLine$')\"
         }
         Get-PSConsoleHostCsGood",
    );
    assert_eq!(
        lines,
        [
            "PSConsoleHostReadLine ",
            "Get-PSConsoleHostItem lyncsh-work",
            "Get-PSConsoleHostCsGood lyncsh-work",
            "<good>"
        ]
    );
    hostile.untouched();
}

#[test]
fn exports_of_another_version_are_not_loaded() {
    let Some(hostile) = Hostile::start("", &[]) else { return };
    hostile.world.with_work("Get-CsGood");
    let exports = hostile.world.folders.cache.join("exports/work");
    let own = std::fs::read_dir(&exports).unwrap().map(|entry| entry.unwrap().path());
    let own = own.into_iter().find(|path| path.is_dir()).unwrap();
    // As in an earlier version: the same key, and a name that no list excludes.
    let name = own.file_name().unwrap().to_str().unwrap().replace(&format!("{FORMAT}-"), "-");
    let other = exports.join(name);
    std::fs::rename(&own, &other).unwrap();
    for file in ["names", "proxies/proxies.ps1"] {
        let text = std::fs::read_to_string(other.join(file)).unwrap();
        std::fs::write(other.join(file), text.replace("Get-CsGood", "PSConsoleHostReadLine")).unwrap();
    }
    let lines =
        hostile.world.with_work("Get-CsGood; [bool](Get-Command PSConsoleHostReadLine -ErrorAction Ignore | Where-Object Source -ne PSReadLine)");
    assert_eq!(lines, ["<good>", "False"]);
    assert!(!other.exists());
    // The same for a name added to this version's export.
    let own = std::fs::read_dir(&exports).unwrap().map(|entry| entry.unwrap().path());
    let own = own.into_iter().find(|path| path.is_dir()).unwrap();
    for file in ["names", "proxies/proxies.ps1"] {
        let text = std::fs::read_to_string(own.join(file)).unwrap();
        std::fs::write(own.join(file), text.replace("Get-CsGood", "PSConsoleHostReadLine")).unwrap();
    }
    // A process that changes the files can also change the recorded sizes.
    let sizes = std::fs::read_to_string(own.join("sizes")).unwrap();
    let sizes = sizes.lines().map(|line| {
        let name = line.split_once(' ').unwrap().1;
        format!("{} {name}\n", std::fs::metadata(own.join(name)).unwrap().len())
    });
    std::fs::write(own.join("sizes"), sizes.collect::<String>()).unwrap();
    let lines = hostile.world.with_work(
        "[bool](Get-Command Get-CsGood -ErrorAction Ignore)
        [bool](Get-Command PSConsoleHostReadLine -ErrorAction Ignore | Where-Object Source -ne PSReadLine)",
    );
    assert_eq!(lines, ["False", "False"]);
}

/// Texts that end a string, a block or a line, or are not names. `TRACE` is replaced by the path of a file.
const PARAMETERS: [&str; 12] = [
    "x'; [IO.File]::WriteAllText('TRACE', ''); '",
    "x’; [IO.File]::WriteAllText('TRACE', ''); ’",
    "„x",
    "$([IO.File]::WriteAllText('TRACE', ''))",
    "`x",
    "} end { [IO.File]::WriteAllText('TRACE', '') }",
    "x\n'@\n[IO.File]::WriteAllText('TRACE', '')\n@'",
    "x\0y",
    "x y",
    "x:y",
    "x,y",
    "",
];

#[test]
fn parameter_metadata_is_never_executed() {
    let temp = tempfile::tempdir().unwrap();
    let trace = temp.path().join("trace");
    let all: &'static [&'static str] =
        PARAMETERS.map(|one| &*one.replace("TRACE", &trace.display().to_string()).leak()).to_vec().leak();
    let long: &'static str = "x".repeat(10_000).leak();
    let parameter = |name: &str, type_name| Parameter { name: name.to_owned(), type_name, aliases: all };
    let mut parameters: Vec<_> =
        all.iter().chain([&long]).map(|one| parameter(one, "System.String")).collect();
    parameters.push(parameter("Plain", "System.DayOfWeek"));
    parameters.push(Parameter { aliases: &["Short"], ..parameter("Host", "System.String") });
    parameters.extend(all.iter().enumerate().map(|(at, one)| parameter(&format!("Type{at}"), one)));
    let command = MadeUpCommand {
        name: "Get-CsOdd".to_owned(),
        answer: "<odd>".to_owned(),
        parameters,
        ..MadeUpCommand::default()
    };
    let Some(world) = World::with(Options { commands: vec![command], ..Options::default() }, "") else {
        return;
    };
    for _ in ["written now", "kept"] {
        let output = world.output(&format!(
            "{}
            Get-CsOdd
            $command = Get-Command Get-CsOdd
            $command.Parameters.Keys -notmatch '^(Type[0-9]+|__.*)$' | Where-Object {{ $_ -notin [System.Management.Automation.Cmdlet]::CommonParameters }} | Sort-Object
            (TabExpansion2 'Get-CsOdd -Plain Su').CompletionMatches.CompletionText
            $command.Parameters['Host'].Aliases
            $null = TabExpansion2 'Get-CsOdd -Type0 '
            Get-CsOdd",
            world.import("work")
        ));
        let (out, err) = (&output.out, &output.err);
        let lines: Vec<_> = out.lines().collect();
        assert_eq!(lines, ["<odd>", "AsJob", "Host", "Plain", "Sunday", "Short", "<odd>"], "{err}");
        assert!(!trace.exists(), "the endpoint's text ran");
        world.wait_removed();
    }
}

#[test]
fn a_cached_name_does_not_shadow_a_user_function() {
    let commands = ["deployment", "Get-CsGood"].map(|name| MadeUpCommand {
        name: name.to_owned(),
        answer: "<endpoint>".to_owned(),
        ..MadeUpCommand::default()
    });
    let options = Options { commands: commands.to_vec(), ..Options::default() };
    let Some(world) = World::with(options, "allow_clobber = true") else { return };
    for _ in ["written now", "kept", "kept"] {
        let import = world.import("work");
        let output = world
            .output(&format!("function global:deployment {{ 'mine' }}\n{import}\ndeployment\nGet-CsGood"));
        let out = &output.out;
        assert_eq!(out.lines().collect::<Vec<_>>(), ["mine", "<endpoint>"], "{output:?}");
        world.wait_removed();
    }
}

#[test]
fn a_module_of_another_version_is_refused() {
    let Some(hostile) = Hostile::start("", &[]) else { return };
    let import = hostile.world.import("work");
    let script = hostile.world.folders.cache.join("modules/lyncsh-work/lyncsh-work.psm1");
    let text = std::fs::read_to_string(&script).unwrap();
    std::fs::write(&script, text.replace(&format!("$format = '{FORMAT}'"), "$format = 'n0'")).unwrap();
    let output = hostile
        .world
        .output(&format!("try {{ {import} }} catch {{ $_.Exception.Message }}\n{import}\nGet-CsGood"));
    let out = &output.out;
    assert!(out.contains("another version of lyncsh wrote the module"), "{out}\n{:?}", output.err);
    assert_eq!(out.lines().last(), Some("<good>"), "{out}");
}

#[test]
fn conflicting_commands_keep_the_session_and_show_help() {
    // All commands of this endpoint exist locally.
    let extra = ["Get-Item", "Get-Process", "Get-Date"].map(|name| MadeUpCommand {
        name: name.to_owned(),
        answer: "<there>".to_owned(),
        ..MadeUpCommand::default()
    });
    let options = Options { fixtures: true, commands: extra.to_vec(), ..Options::default() };
    let Some(world) = World::with(options, "import = [\"Get-Item\", \"Get-Process\", \"Get-Date\"]") else {
        return;
    };
    for _ in ["exported now", "from the cache"] {
        let output = world.output(&format!(
            "{}\n$session.State; $lyncsh.Profile; (Get-Item /).GetType().Name; Invoke-Command $session {{ Get-Item }}",
            world.import("work")
        ));
        let (out, err) = (&output.out, &output.err);
        assert!(output.code == Some(0), "{out}\n{err}");
        assert_eq!(out.lines().collect::<Vec<_>>(), ["Opened", "work", "DirectoryInfo", "<there>"], "{err}");
        for word in ["Get-Item", "Get-Process", "prefix", "allow_clobber", "$session"] {
            assert!(err.contains(word), "{word}: {err}");
        }
        world.wait_removed();
    }
    for (more, line) in [("prefix = \"Lw\"", "Get-LwItem"), ("allow_clobber = true", "Get-Item")] {
        let names = "import = [\"Get-Item\", \"Get-Process\", \"Get-Date\"]";
        world.profile("work", &format!("{more}\n{names}"));
        assert_eq!(world.with_work(line), ["<there>"], "{more}");
        world.wait_removed();
    }
}
