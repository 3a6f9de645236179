//! Permitted names of an endpoint's commands in PowerShell, for the manifest, the export and the import
//! (`templates/powershell/names.ps1`). `allow_clobber` does not change the list.
//!
//! The endpoint must not replace a command that PowerShell or its host calls by name: the result of
//! `PSConsoleHostReadLine` is executed, and `Read-Host` or `Get-Credential` would send the user's input.

use std::collections::HashSet;
use std::ffi::OsStr;
use std::sync::LazyLock;

/// Commands that are called by name: by the host, PSReadLine, formatting, tab completion, remoting, implicit
/// remoting, the engine and its built-in functions, types and views (every unqualified `AddCommand`, `new
/// Command` and script in the sources of PowerShell 7.6, and the functions of 5.1), at the start of a shell,
/// or by lyncsh's scripts. Names that [`is_plain`] refuses, such as `cd..` and `A:`, need no entry.
const CALLED: &[&str] = &[
    // ConsoleHost.cs, ConsoleHostUserInterface.cs, Executor.cs, CommandCompletion.cs
    "PSConsoleHostReadLine",
    "prompt",
    "TabExpansion",
    "TabExpansion2",
    "Out-Default",
    "Out-Host",
    "Out-LineOutput",
    "Out-Null",
    "Out-String",
    "Set-Location",
    // Prompts for secrets
    "Read-Host",
    "Get-Credential",
    "ConvertTo-SecureString",
    "ConvertFrom-SecureString",
    // Built-in functions, and commands that they call (InitialSessionState.cs; 5.1 has more of them)
    "Clear-Host",
    "Get-Verb",
    "ImportSystemModules",
    "PSEdit",
    "Switch-Process",
    "exec",
    "help",
    "man",
    "mkdir",
    "more",
    "less",
    "oss",
    "pause",
    // Microsoft.PowerShell.Core
    "Add-History",
    "Add-PSSnapin",
    "Clear-History",
    "Connect-PSSession",
    "Debug-Job",
    "Disable-ExperimentalFeature",
    "Disable-PSRemoting",
    "Disable-PSSessionConfiguration",
    "Disconnect-PSSession",
    "Enable-ExperimentalFeature",
    "Enable-PSRemoting",
    "Enable-PSSessionConfiguration",
    "Enter-PSHostProcess",
    "Enter-PSSession",
    "Exit-PSHostProcess",
    "Exit-PSSession",
    "Export-Console",
    "Export-ModuleMember",
    "ForEach-Object",
    "Get-Command",
    "Get-ExperimentalFeature",
    "Get-Help",
    "Get-History",
    "Get-Job",
    "Get-Module",
    "Get-PSHostProcessInfo",
    "Get-PSSession",
    "Get-PSSessionCapability",
    "Get-PSSessionConfiguration",
    "Get-PSSnapin",
    "Get-PSSubsystem",
    "Import-Module",
    "Invoke-Command",
    "Invoke-History",
    "New-Module",
    "New-ModuleManifest",
    "New-PSRoleCapabilityFile",
    "New-PSSession",
    "New-PSSessionConfigurationFile",
    "New-PSSessionOption",
    "New-PSTransportOption",
    "Receive-Job",
    "Receive-PSSession",
    "Register-ArgumentCompleter",
    "Register-PSSessionConfiguration",
    "Remove-Job",
    "Remove-Module",
    "Remove-PSSession",
    "Remove-PSSnapin",
    "Resume-Job",
    "Save-Help",
    "Set-PSDebug",
    "Set-PSSessionConfiguration",
    "Set-StrictMode",
    "Start-Job",
    "Stop-Job",
    "Suspend-Job",
    "Test-ModuleManifest",
    "Test-PSSessionConfigurationFile",
    "Unregister-PSSessionConfiguration",
    "Update-Help",
    "Wait-Job",
    "Where-Object",
    // Formatting, views and types (FormatAndOutput, TypeTable_Types_Ps1Xml.cs)
    "Add-Member",
    "Format-Custom",
    "Format-Default",
    "Format-List",
    "Format-Table",
    "Format-Wide",
    "Get-Content",
    "Get-Error",
    "Get-FormatData",
    "Get-ItemProperty",
    "Get-TypeData",
    "New-Object",
    "Select-Object",
    "Sort-Object",
    "Split-Path",
    "Update-FormatData",
    "Update-TypeData",
    // Completion, feedback, debugger, remoting and modules
    "Export-Clixml",
    "Get-Alias",
    "Get-DscResource",
    "Get-Location",
    "Get-PSBreakpoint",
    "Get-PSCallStack",
    "Get-PSDrive",
    "Get-Variable",
    "Get-WSManInstance",
    "Import-Clixml",
    "Import-LocalizedData",
    "ConvertFrom-StringData",
    "Join-Path",
    "Measure-Object",
    "New-Alias",
    "New-Variable",
    "New-WSManSessionOption",
    "Remove-PSBreakpoint",
    "Remove-Variable",
    "Resolve-Path",
    "Set-Alias",
    "Set-Item",
    "Set-PSBreakpoint",
    "Set-Variable",
    "Test-Path",
    "Wait-Debugger",
    "Write-Debug",
    "Write-Error",
    "Write-Host",
    "Write-Information",
    "Write-Output",
    "Write-Progress",
    "Write-Verbose",
    "Write-Warning",
    // The start of a shell, startup scripts and third-party prompts
    "Get-ExecutionPolicy",
    "Get-PSReadLineKeyHandler",
    "Get-PSReadLineOption",
    "Invoke-Starship-PreCommand",
    "Invoke-Starship-TransientFunction",
    "Remove-PSReadLineKeyHandler",
    "Set-ExecutionPolicy",
    "Set-PoshContext",
    "Set-PSReadLineKeyHandler",
    "Set-PSReadLineOption",
    "Start-Transcript",
    "Stop-Transcript",
    // lyncsh's own scripts, and the line `lyncsh attach NAME | Invoke-Expression`
    "ConvertFrom-Json",
    "Export-PSSession",
    "Import-PSSession",
    "Invoke-Expression",
    "Register-EngineEvent",
    "Register-ObjectEvent",
];

