//! CREATE_PIPELINE (MS-PSRP 2.2.2.10) and GET_COMMAND_METADATA (2.2.2.14) as types.

use super::Missing;
use super::clixml::Value;
use super::host::HostInfo;
use super::pool::unknown_apartment;

/// A pipeline to be run.
#[derive(Clone, Debug, PartialEq)]
pub struct Pipeline {
    /// The commands of the first statement.
    pub commands: Vec<PipelineCommand>,
    /// The following statements (`AddStatement`), each with its commands.
    pub following: Vec<Vec<PipelineCommand>>,
    /// Whether there is no input; otherwise PIPELINE_INPUT messages and END_OF_PIPELINE_INPUT follow.
    pub no_input: bool,
    /// `None`: the pool's host (`_useRunspaceHost`).
    pub host: Option<HostInfo>,
    pub add_to_history: bool,
    pub is_nested: bool,
    /// Whether lyncsh's agent runs the pipeline only while no other pipeline needs the runspace, and stops it when
    /// another does. The agent does not forward this mark ([`BACKGROUND`]).
    pub background: bool,
    /// Whether lyncsh runs the pipeline for itself: its errors are not those of a user. The agent does not forward this
    /// mark ([`INTERNAL`]).
    pub internal: bool,
}

/// The properties of CREATE_PIPELINE that mark a pipeline as [`Pipeline::background`] and [`Pipeline::internal`]; not
/// part of MS-PSRP.
pub const BACKGROUND: &str = "LyncshBackground";
pub const INTERNAL: &str = "LyncshInternal";

/// One command of a pipeline.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct PipelineCommand {
    pub name: String,
    pub is_script: bool,
    pub use_local_scope: Option<bool>,
    pub arguments: Vec<Argument>,
    pub merge: Merge,
}

/// One argument: a parameter's name (without dash and colon), a value, or both.
#[derive(Clone, Debug, PartialEq)]
pub struct Argument {
    pub name: Option<String>,
    /// `None`: a switch, or the next argument without a name is its value, as on a command line.
    pub value: Option<Value>,
}

/// Targets of a command's other streams (PipelineResultTypes).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Merge {
    pub my_result: i32,
    pub to_result: i32,
    pub previous_results: i32,
    pub error: i32,
    pub warning: i32,
    pub verbose: i32,
    pub debug: i32,
    pub information: i32,
}

/// Parameters of GET_COMMAND_METADATA.
#[derive(Clone, Debug, PartialEq)]
pub struct MetadataQuery {
    pub names: Vec<String>,
    /// CommandTypes bits; Import-PSSession sends 271.
    pub command_type: i32,
    pub namespace: Vec<String>,
    pub arguments: Vec<Value>,
}

impl Pipeline {
    /// Returns a pipeline of these commands without input, on the pool's host.
    pub fn new(commands: Vec<PipelineCommand>) -> Self {
        Self {
            commands,
            following: Vec::new(),
            no_input: true,
            host: None,
            add_to_history: false,
            is_nested: false,
            background: false,
            internal: false,
        }
    }

    /// Returns the same pipeline marked as lyncsh's own.
    #[must_use]
    pub fn into_internal(self) -> Self {
        Self { internal: true, ..self }
    }

    /// Returns the same pipeline marked as background.
    #[must_use]
    pub fn in_background(self) -> Self {
        Self { background: true, ..self }
    }

