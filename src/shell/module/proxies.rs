//! Proxy functions for an endpoint's commands, written from its command metadata
//! (`templates/powershell/proxies.ps1`).

use std::collections::HashSet;

use minijinja::{Value, context};

use crate::exports::names::fold;
use crate::psrp::command_metadata::{CommandMetadata, ParameterMetadata};

/// The parameter of each proxy that takes pipeline input.
pub const INPUT: &str = "__";

/// The parameter of each proxy that takes the remaining arguments.
pub const REST: &str = "__rest";

/// The common parameters, which every advanced function has, and their aliases (Cmdlet.CommonParameters).
const COMMON: [&str; 24] = [
    "Verbose",
    "vb",
    "Debug",
    "db",
    "ErrorAction",
    "ea",
    "WarningAction",
    "wa",
    "InformationAction",
    "infa",
    "ProgressAction",
    "proga",
    "ErrorVariable",
    "ev",
    "WarningVariable",
    "wv",
    "InformationVariable",
    "iv",
    "OutVariable",
    "ov",
    "OutBuffer",
    "ob",
    "PipelineVariable",
    "pv",
];

/// Proxies for an endpoint's commands.
#[derive(Debug)]
pub struct Proxies {
    pub functions: Vec<Function>,
    pub aliases: Vec<Alias>,
    /// Commands without a proxy because of their names.
    pub left_out: Vec<String>,
    /// Parameters that the proxies leave out, as `COMMAND -NAME`.
    pub without: Vec<String>,
}

/// One proxy function.
#[derive(Debug)]
pub struct Function {
    pub name: String,
    is_cmdlet: bool,
    /// Set if the endpoint's command has no common parameters.
    is_simple: bool,
    parameters: Vec<Parameter>,
}

/// An alias of a proxy function.
#[derive(Debug)]
pub struct Alias {
    pub name: String,
    pub target: String,
}

#[derive(Debug)]
struct Parameter {
    name: String,
    aliases: Vec<String>,
    /// A PowerShell type, or empty.
    constraint: &'static str,
    /// A type whose names complete the argument, if it is a local enumeration.
    completes: Option<String>,
}

impl Proxies {
    /// Creates proxies for the commands whose names on the endpoint `allows` accepts, in the order of `commands`.
    pub fn of(commands: &[CommandMetadata], allows: impl Fn(&str) -> bool) -> Self {
        let mut proxies =
            Self { functions: Vec::new(), aliases: Vec::new(), left_out: Vec::new(), without: Vec::new() };
        let mut seen = HashSet::new();
        for command in commands.iter().filter(|command| command.alias_of.is_none()) {
            if !allows(&command.name) {
                proxies.left_out.push(command.name.clone());
            } else if seen.insert(fold(&command.name)) {
                let function = Function::of(&command.name, command, &mut proxies.without);
                proxies.functions.push(function);
            }
        }
        for command in commands {
            let Some(target) = &command.alias_of else { continue };
            if !allows(&command.name) || !allows(target) {
                proxies.left_out.push(command.name.clone());
                continue;
            }
            // Metadata of an alias has the parameters of its command, which the profile may not import
            // itself.
            if seen.insert(fold(target)) {
                let function = Function::of(target, command, &mut proxies.without);
                proxies.functions.push(function);
            }
            if seen.insert(fold(&command.name)) {
                proxies.aliases.push(Alias { name: command.name.clone(), target: target.clone() });
            }
        }
        proxies.left_out.sort_unstable();
        proxies.left_out.dedup();
        proxies
    }

    /// Returns the functions and aliases for the template. `here` maps an endpoint's name to the local one.
    pub fn context(&self, here: impl Fn(&str) -> String) -> (Value, Value) {
        let functions = self.functions.iter().map(|function| {
            let category = if function.is_cmdlet { "Cmdlet" } else { "Function" };
            context! {
                name => function.name.clone(),
                here => here(&function.name),
                category,
                declared => function.declared(),
                own => function.own(),
            }
        });
        let aliases = self
            .aliases
            .iter()
            .map(|alias| context! { here => here(&alias.name), target => here(&alias.target) });
        (functions.collect(), aliases.collect())
    }
}