/// Programs that receive passwords or run other programs, reserved even if they are not on PATH.
const PROGRAMS: &[&str] = &[
    "bash",
    "cmd",
    "doas",
    "git",
    "gpg",
    "lyncsh",
    "op",
    "pass",
    "passwd",
    "powershell",
    "pwsh",
    "runas",
    "scp",
    "sftp",
    "sh",
    "ssh",
    "su",
    "sudo",
    "zsh",
];

/// Aliases of PowerShell 7 and of Windows PowerShell 5.1 on all systems (InitialSessionState.cs); other
/// aliases are looked up during the import. PowerShell resolves aliases before functions.
const ALIASES: &[&str] = &[
    "ac", "asnp", "cat", "cd", "chdir", "clc", "clear", "clhy", "cli", "clp", "cls", "clv", "cnsn",
    "compare", "copy", "cp", "cpi", "cpp", "curl", "cvpa", "dbp", "del", "diff", "dir", "dnsn", "ebp",
    "echo", "epal", "epcsv", "epsn", "erase", "etsn", "exsn", "fc", "fhx", "fl", "foreach", "ft", "fw",
    "gal", "gbp", "gc", "gcb", "gci", "gcm", "gcs", "gdr", "gerr", "ghy", "gi", "gin", "gjb", "gl", "gm",
    "gmo", "gp", "gps", "gpv", "group", "gsn", "gsnp", "gsv", "gtz", "gu", "gv", "gwmi", "h", "history",
    "icm", "iex", "ihy", "ii", "ipal", "ipcsv", "ipmo", "ipsn", "irm", "ise", "iwmi", "iwr", "kill", "lp",
    "ls", "man", "md", "measure", "mi", "mount", "move", "mp", "mv", "nal", "ndr", "ni", "nmo", "npssc",
    "nsn", "nv", "ogv", "oh", "popd", "ps", "pushd", "pwd", "r", "rbp", "rcjb", "rcsn", "rd", "rdr", "ren",
    "ri", "rjb", "rm", "rmdir", "rmo", "rni", "rnp", "rp", "rsn", "rsnp", "rujb", "rv", "rvpa", "rwmi",
    "sajb", "sal", "saps", "sasv", "sbp", "sc", "scb", "select", "set", "shcm", "si", "sl", "sleep", "sls",
    "sort", "sp", "spjb", "spps", "spsv", "start", "stz", "sujb", "sv", "swmi", "tee", "trcm", "type",
    "wget", "where", "wjb", "write",
];

/// Commands of every restricted endpoint, which only clients need (CommandMetadata.GetRestrictedCommands, and
/// CommandSkipListFromServer in ImplicitRemotingCommands.cs).
pub const RESTRICTED: &[&str] = &[
    "Clear-Host",
    "Exit-PSSession",
    "Get-Command",
    "Get-FormatData",
    "Get-Help",
    "Measure-Object",
    "Out-Default",
    "Select-Object",
];

/// Pattern of a plain name: words of letters, digits and `_`, joined by `-`. In other names, PowerShell
/// parses scopes, drives, modules, wildcards and paths, and other dashes look like a hyphen.
pub const PLAIN: &str = r"^\p{L}[\p{L}\p{Nd}_]*(-[\p{L}\p{Nd}_]+)*\z";

/// Returns a pattern for lines of plain names with a hyphen that are not longer than [`MAX_NAME_LENGTH`].
pub fn hyphened() -> String {
    let word = r"[\p{L}\p{Nd}_]";
    format!(r"\A(?:(?=[^\n]{{1,{MAX_NAME_LENGTH}}}\n)\p{{L}}{word}*(?:-{word}+)+\n)+\z")
}

/// Maximum length of a name in PowerShell (CommandMetadata.isSafeNameOrIdentifierRegex).
pub const MAX_NAME_LENGTH: usize = 100;

