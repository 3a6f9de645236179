//! Parameter binding of local cmdlets.

use tokio_util::sync::CancellationToken;

use crate::line::error::LineError;
use crate::line::evaluate::{Scope, Variables, evaluate};
use crate::line::number::Number;
use crate::line::syntax::{Arg, CommandLine, Expr};
use crate::psrp::clixml::Value;

/// Kind of a parameter.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum ParameterKind {
    /// A value, also positional in the order of the parameters.
    Positional,
    /// All values that no other parameter takes, as a list (`ValueFromRemainingArguments`).
    Remaining,
    /// A value, only with the parameter's name.
    Named,
    Switch,
}

/// One parameter of a local cmdlet.
pub type Parameter = (&'static str, ParameterKind);

/// Bound arguments of a local cmdlet.
#[derive(Clone)]
pub struct BoundParameters {
    pub name: &'static str,
    pub variables: Variables,
    /// Set for a source; cancelled when its output is no longer needed. A stage cannot be interrupted while it reads.
    pub stop: Option<CancellationToken>,
    given: Vec<(&'static str, Value)>,
}

/// Bound parameters, each with the index of the argument that holds its value; `None` for a switch without one.
type Bindings = Vec<(Parameter, Option<usize>)>;

/// Index of an argument that cannot be bound, and the error.
type Unbound = (usize, LineError);

/// Binds arguments to parameters without evaluating them: first the named parameters, then the values without a name in
/// the order of the remaining parameters.
pub fn bindings(name: &str, command: &CommandLine, parameters: &[Parameter]) -> Result<Bindings, Unbound> {
    let mut given = Bindings::new();
    let mut unnamed = Vec::new();
    let has = |given: &Bindings, parameter: &Parameter| given.iter().any(|(one, _)| one.0 == parameter.0);
    let mut arguments = command.arguments.iter().enumerate().peekable();
    while let Some((at, argument)) = arguments.next() {
        let (written, value) = match argument {
            Arg::Value(value) => {
                unnamed.push((at, value));
                continue;
            }
            Arg::Parameter { name, value } => (name, value),
        };
        let parameter = find(name, written, parameters).map_err(|error| (at, error))?;
        let of = match (value, parameter.1) {
            (Some(_), _) => Some(at),
            (None, ParameterKind::Switch) => None,
            (None, _) => {
                let next = arguments.next_if(|(_, next)| matches!(next, Arg::Value(_)));
                let Some((next, _)) = next else {
                    let error = LineError(format!(
                        "{name}: Missing an argument for parameter '{}'. Specify a parameter and try again.",
                        parameter.0
                    ));
                    return Err((at, error));
                };
                Some(next)
            }
        };
        if parameter.1 != ParameterKind::Remaining && has(&given, &parameter) {
            let error = LineError(format!(
                "{name}: Cannot bind parameter because parameter '{}' is specified more than once.",
                parameter.0
            ));
            return Err((at, error));
        }
        given.push((parameter, of));
    }
    for (at, value) in unnamed {
        let free = |one: &&Parameter| one.1 == ParameterKind::Positional && !has(&given, one);
        let rest = || parameters.iter().find(|one| one.1 == ParameterKind::Remaining);
        let Some(parameter) = parameters.iter().find(free).or_else(rest) else {
            let text = match value {
                Expr::Literal(value) => value.display_text(),
                _ => "…".to_owned(),
            };
            let error = LineError(format!(
                "{name}: A positional parameter cannot be found that accepts argument '{text}'."
            ));
            return Err((at, error));
        };
        given.push((*parameter, Some(at)));
    }
    Ok(given)
}

impl BoundParameters {
    pub fn new(
        name: &'static str,
        command: &CommandLine,
        parameters: &[Parameter],
        variables: &Variables,
    ) -> Result<Self, LineError> {
        let scope = Scope::outer(variables);
        let mut given: Vec<(&'static str, Value)> = Vec::new();
        let mut rest: Vec<Value> = Vec::new();
        for ((parameter, takes), at) in bindings(name, command, parameters).map_err(|(_, error)| error)? {
            let value = match at.and_then(|at| command.arguments.get(at)) {
                Some(Arg::Value(value) | Arg::Parameter { value: Some(value), .. }) => {
                    evaluate(value, scope)?
                }
                _ => Value::Bool(true),
            };
            if takes == ParameterKind::Remaining {
                rest.push(value.clone());
                given.retain(|(name, _)| *name != parameter);
                let all = if rest.len() > 1 { Value::array(rest.clone()) } else { value };
                given.push((parameter, all));
            } else {
                given.push((parameter, value));
            }
        }
        Ok(Self { name, variables: variables.clone(), stop: None, given })
    }

    /// Returns whether the output is no longer needed.
    pub fn is_stopped(&self) -> bool {
        self.stop.as_ref().is_some_and(CancellationToken::is_cancelled)
    }

    /// Returns whether a parameter is given.
    pub fn has(&self, parameter: &str) -> bool {
        self.get(parameter).is_some()
    }

    pub fn get(&self, parameter: &str) -> Option<&Value> {
        self.given.iter().find(|(one, _)| *one == parameter).map(|(_, value)| value)
    }

    /// Returns a mandatory parameter's value.
    pub fn required(&self, parameter: &str) -> Result<&Value, LineError> {
        self.get(parameter).ok_or_else(|| {
            self.wrong(&format!(
                "Cannot process command because of one or more missing mandatory parameters: {parameter}."
            ))
        })
    }

    pub fn switch(&self, parameter: &str) -> bool {
        self.get(parameter).is_some_and(crate::line::value::truth)
    }

    pub fn text(&self, parameter: &str) -> Option<String> {
        self.get(parameter).map(Value::display_text)
    }

    /// Returns the items of a list, or the single value.
    pub fn values(&self, parameter: &str) -> Vec<Value> {
        match self.get(parameter) {
            None => Vec::new(),
            Some(value) => value.items().map_or_else(|| vec![value.clone()], <[Value]>::to_vec),
        }
    }

    /// Returns a list of names.
    pub fn names(&self, parameter: &str) -> Vec<String> {
        self.values(parameter).iter().map(Value::display_text).collect()
    }

    pub fn count(&self, parameter: &str) -> Result<Option<usize>, LineError> {
        let Some(given) = self.get(parameter) else { return Ok(None) };
        let number = Number::convert(given).and_then(Number::rounded);
        number.and_then(|number| usize::try_from(number).ok()).map(Some).ok_or_else(|| {
            self.wrong(&format!(
                "Cannot bind parameter '{parameter}': invalid number \"{}\".",
                given.display_text()
            ))
        })
    }

    pub fn wrong(&self, message: &str) -> LineError {
        LineError(format!("{}: {message}", self.name))
    }

    /// Returns the value of a parameter that takes one of `known`; `otherwise` if the parameter is not given.
    pub fn one_of<T: Copy>(
        &self,
        parameter: &str,
        known: &[(&str, T)],
        otherwise: T,
    ) -> Result<T, LineError> {
        let Some(text) = self.text(parameter) else { return Ok(otherwise) };
        known.iter().find(|(name, _)| name.eq_ignore_ascii_case(&text)).map(|(_, one)| *one).ok_or_else(
            || {
                let names: Vec<_> = known.iter().map(|(name, _)| *name).collect();
                self.wrong(&format!(
                    "Cannot bind parameter '{parameter}': \"{text}\" is not one of {}.",
                    names.join(", ")
                ))
            },
        )
    }
}

/// Aliases of parameters: the cmdlet, or `*` for all; the alias; the parameter.
const ALIASES: [(&str, &str, &str); 12] = [
    ("Get-Content", "Head", "TotalCount"),
    ("Get-Content", "First", "TotalCount"),
    ("Get-Content", "Last", "Tail"),
    ("Get-ChildItem", "s", "Recurse"),
    ("Get-ChildItem", "ad", "Directory"),
    ("Get-ChildItem", "af", "File"),
    ("Get-ChildItem", "h", "Hidden"),
    ("Start-Sleep", "ms", "Milliseconds"),
    ("Start-Sleep", "ts", "Duration"),
    ("Get-Date", "LastWriteTime", "Date"),
    ("*", "PSPath", "LiteralPath"),
    ("*", "LP", "LiteralPath"),
];

fn find(cmdlet: &str, written: &str, parameters: &[Parameter]) -> Result<Parameter, LineError> {
    let alias = ALIASES
        .iter()
        .find(|(of, alias, _)| (*of == cmdlet || *of == "*") && alias.eq_ignore_ascii_case(written));
    let written = match alias {
        Some((_, _, name)) if parameters.iter().any(|(known, _)| known == name) => *name,
        _ => written,
    };
    let begins =
        |name: &str| name.get(..written.len()).is_some_and(|start| start.eq_ignore_ascii_case(written));
    let exact = parameters.iter().find(|(name, _)| name.eq_ignore_ascii_case(written));
    let mut near = parameters.iter().filter(|(name, _)| begins(name));
    match (exact, near.next(), near.next()) {
        (Some(one), ..) | (None, Some(one), None) => Ok(*one),
        (None, Some(_), Some(_)) => Err(LineError(format!(
            "{cmdlet}: Parameter cannot be processed because the parameter name '{written}' is ambiguous."
        ))),
        (None, None, _) => Err(LineError(format!(
            "{cmdlet}: A parameter cannot be found that matches parameter name '{written}'. The console's {cmdlet} \
             supports {}; PowerShell supports all parameters.",
            parameters.iter().map(|(name, _)| format!("-{name}")).collect::<Vec<_>>().join(", ")
        ))),
    }
}
