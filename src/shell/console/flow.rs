//! Execution of a planned pipeline: its objects, its other streams and its host calls.

use std::time::Duration;

use tokio::time::Instant;

use super::echoes::{Echoes, Line, Stream};
use super::execute::{Ended, Executor, Loss, Sink};
use super::host::{self, Handled};
use super::pager::PagerExit;
use super::terminal::Tone;
use super::trouble;
use crate::line::{self, Action, CommonParameters, LineError, NonTerminatingError, Plan, StreamTarget};
use crate::psrp::client::PipelineEvent;
use crate::psrp::clixml::Value;
use crate::psrp::host::HostMethod;
use crate::psrp::record::{ErrorRecord, PipelineState};
use crate::transport::Error;
use crate::transport::session::{InputSender, Running, Session};

/// Time for which objects are buffered to fit column widths before they are drawn on a terminal. PowerShell also
/// buffers for 300 ms (seen in PowerShell 7.6.9).
const DRAWING_DELAY: Duration = Duration::from_millis(300);

/// Lines of streams redirected to files, in order of arrival.
type Diverted = Vec<(line::File, Vec<String>)>;

impl Executor {
    pub(super) async fn carry_out(
        &mut self,
        session: Option<&Session>,
        mut plan: Plan,
        sink: &mut Sink,
    ) -> Ended {
        let mut diverted: Diverted =
            plan.streams.files().into_iter().map(|file| (file, Vec::new())).collect();
        // Reports the errors of local sources, which were read when the pipeline was planned.
        let mut ended = self.report_non_terminating(&mut plan, sink, &mut diverted);
        let mut input = std::mem::take(&mut plan.input);
        if ended == Ended::Stopped {
            input.clear();
        }
        if plan.remote.is_none() {
            for value in std::mem::take(&mut input) {
                if self.interrupts.was_pressed() {
                    return Ended::Interrupted;
                }
                match self.push(&mut plan, sink, &mut diverted, value) {
                    Ok(Ended::Succeeded) => {}
                    Ok(Ended::Silenced) if ended == Ended::Failed => {}
                    Ok(outcome) => ended = outcome,
                    Err(error) => {
                        ended = self.report_stage_failure(&mut plan, &error);
                        plan.was_ended = true;
                        break;
                    }
                }
                match self.turn_pages(sink).await {
                    None => {}
                    Some(PagerExit::Interrupted) => return Ended::Interrupted,
                    Some(_) => {
                        plan.was_ended = true;
                        break;
                    }
                }
            }
        }
        if let (Some(mut pipeline), Some(session)) = (plan.remote.take(), session) {
            pipeline.host = Some(super::host_info(&self.terminal));
            ended = match session.invoke(&pipeline).await {
                Ok(running) => {
                    let input = (!pipeline.no_input).then_some(input);
                    self.follow(running, input, &mut plan, sink, &mut diverted).await
                }
                Err(error) => {
                    self.lost(&error);
                    return Ended::Lost(Loss::NotRun);
                }
            };
            self.has_run |= ended != Ended::Lost(Loss::NotRun);
            self.terminal.progress.clear();
        }
        // Incomplete output is not passed on as if it were complete.
        if matches!(ended, Ended::Interrupted | Ended::Lost(_)) {
            return ended;
        }
        let failed = !matches!(ended, Ended::Succeeded | Ended::Exit(_));
        if failed {
            plan.local.fail();
        }
        let mut rest = Vec::new();
        let finished = if plan.was_ended || ended == Ended::Stopped {
            plan.local.close()
        } else {
            plan.local.finish(&mut rest)
        };
        match self.report_non_terminating(&mut plan, sink, &mut diverted) {
            Ended::Failed if ended == Ended::Succeeded => ended = Ended::Failed,
            _ => {}
        }
        if let Err(error) = finished {
            ended = self.report_stage_failure(&mut plan, &error);
        }
        rest.into_iter().for_each(|value| self.take(sink, value));
        if self.turn_pages(sink).await == Some(PagerExit::Interrupted) {
            return Ended::Interrupted;
        }
        for (warning, common) in plan.local.warnings() {
            if let Some(variable) = &common.warnings {
                plan.assignments.add(variable, warning.clone().into());
            }
            if common.warning_action.is_none_or(Action::shows) {
                self.terminal.toned(Tone::Warning, &format!("WARNING: {warning}"));
            }
        }
        plan.local.collect_outputs(&mut plan.assignments);
        plan.assignments.store(&mut self.variables);
        for (file, lines) in diverted {
            if failed && lines.is_empty() {
                continue;
            }
            if let Err(error) = file.write(&lines) {
                ended = self.failed(&error);
            }
        }
        ended
    }