    /// Returns the body of CREATE_PIPELINE.
    pub fn to_value(&self) -> Value {
        let commands = |statement: &[PipelineCommand]| {
            Value::list(OBJECT_LIST, statement.iter().map(PipelineCommand::to_value))
        };
        let mut powershell = vec![
            ("Cmds", commands(&self.commands)),
            ("IsNested", self.is_nested.into()),
            ("History", Value::Null),
            ("RedirectShellErrorOutputPipe", (!self.is_interactive()).into()),
        ];
        if !self.following.is_empty() {
            // All statements, including the first (PowerShell.cs, ToPSObjectForRemoting).
            let statements = std::iter::once(&self.commands).chain(&self.following);
            let statements =
                statements.map(|statement| Value::with_properties([("Cmds", commands(statement))]));
            powershell.insert(1, ("ExtraCmds", Value::list(OBJECT_LIST, statements)));
        }
        let powershell = Value::with_properties(powershell);
        let properties = [
            ("PowerShell", powershell),
            ("NoInput", self.no_input.into()),
            ("ApartmentState", unknown_apartment()),
            (
                "RemoteStreamOptions",
                Value::enumeration("System.Management.Automation.RemoteStreamOptions", "0", 0),
            ),
            ("AddToHistory", self.add_to_history.into()),
            ("HostInfo", self.host.as_ref().map_or_else(HostInfo::of_the_pool, HostInfo::to_value)),
            ("IsNested", self.is_nested.into()),
        ];
        let marks = [(self.background, BACKGROUND), (self.internal, INTERNAL)];
        let marks = marks.into_iter().filter(|(is_set, _)| *is_set).map(|(_, name)| (name, true.into()));
        Value::with_properties(properties.into_iter().chain(marks))
    }

    /// Returns whether errors go to the host and not to the error stream, as in PowerShell for lines that the user
    /// typed: the results of the other commands, errors included, are merged into the last command.
    fn is_interactive(&self) -> bool {
        self.commands.last().is_some_and(|last| last.merge.previous_results != 0)
    }

    /// Reads CREATE_PIPELINE.
    pub fn read(value: &Value) -> Result<Self, Missing> {
        let flag = |name| value.property(name).and_then(Value::as_bool);
        let powershell = value.property("PowerShell").ok_or(Missing("PowerShell"))?;
        let statement = |value: &Value| {
            let commands = value.property("Cmds").and_then(Value::items).ok_or(Missing("PowerShell.Cmds"))?;
            commands.iter().map(PipelineCommand::read).collect::<Result<Vec<_>, _>>()
        };
        let statements = powershell.property("ExtraCmds").and_then(Value::items).unwrap_or_default();
        let mut statements = statements.iter().map(statement).collect::<Result<Vec<_>, _>>()?.into_iter();
        let commands = match statements.next() {
            Some(first) => first,
            None => statement(powershell)?,
        };
        let host = value.property("HostInfo").ok_or(Missing("HostInfo"))?;
        Ok(Self {
            commands,
            following: statements.collect(),
            no_input: flag("NoInput").ok_or(Missing("NoInput"))?,
            host: HostInfo::read(host)?,
            add_to_history: flag("AddToHistory").unwrap_or_default(),
            is_nested: flag("IsNested").unwrap_or_default(),
            background: flag(BACKGROUND).unwrap_or_default(),
            internal: flag(INTERNAL).unwrap_or_default(),
        })
    }
}

const OBJECT_LIST: [&str; 2] = [
    "System.Collections.Generic.List`1[[System.Management.Automation.PSObject, \
     System.Management.Automation, Version=3.0.0.0, Culture=neutral, PublicKeyToken=31bf3856ad364e35]]",
    "System.Object",
];

impl PipelineCommand {
    /// Returns a command without arguments.
    pub fn new(name: impl Into<String>) -> Self {
        Self { name: name.into(), ..Self::default() }
    }

    fn to_value(&self) -> Value {
        let merge = &self.merge;
        Value::with_properties([
            ("Cmd", self.name.as_str().into()),
            ("IsScript", self.is_script.into()),
            ("UseLocalScope", self.use_local_scope.into()),
            ("MergeMyResult", result_types(merge.my_result)),
            ("MergeToResult", result_types(merge.to_result)),
            ("MergePreviousResults", result_types(merge.previous_results)),
            ("MergeError", result_types(merge.error)),
            ("MergeWarning", result_types(merge.warning)),
            ("MergeVerbose", result_types(merge.verbose)),
            ("MergeDebug", result_types(merge.debug)),
            ("MergeInformation", result_types(merge.information)),
            ("Args", Value::list(OBJECT_LIST, self.arguments.iter().map(Argument::to_value))),
        ])
    }

