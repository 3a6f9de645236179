//! The templates and the values that they are rendered with.

use std::path::PathBuf;

use minijinja::syntax::SyntaxConfig;
use minijinja::{Environment, UndefinedBehavior, Value, context};

use super::error::ModuleError;
use crate::credential;
use crate::exports::{FORMAT, names};
use crate::folders::Folders;
use crate::net;
use crate::profile::{Kind, Profile};
use crate::quote::powershell::{ascii, quote};

/// Names and built-in texts of the templates. A file of that name in the folder `templates` of the
/// configuration folder overrides the built-in text.
const OWN: [(&str, &str); 24] = [
    (SCRIPT, include_str!("../../../templates/powershell/module.psm1")),
    ("powershell/attach.ps1", include_str!("../../../templates/powershell/attach.ps1")),
    ("powershell/names.ps1", include_str!("../../../templates/powershell/names.ps1")),
    ("powershell/export.ps1", include_str!("../../../templates/powershell/export.ps1")),
    ("powershell/autoload.ps1", include_str!("../../../templates/powershell/autoload.ps1")),
    ("powershell/prompt.ps1", include_str!("../../../templates/powershell/prompt.ps1")),
    ("powershell/bind.ps1", include_str!("../../../templates/powershell/bind.ps1")),
    ("powershell/calls.ps1", include_str!("../../../templates/powershell/calls.ps1")),
    ("powershell/quick.ps1", include_str!("../../../templates/powershell/quick.ps1")),
    (LIBRARY_SCRIPT, include_str!("../../../templates/powershell/library.ps1")),
    ("powershell/own.ps1", include_str!("../../../templates/powershell/own.ps1")),
    ("powershell/cached.ps1", include_str!("../../../templates/powershell/cached.ps1")),
    ("powershell/uncached.ps1", include_str!("../../../templates/powershell/uncached.ps1")),
    ("powershell/signin.ps1", include_str!("../../../templates/powershell/signin.ps1")),
    ("powershell/signout.ps1", include_str!("../../../templates/powershell/signout.ps1")),
    (TEAMS, include_str!("../../../templates/powershell/teams.psm1")),
    (EXCHANGE_ONLINE, include_str!("../../../templates/powershell/exchange-online.psm1")),
    (PROXIES, include_str!("../../../templates/powershell/proxies.ps1")),
    (VIEWS, include_str!("../../../templates/powershell/views.ps1xml")),
    (MANIFEST, include_str!("../../../templates/powershell/module.psd1")),
    (IMPORT, include_str!("../../../templates/powershell/import.ps1")),
    (CONNECT, include_str!("../../../templates/powershell/connect.ps1")),
    (COMMAND, include_str!("../../../templates/powershell/command.ps1")),
    (EXEC, include_str!("../../../templates/powershell/exec.ps1")),
];
const SCRIPT: &str = "powershell/module.psm1";
const LIBRARY_SCRIPT: &str = "powershell/library.ps1";
/// Name of the file next to the module with the parts that an import from the cache usually does not need.
pub const LIBRARY: &str = "library.ps1";
const PROXIES: &str = "powershell/proxies.ps1";
const VIEWS: &str = "powershell/views.ps1xml";
const TEAMS: &str = "powershell/teams.psm1";
const EXCHANGE_ONLINE: &str = "powershell/exchange-online.psm1";
const MANIFEST: &str = "powershell/module.psd1";
const IMPORT: &str = "powershell/import.ps1";
const CONNECT: &str = "powershell/connect.ps1";
const COMMAND: &str = "powershell/command.ps1";
const EXEC: &str = "powershell/exec.ps1";

/// Values for a module.
pub struct Script<'a> {
    pub module: &'a str,
    pub program: &'a str,
    /// Arguments of the program, to which the script adds an option such as `--facts`.
    pub arguments: Vec<String>,
    /// Arguments for a session owned by the PowerShell, as one command line.
    pub own: String,
    pub profile: &'a Profile,
    pub version: &'a str,
}

/// Values for a module's manifest.
pub struct Manifest<'a> {
    /// File name of the module's script.
    pub script: String,
    pub version: &'a str,
    pub description: String,
    /// Cmdlet names; `None` while unknown.
    pub names: Option<Vec<String>>,
    /// Alias names; `None` while unknown.
    pub aliases: Option<Vec<String>>,
}

