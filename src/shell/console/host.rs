//! Host calls of the endpoint, handled as PowerShell's console host does.

use secrecy::SecretString;

use super::terminal::{Answer, Terminal, Tone};
use crate::psrp::clixml::{Secure, Value};
use crate::psrp::host::{HostCall, HostException, HostMethod, HostResponse};
use crate::psrp::record::ProgressRecord;

const NO_TERMINAL: &str = "Cannot answer the command's prompt: no terminal. Pass the value as a parameter \
    (-Confirm:$false for a confirmation), or run the line in a terminal.";

/// Outcome of a host call.
#[derive(Debug)]
pub enum Handled {
    /// No response is sent.
    Done,
    Respond(HostResponse),
    /// Ctrl-C at a prompt: stop the pipeline.
    Interrupted,
    /// The endpoint ends the console: `exit 3`, Exit-PSSession.
    Exit(i32),
}

/// Reason why a prompt has no answer.
enum PromptError {
    Interrupted,
    End,
}

/// Error of a host call, from which the endpoint makes an ErrorRecord.
#[derive(Debug, thiserror::Error)]
enum HostError {
    /// The console does not implement this method.
    #[error("This host does not implement {0:?}.")]
    NotOffered(HostMethod),
    /// The call needs an answer from the user ([`NO_TERMINAL`] is the help).
    #[error("the host has no terminal")]
    NoTerminal,
    /// Standard input ended at a question.
    #[error("A command that prompts the user failed because there is no more input to answer it with.")]
    NoInput,
}

/// Error of parsing the value of a typed field, which is then asked again.
#[derive(Debug, thiserror::Error)]
#[error("Cannot recognize \"{text}\" as a {kind} due to a format error.")]
struct FormatError {
    text: String,
    kind: String,
}

type PromptResult<T> = Result<T, PromptError>;

/// Handles one host call.
pub async fn handle(terminal: &Terminal, call: &HostCall) -> Handled {
    let parameters = Parameters(&call.parameters);
    match call.method {
        HostMethod::SetShouldExit => return Handled::Exit(parameters.number(0).unwrap_or(0)),
        HostMethod::PopRunspace => return Handled::Exit(0),
        HostMethod::WriteProgress => {
            if let Some(record) = call.parameters.get(1).map(ProgressRecord::read) {
                terminal.progress.take(&record);
            }
            return Handled::Done;
        }
        method if write(terminal, method, &parameters) => return Handled::Done,
        _ => {}
    }
    if !terminal.interactive && asks(call.method) {
        // The endpoint writes its own error text, so the help is shown here.
        terminal.toned(Tone::Error, NO_TERMINAL);
        return respond(call, Err(HostError::NoTerminal));
    }
    let answer = match call.method {
        HostMethod::ReadLine => ask_line(terminal, "").await.map(Value::String),
        HostMethod::ReadLineAsSecureString => ask_secret(terminal, "").await,
        HostMethod::Prompt => prompt(terminal, &parameters).await,
        HostMethod::PromptForCredential1 | HostMethod::PromptForCredential2 => {
            credential(terminal, &parameters).await
        }
        HostMethod::PromptForChoice => choice(terminal, &parameters).await,
        HostMethod::PromptForChoiceMultipleSelection => choices(terminal, &parameters).await,
        other => {
            return respond(call, known(other).ok_or(HostError::NotOffered(other)));
        }
    };
    match answer {
        Ok(value) => respond(call, Ok(value)),
        Err(PromptError::Interrupted) => Handled::Interrupted,
        Err(PromptError::End) => respond(call, Err(HostError::NoInput)),
    }
}

/// Returns whether the user has to answer.
fn asks(method: HostMethod) -> bool {
    matches!(
        method,
        HostMethod::ReadLine
            | HostMethod::ReadLineAsSecureString
            | HostMethod::Prompt
            | HostMethod::PromptForCredential1
            | HostMethod::PromptForCredential2
            | HostMethod::PromptForChoice
            | HostMethod::PromptForChoiceMultipleSelection
    )
}

fn respond(call: &HostCall, result: Result<Value, HostError>) -> Handled {
    if !call.wants_answer() {
        return Handled::Done;
    }
    let result = result.map(Some).map_err(|error| HostException(error.to_string()));
    Handled::Respond(HostResponse { call_id: call.call_id, method: call.method, result })
}

/// Returns a property of the host. The endpoint answers sizes and colours from the host data.
fn known(method: HostMethod) -> Option<Value> {
    match method {
        HostMethod::GetName => Some(Value::String("lyncsh".into())),
        HostMethod::GetVersion => Some(Value::Version(env!("CARGO_PKG_VERSION").into())),
        HostMethod::GetKeyAvailable | HostMethod::GetIsRunspacePushed => Some(Value::Bool(false)),
        _ => None,
    }
}