/// Part of the names of an exported module's helper functions, which a command must not replace
/// (HelperFunctionsGetImplicitRunspaceTemplate and similar templates).
pub const HELPER: &str = "PSImplicitRemoting";

/// Returns all names that an endpoint's command must not have.
pub fn reserved() -> Vec<&'static str> {
    let mut all: Vec<_> = [CALLED, PROGRAMS, ALIASES].concat();
    all.sort_unstable();
    all.dedup();
    all
}

/// Name check with the reserved names and the programs on a PATH.
pub struct NameCheck {
    reserved: HashSet<String>,
    programs: HashSet<String>,
}

impl NameCheck {
    /// Creates a check with the programs in the folders of a PATH.
    pub fn on(path: Option<&OsStr>) -> Self {
        let folders = path.map(|path| std::env::split_paths(path).collect::<Vec<_>>()).unwrap_or_default();
        let files = folders.iter().filter_map(|folder| std::fs::read_dir(folder).ok()).flatten().flatten();
        let mut programs = HashSet::new();
        for file in files {
            let name = fold(&file.file_name().to_string_lossy());
            // Scripts and Windows programs are called without their extension.
            programs.extend(name.rsplit_once('.').map(|(stem, _)| stem.to_owned()));
            programs.insert(name);
        }
        Self { reserved: reserved().into_iter().map(fold).collect(), programs }
    }

    /// Returns whether a command may have this name. `remote` is its name on the endpoint, without a prefix.
    pub fn allows(&self, remote: &str, name: &str) -> bool {
        let (remote, folded) = (fold(remote), fold(name));
        is_plain(&remote)
            && is_plain(name)
            && !remote.contains(&fold(HELPER))
            && !self.reserved.contains(&folded)
            && !self.programs.contains(&folded)
    }
}

/// Returns whether a name matches [`PLAIN`] and is not longer than [`MAX_NAME_LENGTH`].
fn is_plain(name: &str) -> bool {
    static PATTERN: LazyLock<Option<regex::Regex>> = LazyLock::new(|| regex::Regex::new(PLAIN).ok());
    name.chars().count() <= MAX_NAME_LENGTH && PATTERN.as_ref().is_some_and(|pattern| pattern.is_match(name))
}

/// Folds the case of a name. PowerShell compares with `OrdinalIgnoreCase`; this folding equates more names,
/// never fewer.
pub fn fold(name: &str) -> String {
    name.to_uppercase().to_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_names_match_the_pattern_of_the_module() {
        for (name, expected) in [
            ("Get-CsÜser_1", true),
            ("Get-Cs-User", true),
            ("Get-\u{b2}", false),
            ("Get-\u{24b6}", false),
            ("Get-\u{2167}", false),
            ("1Get-It", false),
            ("Get-", false),
            ("Get-It\n", false),
        ] {
            assert_eq!(is_plain(name), expected, "{name:?}");
        }
    }

    #[test]
    fn reserved_names_are_refused_case_insensitively() {
        let name_check = NameCheck::on(None);
        for name in
            ["PSConsoleHostReadLine", "psconsolehostreadline", "PROMPT", "Out-Default", "cd", "Ssh", "iex"]
        {
            assert!(!name_check.allows(name, name), "{name}");
        }
        for name in ["Get-CsTenant", "Get-Process", "deploy", "Grüße", "Get-Cs_User2"] {
            assert!(name_check.allows(name, name), "{name}");
        }
    }

    #[test]
    fn names_that_are_not_plain_are_refused() {
        let name_check = NameCheck::on(None);
        let long = "a".repeat(MAX_NAME_LENGTH + 1);
        for name in [
            "",
            "-",
            "Get-",
            "-Foo",
            "global:prompt",
            "function:prompt",
            "Microsoft.PowerShell.Core\\Out-Default",
            "cd..",
            "A:",
            "*",
            "p?ompt",
            "Out\u{2013}Default",
            "a b",
            "a\n",
            "a\u{0}",
            "\u{202e}a",
            "1",
            "ssh.exe",
            "x'y",
            &long,
        ] {
            assert!(!name_check.allows(name, name), "{name:?}");
        }
    }

    #[test]
    fn reserved_names_are_checked_with_the_prefix() {
        let name_check = NameCheck::on(None);
        assert!(!name_check.allows("ReadLine", "PSConsoleHostReadLine"));
        assert!(name_check.allows("Out-Default", "Out-LwDefault"));
        assert!(!name_check.allows("Get-PSImplicitRemotingSession", "Get-LwPSImplicitRemotingSession"));
    }

    #[test]
    fn a_program_on_path_keeps_its_name() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["deploy", "report.exe", "apt-get"] {
            std::fs::write(folder.path().join(name), "").unwrap();
        }
        let name_check = NameCheck::on(Some(folder.path().as_os_str()));
        for name in ["deploy", "DEPLOY", "report", "Apt-Get"] {
            assert!(!name_check.allows(name, name), "{name}");
        }
        assert!(name_check.allows("deploy2", "deploy2"));
    }
}
