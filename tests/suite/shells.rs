//! Files that lyncsh writes for other programs: prompts and completions for shells, manual pages. The real programs
//! read and run them.

use std::ffi::OsString;
use std::path::Path;

use crate::agent_world::{World, path_without_powershell};
use crate::program::{Program, lyncsh};
use crate::stand_in::Terminal;

/// Returns a PATH with lyncsh.
fn path() -> OsString {
    let folder = lyncsh().parent().unwrap().to_owned();
    let usual = path_without_powershell();
    std::env::join_paths(std::iter::once(folder).chain(std::env::split_paths(&usual))).unwrap()
}

/// Returns a program of this user, with lyncsh on its PATH.
fn program(world: &World, name: impl AsRef<std::ffi::OsStr>, arguments: &[&str]) -> Program {
    Program::new(name)
        .args(arguments)
        .env("PATH", path())
        .env("HOME", world.root())
        .env("LYNCSH_CONFIG_DIR", world.root())
        .folder(world.root())
}

/// Writes the output of lyncsh into a file.
fn written(world: &World, arguments: &[&str], name: &str) -> String {
    let text = world.program(arguments).run().success_output();
    let file = world.root().join(name);
    std::fs::write(&file, text).unwrap();
    file.to_str().unwrap().to_owned()
}

/// Returns the path of a program.
fn which(name: &str) -> std::path::PathBuf {
    let found = std::env::split_paths(&path()).map(|folder| folder.join(name)).find(|path| path.is_file());
    found.unwrap_or_else(|| panic!("{name} is missing; `tests/run` installs it"))
}

/// Checks the syntax of a script.
fn check(world: &World, shell: &str, file: &str) {
    let ran = program(world, shell, &["-n", file]).run();
    assert_eq!((ran.code, ran.err.as_str()), (Some(0), ""), "{shell} -n {file}");
}

#[test]
fn a_prompt_shows_the_agents() {
    let world = World::simulated(&[], "");
    for shell in ["bash", "zsh", "fish"] {
        let file = written(&world, &["hook", "prompt", shell], &format!("prompt.{shell}"));
        check(&world, shell, &file);
    }
    let starship = world.program(&["hook", "prompt", "starship"]).run().success_output();
    let starship: toml::Table = starship.parse().unwrap();
    let segment = &starship["custom"]["lyncsh"];
    assert_eq!(segment["shell"].as_array().unwrap(), &["sh".into()]);
    let command = segment["command"].as_str().unwrap().to_owned();
    world.attach();
    let mut shell = world.child("idle");
    shell.wait_for("ready");
    assert_eq!(program(&world, "sh", &["-c", &command]).run().success_output(), "work:1 ");
    let fish = "function fish_prompt; echo \"[$status] \"; end; source prompt.fish; source prompt.fish; false; fish_prompt";
    let prompt = program(&world, "fish", &["--no-config", "-c", fish]).run();
    assert!(prompt.out.ends_with("(work:1) [1] \n"), "{prompt:?}");
    let zsh = "PROMPT='%# '; source prompt.zsh; source prompt.zsh; __lyncsh_prompt; print -rP -- $PROMPT";
    let prompt = program(&world, "zsh", &["-f", "-c", zsh]).run().success_output();
    assert!(prompt.starts_with("(work:1) ") && prompt.matches("work").count() == 1, "{prompt}");
    // Without lyncsh, the prompts have no segment and print no errors.
    let tools = world.root().join("tools");
    std::fs::create_dir(&tools).unwrap();
    let lone_bash = "source prompt.bash; __lyncsh_prompt; printf '%s[]' \"$__lyncsh_agents\"";
    let lone_zsh = "source prompt.zsh; __lyncsh_prompt; printf '%s[]' \"$__lyncsh_agents\"";
    let lone_fish = "function fish_prompt; printf '[]'; end; source prompt.fish; fish_prompt";
    for (shell, arguments) in [
        ("bash", &["--norc", "--noprofile", "-c", lone_bash][..]),
        ("zsh", &["-f", "-c", lone_zsh]),
        ("fish", &["--no-config", "-c", lone_fish]),
    ] {
        let ran = program(&world, which(shell), arguments).env("PATH", &tools).run();
        assert_eq!((ran.out.as_str(), ran.err.as_str()), ("[]", ""), "{shell}");
    }
    let environment = [("PATH", path().into_string().unwrap())];
    let mut terminal = Terminal::open_with(&world, "bash", &["--norc", "--noprofile", "-i"], environment);
    terminal.line(&format!(
        "cd '{}'; PS1='$?> '; source prompt.bash; source prompt.bash; clear",
        world.root().display()
    ));
    terminal.ends_with("(work:1) 0> ");
    terminal.line("(exit 3)");
    terminal.ends_with("(work:1) 3> ");
    terminal.line("lyncsh stop work");
    terminal.wait_for_text("the session is removed");
    world.wait_agent_gone();
    terminal.line("(exit 4)");
    terminal.ends_with("\n4> ");
    terminal.line("exit");
    assert_eq!(terminal.wait_exit(), 4);
}

