//! The stage trait and common kinds of stages.

use crate::line::error::LineError;
use crate::psrp::clixml::Value;

/// A running cmdlet.
pub trait Stage: Send {
    /// Checks that the stage can run; called before anything runs.
    fn begin(&self) -> Result<(), LineError> {
        Ok(())
    }

    /// Processes an object, and adds its output to `out`.
    fn push(&mut self, value: Value, out: &mut Vec<Value>) -> Result<(), LineError>;

    /// Ends the input, and adds the remaining output to `out`.
    fn finish(&mut self, out: &mut Vec<Value>) -> Result<(), LineError> {
        let _ = out;
        Ok(())
    }

    /// Informs the stage that the commands before it failed. `fed`: whether objects had arrived before.
    fn fail(&mut self, fed: bool) {
        let _ = fed;
    }

    /// Returns the next warning.
    fn warning(&mut self) -> Option<String> {
        None
    }

    /// Returns whether further objects have no effect.
    fn is_done(&self) -> bool {
        false
    }

    /// Returns whether a text of several lines may arrive line by line.
    fn takes_lines(&self) -> bool {
        false
    }

    /// Makes a stage that outputs one text of several lines output each line as a text.
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
    convert: Option<F>,
}

impl<F: FnOnce(Vec<Value>) -> Result<Vec<Value>, LineError> + Send> Stage for All<F> {
    fn push(&mut self, value: Value, _: &mut Vec<Value>) -> Result<(), LineError> {
        self.held.push(value);
        Ok(())
    }

    fn finish(&mut self, out: &mut Vec<Value>) -> Result<(), LineError> {
        if let Some(convert) = self.convert.take() {
            out.extend(convert(std::mem::take(&mut self.held))?);
        }
        Ok(())
    }
}

/// Returns a stage that applies `convert` to all objects at the end.
pub fn all<F>(convert: F) -> Box<dyn Stage>
where
    F: FnOnce(Vec<Value>) -> Result<Vec<Value>, LineError> + Send + 'static,
{
    Box::new(All { held: Vec::new(), convert: Some(convert) })
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
