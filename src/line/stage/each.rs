//! What a stage is, and the forms that most of them have.

use crate::line::error::LineError;
use crate::psrp::clixml::Value;

/// One cmdlet at work.
pub trait Stage: Send {
    /// Before anything runs.
    fn begin(&self) -> Result<(), LineError> {
        Ok(())
    }

    fn push(&mut self, value: Value, out: &mut Vec<Value>) -> Result<(), LineError>;

    fn finish(&mut self, out: &mut Vec<Value>) -> Result<(), LineError> {
        let _ = out;
        Ok(())
    }

    /// The commands before it have failed, and no more objects come. `fed`: some had come.
    fn fail(&mut self, fed: bool) {
        let _ = fed;
    }

    /// What is to be said beside the output, once.
    fn warning(&mut self) -> Option<String> {
        None
    }

    fn is_done(&self) -> bool {
        false
    }

    /// Whether an object that it can't take leaves the others: it is an error that does not end the pipeline.
    fn goes_on(&self) -> bool {
        false
    }
}

/// A stage that answers each object by itself.
pub struct Each<F>(pub F);

impl<F: FnMut(Value, &mut Vec<Value>) -> Result<(), LineError> + Send> Stage for Each<F> {
    fn push(&mut self, value: Value, out: &mut Vec<Value>) -> Result<(), LineError> {
        (self.0)(value, out)
    }

    fn goes_on(&self) -> bool {
        true
    }
}

/// A stage that answers when all have come.
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

/// A stage that answers by `answer` when all objects have come.
pub fn all<F>(answer: F) -> Box<dyn Stage>
where
    F: FnOnce(Vec<Value>) -> Result<Vec<Value>, LineError> + Send + 'static,
{
    Box::new(All { held: Vec::new(), answer: Some(answer) })
}

/// What gives nothing on: Out-Null, `> $null`.
pub fn nothing() -> Box<dyn Stage> {
    Box::new(Each(|_: Value, _: &mut Vec<Value>| Ok(())))
}

/// What gives on all that comes.
pub fn everything() -> Box<dyn Stage> {
    Box::new(Each(|value: Value, out: &mut Vec<Value>| {
        out.push(value);
        Ok(())
    }))
}