    /// Reports an error that has ended a stage. As in PowerShell, it is shown even if errors are redirected.
    fn report_stage_failure(&self, plan: &mut Plan, error: &LineError) -> Ended {
        let common = plan.local.failure().unwrap_or_default();
        let action = assign_error_variable(plan, error, &common);
        self.failed_with(error, action)
    }

    /// Reports the objects that stages rejected, or sends their errors to the target of the error stream.
    fn report_non_terminating(&self, plan: &mut Plan, sink: &mut Sink, diverted: &mut Diverted) -> Ended {
        let mut ended = Ended::Succeeded;
        for failure in plan.local.take_non_terminating() {
            let action = assign_error_variable(plan, &failure.error, &failure.common);
            let target = plan.streams.error.clone();
            let one = if matches!(target, StreamTarget::Shown) || action != Action::Continue {
                self.failed_with(&failure.error, action)
            } else {
                let noted = self.noted(&failure.error, action);
                self.send_error_to(&target, &failure, plan, sink, diverted);
                noted
            };
            match one {
                Ended::Silenced if ended == Ended::Failed => {}
                one => ended = one,
            }
        }
        ended
    }

    fn send_error_to(
        &self,
        target: &StreamTarget,
        failure: &NonTerminatingError,
        plan: &mut Plan,
        sink: &mut Sink,
        diverted: &mut Diverted,
    ) {
        match target {
            StreamTarget::Shown | StreamTarget::Dropped => {}
            StreamTarget::File(file) => add_line(diverted, file, &failure.error.0),
            StreamTarget::Output => {
                let mut out = Vec::new();
                let pushed = plan.local.push_after(failure, trouble::record(&failure.error.0), &mut out);
                // The errors of later stages; each is passed to fewer stages.
                self.report_non_terminating(plan, sink, diverted);
                if let Err(error) = pushed {
                    self.report_stage_failure(plan, &error);
                    plan.was_ended = true;
                }
                out.into_iter().for_each(|value| self.take(sink, value));
            }
        }
    }

    /// Passes an object through the stages. Returns `Succeeded`, or the outcome of the error if a stage rejected it.
    fn push(
        &self,
        plan: &mut Plan,
        sink: &mut Sink,
        diverted: &mut Diverted,
        value: Value,
    ) -> Result<Ended, LineError> {
        let mut out = Vec::new();
        let pushed = plan.local.push(value, &mut out);
        let outcome = self.report_non_terminating(plan, sink, diverted);
        pushed?;
        out.into_iter().for_each(|value| self.take(sink, value));
        Ok(outcome)
    }

    pub(super) fn take(&self, sink: &mut Sink, value: Value) {
        match sink {
            Sink::Screen(printer) => printer.push(&value).iter().for_each(|line| self.terminal.line(line)),
            Sink::Pages(pager) => pager.take(&value),
            Sink::Data => self.terminal.object(&value),
            Sink::Kept(values) => values.push(value),
        }
    }

    /// Returns whether a sink buffers objects that the user waits for.
    fn is_holding(&self, sink: &Sink) -> bool {
        match sink {
            Sink::Screen(printer) => self.terminal.columns().is_some() && printer.is_holding(),
            Sink::Pages(pager) => self.terminal.interactive && pager.is_holding(),
            Sink::Data | Sink::Kept(_) => false,
        }
    }

    /// Draws the buffered objects of a sink.
    fn draw(&self, sink: &mut Sink) {
        match sink {
            Sink::Screen(printer) => printer.draw().iter().for_each(|line| self.terminal.line(line)),
            Sink::Pages(pager) => pager.draw(),
            Sink::Data | Sink::Kept(_) => {}
        }
    }

    /// Shows the buffered output of a sink.
    pub(super) fn flush(&self, sink: &mut Sink) {
        if let Sink::Screen(printer) = sink {
            printer.finish().iter().for_each(|line| self.terminal.line(line));
        }
    }

