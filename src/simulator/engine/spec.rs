//! Descriptions of commands: names and parameters.

/// Kind of a command, with its CommandTypes bit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CommandKind {
    Alias,
    Function,
    Cmdlet,
}

impl CommandKind {
    pub fn bit(self) -> i32 {
        match self {
            Self::Alias => 1,
            Self::Function => 2,
            Self::Cmdlet => 8,
        }
    }
    pub fn name(self) -> &'static str {
        match self {
            Self::Alias => "Alias",
            Self::Function => "Function",
            Self::Cmdlet => "Cmdlet",
        }
    }
}

/// A command.
#[derive(Clone, Debug)]
pub struct CommandSpec {
    pub name: String,
    pub kind: CommandKind,
    pub module: &'static str,
    pub help_uri: &'static str,
    /// Default parameter set; empty if the command has none.
    pub default_set: &'static str,
    pub should_process: bool,
    pub parameters: Vec<ParameterSpec>,
    pub output_types: &'static [&'static str],
    /// Target of an alias.
    pub resolves: Option<String>,
    /// Text that a made-up command returns.
    pub answer: String,
    /// One sentence for Get-Help; empty if the command has no help.
    pub synopsis: String,
}

impl CommandSpec {
    /// Returns a name without `MODULE\`, if that is the command's module.
    pub fn unqualified<'a>(&self, name: &'a str) -> &'a str {
        match name.split_once('\\') {
            Some((module, rest)) if !self.module.is_empty() && module.eq_ignore_ascii_case(self.module) => {
                rest
            }
            _ => name,
        }
    }

    /// Returns a cmdlet of Lync Online.
    pub fn cmdlet(name: String, synopsis: String) -> Self {
        Self {
            name,
            kind: CommandKind::Cmdlet,
            module: "Lync",
            help_uri: "",
            default_set: "",
            should_process: false,
            parameters: Vec::new(),
            output_types: &[],
            resolves: None,
            answer: String::new(),
            synopsis,
        }
    }

    pub fn verb(&self) -> &str {
        self.name.split_once('-').map_or("", |(verb, _)| verb)
    }

    pub fn noun(&self) -> &str {
        self.name.split_once('-').map_or("", |(_, noun)| noun)
    }

    /// Returns the part after the comma of an error's id: a cmdlet's class, or a function's name.
    pub fn error_source(&self) -> String {
        match self.kind {
            CommandKind::Alias | CommandKind::Function => self.name.clone(),
            CommandKind::Cmdlet => {
                format!("Microsoft.Rtc.Management.Cmdlets.{}{}Cmdlet", self.verb(), self.noun())
            }
        }
    }

    /// Returns the command's own parameters, then the common ones, in PowerShell's order.
    pub fn all_parameters(&self) -> Vec<ParameterSpec> {
        let mut all = self.parameters.clone();
        all.extend(common_parameters());
        if self.should_process {
            all.push(switch("WhatIf").alias(&["wi"]));
            all.push(switch("Confirm").alias(&["cf"]));
        }
        all
    }

    /// Returns the names of the parameter sets. If no parameter has a set, returns only the default set, which may be
    /// empty.
    pub fn parameter_sets(&self) -> Vec<&'static str> {
        let mut sets: Vec<&'static str> = Vec::new();
        for set in self.parameters.iter().flat_map(|parameter| &parameter.sets) {
            if !sets.contains(set) {
                sets.push(set);
            }
        }
        if sets.is_empty() { vec![self.default_set] } else { sets }
    }
}

/// Type of a parameter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    String,
    Strings,
    Int,
    Bool,
    Switch,
    Guid,
    TimeSpan,
    Version,
    Object,
    Objects,
    SecureString,
    Credential,
    /// An enum of the vendor or PowerShell: type name and value names.
    Enum(&'static str, &'static [&'static str]),
}

impl Kind {
    /// Returns the .NET name.
    pub fn full_name(self) -> String {
        match self {
            Self::String => "System.String".into(),
            Self::Strings => "System.String[]".into(),
            Self::Int => "System.Int32".into(),
            Self::Bool => "System.Boolean".into(),
            Self::Switch => "System.Management.Automation.SwitchParameter".into(),
            Self::Guid => "System.Guid".into(),
            Self::TimeSpan => "System.TimeSpan".into(),
            Self::Version => "System.Version".into(),
            Self::Object => "System.Object".into(),
            Self::Objects => "System.Object[]".into(),
            Self::SecureString => "System.Security.SecureString".into(),
            Self::Credential => "System.Management.Automation.PSCredential".into(),
            Self::Enum(name, _) => name.into(),
        }
    }

    /// Returns the name in a syntax line.
    pub fn short_name(self) -> String {
        match self {
            Self::String => "string".into(),
            Self::Strings => "string[]".into(),
            Self::Int => "int".into(),
            Self::Bool => "bool".into(),
            Self::Guid => "guid".into(),
            Self::TimeSpan => "timespan".into(),
            Self::Version => "version".into(),
            Self::Object => "Object".into(),
            Self::Objects => "Object[]".into(),
            Self::SecureString => "securestring".into(),
            Self::Credential => "pscredential".into(),
            Self::Switch => "switch".into(),
            Self::Enum(name, _) => name.rsplit('.').next().unwrap_or(name).into(),
        }
    }

    pub fn is_list(self) -> bool {
        matches!(self, Self::Strings | Self::Objects)
    }
}

/// Validation of a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Validate {
    Set(&'static [&'static str]),
    Range(i64, i64),
}