    fn read(value: &Value) -> Result<Self, Missing> {
        let merge = |name| value.property(name).and_then(Value::as_i32).unwrap_or_default();
        let arguments = value.property("Args").and_then(Value::items).unwrap_or_default();
        Ok(Self {
            name: value.property("Cmd").and_then(Value::as_str).ok_or(Missing("Cmd"))?.to_owned(),
            is_script: value.property("IsScript").and_then(Value::as_bool).unwrap_or_default(),
            use_local_scope: value.property("UseLocalScope").and_then(Value::as_bool),
            arguments: arguments.iter().map(Argument::read).collect::<Result<_, _>>()?,
            merge: Merge {
                my_result: merge("MergeMyResult"),
                to_result: merge("MergeToResult"),
                previous_results: merge("MergePreviousResults"),
                error: merge("MergeError"),
                warning: merge("MergeWarning"),
                verbose: merge("MergeVerbose"),
                debug: merge("MergeDebug"),
                information: merge("MergeInformation"),
            },
        })
    }
}

impl Argument {
    /// `-Name:value`
    pub fn named(name: impl Into<String>, value: impl Into<Value>) -> Self {
        Self { name: Some(name.into()), value: Some(value.into()) }
    }

    pub fn positional(value: impl Into<Value>) -> Self {
        Self { name: None, value: Some(value.into()) }
    }

    /// Returns PowerShell's form of parsed arguments: `-Name:` with a value, as its proxies send it, or
    /// `-Name` alone with a null that does not count as a value.
    fn to_value(&self) -> Value {
        let name = match (&self.name, &self.value) {
            (Some(name), Some(_)) => format!("-{name}:").into(),
            (Some(name), None) => format!("-{name}").into(),
            (None, _) => Value::Null,
        };
        Value::with_properties([("N", name), ("V", self.value.clone().unwrap_or_default())])
    }

    /// Reads `Name`, `-Name` and `-Name:` (hostifaces/Parameter.cs, ToCommandParameterInternal): null is a
    /// value only after a colon or without a name.
    fn read(value: &Value) -> Result<Self, Missing> {
        let argument = value.property("V").ok_or(Missing("V"))?;
        let Some(written) = value.property("N").ok_or(Missing("N"))?.as_str() else {
            return Ok(Self { name: None, value: Some(argument.clone()) });
        };
        // PowerShell accepts en dash, em dash and horizontal bar as a dash.
        let dashed = written.strip_prefix(['-', '\u{2013}', '\u{2014}', '\u{2015}']);
        let bare = dashed.map_or(written, str::trim_end);
        let (name, colon) = match dashed.and(bare.strip_suffix(':')) {
            Some(name) => (name, true),
            None => (bare, false),
        };
        let absent = argument.is_null() && !colon;
        Ok(Self { name: Some(name.to_owned()), value: (!absent).then(|| argument.clone()) })
    }
}

/// Returns a PipelineResultTypes value.
fn result_types(number: i32) -> Value {
    let names = ["None", "Output", "Error", "Warning", "Verbose", "Debug", "Information", "All", "Null"];
    let name = usize::try_from(number).ok().and_then(|index| names.get(index));
    let name = name.map_or_else(|| number.to_string(), |name| (*name).to_owned());
    Value::enumeration("System.Management.Automation.Runspaces.PipelineResultTypes", &name, number)
}

