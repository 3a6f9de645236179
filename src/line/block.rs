//! Script blocks of expressions, evaluated for each object.

use super::error::LineError;
use super::evaluate::{Scope, Variables, evaluate};
use super::syntax::Expr;
use crate::psrp::clixml::Value;

/// Parses a script block that is evaluated for each object.
pub fn block(cmdlet: &str, text: &str) -> Result<Vec<Expr>, LineError> {
    super::parse::block(text).map_err(|error| LineError(format!("{cmdlet}: {{{text}}}: {error}")))
}

/// Evaluates a script block for an object; returns null, one value or an array.
pub fn computed(block: &[Expr], this: &Value, variables: &Variables) -> Result<Value, LineError> {
    let scope = Scope { variables, this: Some(this) };
    match block {
        [] => Ok(Value::Null),
        [one] => evaluate(one, scope),
        many => many.iter().map(|one| evaluate(one, scope)).collect::<Result<Vec<_>, _>>().map(Value::array),
    }
}
