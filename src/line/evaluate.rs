//! Evaluation of expressions.

use std::collections::HashMap;
use std::sync::Arc;

use super::error::LineError;
use super::operate::{binary, unary};
use super::syntax::{BinaryOperator, Expr};
use super::value::{access, item, truth};
use crate::psrp::clixml::Value;

/// Variables by case-insensitive name, with the name as written. Clones are cheap and independent.
#[derive(Clone, Debug, Default)]
pub struct Variables(Arc<HashMap<String, (String, Value)>>);

impl Variables {
    pub fn get(&self, name: &str) -> Option<&Value> {
        self.0.get(&name.to_lowercase()).map(|(_, value)| value)
    }

    pub fn set(&mut self, name: &str, value: Value) {
        let entry = Arc::make_mut(&mut self.0).entry(name.to_lowercase());
        entry.or_insert_with(|| (name.to_owned(), Value::Null)).1 = value;
    }

    /// Returns the names as written.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.values().map(|(name, _)| name.as_str())
    }

    /// Restores an earlier value; `None` removes the variable.
    pub fn restore(&mut self, name: &str, before: Option<Value>) {
        match before {
            Some(value) => self.set(name, value),
            None => {
                Arc::make_mut(&mut self.0).remove(&name.to_lowercase());
            }
        }
    }
}

/// Scope of an expression.
#[derive(Clone, Copy)]
pub struct Scope<'a> {
    pub variables: &'a Variables,
    /// `$_`, in a script block.
    pub this: Option<&'a Value>,
}

impl<'a> Scope<'a> {
    /// Returns the scope outside of script blocks.
    pub fn outer(variables: &'a Variables) -> Self {
        Self { variables, this: None }
    }
}

/// Evaluates an expression whose nested commands have run.
pub fn evaluate(expr: &Expr, scope: Scope<'_>) -> Result<Value, LineError> {
    let all = |parts: &[Expr]| parts.iter().map(|part| evaluate(part, scope)).collect::<Result<Vec<_>, _>>();
    Ok(match expr {
        Expr::Literal(value) => value.clone(),
        Expr::Parts(parts) => Value::String(all(parts)?.iter().map(Value::display_text).collect()),
        Expr::Array(items) => Value::array(all(items)?),
        Expr::List(inner) => {
            let value = evaluate(inner, scope)?;
            match value.items() {
                Some(_) => value,
                None if value == Value::Null => Value::array([]),
                None => Value::array([value]),
            }
        }
        Expr::Block(block) => Value::ScriptBlock(block.text.clone()),
        Expr::Type(name) => Value::String(name.clone()),
        Expr::Table(entries) => {
            let mut read = Vec::new();
            for (key, value) in entries {
                read.push((evaluate(key, scope)?, evaluate(value, scope)?));
            }
            Value::dictionary(read)
        }
        Expr::Variable(name) if name == "_" => {
            scope.this.or_else(|| scope.variables.get(name)).cloned().ok_or_else(|| {
                LineError(
                    "The variable '$_' has a value only in script blocks, as in: Where-Object { $_.Enabled }."
                        .into(),
                )
            })?
        }
        Expr::Variable(name) => scope.variables.get(name).cloned().unwrap_or_default(),
        Expr::Member(of, name) => access(&evaluate(of, scope)?, &evaluate(name, scope)?.display_text()),
        Expr::Index(of, index) => indexed(&evaluate(of, scope)?, &evaluate(index, scope)?)?,
        Expr::Unary(operator, of) => unary(*operator, &evaluate(of, scope)?)?,
        Expr::Binary(BinaryOperator::And, a, b) => {
            Value::Bool(truth(&evaluate(a, scope)?) && truth(&evaluate(b, scope)?))
        }
        Expr::Binary(BinaryOperator::Or, a, b) => {
            Value::Bool(truth(&evaluate(a, scope)?) || truth(&evaluate(b, scope)?))
        }
        Expr::Binary(operator, a, b) => binary(*operator, &evaluate(a, scope)?, &evaluate(b, scope)?)?,
        Expr::Nested(_) => return Err(LineError::script("A command in a script block")),
    })
}

/// Evaluates `$x[0]`, `$table['key']`, and several indexes or keys: `$x[0,2]`.
fn indexed(of: &Value, index: &Value) -> Result<Value, LineError> {
    if *of == Value::Null {
        return Err(LineError("Cannot index into a null array.".into()));
    }
    if let Some(indexes) = index.items() {
        let found = indexes.iter().map(|index| indexed(of, index)).collect::<Result<Vec<_>, _>>()?;
        return Ok(Value::array(found));
    }
    if *index == Value::Null {
        return Err(LineError("Index operation failed; the array index evaluated to null.".into()));
    }
    if of.entries().is_some() {
        return Ok(super::inspect::member(of, &index.display_text()).unwrap_or_default());
    }
    let at = super::value::as_number(index).ok_or_else(|| {
        LineError(format!("Cannot index a list with \"{}\": expected a number.", index.display_text()))
    })?;
    Ok(item(of, at.round_ties_even() as i64))
}
