//! In one PowerShell with two profiles: the commands belong to the live session, or are gone.

use crate::world::{World, lyncsh};

#[test]
fn the_end_of_one_profiles_session_leaves_the_others_commands() {
    let Some(world) = World::start("") else { return };
    world.profile("other", "session = \"second\"\nprefix = \"Ot\"");
    let body = format!(
        r#"{}
{}
$work = $lyncsh | Where-Object Profile -eq 'work'
Stop-Process -Id $work.Agent -Force
while (Get-Command -Name Get-CsTenant -ErrorAction Ignore) {{ Start-Sleep -Milliseconds 50 }}
(Get-OtCsTenant).DisplayName
"$($lyncsh.Profile) $(@(Get-PSSession).Count)"
Invoke-Expression ((& '{}' attach work) -join "`n")
(Get-CsTenant).DisplayName
(Get-OtCsTenant).DisplayName
"$(@($lyncsh.Profile) -join ' ') $(@(Get-PSSession).Count)""#,
        world.import("work"),
        world.import("other"),
        lyncsh().display()
    );
    let output = world.output(&body);
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    let lines: Vec<_> = out.lines().filter(|line| !line.starts_with("WARNING: ")).collect();
    assert_eq!(lines, ["Litware", "other 1", "Litware", "Litware", "other work 2"], "{out}\n{err}");
    world.wait_removed();
}