    /// Sends a pipeline's input, and shows its events until it ends: output that is not read would block the
    /// input. Ctrl-C stops only this pipeline. `input`: `None` if the pipeline takes none.
    async fn follow(
        &self,
        mut running: Running,
        input: Option<Vec<Value>>,
        plan: &mut Plan,
        sink: &mut Sink,
        diverted: &mut Diverted,
    ) -> Ended {
        let mut ended = Ended::Succeeded;
        let mut leave = None;
        let (mut stopping, mut interrupted, mut wrong) = (false, false, false);
        let mut is_fed = input.is_none();
        let mut feeding = std::pin::pin!(feed(running.input_sender(), input.unwrap_or_default()));
        let mut echoes = Echoes::default();
        // When the buffered objects are drawn.
        let mut drawing: Option<Instant> = None;
        loop {
            drawing = self.is_holding(sink).then(|| drawing.unwrap_or(Instant::now() + DRAWING_DELAY));
            if !running.has_event() {
                self.terminal.flush();
            }
            let event = tokio::select! {
                event = running.next() => event,
                fed = &mut feeding, if !stopping && !is_fed => {
                    is_fed = true;
                    if let Err(error) = fed {
                        self.lost(&error);
                        return Ended::Lost(Loss::MayHaveRun);
                    }
                    continue;
                }
                () = tokio::time::sleep_until(drawing.unwrap_or_else(Instant::now)), if drawing.is_some() => {
                    self.draw(sink);
                    let turned = if interrupted { None } else { self.turn_pages(sink).await };
                    if let Some(how) = turned {
                        interrupted = how == PagerExit::Interrupted;
                        (wrong, plan.was_ended, stopping) = (true, true, true);
                        let _ = running.stop().await;
                    }
                    continue;
                }
                () = self.interrupts.next(), if !stopping => {
                    (stopping, interrupted) = (true, true);
                    self.terminal.progress.clear();
                    if let Err(error) = running.stop().await {
                        self.lost(&error);
                        return Ended::Lost(Loss::MayHaveRun);
                    }
                    continue;
                }
            };
            let called = match &event {
                Some(Ok(PipelineEvent::HostCall(call))) => Line::of(call),
                _ => None,
            };
            if !called.as_ref().is_some_and(|line| echoes.waits_for(line))
                && let Some(line) = echoes.alone()
            {
                self.terminal.toned(line.stream.tone(), &line.shown());
            }
            match event {
                None => break,
                Some(Ok(PipelineEvent::HostCall(_))) if called.is_some_and(|line| !echoes.call(&line)) => {}
                Some(Err(error)) => {
                    self.lost(&error);
                    plan.was_ended = true;
                    return Ended::Lost(Loss::of(&error));
                }
                Some(Ok(PipelineEvent::HostCall(call))) => {
                    if call.method == HostMethod::WriteErrorLine {
                        ended = Ended::Failed;
                        self.troubles.written();
                    }
                    // After Ctrl-C, nothing is drawn over the next prompt.
                    if interrupted && call.method == HostMethod::WriteProgress {
                        continue;
                    }
                    match host::handle(&self.terminal, &call).await {
                        Handled::Done => {}
                        Handled::Respond(response) => {
                            let _ = running.respond(&response).await;
                        }
                        Handled::Interrupted => {
                            (stopping, interrupted) = (true, true);
                            let _ = running.stop().await;
                        }
                        Handled::Exit(code) => leave = Some(u8::try_from(code & 0xff).unwrap_or(1)),
                    }
                }
                Some(Ok(PipelineEvent::Progress(_))) if interrupted => {}
                Some(Ok(event)) if !wrong => {
                    // Only after the pipeline has ended: until then it occupies the runspace, and a pipeline that lists
                    // the names would wait.
                    if let PipelineEvent::State(_, Some(record)) = &event
                        && plan.error_action(record.command.as_deref()).shows()
                    {
                        self.learn_similar(record).await;
                    }
                    match self.shown(event, plan, sink, diverted, &mut echoes) {
                        Ok(Ended::Succeeded) => {}
                        // Ignore further errors and stop the pipeline.
                        Ok(Ended::Stopped) => {
                            ended = Ended::Stopped;
                            wrong = true;
                        }
                        Ok(Ended::Silenced) if ended == Ended::Failed => {}
                        Ok(other) => ended = other,
                        // A failed stage ends its input.
                        Err(error) => {
                            ended = self.report_stage_failure(plan, &error);
                            wrong = true;
                            plan.was_ended = true;
                        }
                    }
                    let turned = if interrupted { None } else { self.turn_pages(sink).await };
                    match turned {
                        None => {}
                        // Events that arrive until the pipeline has stopped are dropped.
                        Some(how) => {
                            interrupted = how == PagerExit::Interrupted;
                            (wrong, plan.was_ended) = (true, true);
                        }
                    }
                    if (wrong || plan.local.is_done()) && !stopping {
                        stopping = true;
                        let _ = running.stop().await;
                    }
                }
                Some(Ok(_)) => {}
            }
        }
        if interrupted {
            return leave.map_or(Ended::Interrupted, Ended::Exit);
        }
        leave.map_or(ended, Ended::Exit)
    }