/// Values for the startup script of a shell.
pub struct Connect<'a> {
    pub title: &'a str,
    pub program: &'a str,
    /// Module names and script paths.
    pub modules: Vec<(&'a str, &'a str)>,
    pub version: &'a str,
}

/// Command to run after the startup script of a shell.
#[derive(Clone, Copy, Debug)]
pub enum ModuleCommand<'a> {
    /// No command; the user gets the prompt.
    Prompt,
    /// PowerShell source.
    Text(&'a str),
    /// A script and its arguments as PowerShell source. PowerShell exits after it unless `stays` is set.
    Script { path: &'a str, arguments: &'a str, stays: bool },
}

/// Values for the script of a command line without a prompt.
#[derive(Clone, Copy, Debug)]
pub struct Exec<'a> {
    /// PowerShell source.
    pub line: &'a str,
    /// Whether objects are written as CLIXML instead of being drawn.
    pub is_data: bool,
    /// The output line before the first command.
    pub open: &'a str,
    /// Start of an output line with an object; Base64 of CLIXML follows.
    pub object: &'a str,
    /// Start of an output line with an error; Base64 of CLIXML follows.
    pub error: &'a str,
}

/// Built-in templates with the user's overrides.
pub struct Templates(Environment<'static>);

impl Templates {
    pub fn of(folders: &Folders) -> Result<Self, ModuleError> {
        let mut templates = Environment::new();
        templates.set_undefined_behavior(UndefinedBehavior::Strict);
        let syntax =
            SyntaxConfig::builder().trim_blocks(true).lstrip_blocks(true).keep_trailing_newline(true).build();
        templates.set_syntax(syntax.map_err(|error| ModuleError::Template { name: SCRIPT, error })?);
        templates.set_auto_escape_callback(|_| minijinja::AutoEscape::None);
        templates.add_filter("ps", |value: Value| literal(&value));
        templates.add_filter("xml", |value: String| super::views::xml(&value));
        for (name, own) in OWN {
            let theirs: PathBuf = folders.config.join("templates").join(name);
            let text = match crate::files::text::read(&theirs) {
                Ok(text) => text,
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => own.to_owned(),
                Err(error) => return Err(ModuleError::Write { path: theirs, error }),
            };
            templates
                .add_template_owned(name, text)
                .map_err(|error| ModuleError::Template { name, error })?;
        }
        Ok(Self(templates))
    }

    /// Renders the module, and its library if it has one.
    pub fn script(&self, script: &Script<'_>) -> Result<(String, Option<String>), ModuleError> {
        let template = match script.profile.kind {
            Kind::Teams => TEAMS,
            Kind::ExchangeOnline => EXCHANGE_ONLINE,
            _ => SCRIPT,
        };
        let context = Self::context(script);
        let library = match template {
            SCRIPT => Some(self.render(LIBRARY_SCRIPT, context.clone())?),
            _ => None,
        };
        Ok((self.render(template, context)?, library))
    }

    fn context(script: &Script<'_>) -> Value {
        let import = script.profile.import.clone();
        let certificate = script.profile.certificate.as_ref();
        context! {
                version => script.version,
                module => script.module,
                profile => script.profile.name.clone(),
                program => script.program,
                arguments => script.arguments.clone(),
                session => import.session,
                commands => import.commands,
                prefix => import.prefix,
                allow_clobber => import.allow_clobber,
                format => FORMAT,
                reserved => names::reserved(),
                restricted => names::RESTRICTED.to_vec(),
                plain => names::PLAIN,
                hyphened => names::hyphened(),
                longest => names::MAX_NAME_LENGTH.to_string(),
                helper => names::HELPER,
                formats => import.format_data,
                cache => import.cache,
                attach => import.attach.name(),
                own => script.own.clone(),
                user => script.profile.user.clone(),
                service => script.profile.service.map(|service| service.module),
                sign_in => script.profile.service.map(|service| service.sign_in.name()),
                has_secret => credential::is_needed(script.profile),
                client_id => script.profile.client_id.clone(),
                tenant => script.profile.tenant.clone(),
                organization => script.profile.organization.clone(),
                certificate => certificate.map(|path| path.display().to_string()),
                key => script.profile.key.as_ref().or(certificate).map(|path| path.display().to_string()),
                pem => certificate.is_some_and(|path| net::is_pem_file(path)),
                library => LIBRARY,
                input => super::proxies::INPUT,
                rest => super::proxies::REST,
                gate => crate::shell::pwsh::output_gate::VARIABLE,
        }
    }

    pub fn manifest(&self, manifest: &Manifest<'_>) -> Result<String, ModuleError> {
        self.render(
            MANIFEST,
            context! {
                version => manifest.version,
                script => manifest.script.clone(),
                description => manifest.description.clone(),
                names => manifest.names.clone(),
                aliases => manifest.aliases.clone().unwrap_or_default(),
            },
        )
    }

    /// Renders the proxies ([`super::proxies::Proxies::context`]).
    pub fn proxies(&self, functions: Value, aliases: Value, version: &str) -> Result<String, ModuleError> {
        self.render(PROXIES, context! { functions, aliases, version })
    }

    /// Renders the endpoint's views ([`super::views::context`]).
    pub fn views(&self, views: Value, version: &str) -> Result<String, ModuleError> {
        self.render(VIEWS, context! { views, version })
    }

    /// Returns the source of the templates for the proxies.
    pub fn proxies_source(&self) -> Result<String, ModuleError> {
        let source = |name: &'static str| {
            let template = self.0.get_template(name);
            template.map(|one| one.source().to_owned()).map_err(|error| ModuleError::Template { name, error })
        };
        Ok(source(PROXIES)? + &source(VIEWS)?)
    }

    pub fn import(&self, script: &str, profile: &str, several: bool) -> Result<String, ModuleError> {
        self.render(
            IMPORT,
            context! { script => ascii(script), profile => ascii(profile), several, pattern => script.contains(['[', ']', '`', '*', '?']) },
        )
    }

    pub fn connect(&self, connect: &Connect<'_>) -> Result<String, ModuleError> {
        let modules = connect.modules.iter().map(|&(name, script)| context! { name, script });
        self.render(
            CONNECT,
            context! {
                version => connect.version,
                title => connect.title,
                program => connect.program,
                modules => modules.collect::<Vec<_>>(),
            },
        )
    }

    pub fn command(
        &self,
        connect: &str,
        command: ModuleCommand<'_>,
        windows: bool,
    ) -> Result<String, ModuleError> {
        let (text, script, arguments, stays) = match command {
            ModuleCommand::Prompt => (None, None, None, true),
            ModuleCommand::Text(text) => (Some(text), None, None, false),
            ModuleCommand::Script { path, arguments, stays } => (None, Some(path), Some(arguments), stays),
        };
        let prompt = matches!(command, ModuleCommand::Prompt);
        self.render(COMMAND, context! { connect, prompt, text, script, arguments, stays, windows })
    }

    pub fn exec(&self, exec: Exec<'_>, version: &str) -> Result<String, ModuleError> {
        let Exec { line, is_data, open, object, error } = exec;
        self.render(EXEC, context! { version, line, is_data, open, object, error })
    }

    fn render(&self, name: &'static str, context: Value) -> Result<String, ModuleError> {
        let render = || self.0.get_template(name)?.render(context);
        render().map_err(|error| ModuleError::Template { name, error })
    }
}

/// Formats a string, list of strings, Boolean or null as PowerShell source.
fn literal(value: &Value) -> Result<String, minijinja::Error> {
    use minijinja::value::ValueKind;
    Ok(match value.kind() {
        ValueKind::None => "$null".to_owned(),
        ValueKind::Bool => if value.is_true() { "$true" } else { "$false" }.to_owned(),
        ValueKind::String => quote(value.as_str().unwrap_or_default()),
        ValueKind::Seq => {
            let all: Result<Vec<_>, _> = value.try_iter()?.map(|one| literal(&one)).collect();
            format!("@({})", all?.join(", "))
        }
        other => {
            let text = format!("cannot write a {other} into a script");
            return Err(minijinja::Error::new(minijinja::ErrorKind::InvalidOperation, text));
        }
    })
}
