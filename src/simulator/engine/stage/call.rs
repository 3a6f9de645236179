//! Actions of a running command: output, other streams, prompts.

use std::sync::Arc;

use super::super::fault::Fault;
use super::super::output::PipelineOutput;
use super::super::state::Tenant;
use super::super::value::{extended, properties, text};
use super::{Call, StopReason, array_list};
use crate::psrp::clixml::Value;
use crate::psrp::host::HostMethod;
use crate::psrp::message::MessageType;
use crate::psrp::record::{ErrorRecord, InformationRecord, ProgressRecord};

impl Call<'_> {
    /// Outputs an object to the next command or the client.
    pub async fn output(&mut self, value: Value) -> Result<(), StopReason> {
        let next = self.index + 1;
        if next < self.engine.stages.len() {
            self.engine.feed(next, Some(value)).await
        } else {
            self.engine.send(PipelineOutput::Output(value)).await
        }
    }

    fn preference(&self, parameter: &str) -> String {
        self.bound.text(parameter).unwrap_or_else(|| "Continue".into())
    }

    /// Reports a non-terminating error of this command, subject to `-ErrorAction`.
    pub async fn error(&mut self, fault: Fault) -> Result<(), StopReason> {
        let fault = fault.of_command(&self.spec.name, &self.spec.error_source());
        self.write(fault).await
    }

    /// Reports an error that already names its command.
    pub async fn write(&mut self, fault: Fault) -> Result<(), StopReason> {
        match self.preference("ErrorAction").as_str() {
            "SilentlyContinue" | "Ignore" => Ok(()),
            "Stop" => Err(fault.preference_stop().into()),
            _ if self.merged => self.output_error(fault.record()).await,
            _ => self.engine.send(PipelineOutput::Error(Box::new(fault.record()))).await,
        }
    }

    /// Outputs an error merged into the output, marked so that Out-Default draws it as an error.
    async fn output_error(&mut self, record: ErrorRecord) -> Result<(), StopReason> {
        let Value::Object(object) = &record.value else { return Ok(()) };
        let mut object = object.as_ref().clone();
        if self.index + 1 < self.engine.stages.len() {
            object.extended.push(("writeErrorStream".into(), Value::Bool(true)));
        }
        self.output(Value::Object(Arc::new(object))).await
    }

    async fn record(&self, kind: MessageType, method: HostMethod, message: &str) -> Result<(), StopReason> {
        self.engine.send(PipelineOutput::Text(kind, message.to_owned())).await?;
        self.engine.notify_host(method, vec![text(message)]).await
    }

    pub async fn warning(&self, message: &str) -> Result<(), StopReason> {
        match self.preference("WarningAction").as_str() {
            "SilentlyContinue" | "Ignore" => Ok(()),
            _ => self.record(MessageType::WarningRecord, HostMethod::WriteWarningLine, message).await,
        }
    }

    /// Writes a verbose message if -Verbose is set.
    async fn verbose(&self, message: &str) -> Result<(), StopReason> {
        if self.bound.flag("Verbose") { self.verbose_always(message).await } else { Ok(()) }
    }

    /// Writes a verbose message regardless of -Verbose, as `Write-Verbose -Verbose` in a function does.
    pub async fn verbose_always(&self, message: &str) -> Result<(), StopReason> {
        self.record(MessageType::VerboseRecord, HostMethod::WriteVerboseLine, message).await
    }

    /// Writes a debug message regardless of -Debug.
    pub async fn debug_always(&self, message: &str) -> Result<(), StopReason> {
        self.record(MessageType::DebugRecord, HostMethod::WriteDebugLine, message).await
    }

    /// Writes an information record; the host shows it with `-InformationAction Continue`.
    pub async fn information(&self, record: InformationRecord) -> Result<(), StopReason> {
        let line = record.message.display_text();
        let shown = self.bound.text("InformationAction").is_some_and(|action| action == "Continue");
        self.engine.send(PipelineOutput::Information(record)).await?;
        if shown { self.engine.write_line(&line).await } else { Ok(()) }
    }

    /// Acts as Write-Host: sends a record, and a coloured line to the host.
    pub async fn write_host(
        &self,
        record: InformationRecord,
        foreground: i32,
        line: &str,
    ) -> Result<(), StopReason> {
        self.engine.send(PipelineOutput::Information(record)).await?;
        let parameters = vec![Value::I32(foreground), Value::I32(-1), text(line)];
        self.engine.notify_host(HostMethod::WriteLine3, parameters).await
    }

    /// Sends progress twice: as a record and as a host call (MS-PSRP 2.2.3.17).
    pub async fn progress(&self, source: i64, record: ProgressRecord) -> Result<(), StopReason> {
        if self.preference("ProgressAction") == "SilentlyContinue" {
            return Ok(());
        }
        let shown = progress_value(&record);
        self.engine.send(PipelineOutput::Progress(record)).await?;
        self.engine.notify_host(HostMethod::WriteProgress, vec![Value::I64(source), shown]).await
    }

    /// Implements ShouldProcess: returns whether to proceed, subject to -WhatIf and -Confirm.
    pub async fn should_process(&mut self, target: &str) -> Result<bool, StopReason> {
        let deed = format!("Performing the operation \"{}\" on target \"{target}\".", self.spec.name);
        if self.bound.flag("WhatIf") {
            self.engine.write_line(&format!("What if: {deed}")).await?;
            return Ok(false);
        }
        self.verbose(&deed).await?;
        if !self.bound.flag("Confirm") {
            return Ok(true);
        }
        if let Some(answered) = self.memory.answered {
            return Ok(answered);
        }
        let question = format!("Are you sure you want to perform this action?\n{deed}");
        if self.engine.host.is_null {
            let fault = Fault::no_host(Some(&question));
            return Err(fault.of_command(&self.spec.name, &self.spec.error_source()).into());
        }
        let asked = vec![text("Confirm"), text(&question), array_list(confirm_choices()), Value::I32(0)];
        let answer = self.engine.ask(HostMethod::PromptForChoice, asked).await?;
        if let Ok(Some(Value::I32(choice))) = answer {
            if choice == 1 || choice == 3 {
                self.memory.answered = Some(choice == 1);
            }
            Ok(choice < 2)
        } else {
            let fault = Fault::no_host(Some(&question));
            Err(fault.of_command(&self.spec.name, &self.spec.error_source()).into())
        }
    }

    /// Reads or changes the tenant of the signed-in user.
    pub fn tenant<T>(&self, act: impl FnOnce(&mut Tenant) -> T) -> T {
        self.engine.world.with_tenants(|tenants| act(tenants.of(&self.engine.user)))
    }
}

fn confirm_choices() -> Vec<Value> {
    [
        ("&Yes", "Continue with only the next step of the operation."),
        ("Yes to &All", "Continue with all the steps of the operation."),
        ("&No", "Skip this operation and proceed with the next operation."),
        ("No to A&ll", "Skip this operation and all subsequent operations."),
    ]
    .into_iter()
    .map(|(label, help)| extended(&[], properties([("label", text(label)), ("helpMessage", text(help))])))
    .collect()
}

fn progress_value(record: &ProgressRecord) -> Value {
    let (name, number) = if record.completed { ("Completed", 1) } else { ("Processing", 0) };
    extended(
        &[],
        properties([
            ("Activity", text(&record.activity)),
            ("ActivityId", Value::I32(record.activity_id)),
            ("StatusDescription", text(&record.status)),
            ("CurrentOperation", record.current_operation.as_ref().map_or(Value::Null, text)),
            ("ParentActivityId", Value::I32(record.parent_id)),
            ("PercentComplete", Value::I32(record.percent)),
            ("Type", Value::enumeration("System.Management.Automation.ProgressRecordType", name, number)),
            ("SecondsRemaining", Value::I32(record.seconds_remaining)),
        ]),
    )
}
