//! The command of a profile whose session a PowerShell module opens: lyncsh runs the line in that PowerShell
//! without questions, and converts its objects like those of other profiles.

use std::process::Stdio;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use miette::{Context as _, IntoDiagnostic as _};
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, Command};

use crate::commands::connect::Context;
use crate::commands::session::Endings;
use crate::exit::Exit;
use crate::line;
use crate::psrp::clixml;
use crate::psrp::record::ErrorRecord;
use crate::quote::powershell::quote;
use crate::shell::console::exec::ExecOutput;

/// Start of a line with an object, and of one with an error; Base64 of CLIXML follows.
const OBJECT: &str = "lyncsh-object:";
const ERROR: &str = "lyncsh-error:";

/// A line for PowerShell.
#[derive(Clone, Debug)]
pub struct Line(String);

impl Line {
    /// Takes a whole line, or the text of a script.
    pub fn text(text: &str) -> Self {
        Self(text.to_owned())
    }

    /// Quotes words as [`line::pipeline`] reads them: each is one value, and `|` separates commands.
    pub fn words(words: &[String]) -> Self {
        let mut text = String::new();
        let mut begins = true;
        for word in words {
            if !text.is_empty() {
                text.push(' ');
            }
            if word == "|" {
                text.push('|');
            } else if begins {
                text.push_str(&format!("& {}", quote(word)));
            } else {
                text.push_str(&argument(word));
            }
            begins = word == "|";
        }
        Self(text)
    }

    /// Calls a script file.
    pub fn script(path: &str, arguments: &[String]) -> miette::Result<Self> {
        let path = std::path::absolute(path).into_diagnostic()?;
        let mut text = format!("& {}", quote(&path.display().to_string()));
        for word in arguments {
            text.push(' ');
            text.push_str(&argument(word));
        }
        Ok(Self(text))
    }
}

fn argument(word: &str) -> String {
    match line::parameter(word) {
        None => quote(word),
        Some((name, None)) => format!("-{name}"),
        Some((name, Some(value))) => match line::boolean(value) {
            Some(value) => format!("-{name}:${value}"),
            None => format!("-{name}:{}", quote(value)),
        },
    }
}

/// Runs the line, and passes its output on. Returns the exit code.
pub async fn run(
    context: &Context,
    name: &str,
    line: &Line,
    output: &dyn ExecOutput,
    mut endings: Endings,
) -> miette::Result<u8> {
    let mut command = Command::new(&context.program);
    if let Some(folder) = &context.config_dir {
        command.arg("--config-dir").arg(folder);
    }
    command.args(vec!["-v"; usize::from(context.verbosity)]);
    command.args([name, "--", "-NonInteractive", "-Command", &script(line, output.takes_objects())]);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().into_diagnostic().wrap_err("cannot start lyncsh for PowerShell")?;
    let (Some(objects), Some(messages)) = (child.stdout.take(), child.stderr.take()) else {
        return Err(miette::miette!("cannot read the output of PowerShell"));
    };
    let mut objects = BufReader::new(objects).lines();
    let mut messages = BufReader::new(messages).lines();
    let (mut has_objects, mut has_messages, mut lost) = (true, true, None);
    while has_objects || has_messages {
        tokio::select! {
            line = objects.next_line(), if has_objects => match line.into_diagnostic()? {
                Some(line) => {
                    if let Err(error) = pass(&line, output) {
                        lost = Some(error);
                        break;
                    }
                }
                None => has_objects = false,
            },
            line = messages.next_line(), if has_messages => match line.into_diagnostic()? {
                Some(line) => output.message(&line),
                None => has_messages = false,
            },
            over = endings.next(false) => {
                end(&mut child).await;
                return over.result(true);
            }
        }
    }
    if let Some(error) = lost {
        end(&mut child).await;
        if error.kind() == std::io::ErrorKind::BrokenPipe {
            return Ok(Exit::Unread.code());
        }
        return Err(miette::miette!("cannot write to standard output: {error}"));
    }
    let status = child.wait().await.into_diagnostic()?;
    Ok(status.code().and_then(|code| u8::try_from(code).ok()).unwrap_or(Exit::Failed.code()))
}

/// Passes a line of PowerShell's output on: an object, an error, or text that a command wrote to the host.
fn pass(line: &str, output: &dyn ExecOutput) -> std::io::Result<()> {
    let value = |text: &str| {
        let bytes = STANDARD.decode(text.trim()).ok()?;
        clixml::read(&String::from_utf8(bytes).ok()?).ok()
    };
    if let Some(value) = line.strip_prefix(OBJECT).and_then(value) {
        return output.object(&value);
    }
    if let Some(value) = line.strip_prefix(ERROR).and_then(value) {
        let record = ErrorRecord::read(&value);
        output.error(&line::error::render(&record), Some(&record));
        return Ok(());
    }
    output.text(&format!("{line}\n"))
}

/// Returns the script that PowerShell runs. `is_data`: objects and errors are passed on as CLIXML.
fn script(line: &Line, is_data: bool) -> String {
    let line = quote(&line.0);
    if !is_data {
        return format!(
            "$lyncshErrors = $Error.Count; \
             try {{ . ([ScriptBlock]::Create({line})) }} catch {{ Write-Error -ErrorRecord $_ }}; \
             exit [int]($Error.Count -gt $lyncshErrors)"
        );
    }
    // Short names could be those of variables in the line.
    format!(
        "$lyncshFailed = $false; \
         $lyncshWrite = {{ [Console]::Out.WriteLine($args[0] + [Convert]::ToBase64String([Text.Encoding]::UTF8.GetBytes(\
         [System.Management.Automation.PSSerializer]::Serialize($args[1])))) }}; \
         try {{ . ([ScriptBlock]::Create({line})) 2>&1 | ForEach-Object {{ \
         if ($_ -is [System.Management.Automation.ErrorRecord]) {{ $lyncshFailed = $true; & $lyncshWrite '{ERROR}' $_ }} \
         else {{ & $lyncshWrite '{OBJECT}' $_ }} }} }} \
         catch {{ $lyncshFailed = $true; & $lyncshWrite '{ERROR}' $_ }}; \
         exit [int]$lyncshFailed"
    )
}

async fn end(child: &mut Child) {
    if let Some(process) = child.id() {
        crate::platform::terminate(process);
    }
    let limit = crate::commands::session::REMOVAL_TIMEOUT;
    if tokio::time::timeout(limit, child.wait()).await.is_err() {
        let _ = child.kill().await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_quoted_for_powershell() {
        let words =
            ["Get-CsUser", "-Identity", "Ann O'Neil; $x", "-Confirm:$false", "-A:b c", "|", "select", "x,y"];
        let line = Line::words(&words.map(str::to_owned));
        let wanted = "& 'Get-CsUser' -Identity 'Ann O''Neil; $x' -Confirm:$false -A:'b c' | & 'select' 'x,y'";
        assert_eq!(line.0, wanted);
    }
}
