//! Common parameters (about_CommonParameters) that the console handles: error and warning actions, and the
//! variables for a command's output, errors and warnings.

use super::error::LineError;
use super::evaluate::{Scope, Variables, evaluate};
use super::syntax::{Arg, CommandLine, Expr};
use crate::psrp::clixml::Value;

/// Action on an error (ActionPreference).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Action {
    #[default]
    Continue,
    SilentlyContinue,
    Ignore,
    Stop,
}

/// Variable with the default error action.
pub const ERROR_ACTION: &str = "ErrorActionPreference";

/// Kind of a common parameter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    ErrorAction,
    WarningAction,
    /// Action of a stream that the console does not write to.
    OtherAction,
    Switch,
    OutBuffer,
    ErrorVariable,
    WarningVariable,
    InformationVariable,
    OutVariable,
    PipelineVariable,
}

const PARAMETERS: [(&str, &str, Kind); 12] = [
    ("ErrorAction", "ea", Kind::ErrorAction),
    ("WarningAction", "wa", Kind::WarningAction),
    ("InformationAction", "infa", Kind::OtherAction),
    ("ProgressAction", "proga", Kind::OtherAction),
    ("Verbose", "vb", Kind::Switch),
    ("Debug", "db", Kind::Switch),
    ("OutBuffer", "ob", Kind::OutBuffer),
    ("ErrorVariable", "ev", Kind::ErrorVariable),
    ("WarningVariable", "wv", Kind::WarningVariable),
    ("InformationVariable", "iv", Kind::InformationVariable),
    ("OutVariable", "ov", Kind::OutVariable),
    ("PipelineVariable", "pv", Kind::PipelineVariable),
];

/// Minimum length of an abbreviated common parameter. A shorter abbreviation may mean the command's own parameter.
const MIN_ABBREVIATION: usize = 6;

/// A common parameter with its unevaluated value.
#[derive(Clone, Debug)]
pub struct CommonArgument {
    pub kind: Kind,
    pub name: &'static str,
    pub value: Option<Expr>,
    /// Position in the text.
    pub at: usize,
}

/// A target variable; `+` before its name appends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Variable {
    pub name: String,
    pub appends: bool,
}

/// Common parameters of one command.
#[derive(Clone, Debug, Default)]
pub struct CommonParameters {
    pub error_action: Option<Action>,
    pub warning_action: Option<Action>,
    pub output: Option<Variable>,
    pub errors: Option<Variable>,
    pub warnings: Option<Variable>,
    pub information: Option<Variable>,
}

/// Values to assign to variables at the end of a pipeline.
#[derive(Debug, Default)]
pub struct VariableAssignments(Vec<(Variable, Vec<Value>)>);

impl Action {
    /// Parses a name or number; `None` if the action is not supported.
    pub fn read(value: &Value) -> Option<Self> {
        let text = value.display_text();
        let all = [
            ("SilentlyContinue", "0", Self::SilentlyContinue),
            ("Stop", "1", Self::Stop),
            ("Continue", "2", Self::Continue),
            ("Ignore", "4", Self::Ignore),
        ];
        let is = |name: &str, number: &str| name.eq_ignore_ascii_case(&text) || number == text;
        all.iter().find(|(name, number, _)| is(name, number)).map(|(.., action)| *action)
    }

    /// Returns the action of `$ErrorActionPreference`.
    pub fn preferred(variables: &Variables) -> Self {
        variables.get(ERROR_ACTION).and_then(Self::read).unwrap_or_default()
    }

    /// Returns whether an error is shown.
    pub fn shows(self) -> bool {
        matches!(self, Self::Continue | Self::Stop)
    }

    /// Returns the error for an unsupported value.
    pub fn unknown(parameter: &str, value: &Value) -> LineError {
        LineError(format!(
            "Cannot bind parameter '{parameter}': expected SilentlyContinue, Stop, Continue or Ignore, got \"{}\".",
            value.display_text()
        ))
    }
}

fn kind(written: &str, own: &[&str]) -> Option<(&'static str, Kind)> {
    let exact = PARAMETERS
        .iter()
        .find(|(name, alias, _)| name.eq_ignore_ascii_case(written) || alias.eq_ignore_ascii_case(written));
    let begins =
        |name: &str| name.get(..written.len()).is_some_and(|start| start.eq_ignore_ascii_case(written));
    let near = || {
        let is_own = own.iter().any(|name| begins(name));
        let mut near = PARAMETERS.iter().filter(|(name, ..)| begins(name));
        let one = near.next().filter(|_| written.len() >= MIN_ABBREVIATION && !is_own)?;
        near.all(|other| other.2 == one.2).then_some(one)
    };
    exact.or_else(near).map(|(name, _, kind)| (*name, *kind))
}

