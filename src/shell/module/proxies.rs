//! Proxy functions for an endpoint's commands, written from its command metadata
//! (`templates/powershell/proxies.psm1`).

use std::collections::HashSet;

use minijinja::{Value, context};

use crate::exports::names;
use crate::psrp::command_metadata::{CommandMetadata, ParameterMetadata};

/// Follows the name of a parameter that PowerShell keeps for a variable of its own; alone, it names the
/// parameter that takes pipeline input.
pub const SUFFIX: &str = "__";

/// The common parameters, which every advanced function has, and their aliases (Cmdlet.CommonParameters).
const COMMON: [&str; 24] = [
    "Verbose", "vb", "Debug", "db", "ErrorAction", "ea", "WarningAction", "wa", "InformationAction", "infa",
    "ProgressAction", "proga", "ErrorVariable", "ev", "WarningVariable", "wv", "InformationVariable", "iv",
    "OutVariable", "ov", "OutBuffer", "ob", "PipelineVariable", "pv",
];

/// Variables that cannot be assigned to, or that mean something else inside a function
/// (SpecialVariables.cs, about_Automatic_Variables).
const KEPT: [&str; 33] = [
    "args", "ConsoleFileName", "EnabledExperimentalFeatures", "Error", "Event", "ExecutionContext", "false", "HOME",
    "Host", "input", "IsCoreCLR", "IsLinux", "IsMacOS", "IsWindows", "Matches", "MyInvocation", "null", "PID",
    "PSBoundParameters", "PSCmdlet", "PSCommandPath", "PSCulture", "PSEdition", "PSHOME", "PSItem", "PSScriptRoot",
    "PSUICulture", "PSVersionTable", "ShellId", "StackTrace", "switch", "this", "true",
];
/// Variables of the function's own (the template).
const OWN: [&str; 2] = ["a", "p"];

/// What becomes of an endpoint's commands.
#[derive(Debug)]
pub struct Proxies {
    pub functions: Vec<Function>,
    pub aliases: Vec<Alias>,
    /// Commands that have no function here because of their names.
    pub left_out: Vec<String>,
    /// Parameters that are not offered here, as `COMMAND -NAME`.
    pub without: Vec<String>,
}

/// One proxy function.
#[derive(Debug)]
pub struct Function {
    pub name: String,
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
    /// A type constraint in brackets, or nothing.
    constraint: &'static str,
    /// A type whose names complete the argument, where it is an enumeration here.
    completes: Option<String>,
}

impl Proxies {
    /// Chooses what can be written, in the order of `commands`. `prefix` is what Import-Module puts before
    /// the nouns.
    pub fn of(commands: &[CommandMetadata], prefix: Option<&str>) -> Self {
        let mut proxies =
            Self { functions: Vec::new(), aliases: Vec::new(), left_out: Vec::new(), without: Vec::new() };
        let mut seen = HashSet::new();
        let usable = |name: &str| names::is_plain(name) && !names::is_reserved(&names::prefixed(name, prefix));
        for command in commands.iter().filter(|command| command.alias_of.is_none()) {
            if !usable(&command.name) {
                proxies.left_out.push(command.name.clone());
            } else if seen.insert(command.name.to_lowercase()) {
                let function = Function::of(command, &mut proxies.without);
                proxies.functions.push(function);
            }
        }
        for command in commands {
            let Some(target) = &command.alias_of else { continue };
            let target = proxies.functions.iter().find(|one| one.name.eq_ignore_ascii_case(target));
            match target {
                Some(target) if usable(&command.name) => {
                    if seen.insert(command.name.to_lowercase()) {
                        proxies.aliases.push(Alias { name: command.name.clone(), target: target.name.clone() });
                    }
                }
                // An alias of a command that is not offered is nothing.
                None if usable(&command.name) => {}
                _ => proxies.left_out.push(command.name.clone()),
            }
        }
        proxies
    }

