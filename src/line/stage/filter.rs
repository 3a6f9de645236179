//! Where-Object: `Enabled -eq $true`, `Enabled`, or a block of expressions.

use super::each::{Each, Stage};
use crate::line::block::{block, computed};
use crate::line::error::LineError;
use crate::line::evaluate::{Scope, Variables, evaluate};
use crate::line::operate::compared;
use crate::line::syntax::{Arg, CommandLine, Expr, NamedOperator, Operator};
use crate::line::value::{access, bare, truth};
use crate::psrp::clixml::Value;

pub fn filter(command: &CommandLine, variables: &Variables) -> Result<Box<dyn Stage>, LineError> {
    let text = match command.arguments.as_slice() {
        [Arg::Value(Expr::Block(block)) | Arg::Parameter { value: Some(Expr::Block(block)), .. }] => {
            Some(&block.text)
        }
        [Arg::Parameter { name, value: None }, Arg::Value(Expr::Block(block))]
            if "filterscript".starts_with(&name.to_lowercase()) =>
        {
            Some(&block.text)
        }
        _ => None,
    };
    if let Some(text) = text {
        let block = block("Where-Object", text)?;
        let variables = variables.clone();
        return Ok(Box::new(Each(move |value: Value, out: &mut Vec<Value>| {
            if truth(&computed(&block, &value, &variables)?) {
                out.push(value);
            }
            Ok(())
        })));
    }
    let test = Test::read(&command.arguments, variables)?;
    Ok(Box::new(Each(move |value: Value, out: &mut Vec<Value>| {
        if test.holds(&value)? {
            out.push(value);
        }
        Ok(())
    })))
}

/// The simple form: a property and its comparison.
struct Test {
    property: String,
    with: Option<(NamedOperator, Value)>,
    negated: bool,
}

impl Test {
    fn read(arguments: &[Arg], variables: &Variables) -> Result<Self, LineError> {
        let usage = || {
            LineError(
                "Where-Object expects PROPERTY -eq VALUE (or -ne, -gt, -like, -match, -in, …), or a block: \
                 { $_.PROPERTY -eq VALUE -and … }."
                    .into(),
            )
        };
        let value = |value: &Expr| evaluate(value, Scope::outer(variables)).map(bare);
        let mut test = Self { property: String::new(), with: None, negated: false };
        let mut property = None;
        let mut rest = arguments.iter().peekable();
        while let Some(argument) = rest.next() {
            match argument {
                Arg::Value(name) if property.is_none() => property = Some(value(name)?.display_text()),
                Arg::Value(_) => return Err(usage()),
                Arg::Parameter { name, value: None } if name.eq_ignore_ascii_case("not") => {
                    test.negated = true;
                }
                Arg::Parameter { name, value: given } => {
                    let next = match (given, rest.peek()) {
                        (Some(given), _) => value(given)?,
                        (None, Some(Arg::Value(next))) => {
                            let next = value(next)?;
                            rest.next();
                            next
                        }
                        (None, _) => return Err(usage()),
                    };
                    if name.eq_ignore_ascii_case("property") {
                        property = Some(next.display_text());
                        continue;
                    }
                    let word = NamedOperator::read(name).filter(|word| {
                        !matches!(word.operator, Operator::Replace | Operator::Join | Operator::Split)
                    });
                    test.with = Some((word.ok_or_else(usage)?, next));
                }
            }
        }
        test.property = property.ok_or_else(usage)?;
        Ok(test)
    }

    fn holds(&self, value: &Value) -> Result<bool, LineError> {
        let of = access(value, &self.property);
        let holds = match &self.with {
            Some((word, with)) => truth(&compared(*word, &of, with)?),
            None => truth(&of),
        };
        Ok(holds != self.negated)
    }
}
