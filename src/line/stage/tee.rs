//! Tee-Object: objects to a file and to the next command. A variable is set as by -OutVariable.

use super::bind::BoundParameters;
use super::each::{Stage, everything};
use super::file::{File, drawn};
use crate::line::error::LineError;
use crate::line::views::Views;
use crate::psrp::clixml::Value;

struct Tee(Box<dyn Stage>);

impl Stage for Tee {
    fn begin(&self) -> Result<(), LineError> {
        self.0.begin()
    }

    fn push(&mut self, value: Value, out: &mut Vec<Value>) -> Result<(), LineError> {
        out.push(value.clone());
        self.0.push(value, &mut Vec::new())
    }

    fn finish(&mut self, _: &mut Vec<Value>) -> Result<(), LineError> {
        self.0.finish(&mut Vec::new())
    }

    fn fail(&mut self, fed: bool) {
        self.0.fail(fed);
    }
}

pub fn tee(bound: &BoundParameters, width: usize, views: &Views) -> Result<Box<dyn Stage>, LineError> {
    let has_file = bound.has("FilePath") || bound.has("LiteralPath");
    match (has_file, bound.has("Variable")) {
        (true, true) => Err(bound.wrong(
            "Parameter set cannot be resolved using the specified named parameters: choose a file or a variable.",
        )),
        (false, true) => Ok(everything()),
        (true, false) => {
            let file = File::read(bound, "FilePath")?;
            Ok(Box::new(Tee(drawn(file, width, views.clone()))))
        }
        (false, false) => bound.required("FilePath").map(|_| everything()),
    }
}