impl Function {
    fn of(name: &str, command: &CommandMetadata, without: &mut Vec<String>) -> Self {
        let mut taken: HashSet<String> = COMMON.iter().map(|name| fold(name)).collect();
        taken.insert("asjob".to_owned());
        let mut parameters = Vec::new();
        for parameter in &command.parameters {
            if taken.contains(&fold(&parameter.name)) {
                continue;
            }
            if !is_plain(&parameter.name) {
                without.push(format!("{name} -{}", parameter.name));
                continue;
            }
            taken.insert(fold(&parameter.name));
            parameters.push(Parameter::of(parameter));
        }
        // A duplicate alias, or an alias equal to a parameter name, makes every call fail.
        for parameter in &mut parameters {
            parameter.aliases.retain(|alias| is_plain(alias) && taken.insert(fold(alias)));
        }
        let is_simple =
            !command.parameters.iter().any(|parameter| parameter.name.eq_ignore_ascii_case("ErrorAction"));
        Self { name: name.to_owned(), is_cmdlet: command.is_cmdlet, is_simple, parameters }
    }

    /// Returns the parameters that the function declares itself, for the template. PowerShell prefers a common
    /// parameter whose name begins with that of a dynamic one: `-Verb` would select `-Verbose`.
    fn own(&self) -> Vec<Value> {
        let untyped = self.parameters.iter().filter(|parameter| parameter.constraint.is_empty());
        let open = untyped.enumerate().map(|(position, parameter)| (Some(position), parameter));
        let typed = self.parameters.iter().filter(|parameter| !parameter.constraint.is_empty());
        let all = open.chain(typed.map(|parameter| (None, parameter)));
        all.filter(|(_, parameter)| parameter.is_hidden_by_common())
            .map(|(position, parameter)| {
                context! {
                    position,
                    aliases => parameter.aliases.clone(),
                    constraint => parameter.constraint,
                    name => parameter.name.clone(),
                }
            })
            .collect()
    }

    /// Formats the name and the parameters as one line of the template's table: those without a type, the one
    /// for pipeline input, the typed ones, and the one for remaining arguments. Only values without a type
    /// are bound by position: a conversion would change what the endpoint binds.
    fn declared(&self) -> String {
        let (open, typed): (Vec<_>, Vec<_>) =
            self.parameters.iter().partition(|parameter| parameter.constraint.is_empty());
        let simple = self.is_simple.then(|| "!".to_owned());
        let fields = [self.name.clone()].into_iter().chain(simple);
        let fields = fields.chain(open.into_iter().map(|parameter| {
            if parameter.is_hidden_by_common() { "~".to_owned() } else { parameter.field() }
        }));
        let typed = typed.into_iter().filter(|parameter| !parameter.is_hidden_by_common());
        let fields = fields.chain([INPUT.to_owned()]).chain(typed.map(Parameter::field));
        fields.chain([REST.to_owned()]).collect::<Vec<_>>().join(" ")
    }
}

impl Parameter {
    fn of(read: &ParameterMetadata) -> Self {
        let constraint = constraint(read);
        let may_be_enum = constraint.is_empty()
            && (read.type_name.starts_with("System.") || read.type_name.starts_with("Microsoft."))
            && read
                .type_name
                .chars()
                .all(|one| one.is_ascii_alphanumeric() || matches!(one, '.' | '_' | '+'))
            && !matches!(
                read.type_name.as_str(),
                "System.String" | "System.Object" | "System.Management.Automation.PSObject"
            );
        let completes = may_be_enum.then(|| read.type_name.clone());
        Self { name: read.name.clone(), aliases: read.aliases.clone(), constraint, completes }
    }

    /// Returns whether the parameter's name or one of its aliases would select a common parameter.
    fn is_hidden_by_common(&self) -> bool {
        let begins = |name: &str| {
            let name = fold(name);
            COMMON.iter().any(|common| fold(common).starts_with(&name))
        };
        begins(&self.name) || self.aliases.iter().any(|alias| begins(alias))
    }

    /// Formats as `NAME`, `NAME:TYPE` or `NAME:TYPE:ALIAS,ALIAS`. A type after `=` is used for completion
    /// only.
    fn field(&self) -> String {
        let kind = match &self.completes {
            Some(kind) => format!("={kind}"),
            None => self.constraint.to_owned(),
        };
        let field = format!("{}:{kind}:{}", self.name, self.aliases.join(","));
        field.trim_end_matches(':').to_owned()
    }
}

/// Returns the constraint of a type that converts here as on the endpoint. `$null` must not be converted, so value
/// types are nullable and strings have no constraint (`[string]` converts `$null` to an empty string). `[bool]`
/// accepts neither texts nor `$null`, as on the endpoint; a nullable Boolean would convert 'False' to true.
fn constraint(parameter: &ParameterMetadata) -> &'static str {
    if parameter.is_switch {
        return "switch";
    }
    match parameter.type_name.as_str() {
        "System.Boolean" => "bool",
        "System.Byte" => "Nullable[byte]",
        "System.Int16" => "Nullable[int16]",
        "System.UInt16" => "Nullable[uint16]",
        "System.Int32" => "Nullable[int]",
        "System.UInt32" => "Nullable[uint32]",
        "System.Int64" => "Nullable[long]",
        "System.UInt64" => "Nullable[uint64]",
        "System.Single" => "Nullable[single]",
        "System.Double" => "Nullable[double]",
        "System.Decimal" => "Nullable[decimal]",
        "System.DateTime" => "Nullable[datetime]",
        "System.TimeSpan" => "Nullable[timespan]",
        "System.Guid" => "Nullable[guid]",
        _ => "",
    }
}