/// Handles the calls that only write; returns `false` for all others.
fn write(terminal: &Terminal, method: HostMethod, parameters: &Parameters<'_>) -> bool {
    match method {
        HostMethod::Write1 => terminal.display(&parameters.text(0)),
        HostMethod::Write2 => terminal.display(&parameters.text(2)),
        HostMethod::WriteLine1 => terminal.line(""),
        HostMethod::WriteLine2 => terminal.display(&format!("{}\n", parameters.text(0))),
        HostMethod::WriteLine3 => terminal.display(&format!("{}\n", parameters.text(2))),
        HostMethod::WriteErrorLine => terminal.toned(Tone::Error, &parameters.text(0)),
        HostMethod::WriteDebugLine => terminal.toned(Tone::Debug, &format!("DEBUG: {}", parameters.text(0))),
        HostMethod::WriteVerboseLine => {
            terminal.toned(Tone::Verbose, &format!("VERBOSE: {}", parameters.text(0)));
        }
        HostMethod::WriteWarningLine => {
            terminal.toned(Tone::Warning, &format!("WARNING: {}", parameters.text(0)));
        }
        // Window functions that this host ignores.
        HostMethod::EnterNestedPrompt
        | HostMethod::ExitNestedPrompt
        | HostMethod::NotifyBeginApplication
        | HostMethod::NotifyEndApplication
        | HostMethod::SetForegroundColor
        | HostMethod::SetBackgroundColor
        | HostMethod::SetCursorPosition
        | HostMethod::SetWindowPosition
        | HostMethod::SetCursorSize
        | HostMethod::SetBufferSize
        | HostMethod::SetWindowSize
        | HostMethod::SetWindowTitle
        | HostMethod::FlushInputBuffer
        | HostMethod::SetBufferContents1
        | HostMethod::SetBufferContents2
        | HostMethod::ScrollBufferContents => {}
        _ => return false,
    }
    true
}

/// A host call's parameters by position.
struct Parameters<'a>(&'a [Value]);

impl Parameters<'_> {
    fn text(&self, index: usize) -> String {
        self.0.get(index).map(Value::display_text).unwrap_or_default()
    }

    fn number(&self, index: usize) -> Option<i32> {
        self.0.get(index).and_then(Value::as_i32)
    }

    fn items(&self, index: usize) -> &[Value] {
        self.0.get(index).and_then(Value::items).unwrap_or_default()
    }
}

async fn ask_line(terminal: &Terminal, question: &str) -> PromptResult<String> {
    match terminal.ask_line(question).await {
        Answer::Given(text) => Ok(text),
        Answer::Interrupted => Err(PromptError::Interrupted),
        Answer::End => Err(PromptError::End),
    }
}

async fn ask_secret(terminal: &Terminal, question: &str) -> PromptResult<Value> {
    secret(terminal, question).await.map(|text| Value::Secure(Secure::Plain(text)))
}

async fn secret(terminal: &Terminal, question: &str) -> PromptResult<SecretString> {
    match terminal.ask(question, true).await {
        Answer::Given(text) => Ok(text),
        Answer::Interrupted => Err(PromptError::Interrupted),
        Answer::End => Err(PromptError::End),
    }
}

/// Shows the caption and message of a prompt, if any.
fn headings(terminal: &Terminal, parameters: &Parameters<'_>) {
    terminal.fresh_line();
    for index in 0..2 {
        let text = parameters.text(index);
        if !text.is_empty() {
            terminal.toned(Tone::Plain, &text);
        }
    }
}

/// PSHostUserInterface.Prompt: one question for each field; answers in a Hashtable by field name.
async fn prompt(terminal: &Terminal, parameters: &Parameters<'_>) -> PromptResult<Value> {
    headings(terminal, parameters);
    let mut answers = Vec::new();
    for field in parameters.items(2) {
        let part = |name| field.property(name).map(Value::display_text).unwrap_or_default();
        let (name, label) = (part("name"), part("label"));
        let shown = if label.is_empty() { name.clone() } else { label.replace('&', "") };
        let answer = ask_field(terminal, &shown, &part("parameterTypeFullName")).await?;
        answers.push((Value::String(name), answer));
    }
    Ok(Value::dictionary(answers))
}

async fn ask_field(terminal: &Terminal, label: &str, kind: &str) -> PromptResult<Value> {
    if let Some(element) = kind.strip_suffix("[]") {
        let mut values = Vec::new();
        loop {
            let text = ask_line(terminal, &format!("{label}[{}]: ", values.len())).await?;
            if text.is_empty() {
                return Ok(Value::array(values));
            }
            match typed(element, &text) {
                Ok(value) => values.push(value),
                Err(wrong) => terminal.toned(Tone::Error, &wrong.to_string()),
            }
        }
    }
    match kind {
        "System.Security.SecureString" => return ask_secret(terminal, &format!("{label}: ")).await,
        "System.Management.Automation.PSCredential" => {
            let user = ask_line(terminal, "User: ").await?;
            return with_password(terminal, user).await;
        }
        _ => {}
    }
    loop {
        let text = ask_line(terminal, &format!("{label}: ")).await?;
        match typed(kind, &text) {
            Ok(value) => return Ok(value),
            Err(wrong) => terminal.toned(Tone::Error, &wrong.to_string()),
        }
    }
}

