//! Interactive PowerShell in a terminal: prompts, questions, Ctrl-C, and the prompt's prefix. Tests never
//! wait for text that they have typed.

use crate::program::{PATIENCE, signal};
use crate::terminal::Terminal;
use crate::world::{REMOVAL_TIMEOUT, World};

/// The prompt of a PowerShell in the root folder, with and without the prefix.
const OURS: &str = "[work] PS />";
const PLAIN: &str = "PS />";

/// Opens the shell of `work` and waits for its prompt.
fn work(world: &World) -> Terminal {
    let terminal = Terminal::open(world, "work");
    terminal.prompts(OURS, ">");
    terminal
}

#[test]
fn cmdlets_are_available_at_the_first_prompt() {
    let Some(world) = World::start("") else { return };
    let mut terminal = work(&world);
    terminal.line("'<' + (Get-CsOnlineUser -Identity kenmyer).SipAddress + '>'");
    terminal.sees_line("<sip:kenmyer@litwareinc.com>");
    terminal.prompts(OURS, ">");
    assert_eq!(world.front.server.shells().len(), 1);
    terminal.line("exit 3");
    assert_eq!(terminal.wait_exit(), 3, "{}", terminal.text());
    world.wait_removed();
}

#[test]
fn a_command_after_two_dashes_returns_its_exit_code() {
    let Some(world) = World::start("") else { return };
    let command = "'<' + (Get-CsTenant).DisplayName + '>'; exit 7";
    let mut terminal = Terminal::run(&world, &["work", "--", "-NoProfile", "-Command", command]);
    assert_eq!(terminal.wait_exit(), 7, "{}", terminal.text());
    terminal.sees_line("<Litware>");
    world.wait_removed();
}

#[test]
fn removing_the_session_resets_the_prompt() {
    let Some(world) = World::start("") else { return };
    let terminal = work(&world);
    terminal.line("Remove-PSSession $session");
    plain(&terminal);
    terminal.line("Get-CsTenant");
    terminal.wait_for_text(
        "is not recognized as a name of a cmdlet, function, script file, or executable program",
    );
    terminal.prompts(PLAIN, ">");
    world.wait_removed();
}

/// Waits for the prompt without prefix. Each line redraws the prompt, and the event that resets the prompt may
/// arrive one line late.
fn plain(terminal: &Terminal) {
    let since = std::time::Instant::now();
    // Prints lines instead of Clear-Host, which needs a program that may be missing.
    for drawn in 101.. {
        terminal.line(&format!("'drawn ' + ({drawn} + 100)"));
        terminal.wait_for_text(&format!("drawn {}", drawn + 100));
        terminal.wait_until("a prompt", |text| text.trim_end().ends_with(PLAIN));
        let text = terminal.text();
        if text.trim_end().lines().last().is_some_and(|last| last.starts_with(PLAIN)) {
            return;
        }
        assert!(since.elapsed() < PATIENCE, "the prefix stays:\n{text}");
    }
}

#[test]
fn a_killed_agent_is_reported_and_resets_the_prompt() {
    let Some(world) = World::start("") else { return };
    let terminal = work(&world);
    let agent = world.agent("work").unwrap();
    signal(agent, rustix::process::Signal::KILL);
    terminal.wait_for_text("the session of 'work' is gone");
    plain(&terminal);
    world.wait_removed();
}

#[test]
fn cmdlet_prompts_are_shown_and_answered() {
    let Some(world) = World::start("") else { return };
    let terminal = work(&world);
    terminal.line("$told = Read-CsInput; \"<$($told.Name)|$($told.PinLength)|$($told.Choice)|$($told.User)|$($told.Age)>\"");
    terminal.wait_for_text("Your name:");
    terminal.line("Özgür");
    terminal.wait_for_text("Pin:");
    terminal.line("s3cret");
    terminal.wait_for_text("Which one?");
    terminal.wait_for_text("[R] Red");
    terminal.line("r");
    terminal.wait_for_text("Who are you?");
    terminal.wait_for_text("Password for user");
    terminal.line("P4ss");
    terminal.wait_for_text("Age:");
    terminal.line("41");
    // The credential's name may have its domain before it.
    terminal.wait_until("the answers", |text| {
        text.lines().any(|line| {
            let line = line.trim_end();
            line.starts_with("<Özgür|6|0|") && line.ends_with("|41>") && line.contains("ken")
        })
    });
    let text = terminal.text();
    assert!(!text.contains("s3cret") && !text.contains("P4ss"), "nothing secret is shown:\n{text}");
    terminal.prompts(OURS, ">");
}

#[test]
fn confirm_follows_the_answer() {
    let Some(world) = World::start("") else { return };
    let terminal = work(&world);
    let ask = "@(Set-CsUser kenmyer -EnterpriseVoiceEnabled $true -PassThru -Confirm).Count.ToString('<0>')";
    for (asked, (answer, count)) in [("n", "<0>"), ("y", "<1>")].into_iter().enumerate() {
        terminal.line(ask);
        // Wait for the question: the line editor reads ahead and would keep the answer for the next line.
        terminal.wait_until("the question", |text| text.matches("[Y] Yes").count() == asked + 1);
        terminal.line(answer);
        terminal.sees_line(count);
        terminal.prompts(OURS, ">");
    }
}

