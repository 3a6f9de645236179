//! The command of a profile whose session a PowerShell module opens: lyncsh runs the line in that PowerShell
//! without questions, and converts its objects like those of other profiles.

use std::process::Stdio;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use miette::{Context as _, IntoDiagnostic as _};
use tokio::io::{AsyncBufReadExt as _, AsyncRead, BufReader};
use tokio::process::{Child, ChildStderr, ChildStdout, Command};

use crate::commands::connect::Context;
use crate::commands::session::StopConditions;
use crate::commands::shell::script_file;
use crate::exit::Exit;
use crate::line;
use crate::psrp::clixml;
use crate::psrp::record::ErrorRecord;
use crate::quote::powershell::quote;
use crate::shell::console::exec::ExecOutput;
use crate::shell::module;

/// Start of a line with an object, and of one with an error; Base64 of CLIXML follows.
const OBJECT: &str = "lyncsh-object:";
const ERROR: &str = "lyncsh-error:";
/// The line before the output of the command.
const OPEN: &str = "lyncsh-open";

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
    mut endings: StopConditions,
) -> miette::Result<u8> {
    // The line is passed in a file: other users can read the arguments of a process.
    let exec = module::Exec {
        line: &line.0,
        is_data: output.takes_objects(),
        open: OPEN,
        object: OBJECT,
        error: ERROR,
    };
    let script = script_file(context, &module::exec_script(&context.folders, exec)?)
        .into_diagnostic()
        .wrap_err("cannot save the command for PowerShell")?;
    let mut command = Command::new(&context.program);
    if let Some(folder) = &context.config_dir {
        command.arg("--config-dir").arg(folder);
    }
    command.args(vec!["-v"; usize::from(context.verbosity)]);
    command.args([name, "--", "-NonInteractive", "-File"]).arg(script.as_os_str());
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    // Otherwise its PowerShell would take the terminal, and Ctrl-C with it.
    #[cfg(unix)]
    command.process_group(0);
    let mut child = command.spawn().into_diagnostic().wrap_err("cannot start lyncsh for PowerShell")?;
    let (Some(objects), Some(messages)) = (child.stdout.take(), child.stderr.take()) else {
        return Err(miette::miette!("cannot read the output of PowerShell"));
    };
    let (mut objects, mut messages) = (Lines::new(objects), Lines::new(messages));
    let (mut has_objects, mut has_messages) = (true, true);
    // Messages that arrive before the first command runs: if the command never runs, they are its error.
    let (mut is_open, mut early) = (false, Vec::new());
    while has_objects || has_messages {
        tokio::select! {
            line = objects.next(), if has_objects => match line {
                Some(line) if line == OPEN => {
                    is_open = true;
                    early.drain(..).for_each(|line: String| output.message(&line));
                }
                Some(line) => {
                    if let Err(error) = pass(&line, output) {
                        end(&mut child, (objects, messages)).await;
                        if error.kind() == std::io::ErrorKind::BrokenPipe {
                            return Ok(Exit::BrokenPipe.code());
                        }
                        return Err(miette::miette!("cannot write to standard output: {error}"));
                    }
                }
                None => has_objects = false,
            },
            line = messages.next(), if has_messages => match line {
                Some(line) if is_open => output.message(&line),
                Some(line) => early.push(line),
                None => has_messages = false,
            },
            over = endings.next(false) => {
                end(&mut child, (objects, messages)).await;
                return over.result(is_open);
            }
        }
    }
    let status = child.wait().await.into_diagnostic()?;
    let code = status.code().and_then(|code| u8::try_from(code).ok()).unwrap_or(Exit::Failed.code());
    if !early.is_empty() {
        output.error(&early.join("\n"), None);
    }
    let failed = Exit::Failed.code();
    Ok(if code == failed && !is_open { Exit::NotConnected.code() } else { code })
}

/// Lines of a stream in any encoding.
struct Lines<R> {
    stream: BufReader<R>,
    /// The beginning of the next line.
    begun: Vec<u8>,
}

impl<R: AsyncRead + Unpin> Lines<R> {
    fn new(stream: R) -> Self {
        Self { stream: BufReader::new(stream), begun: Vec::new() }
    }

    /// Returns the next line, or `None` at the end. Safe to cancel.
    async fn next(&mut self) -> Option<String> {
        // A stream that cannot be read has ended.
        let _ = self.stream.read_until(b'\n', &mut self.begun).await;
        let line = std::mem::take(&mut self.begun);
        (!line.is_empty()).then(|| String::from_utf8_lossy(&line).trim_end_matches(['\r', '\n']).to_owned())
    }
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

/// Ends the program and its PowerShell. An interrupted PowerShell signs out; a terminated one does not (seen in
/// PowerShell 7.6.9).
async fn end(child: &mut Child, (mut objects, mut messages): (Lines<ChildStdout>, Lines<ChildStderr>)) {
    // A PowerShell that waits for the reader of its output cannot end.
    let read = async {
        let (mut nowhere, mut too) = (tokio::io::sink(), tokio::io::sink());
        let _ = tokio::join!(
            tokio::io::copy(&mut objects.stream, &mut nowhere),
            tokio::io::copy(&mut messages.stream, &mut too)
        );
        std::future::pending::<()>().await;
    };
    let stop = async {
        let limit = crate::commands::session::REMOVAL_TIMEOUT;
        for ask in [crate::platform::interrupt_group, crate::platform::terminate] {
            let Some(process) = child.id() else { return };
            ask(process);
            if tokio::time::timeout(limit, child.wait()).await.is_ok() {
                return;
            }
        }
    };
    tokio::select! {
        () = stop => {}
        () = read => {}
    }
    let _ = child.kill().await;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_cancelled_read_loses_nothing() {
        use tokio::io::AsyncWriteExt as _;
        let (mut there, here) = tokio::io::duplex(64);
        let mut lines = Lines::new(here);
        there.write_all(b"a\xffb").await.unwrap();
        let waiting = std::time::Duration::from_millis(20);
        assert!(tokio::time::timeout(waiting, lines.next()).await.is_err());
        there.write_all(b"c\r\n\nd").await.unwrap();
        drop(there);
        let mut read = Vec::new();
        while let Some(line) = lines.next().await {
            read.push(line);
        }
        assert_eq!(read, ["a\u{fffd}bc", "", "d"]);
    }

    #[test]
    fn words_are_quoted_for_powershell() {
        let words =
            ["Get-CsUser", "-Identity", "Ann O'Neil; $x", "-Confirm:$false", "-A:b c", "|", "select", "x,y"];
        let line = Line::words(&words.map(str::to_owned));
        let wanted = "& 'Get-CsUser' -Identity 'Ann O''Neil; $x' -Confirm:$false -A:'b c' | & 'select' 'x,y'";
        assert_eq!(line.0, wanted);
    }
}
