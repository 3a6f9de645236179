//! The stage trait and common kinds of stages.

use crate::line::error::LineError;
use crate::psrp::clixml::Value;

/// A running cmdlet.
pub trait Stage: Send {
    /// Checks that the stage can run; called before anything runs.
    fn begin(&self) -> Result<(), LineError> {
        Ok(())
    }

    fn push(&mut self, value: Value, out: &mut Vec<Value>) -> Result<(), LineError>;

    fn finish(&mut self, out: &mut Vec<Value>) -> Result<(), LineError> {
        let _ = out;
        Ok(())
    }

    /// Notes that the commands before it have failed. `fed`: objects had arrived.
    fn fail(&mut self, fed: bool) {
        let _ = fed;
    }

    /// Returns the next warning.
    fn warning(&mut self) -> Option<String> {
        None
    }

    fn is_done(&self) -> bool {
        false
    }

    /// Returns whether a text of several lines may arrive line by line.
    fn takes_lines(&self) -> bool {
        false
    }

    /// Asks for the output line by line instead of as one text, if the stage has a text.
    fn split_lines(&mut self) {}

    /// Returns whether an error of one object does not end the pipeline.
    fn continues_after_error(&self) -> bool {
        false
    }
}

/// A stage that processes each object on its own.
pub struct Each<F>(pub F);

impl<F: FnMut(Value, &mut Vec<Value>) -> Result<(), LineError> + Send> Stage for Each<F> {
    fn push(&mut self, value: Value, out: &mut Vec<Value>) -> Result<(), LineError> {
        (self.0)(value, out)
    }

    fn continues_after_error(&self) -> bool {
        true
    }
}

/// A stage that processes all objects at the end.
struct All<F> {
    held: Vec<Value>,
    answer: Option<F>,
}

impl<F: FnOnce(Vec<Value>) -> Result<Vec<Value>, LineError> + Send> Stage for All<F> {
    fn push(&mut self, value: Value, _: &mut Vec<Value>) -> Result<(), LineError> {
        self.held.push(value);
        Ok(())
    }

    fn finish(&mut self, out: &mut Vec<Value>) -> Result<(), LineError> {
        if let Some(answer) = self.answer.take() {
            out.extend(answer(std::mem::take(&mut self.held))?);
        }
        Ok(())
    }
}

/// Returns a stage that applies `answer` to all objects at the end.
pub fn all<F>(answer: F) -> Box<dyn Stage>
where
    F: FnOnce(Vec<Value>) -> Result<Vec<Value>, LineError> + Send + 'static,
{
    Box::new(All { held: Vec::new(), answer: Some(answer) })
}

/// Returns a stage that drops everything: Out-Null, `> $null`.
pub fn nothing() -> Box<dyn Stage> {
    Box::new(Each(|_: Value, _: &mut Vec<Value>| Ok(())))
}

/// Returns a stage that passes everything on.
pub fn everything() -> Box<dyn Stage> {
    Box::new(Each(|value: Value, out: &mut Vec<Value>| {
        out.push(value);
        Ok(())
    }))
}