/// Creates two profiles with tags, and cached names of one endpoint.
fn profiles() -> World {
    let world = World::without_endpoint();
    std::fs::create_dir_all(world.folders.profiles()).unwrap();
    for (name, tag) in [("contoso", "customers"), ("fabrikam", "partners")] {
        let text = format!(
            "kind = \"wsman\"\nuri = \"https://h.example/wsman\"\nuser = \"a@h.example\"\ntags = [\"{tag}\"]\n"
        );
        std::fs::write(world.folders.profile(name), text).unwrap();
    }
    let cache = world.folders.cache.join("commands/contoso");
    std::fs::create_dir_all(&cache).unwrap();
    let file = "https___h.example_wsman_a_h.example_http___schemas.microsoft.com_powershell_Microsoft.PowerShell.json";
    std::fs::write(cache.join(file), r#"{"names":["Get-CsTenant","Get-CsUser","Set-CsUser"]}"#).unwrap();
    world
}

/// Command lines, and the words that complete their last word.
const LINES: [(&str, &[&str]); 17] = [
    ("lyncsh show ", &["--config-dir", "--help", "--json", "--verbose", "contoso", "fabrikam"]),
    ("lyncsh edit co", &["contoso"]),
    ("lyncsh hook install co", &["contoso"]),
    ("lyncsh hook print contoso fa", &["fabrikam"]),
    ("lyncsh stop contoso fa", &["fabrikam"]),
    ("lyncsh exec con", &["contoso"]),
    ("lyncsh exec --tag cu", &["customers"]),
    ("lyncsh exec --profiles contoso,fa", &["contoso,fabrikam"]),
    ("lyncsh exec contoso -- get-cs", &["Get-CsTenant", "Get-CsUser"]),
    ("lyncsh exec --json --parallel 2 contoso -- Set", &["Set-CsUser"]),
    ("lyncsh con", &["contoso"]),
    ("lyncsh contoso --she", &["--shell"]),
    ("lyncsh stat", &["status"]),
    ("lyncsh help e", &["edit", "exec", "exit-codes"]),
    ("lyncsh help hook p", &["print", "prompt"]),
    ("lyncsh man com", &["completions"]),
    ("lyncsh man hook ins", &["install"]),
];

/// Asserts the words of all [`LINES`], which a shell prints with a separator after each answer.
fn assert_lines(shell: &str, out: &str) {
    let answers: Vec<&str> = out.split_terminator("==\n").collect();
    assert_eq!(answers.len(), LINES.len(), "{shell}: {out}");
    for ((line, expected), out) in LINES.iter().zip(answers) {
        assert_words(shell, line, out, expected);
    }
}

/// Asserts the words; a shell may add a description and a space.
fn assert_words(shell: &str, line: &str, out: &str, expected: &[&str]) {
    let mut words: Vec<&str> = out.lines().map(|line| line.split('\t').next().unwrap().trim()).collect();
    words.sort_unstable();
    assert_eq!(words, expected, "{shell}: {line:?}");
}

#[test]
fn real_shells_complete_profiles_tags_and_cmdlets() {
    let world = profiles();
    for shell in ["bash", "zsh", "fish"] {
        let file = written(&world, &["completions", shell], &format!("words.{shell}"));
        check(&world, shell, &file);
    }
    // The words of a line are separated by one space here.
    let bash = "source words.bash; IFS=' '; COMP_WORDS=($1); [[ $1 == *' ' ]] && COMP_WORDS+=('')
        IFS=$' \\t\\n'; COMP_CWORD=$((${#COMP_WORDS[@]} - 1)); COMP_TYPE=9
        _clap_complete_lyncsh lyncsh \"${COMP_WORDS[COMP_CWORD]}\" ''; printf '%s\\n' \"${COMPREPLY[@]}\"";
    for (line, expected) in LINES {
        let out = program(&world, "bash", &["--norc", "--noprofile", "-c", bash, "bash", line])
            .run()
            .success_output();
        assert_words("bash", line, &out, expected);
    }
    let ask = |line: &str| format!("complete -C '{line}'; echo ==; ");
    let fish: String = LINES.iter().map(|(line, _)| ask(line)).collect();
    let out = program(&world, "fish", &["--no-config", "-c", &format!("source words.fish; {fish}")])
        .run()
        .success_output();
    assert_lines("fish", &out);
    // zsh completes only in its line editor: a function in place of `_describe` prints the words, without their
    // descriptions.
    let zsh = r#"compdef() { : }; _describe() { shift 2; print -rl -- "${(@)${(@P)1}%%:*}" }; source words.zsh
        for line in "$@"; do words=("${(@s: :)line}"); CURRENT=$#words; _clap_dynamic_completer_lyncsh; print '=='; done"#;
    let lines = LINES.map(|(line, _)| line);
    let out = program(&world, "zsh", &["-f", "-c", zsh, "zsh"]).args(lines).run().success_output();
    assert_lines("zsh", &out);
    // The name of a new profile is not completed.
    let out = program(&world, "bash", &["--norc", "-c", bash, "bash", "lyncsh add c"]).run().success_output();
    assert_words("bash", "lyncsh add c", &out, &[""]);
}

#[test]
fn real_powershell_completes_profiles_tags_and_cmdlets() {
    let Some(pwsh) = crate::front::powershell() else { return };
    let world = profiles();
    let ask = |line: &str| {
        format!("(TabExpansion2 '{line}' {}).CompletionMatches.CompletionText; '=='; ", line.len())
    };
    let asked: String = LINES.iter().map(|(line, _)| ask(line)).collect();
    let script = format!("lyncsh completions powershell | Out-String | Invoke-Expression; {asked}");
    let out =
        program(&world, pwsh, &["-NoProfile", "-NonInteractive", "-Command", &script]).run().success_output();
    assert_lines("pwsh", &out);
}

#[test]
fn names_with_spaces_are_completed_at_a_terminal() {
    let world = profiles();
    for name in ["my other", "my profile"] {
        std::fs::copy(world.folders.profile("contoso"), world.folders.profile(name)).unwrap();
    }
    let bash = ("bash", &["--norc", "--noprofile", "-i"][..], "");
    let zsh = ("zsh", &["-f", "-i"][..], "autoload -Uz compinit; compinit -u;");
    for (shell, arguments, prepared) in [bash, zsh] {
        let file = written(&world, &["completions", shell], &format!("words.{shell}"));
        let home = world.root().to_str().unwrap().to_owned();
        let environment = [("PATH", path().into_string().unwrap()), ("HOME", home)];
        let mut terminal = Terminal::open_with(&world, shell, arguments, environment);
        terminal.line(&format!("PS1='ready> '; {prepared} source '{file}'; clear"));
        terminal.ends_with("ready>");
        // Ctrl-U clears the line.
        for (keys, expected) in [
            ("lyncsh cont\t", "lyncsh contoso"),
            ("\u{15}lyncsh hook install fab\t", "lyncsh hook install fabrikam"),
            ("\u{15}lyncsh my\t", "lyncsh my\\ "),
            ("p\t", "lyncsh my\\ profile"),
            ("--she\t", "lyncsh my\\ profile --shell"),
            ("\u{15}lyncsh show \"my o\t", "lyncsh show \"my other\""),
            ("\u{15}lyncsh exec --tag cu\t", "lyncsh exec --tag customers"),
            ("\u{15}lyncsh exec --profiles contoso,fa\t", "lyncsh exec --profiles contoso,fabrikam"),
            ("\u{15}lyncsh exec contoso -- set\t", "lyncsh exec contoso -- Set-CsUser"),
        ] {
            terminal.press(keys);
            terminal.ends_with(expected);
        }
        // Words with different beginnings: the first Tab inserts nothing.
        terminal.press("\u{15}lyncsh help \texi\t");
        terminal.wait_for_text("lyncsh help exit-codes");
        terminal.press("\u{15}exit\r");
        assert_eq!(terminal.wait_exit(), 0, "{shell}");
    }
}

#[test]
fn the_manual_pages_are_read_without_warnings() {
    use clap::CommandFactory as _;
    let world = World::without_endpoint();
    let folder = world.root().join("man");
    world.program(&["man", "--output", folder.to_str().unwrap()]).run().success_output();
    let mut files: Vec<_> = std::fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    assert!(files.iter().any(|file| file.ends_with("lyncsh-hook-install.1")), "{files:?}");
    let files: Vec<&str> = files.iter().map(|file| file.to_str().unwrap()).collect();
    let man = Program::new("man")
        .args(["--warnings", "-E", "UTF-8", "-Tutf8", "-l"])
        .args(&files)
        .env("LC_ALL", "C.UTF-8")
        // Bold and underlined text is not written with backspaces.
        .env("MANROFFOPT", "-P-b -P-u -P-o")
        .env("MANWIDTH", "100");
    let ran = man.run();
    assert_eq!((ran.code, ran.err.as_str()), (Some(0), ""));
    let text = ran.out;
    let mut command = lyncsh::cli::Cli::command();
    command.build();
    let mut pages = 0;
    each(&command, &mut |command| {
        pages += 1;
        let name = command.get_display_name().unwrap_or("lyncsh");
        let head = format!("{name}(1)");
        let page: String = text
            .lines()
            .skip_while(|line| !(line.starts_with(&head) && line.ends_with(&head)))
            .skip(1)
            .take_while(|line| !line.ends_with(&head))
            .map(str::trim)
            .collect();
        for option in command.get_opts().filter(|option| !option.is_hide_set()) {
            let long = format!("--{}", option.get_long().unwrap());
            assert!(page.contains(&long), "{name}: {long}\n{page}");
        }
    });
    assert_eq!(pages, files.len());
    assert!(text.contains("--shell"), "the options of `lyncsh NAME`");
    let one = world.program(&["man", "exec"]).run().success_output();
    assert_eq!(one, std::fs::read_to_string(Path::new(&folder).join("lyncsh-exec.1")).unwrap());
    let (code, _, error) = world.run(&["man", "nothing"]);
    assert!(code == 2 && error.contains("there is no command 'nothing'"), "{error}");
}

/// Calls `then` with each command that is not hidden.
fn each(command: &clap::Command, then: &mut impl FnMut(&clap::Command)) {
    then(command);
    command
        .get_subcommands()
        .filter(|command| !command.is_hide_set())
        .for_each(|command| each(command, then));
}

#[test]
fn help_has_commands_and_topics() {
    let world = World::without_endpoint();
    let help = |words: &[&str]| world.program(&[&["help"], words].concat()).run().success_output();
    assert_eq!(help(&["show"]), world.program(&["show", "--help"]).run().success_output());
    assert_eq!(
        help(&["hook", "install"]),
        world.program(&["hook", "install", "--help"]).run().success_output()
    );
    assert!(help(&[]).contains("lyncsh help profile|console"));
    let exec = help(&["exec"]);
    assert!(exec.contains("--parallel") && exec.contains("\nONE COMMAND\n"), "{exec}");
    assert!(help(&["exit-codes"]).contains("  141   the program that read the output has ended\n"));
    assert!(help(&["authentication"]).contains("kerberos"));
    let (code, _, error) = world.run(&["help", "profil"]);
    assert!(code == 2 && error.contains("did you mean `lyncsh help profile`?"), "{error}");
}
