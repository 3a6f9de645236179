//! Parameter binding as in PowerShell's CmdletParameterBinderController: by name and unambiguous prefix, by
//! position, by parameter set, and from pipeline objects.

use super::convert::{convert, fits};
use super::fault::Fault;
use super::spec::{CommandSpec, Kind, ParameterSpec};
use super::value::{items, text};
use crate::psrp::clixml::Value;
use crate::psrp::pipeline::Argument;

/// Parameters bound so far.
#[derive(Clone, Debug, Default)]
pub struct BoundParameters {
    values: Vec<(String, Value)>,
    /// Parameter set; empty if the command has none or it is not decided yet.
    pub set: String,
    /// Mandatory parameters without a value, for a prompt to the user.
    pub missing: Vec<ParameterSpec>,
}

impl BoundParameters {
    pub fn get(&self, name: &str) -> Option<&Value> {
        self.values.iter().find(|(bound, _)| bound == name).map(|(_, value)| value)
    }
    pub fn text(&self, name: &str) -> Option<String> {
        self.get(name).map(Value::display_text)
    }
    pub fn flag(&self, name: &str) -> bool {
        matches!(self.get(name), Some(Value::Bool(true)))
    }
    pub fn int(&self, name: &str) -> Option<i32> {
        match self.get(name) {
            Some(Value::I32(value)) => Some(*value),
            _ => None,
        }
    }
    /// Returns the texts of a list.
    pub fn texts(&self, name: &str) -> Vec<String> {
        self.get(name).map(|value| items(value).iter().map(Value::display_text).collect()).unwrap_or_default()
    }
    pub fn values(&self) -> &[(String, Value)] {
        &self.values
    }
    fn set_value(&mut self, name: &str, value: Value) {
        self.values.push((name.to_owned(), value));
    }
    /// Binds an answer to a prompt for a mandatory parameter.
    pub fn answer(
        &mut self,
        spec: &CommandSpec,
        parameter: &ParameterSpec,
        value: &Value,
    ) -> Result<(), Fault> {
        let value = convert(value, parameter, spec.kind).map_err(|fault| named(spec, fault))?;
        self.set_value(&parameter.name, value);
        Ok(())
    }
}

fn named(spec: &CommandSpec, fault: Fault) -> Fault {
    fault.of_command(&spec.name, &spec.error_source())
}

/// A parsed argument.
enum SuppliedArgument {
    Named(String, Option<Value>),
    Positional(Value),
}

/// Parses the arguments of a command: `-Name:` and `Name` carry their value, `-Name` takes the next
/// positional argument unless it is a switch (CommandParameter.ToCommandParameterInternal).
fn given(
    spec: &CommandSpec,
    all: &[ParameterSpec],
    arguments: &[Argument],
) -> Result<Vec<SuppliedArgument>, Fault> {
    let mut given = Vec::new();
    let mut rest = arguments.iter().peekable();
    while let Some(argument) = rest.next() {
        let value = argument.value.clone();
        let Some(name) = argument.name.as_deref() else {
            given.push(SuppliedArgument::Positional(value.unwrap_or(Value::Null)));
            continue;
        };
        // Without a dash, an argument with a null value differs from an argument without a value.
        let bare = match (name.strip_prefix(['-', '–', '—', '―']), &value) {
            (Some(bare), _) => bare,
            (None, None) => name,
            (None, Some(_)) => {
                given.push(SuppliedArgument::Named(name.to_owned(), value));
                continue;
            }
        };
        let bare = bare.trim_end();
        if let Some(bare) = bare.strip_suffix(':') {
            given.push(SuppliedArgument::Named(bare.to_owned(), Some(value.unwrap_or(Value::Null))));
        } else if let Some(value) = value.filter(|value| *value != Value::Null) {
            given.push(SuppliedArgument::Named(bare.to_owned(), Some(value)));
        } else if find(spec, all, bare)?.kind == Kind::Switch {
            given.push(SuppliedArgument::Named(bare.to_owned(), None));
        } else {
            let next = rest.next_if(|next| next.name.is_none());
            let value = next.map(|next| next.value.clone().unwrap_or(Value::Null));
            given.push(SuppliedArgument::Named(bare.to_owned(), value));
        }
    }
    Ok(given)
}