/// Returns whether a parameter name needs no quoting in the table and on the command line.
fn is_plain(name: &str) -> bool {
    let mut letters = name.chars();
    name.chars().count() <= 128
        && letters.next().is_some_and(|first| first.is_alphabetic() && first.len_utf16() == 1)
        && letters
            .all(|one| one.len_utf16() == 1 && (one.is_alphabetic() || one.is_ascii_digit() || one == '_'))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn command(name: &str, parameters: &[(&str, &str, &[&str])]) -> CommandMetadata {
        let parameter = |&(name, type_name, aliases): &(&str, &str, &[&str])| ParameterMetadata {
            name: name.to_owned(),
            type_name: type_name.to_owned(),
            aliases: aliases.iter().map(|&alias| alias.to_owned()).collect(),
            is_switch: false,
        };
        CommandMetadata {
            name: name.to_owned(),
            alias_of: None,
            is_cmdlet: true,
            parameters: parameters.iter().map(parameter).collect(),
        }
    }

    #[test]
    fn a_parameter_shadowed_by_a_common_one_is_declared() {
        let parameters: &[(&str, &str, &[&str])] = &[
            ("Identity", "System.Object", &[]),
            ("Verb", "System.String", &["Out"]),
            ("P", "System.Int32", &[]),
            ("Verify", "System.String", &[]),
        ];
        let proxies = Proxies::of(&[command("Get-Good", parameters)], |_| true);
        let [function] = proxies.functions.as_slice() else { panic!("{proxies:?}") };
        let own: Vec<_> = function.own().iter().map(ToString::to_string).collect();
        let [verb, p] = own.as_slice() else { panic!("{own:?}") };
        assert_eq!(verb, "{'position': 1, 'aliases': ['Out'], 'constraint': '', 'name': 'Verb'}");
        assert_eq!(p, "{'position': None, 'aliases': [], 'constraint': 'Nullable[int]', 'name': 'P'}");
        assert_eq!(function.declared(), "Get-Good ! Identity ~ Verify __ __rest");
    }

    #[test]
    fn a_parameter_with_an_unsafe_name_is_omitted() {
        let hostile = command(
            "Get-Good",
            &[
                ("Identity", "System.String", &["Id", "x')]$(exit 3)", "verbose", "Count"]),
                ("Count", "System.Int32", &[]),
                ("COUNT", "System.Int32", &[]),
                ("a}=$(exit 3)", "System.String", &[]),
                ("a\0", "System.String", &[]),
                ("", "System.String", &[]),
                ("Host", "System.DayOfWeek", &[]),
                ("Kind", "System.DayOfWeek, Evil", &[]),
            ],
        );
        let proxies = Proxies::of(&[hostile], |_| true);
        let function = &proxies.functions[0];
        let names: Vec<_> = function.parameters.iter().map(|one| one.name.as_str()).collect();
        assert_eq!(names, ["Identity", "Count", "Host", "Kind"]);
        assert_eq!(function.parameters[0].aliases, ["Id"]);
        assert_eq!(function.parameters[2].completes.as_deref(), Some("System.DayOfWeek"));
        assert_eq!(function.parameters[3].completes, None);
        assert_eq!(
            function.declared(),
            "Get-Good ! Identity::Id Host:=System.DayOfWeek Kind __ Count:Nullable[int] __rest"
        );
        assert_eq!(proxies.without.len(), 3, "{:?}", proxies.without);
    }

    #[test]
    fn an_alias_includes_its_command() {
        let alias = |name: &str, of: &str| CommandMetadata {
            alias_of: Some(of.to_owned()),
            ..command(name, &[("Path", "System.String", &[])])
        };
        let all = [command("Get-A", &[]), alias("ga", "Get-A"), alias("gb", "Get-B"), alias("gx", "*")];
        let proxies = Proxies::of(&all, |name| name != "*");
        let functions: Vec<_> = proxies.functions.iter().map(|one| one.name.as_str()).collect();
        assert_eq!(functions, ["Get-A", "Get-B"]);
        assert_eq!(proxies.aliases.len(), 2);
        assert_eq!(proxies.left_out, ["gx"]);
    }
}