#[test]
fn a_user_enters_and_exits_the_session() {
    let Some(world) = World::start("") else { return };
    let terminal = work(&world);
    terminal.line("Enter-PSSession $session");
    // Over a pipe, PowerShell adds no computer name to the endpoint's prompt.
    terminal.prompts("[work]: PS>", "");
    terminal.line("Get-CsOnlineUser -Identity pilarackerman");
    terminal.wait_for_text("Pilar Ackerman");
    terminal.prompts("[work]: PS>", "");
    terminal.line("exit");
    terminal.prompts(OURS, ">");
    terminal.line("'<' + (Get-CsTenant).DisplayName + '>'");
    terminal.sees_line("<Litware>");
    assert_eq!(world.front.server.shells().len(), 1);
}

#[test]
fn ctrl_c_stops_only_the_cmdlet() {
    let Some(world) = World::start("") else { return };
    let terminal = work(&world);
    terminal.line("Wait-Cs -Seconds 600");
    terminal.sees_line("3");
    terminal.press("\x03");
    terminal.prompts(OURS, ">");
    terminal.line("'<' + (Get-CsTenant).DisplayName + '>'");
    terminal.sees_line("<Litware>");
    terminal.prompts(OURS, ">");
    assert_eq!(world.front.server.shells().len(), 1, "the session stays");
}

#[test]
fn constrained_language_is_reported() {
    let Some(world) = World::start("") else { return };
    let folder = world.temp.path().join("XDG_CONFIG_HOME/powershell");
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::write(folder.join("profile.ps1"), "$WarningPreference = 'SilentlyContinue'; $ExecutionContext.SessionState.LanguageMode = 'ConstrainedLanguage'\n").unwrap();
    let mut terminal = Terminal::run(&world, &["work"]);
    terminal
        .wait_for_text("this PowerShell runs in ConstrainedLanguage mode, in which no session can be opened");
    terminal.prompts(PLAIN, ">");
    terminal.line("exit");
    terminal.wait_exit();
    world.wait_removed();
    // A noninteractive shell fails: no session can be opened, so the command does not run.
    let mut terminal = Terminal::run(&world, &["work", "--", "-Command", "'<' + 1 + '>'"]);
    assert_eq!(terminal.wait_exit(), 1, "{}", terminal.text());
    assert!(!terminal.text().contains("<1>"), "{}", terminal.text());
    world.wait_removed();
}

#[test]
fn several_connections_share_one_prompt() {
    let Some(world) = World::start("") else { return };
    world.profile("other", "session = \"second\"\nprefix = \"Ot\"");
    let both = format!("connections = [\"work\", \"other\"]\nshell = '{}'\n", world.pwsh.display());
    std::fs::write(world.folders.profile("both"), both).unwrap();
    let mut terminal = Terminal::open(&world, "both");
    terminal.prompts("[both] PS />", ">");
    terminal.line("'<' + (Get-CsTenant).DisplayName + (Get-OtCsTenant).DisplayName + '>'");
    terminal.sees_line("<LitwareLitware>");
    assert_eq!(world.front.server.shells().len(), 2);
    terminal.line("Remove-PSSession $session; Start-Sleep -Seconds 1");
    terminal.prompts("[both] PS />", ">");
    terminal.line("'<' + (Get-OtCsOnlineUser kenmyer).SipAddress + '>'");
    terminal.sees_line("<sip:kenmyer@litwareinc.com>");
    terminal.line("exit");
    assert_eq!(terminal.wait_exit(), 0, "{}", terminal.text());
    world.wait_removed();
}

#[test]
fn the_prompt_shows_special_characters_in_a_name() {
    let Some(world) = World::start("") else { return };
    let name = "Jürgen’s [b]";
    world.profile(name, "");
    let terminal = Terminal::open(&world, name);
    terminal.prompts(&format!("[{name}] PS />"), ">");
    terminal.line("'<' + (Get-CsTenant).DisplayName + '>'");
    terminal.sees_line("<Litware>");
}

#[test]
fn a_failed_connection_ends_the_shell_before_its_prompt() {
    let Some(world) = World::start("") else { return };
    world.profile("wrong", "");
    let path = world.folders.profile("wrong");
    let text = std::fs::read_to_string(&path).unwrap();
    std::fs::write(&path, text.replace("echo '", "echo 'not ")).unwrap();
    let mut terminal = Terminal::open(&world, "wrong");
    assert_ne!(terminal.wait_exit(), 0, "{}", terminal.text());
    assert!(!terminal.text().contains("PS />"), "{}", terminal.text());
    assert!(world.front.server.shells().is_empty());
}

#[test]
fn a_hang_up_leaves_no_session() {
    let Some(world) = World::start("") else { return };
    let terminal = work(&world);
    assert_eq!(world.front.server.shells().len(), 1);
    drop(terminal);
    world.wait_removed();
    world.wait(REMOVAL_TIMEOUT, "the agent ends", || world.agent("work").is_none());
}