/// Splits off the common parameters of a command. `own`: known parameters of the command itself.
pub fn split_off(command: &CommandLine, own: &[&str]) -> (CommandLine, Vec<CommonArgument>) {
    let mut rest = CommandLine { arguments: Vec::new(), places: Vec::new(), ..command.clone() };
    let mut given = Vec::new();
    let mut arguments = command.arguments.iter().enumerate().peekable();
    while let Some((index, argument)) = arguments.next() {
        let at = command.places.get(index).copied().unwrap_or(command.at);
        let found = match argument {
            Arg::Parameter { name, value } => kind(name, own).map(|(name, kind)| (name, kind, value)),
            Arg::Value(_) => None,
        };
        let Some((name, kind, value)) = found else {
            rest.arguments.push(argument.clone());
            rest.places.push(at);
            continue;
        };
        let mut next = || match arguments.next_if(|(_, next)| matches!(next, Arg::Value(_))) {
            Some((_, Arg::Value(next))) => Some(next.clone()),
            _ => None,
        };
        let value = match value {
            None if kind != Kind::Switch => next(),
            value => value.clone(),
        };
        given.push(CommonArgument { kind, name, value, at });
    }
    (rest, given)
}

impl CommonArgument {
    /// Returns whether the parameter names a variable, which is not sent to the endpoint.
    pub fn names_variable(&self) -> bool {
        matches!(
            self.kind,
            Kind::ErrorVariable
                | Kind::WarningVariable
                | Kind::InformationVariable
                | Kind::OutVariable
                | Kind::PipelineVariable
        )
    }

    fn value(&self, variables: &Variables) -> Result<Value, LineError> {
        match &self.value {
            Some(value) => evaluate(value, Scope::outer(variables)),
            None => Err(self.missing()),
        }
    }

    /// Returns the error for a missing value.
    pub fn missing(&self) -> LineError {
        LineError(format!(
            "Missing an argument for parameter '{}'. Specify a parameter and try again.",
            self.name
        ))
    }
}

impl CommonParameters {
    /// Evaluates the values.
    pub fn read(given: &[CommonArgument], variables: &Variables) -> Result<Self, LineError> {
        let mut common = Self::default();
        for one in given {
            let action = || one.value(variables).map(|value| Action::read(&value));
            let variable = || one.value(variables).map(|value| Some(Variable::read(&value.display_text())));
            match one.kind {
                Kind::ErrorAction => common.error_action = action()?,
                Kind::WarningAction => common.warning_action = action()?,
                Kind::OutVariable => common.output = variable()?,
                Kind::ErrorVariable => common.errors = variable()?,
                Kind::WarningVariable => common.warnings = variable()?,
                Kind::InformationVariable => common.information = variable()?,
                Kind::OtherAction | Kind::Switch | Kind::OutBuffer | Kind::PipelineVariable => {}
            }
        }
        Ok(common)
    }

    /// Returns every target variable.
    pub fn variables(&self) -> impl Iterator<Item = &Variable> {
        [&self.output, &self.errors, &self.warnings, &self.information].into_iter().flatten()
    }
}

impl Variable {
    fn read(text: &str) -> Self {
        match text.strip_prefix('+') {
            Some(name) => Self { name: name.to_owned(), appends: true },
            None => Self { name: text.to_owned(), appends: false },
        }
    }
}

impl VariableAssignments {
    /// Registers a variable, which is set even without values.
    pub fn begin(&mut self, variable: &Variable) {
        if !self.0.iter().any(|(known, _)| known == variable) {
            self.0.push((variable.clone(), Vec::new()));
        }
    }

    pub fn add(&mut self, variable: &Variable, value: Value) {
        self.begin(variable);
        self.0.iter_mut().filter(|(known, _)| known == variable).for_each(|(_, all)| all.push(value.clone()));
    }

    pub fn store(self, variables: &mut Variables) {
        for (Variable { name, appends }, values) in self.0 {
            let before = variables.get(&name).filter(|_| appends).cloned();
            let mut all = match &before {
                None | Some(Value::Null) => Vec::new(),
                Some(before) => before.items().map_or_else(|| vec![before.clone()], <[Value]>::to_vec),
            };
            all.extend(values);
            variables.set(&name, Value::array(all));
        }
    }
}