    /// What the template is rendered with.
    pub fn context(&self) -> (Value, Value) {
        let declared = |parameter: &Parameter| {
            let aliases: Vec<_> = parameter.aliases.iter().map(|alias| super::quote(alias)).collect();
            context! {
                name => parameter.name,
                aliases => aliases.join(","),
                r#type => parameter.constraint,
                completes => parameter.completes,
            }
        };
        let functions = self.functions.iter().map(|function| {
            let (open, typed): (Vec<_>, Vec<_>) =
                function.parameters.iter().partition(|parameter| parameter.constraint.is_empty());
            let all = |of: Vec<&Parameter>| of.into_iter().map(declared).collect::<Vec<_>>();
            context! { name => function.name, open => all(open), typed => all(typed) }
        });
        let aliases = self.aliases.iter().map(|alias| context! { name => alias.name, target => alias.target });
        (functions.collect(), aliases.collect())
    }
}

impl Function {
    fn of(command: &CommandMetadata, without: &mut Vec<String>) -> Self {
        let mut taken: HashSet<String> = COMMON.iter().map(|name| name.to_lowercase()).collect();
        taken.insert("asjob".to_owned());
        let mut parameters = Vec::new();
        for parameter in &command.parameters {
            if taken.contains(&parameter.name.to_lowercase()) {
                continue;
            }
            if !is_variable(&parameter.name) {
                without.push(format!("{} -{}", command.name, parameter.name));
                continue;
            }
            taken.insert(parameter.name.to_lowercase());
            parameters.push(Parameter::of(parameter));
        }
        // An alias that two parameters have, or that is another's name, fails every call.
        for parameter in &mut parameters {
            parameter.aliases.retain(|alias| is_variable(alias) && taken.insert(alias.to_lowercase()));
        }
        Self { name: command.name.clone(), parameters }
    }
}

impl Parameter {
    fn of(read: &ParameterMetadata) -> Self {
        let constraint = constraint(read);
        let mut aliases = read.aliases.clone();
        let mut name = read.name.clone();
        if KEPT.iter().chain(&OWN).any(|kept| kept.eq_ignore_ascii_case(&name)) {
            aliases.insert(0, name.clone());
            name.push_str(SUFFIX);
        }
        let may_be_enum = constraint.is_empty()
            && (read.type_name.starts_with("System.") || read.type_name.starts_with("Microsoft."))
            && !read.type_name.contains(['[', '`', '\''])
            && !matches!(
                read.type_name.as_str(),
                "System.String" | "System.Object" | "System.Management.Automation.PSObject"
            );
        Self { name, aliases, constraint, completes: may_be_enum.then(|| read.type_name.clone()) }
    }
}

/// The constraint of a type whose conversion here is the endpoint's own. `$null` must arrive as such, which is why
/// values are nullable, and why strings have no constraint: `[string]` makes `$null` an empty one. `[bool]` takes
/// neither texts nor `$null`, as on the endpoint; a nullable one would take 'False' for true.
fn constraint(parameter: &ParameterMetadata) -> &'static str {
    if parameter.is_switch {
        return "[switch]";
    }
    match parameter.type_name.as_str() {
        "System.Boolean" => "[bool]",
        "System.Byte" => "[Nullable[byte]]",
        "System.Int16" => "[Nullable[int16]]",
        "System.UInt16" => "[Nullable[uint16]]",
        "System.Int32" => "[Nullable[int]]",
        "System.UInt32" => "[Nullable[uint32]]",
        "System.Int64" => "[Nullable[long]]",
        "System.UInt64" => "[Nullable[uint64]]",
        "System.Single" => "[Nullable[single]]",
        "System.Double" => "[Nullable[double]]",
        "System.Decimal" => "[Nullable[decimal]]",
        "System.DateTime" => "[Nullable[datetime]]",
        "System.TimeSpan" => "[Nullable[timespan]]",
        "System.Guid" => "[Nullable[guid]]",
        _ => "",
    }
}

/// Whether a text is the name of a variable as it stands, and of a parameter.
fn is_variable(name: &str) -> bool {
    let mut letters = name.chars();
    name.chars().count() <= 128
        && letters.next().is_some_and(|first| first.is_alphabetic())
        && letters.all(|one| one.is_alphanumeric() || one == '_')
        && !name.ends_with(SUFFIX)
}