impl MetadataQuery {
    /// Returns the body of GET_COMMAND_METADATA.
    pub fn to_value(&self) -> Value {
        let arguments = if self.arguments.is_empty() {
            Value::Null
        } else {
            Value::array(self.arguments.iter().cloned())
        };
        Value::with_properties([
            ("Name", Value::strings(self.names.iter().cloned())),
            ("CommandType", command_types(self.command_type)),
            ("Namespace", Value::strings(self.namespace.iter().cloned())),
            ("FullyQualifiedModule", Value::Null),
            ("ArgumentList", arguments),
        ])
    }

    pub fn read(value: &Value) -> Result<Self, Missing> {
        let strings = |name| {
            let items = value.property(name).and_then(Value::items).unwrap_or_default();
            items.iter().map(Value::display_text).collect()
        };
        Ok(Self {
            names: strings("Name"),
            command_type: value
                .property("CommandType")
                .and_then(Value::as_i32)
                .ok_or(Missing("CommandType"))?,
            namespace: strings("Namespace"),
            arguments: value.property("ArgumentList").and_then(Value::items).unwrap_or_default().to_vec(),
        })
    }
}

/// Returns a CommandTypes value with .NET's text for a set of flags.
fn command_types(bits: i32) -> Value {
    const NAMES: [(i32, &str); 8] = [
        (1, "Alias"),
        (2, "Function"),
        (4, "Filter"),
        (8, "Cmdlet"),
        (16, "ExternalScript"),
        (32, "Application"),
        (64, "Script"),
        (256, "Configuration"),
    ];
    let set: Vec<_> = NAMES.iter().filter(|(bit, _)| bits & bit != 0).map(|(_, name)| *name).collect();
    let name = if bits == 383 { "All".to_owned() } else { set.join(", ") };
    Value::enumeration("System.Management.Automation.CommandTypes", &name, bits)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn switch(name: &str) -> Argument {
        Argument { name: Some(name.to_owned()), value: None }
    }

    #[test]
    fn arguments_are_read_in_every_form() {
        let read = |name: Value, value: Value| {
            Argument::read(&Value::with_properties([("N", name), ("V", value)])).unwrap()
        };
        let one = || Value::I32(1);
        assert_eq!(read("PolicyName".into(), one()), Argument::named("PolicyName", 1));
        assert_eq!(read("-PolicyName:".into(), one()), Argument::named("PolicyName", 1));
        assert_eq!(read("-PolicyName: ".into(), Value::Null), Argument::named("PolicyName", Value::Null));
        assert_eq!(read("-Confirm".into(), Value::Null), switch("Confirm"));
        assert_eq!(read("Confirm".into(), Value::Null), switch("Confirm"));
        assert_eq!(read(Value::Null, Value::Null), Argument::positional(Value::Null));
        assert_eq!(read("–Force".into(), Value::Null), switch("Force"));
    }

    #[test]
    fn pipelines_round_trip() {
        let mut command = PipelineCommand::new("Set-CsUser");
        command.arguments = vec![
            Argument::positional("kenmyer"),
            Argument::named("EnterpriseVoiceEnabled", true),
            switch("Confirm"),
            Argument::named("Policy", Value::Null),
        ];
        command.merge.my_result = 2;
        let mut pipeline = Pipeline::new(vec![command, PipelineCommand::new("Out-Default")]);
        pipeline.host = Some(HostInfo { window: (120, 30), title: "a title".into(), ..HostInfo::default() });
        assert_eq!(Pipeline::read(&pipeline.to_value()).unwrap(), pipeline);
        let two = Pipeline { following: vec![vec![PipelineCommand::new("Get-Date")]], ..pipeline.clone() };
        assert_eq!(Pipeline::read(&two.to_value()).unwrap(), two);

        let query = MetadataQuery {
            names: vec!["*-Cs*".into()],
            command_type: 271,
            namespace: vec![],
            arguments: vec![Value::I32(1)],
        };
        assert_eq!(MetadataQuery::read(&query.to_value()).unwrap(), query);
        assert_eq!(command_types(271).display_text(), "Alias, Function, Filter, Cmdlet, Configuration");
    }
}