/// Returns the parameter by name, alias or unambiguous prefix; the command's own parameters take precedence over
/// common parameters.
fn find<'a>(spec: &CommandSpec, all: &'a [ParameterSpec], name: &str) -> Result<&'a ParameterSpec, Fault> {
    fn matching(all: &[ParameterSpec], wanted: impl Fn(&&str) -> bool) -> Vec<&ParameterSpec> {
        all.iter()
            .filter(|parameter| wanted(&parameter.name.as_str()) || parameter.aliases.iter().any(&wanted))
            .collect()
    }
    let exact = |candidate: &&str| candidate.eq_ignore_ascii_case(name);
    let prefix =
        |candidate: &&str| candidate.get(..name.len()).is_some_and(|start| start.eq_ignore_ascii_case(name));
    if let [only] = matching(all, exact)[..] {
        return Ok(only);
    }
    let found = if name.is_empty() { Vec::new() } else { matching(all, prefix) };
    let own: Vec<_> = found.iter().copied().filter(|parameter| !parameter.common).collect();
    match (&found[..], &own[..]) {
        ([], _) => Err(named(
            spec,
            Fault::binding(
                "NamedParameterNotFound",
                format!("A parameter cannot be found that matches parameter name '{name}'."),
            ),
        )),
        ([only], _) | (_, [only]) => Ok(only),
        (several, _) => {
            let matches: String = several.iter().map(|parameter| format!(" -{}", parameter.name)).collect();
            Err(named(
                spec,
                Fault::binding(
                    "AmbiguousParameter",
                    format!(
                        "Parameter cannot be processed because the parameter name '{name}' is ambiguous. Possible matches include:{matches}."
                    ),
                ),
            ))
        }
    }
}

fn ambiguous_set(spec: &CommandSpec) -> Fault {
    named(
        spec,
        Fault::binding(
            "AmbiguousParameterSet",
            "Parameter set cannot be resolved using the specified named parameters. One or more parameters issued cannot be used together or an insufficient number of parameters were provided."
                .into(),
        ),
    )
}

/// Binds the client's arguments. `piped`: whether pipeline input follows.
pub fn bind(spec: &CommandSpec, arguments: &[Argument], piped: bool) -> Result<BoundParameters, Fault> {
    let all = spec.all_parameters();
    let mut bound = BoundParameters::default();
    let mut sets = spec.parameter_sets();
    let mut positional = Vec::new();

    for argument in given(spec, &all, arguments)? {
        let (name, value) = match argument {
            SuppliedArgument::Positional(value) => {
                positional.push(value);
                continue;
            }
            SuppliedArgument::Named(name, value) => (name, value),
        };
        let parameter = find(spec, &all, &name)?;
        if bound.get(&parameter.name).is_some() {
            return Err(named(
                spec,
                Fault::binding(
                    "ParameterAlreadyBound",
                    format!(
                        "Cannot bind parameter because parameter '{}' is specified more than once. To provide multiple values to parameters that can accept multiple values, use the array syntax. For example, \"-parameter value1,value2,value3\".",
                        parameter.name
                    ),
                ),
            ));
        }
        let value = match value {
            Some(value) => convert(&value, parameter, spec.kind).map_err(|fault| named(spec, fault))?,
            None if parameter.kind == Kind::Switch => Value::Bool(true),
            None => {
                return Err(named(
                    spec,
                    Fault::binding(
                        "MissingArgument",
                        format!(
                            "Missing an argument for parameter '{}'. Specify a parameter of type '{}' and try again.",
                            parameter.name,
                            parameter.kind.full_name()
                        ),
                    ),
                ));
            }
        };
        bound.set_value(&parameter.name, value);
        sets.retain(|set| parameter.in_sets(set));
        if sets.is_empty() {
            return Err(ambiguous_set(spec));
        }
    }

    for value in positional {
        let parameter = next_position(spec, &bound, &sets).ok_or_else(|| {
            named(
                spec,
                Fault::binding(
                    "PositionalParameterNotFound",
                    format!(
                        "A positional parameter cannot be found that accepts argument '{}'.",
                        value.display_text()
                    ),
                ),
            )
        })?;
        let value = convert(&value, parameter, spec.kind).map_err(|fault| named(spec, fault))?;
        bound.set_value(&parameter.name, value);
        sets.retain(|set| parameter.in_sets(set));
    }

    settle(spec, &mut bound, &sets, piped)?;
    Ok(bound)
}