/// A parameter.
#[derive(Clone, Debug)]
pub struct ParameterSpec {
    pub name: String,
    pub kind: Kind,
    pub aliases: &'static [&'static str],
    pub position: Option<i32>,
    pub mandatory: bool,
    pub by_value: bool,
    pub by_property: bool,
    /// Parameter sets; empty if the parameter belongs to all sets.
    pub sets: Vec<&'static str>,
    pub validate: Option<Validate>,
    /// Whether this is a common parameter (about_CommonParameters).
    pub common: bool,
}

impl ParameterSpec {
    pub fn at(mut self, position: i32) -> Self {
        self.position = Some(position);
        self
    }
    pub fn mandatory(mut self) -> Self {
        self.mandatory = true;
        self
    }
    /// Accepts pipeline input by value and by property name.
    pub fn piped(mut self) -> Self {
        self.by_value = true;
        self.by_property = true;
        self
    }
    pub fn by_value(mut self) -> Self {
        self.by_value = true;
        self
    }
    pub fn by_property(mut self) -> Self {
        self.by_property = true;
        self
    }
    pub fn in_set(mut self, set: &'static str) -> Self {
        self.sets.push(set);
        self
    }
    pub fn alias(mut self, names: &'static [&'static str]) -> Self {
        self.aliases = names;
        self
    }
    pub fn valid(mut self, rule: Validate) -> Self {
        self.validate = Some(rule);
        self
    }
    pub fn in_sets(&self, set: &str) -> bool {
        self.sets.is_empty() || self.sets.contains(&set)
    }
}

pub fn parameter(name: impl Into<String>, kind: Kind) -> ParameterSpec {
    ParameterSpec {
        name: name.into(),
        kind,
        aliases: &[],
        position: None,
        mandatory: false,
        by_value: false,
        by_property: false,
        sets: Vec::new(),
        validate: None,
        common: false,
    }
}

pub fn string(name: &str) -> ParameterSpec {
    parameter(name, Kind::String)
}
pub fn int(name: &str) -> ParameterSpec {
    parameter(name, Kind::Int)
}
pub fn boolean(name: &str) -> ParameterSpec {
    parameter(name, Kind::Bool)
}
pub fn switch(name: &str) -> ParameterSpec {
    parameter(name, Kind::Switch)
}

const ACTION: Kind = Kind::Enum(
    "System.Management.Automation.ActionPreference",
    &["SilentlyContinue", "Stop", "Continue", "Inquire", "Ignore", "Suspend", "Break"],
);

/// Returns the common parameters (about_CommonParameters) in PowerShell 7's order.
fn common_parameters() -> Vec<ParameterSpec> {
    let table: [(&str, Kind, &'static [&'static str]); 12] = [
        ("Verbose", Kind::Switch, &["vb"]),
        ("Debug", Kind::Switch, &["db"]),
        ("ErrorAction", ACTION, &["ea"]),
        ("WarningAction", ACTION, &["wa"]),
        ("InformationAction", ACTION, &["infa"]),
        ("ProgressAction", ACTION, &["proga"]),
        ("ErrorVariable", Kind::String, &["ev"]),
        ("WarningVariable", Kind::String, &["wv"]),
        ("InformationVariable", Kind::String, &["iv"]),
        ("OutVariable", Kind::String, &["ov"]),
        ("OutBuffer", Kind::Int, &["ob"]),
        ("PipelineVariable", Kind::String, &["pv"]),
    ];
    table
        .into_iter()
        .map(|(name, kind, aliases)| ParameterSpec { common: true, ..parameter(name, kind).alias(aliases) })
        .collect()
}