/// Parses the value of a typed field. On `Err`, the field is asked again.
fn typed(kind: &str, text: &str) -> Result<Value, FormatError> {
    let wrong = |_| FormatError { text: text.to_owned(), kind: kind.to_owned() };
    match kind {
        "System.Int32" => {
            text.trim().parse().map(Value::I32).map_err(|error| wrong(error as std::num::ParseIntError))
        }
        "System.Int64" => text.trim().parse().map(Value::I64).map_err(wrong),
        _ => Ok(Value::String(text.into())),
    }
}

async fn credential(terminal: &Terminal, parameters: &Parameters<'_>) -> PromptResult<Value> {
    terminal.fresh_line();
    let caption = parameters.text(0);
    terminal.toned(Tone::Plain, if caption.is_empty() { "PowerShell credential request" } else { &caption });
    let message = parameters.text(1);
    terminal.toned(Tone::Plain, if message.is_empty() { "Enter your credentials." } else { &message });
    let mut user = parameters.text(2);
    while user.is_empty() {
        user = ask_line(terminal, "User: ").await?;
    }
    let target = parameters.text(3);
    if !target.is_empty() && !user.contains(['\\', '@']) {
        user = format!("{target}\\{user}");
    }
    with_password(terminal, user).await
}

async fn with_password(terminal: &Terminal, user: String) -> PromptResult<Value> {
    let password = secret(terminal, &format!("Password for user {user}: ")).await?;
    Ok(crate::psrp::host::credential(&user, password))
}

/// One choice of a PromptForChoice: its hot key, its label without the ampersand, its help.
struct Choice {
    key: String,
    label: String,
    help: String,
}

impl Choice {
    fn read(value: &Value) -> Self {
        let part = |name| value.property(name).map(Value::display_text).unwrap_or_default();
        let marked = part("label");
        let key = marked.split_once('&').and_then(|(_, rest)| rest.chars().next());
        let key = key.map(|letter| letter.to_uppercase().collect()).unwrap_or_default();
        Self { key, label: marked.replace('&', ""), help: part("helpMessage") }
    }

    fn shown(&self) -> String {
        format!("[{}] {}", self.key, self.label)
    }

    fn is_meant_by(&self, text: &str) -> bool {
        (!self.key.is_empty() && text.eq_ignore_ascii_case(&self.key))
            || text.eq_ignore_ascii_case(&self.label)
    }
}

fn offer(choices: &[Choice], defaults: &[usize]) -> String {
    let shown: Vec<_> = choices.iter().map(Choice::shown).collect();
    let keys: Vec<_> =
        defaults.iter().filter_map(|index| choices.get(*index)).map(|one| one.key.as_str()).collect();
    let default = match keys.as_slice() {
        [] => String::new(),
        [one] => format!(" (default is \"{one}\")"),
        many => format!(" (default choices are {})", many.join(",")),
    };
    format!("{}  [?] Help{default}: ", shown.join("  "))
}

fn explain(terminal: &Terminal, choices: &[Choice]) {
    for one in choices {
        let key = if one.key.is_empty() { &one.label } else { &one.key };
        terminal.toned(Tone::Plain, &format!("{key} - {}", one.help));
    }
}

/// Shows the headings of a choice, and returns its choices.
fn read_choices(terminal: &Terminal, parameters: &Parameters<'_>) -> Vec<Choice> {
    terminal.discard_input();
    terminal.fresh_line();
    terminal.line("");
    headings(terminal, parameters);
    parameters.items(2).iter().map(Choice::read).collect()
}

async fn choice(terminal: &Terminal, parameters: &Parameters<'_>) -> PromptResult<Value> {
    let choices = read_choices(terminal, parameters);
    let default = parameters.number(3).and_then(|index| usize::try_from(index).ok());
    let question = offer(&choices, default.as_slice());
    loop {
        let text = ask_line(terminal, &question).await?;
        let text = text.trim();
        if text == "?" {
            explain(terminal, &choices);
            continue;
        }
        let meant = match default {
            Some(index) if text.is_empty() => Some(index),
            _ => choices.iter().position(|one| one.is_meant_by(text)),
        };
        if let Some(index) = meant.and_then(|index| i32::try_from(index).ok()) {
            return Ok(Value::I32(index));
        }
    }
}

async fn choices(terminal: &Terminal, parameters: &Parameters<'_>) -> PromptResult<Value> {
    let choices = read_choices(terminal, parameters);
    let defaults: Vec<usize> = parameters
        .items(3)
        .iter()
        .filter_map(Value::as_i32)
        .filter_map(|index| usize::try_from(index).ok())
        .collect();
    terminal.toned(Tone::Plain, &offer(&choices, &defaults));
    let mut chosen = Vec::new();
    loop {
        let text = ask_line(terminal, &format!("Choice[{}]: ", chosen.len())).await?;
        let text = text.trim();
        if text == "?" {
            explain(terminal, &choices);
        } else if text.is_empty() {
            let picked = if chosen.is_empty() { defaults } else { chosen };
            let picked = picked.into_iter().filter_map(|index| i32::try_from(index).ok());
            return Ok(Value::array(picked.map(Value::I32)));
        } else if let Some(index) = choices.iter().position(|one| one.is_meant_by(text)) {
            chosen.push(index);
        }
    }
}