/// Returns the unbound parameter with the lowest position, in the default set if that is still possible.
fn next_position<'a>(
    spec: &'a CommandSpec,
    bound: &BoundParameters,
    sets: &[&str],
) -> Option<&'a ParameterSpec> {
    let in_sets = |sets: &[&str]| {
        spec.parameters
            .iter()
            .filter(|parameter| bound.get(&parameter.name).is_none())
            .filter(|parameter| sets.iter().any(|set| parameter.in_sets(set)))
            .filter_map(|parameter| parameter.position.map(|position| (position, parameter)))
            .min_by_key(|(position, _)| *position)
            .map(|(_, parameter)| parameter)
    };
    let default = [spec.default_set];
    if sets.contains(&spec.default_set) { in_sets(&default).or_else(|| in_sets(sets)) } else { in_sets(sets) }
}

/// Chooses the parameter set and finds its missing parameters.
fn settle(
    spec: &CommandSpec,
    bound: &mut BoundParameters,
    sets: &[&'static str],
    piped: bool,
) -> Result<(), Fault> {
    let missing_in = |set: &str| -> Vec<ParameterSpec> {
        spec.parameters
            .iter()
            .filter(|parameter| parameter.mandatory && parameter.in_sets(set))
            .filter(|parameter| bound.get(&parameter.name).is_none())
            .filter(|parameter| !(piped && (parameter.by_value || parameter.by_property)))
            .cloned()
            .collect()
    };
    let complete: Vec<_> = sets.iter().copied().filter(|set| missing_in(set).is_empty()).collect();
    let chosen = match (&complete[..], sets) {
        ([only], _) | ([], [only]) => only,
        (several, _) if several.contains(&spec.default_set) => spec.default_set,
        ([], several) if several.contains(&spec.default_set) => spec.default_set,
        _ => return Err(ambiguous_set(spec)),
    };
    bound.missing = missing_in(chosen);
    bound.set = chosen.to_owned();
    Ok(())
}

/// Binds one pipeline object: by value, then by property name, first without and then with conversion
/// (CmdletParameterBinderController.BindPipelineParameters).
pub fn bind_input(
    spec: &CommandSpec,
    bound: &BoundParameters,
    input: &Value,
) -> Result<BoundParameters, Fault> {
    let mut with_input = bound.clone();
    let open: Vec<&ParameterSpec> = spec
        .parameters
        .iter()
        .filter(|parameter| {
            (parameter.by_value || parameter.by_property) && bound.get(&parameter.name).is_none()
        })
        .filter(|parameter| parameter.in_sets(&bound.set))
        .collect();
    let mut last = None;
    let mut taken = false;
    let mut take = |parameter: &ParameterSpec, value: &Value, exact: bool| {
        if with_input.get(&parameter.name).is_some() || (exact && !fits(value, parameter.kind)) {
            return;
        }
        match convert(value, parameter, spec.kind) {
            Ok(value) => {
                with_input.set_value(&parameter.name, value);
                taken = true;
            }
            Err(fault) => last = Some(fault),
        }
    };
    for exact in [true, false] {
        for parameter in &open {
            // If the object has a property of the parameter's name, the property is bound instead of the object.
            let is_identity = parameter.by_property && input.property(&parameter.name).is_some();
            if parameter.by_value && (exact || !is_identity) {
                take(parameter, input, exact);
            }
        }
        for parameter in open.iter().filter(|parameter| parameter.by_property) {
            let names = std::iter::once(parameter.name.as_str()).chain(parameter.aliases.iter().copied());
            if let Some(value) = names.into_iter().find_map(|name| input.property(name)) {
                take(parameter, value, exact);
            }
        }
    }
    if taken {
        return Ok(with_input);
    }
    Err(named(spec, last.unwrap_or_else(|| not_bound(input))))
}

fn not_bound(input: &Value) -> Fault {
    Fault::binding(
        "InputObjectNotBound",
        "The input object cannot be bound to any parameters for the command either because the command does not take pipeline input or the input and its properties do not match any of the parameters that take pipeline input."
            .into(),
    )
    .about(text(input.display_text()))
}

/// Returns the fault for missing mandatory parameters without a host to prompt.
pub fn missing_mandatory(spec: &CommandSpec, missing: &[ParameterSpec]) -> Fault {
    let names: Vec<_> = missing.iter().map(|parameter| parameter.name.as_str()).collect();
    named(
        spec,
        Fault::binding(
            "MissingMandatoryParameter",
            format!(
                "Cannot process command because of one or more missing mandatory parameters: {}.",
                names.join(" ")
            ),
        ),
    )
}