    fn shown(
        &self,
        event: PipelineEvent,
        plan: &mut Plan,
        sink: &mut Sink,
        diverted: &mut Diverted,
        echoes: &mut Echoes,
    ) -> Result<Ended, LineError> {
        let streams = plan.streams.clone();
        plan.keep(&event);
        let (target, stream, value) = match event {
            PipelineEvent::Output(value) => {
                if !plan.local.is_fed()
                    && let Some((command, _)) = plan.common.last()
                {
                    self.seen.object(command, &value);
                }
                return self.push(plan, sink, diverted, value);
            }
            PipelineEvent::Progress(record) => {
                self.terminal.progress.take(&record);
                return Ok(Ended::Succeeded);
            }
            PipelineEvent::Error(record) => return self.error(&record, plan, sink, diverted),
            PipelineEvent::State(PipelineState::Failed, Some(record)) => {
                plan.was_ended = true;
                // Independent of the error preference.
                if record.is_of_session() {
                    self.lost(&record.message);
                    let loss = if record.is_not_run() { Loss::NotRun } else { Loss::MayHaveRun };
                    return Ok(Ended::Lost(loss));
                }
                return self.error(&record, plan, sink, diverted);
            }
            PipelineEvent::State(PipelineState::Failed, None) => {
                plan.was_ended = true;
                let error = "the pipeline failed; the endpoint returned no error record";
                return Ok(self.failed(&LineError(error.into())));
            }
            PipelineEvent::State(PipelineState::Stopped, _) if !plan.local.is_done() => {
                return Ok(Ended::Failed);
            }
            PipelineEvent::State(..) | PipelineEvent::HostCall(_) => return Ok(Ended::Succeeded),
            PipelineEvent::Warning(record) => (streams.warning, Stream::Warning, record.message.into()),
            PipelineEvent::Verbose(record) => (streams.verbose, Stream::Verbose, record.message.into()),
            PipelineEvent::Debug(record) => (streams.debug, Stream::Debug, record.message.into()),
            PipelineEvent::Information(record) => (streams.information, Stream::Information, record.message),
        };
        let line = Line { stream, text: value.display_text() };
        let text = line.shown();
        let is_shown = matches!(target, StreamTarget::Shown);
        echoes.record(line, is_shown);
        if is_shown {
            return Ok(Ended::Succeeded);
        }
        self.divert(&target, (stream.tone(), &text), value, (plan, sink, diverted))?;
        Ok(Ended::Succeeded)
    }

    fn error(
        &self,
        record: &ErrorRecord,
        plan: &mut Plan,
        sink: &mut Sink,
        diverted: &mut Diverted,
    ) -> Result<Ended, LineError> {
        let record = line::error::unwrapped(record);
        let command = record.command.as_deref();
        let action = plan.error_action(command);
        if action == Action::Ignore {
            return Ok(Ended::Silenced);
        }
        let variable = plan.common_of(command).and_then(|common| common.errors.clone());
        if let Some(variable) = variable {
            plan.assignments.add(&variable, record.to_value());
        }
        self.troubles.add(record.to_value(), action.shows());
        if !action.shows() {
            return Ok(Ended::Silenced);
        }
        let text = self.explained(&record);
        let target = plan.streams.error.clone();
        if matches!(target, StreamTarget::Shown) {
            self.terminal.error(&text, Some(&record));
            return Ok(if action == Action::Stop { Ended::Stopped } else { Ended::Failed });
        }
        self.divert(&target, (Tone::Error, &text), record.to_value(), (plan, sink, diverted))?;
        Ok(if action == Action::Stop { Ended::Stopped } else { Ended::Failed })
    }

    /// Sends a record of a stream other than output to the stream's target.
    fn divert(
        &self,
        target: &StreamTarget,
        (tone, text): (Tone, &str),
        value: Value,
        (plan, sink, diverted): (&mut Plan, &mut Sink, &mut Diverted),
    ) -> Result<(), LineError> {
        match target {
            StreamTarget::Shown => self.terminal.toned(tone, text),
            StreamTarget::Dropped => {}
            StreamTarget::Output => drop(self.push(plan, sink, diverted, value)?),
            StreamTarget::File(file) => add_line(diverted, file, text),
        }
        Ok(())
    }
}

/// Adds a line to the file of a redirected stream.
fn add_line(diverted: &mut Diverted, file: &line::File, text: &str) {
    let lines = diverted.iter_mut().find(|(known, _)| known.path == file.path);
    lines.into_iter().for_each(|(_, lines)| lines.push(text.to_owned()));
}

/// Adds an error of a stage to the stage's `-ErrorVariable`, and returns the stage's error action.
fn assign_error_variable(plan: &mut Plan, error: &LineError, common: &CommonParameters) -> Action {
    if let Some(variable) = &common.errors {
        plan.assignments.add(variable, trouble::record(&error.0));
    }
    common.error_action.unwrap_or(plan.preferred)
}

/// Sends a pipeline's input and its end.
async fn feed(sender: InputSender, input: Vec<Value>) -> Result<(), Error> {
    sender.send_all(input).await?;
    sender.end().await
}
