//! Definition and parsing of the command line.

mod examples;

use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use clap::builder::{PathBufValueParser, StyledStr, TypedValueParser};
use clap::{Args, CommandFactory as _, FromArgMatches as _, Parser, Subcommand};

use crate::folders::{expanded, expanded_text};
use crate::line::data::InputFormat;
use crate::screen::{Colour, Shown, Stream};
use crate::shell::console::exec::ErrorFormat;

/// Position of the options of every command in the help: after the command's own options.
const GLOBAL: usize = 900;
/// Indentation of continuation lines in usage and error messages.
const HANG: usize = 4;

/// Open a shell on a remote PowerShell endpoint; the remote session is always removed on exit.
///
/// `lyncsh work` connects with the profile `work` and opens a shell with the cmdlets of the endpoint.
#[cfg_attr(feature = "demo", doc = "`lyncsh demo` opens a shell on a simulated endpoint.")]
#[derive(Debug, Parser)]
#[command(
    name = "lyncsh",
    version,
    max_term_width = 100,
    arg_required_else_help = true,
    disable_help_subcommand = true,
    override_usage = "lyncsh [OPTIONS] PROFILE [--shell SHELL] [SCRIPT [ARGUMENTS]] [-- ARGUMENTS]\n       lyncsh [OPTIONS] COMMAND"
)]
pub struct Cli {
    #[command(flatten)]
    pub common: Common,
    #[command(subcommand)]
    pub command: Command,
}

/// Options of every command.
#[derive(Args, Debug)]
pub struct Common {
    /// Show connection progress; repeat for more detail (-vv, -vvv)
    #[arg(short, long, global = true, action = clap::ArgAction::Count, display_order = GLOBAL)]
    pub verbose: u8,
    /// Store profiles, cache, journal and sockets in this folder [env: LYNCSH_CONFIG_DIR]
    #[arg(long, global = true, value_name = "DIR", value_parser = path(), display_order = GLOBAL)]
    pub config_dir: Option<PathBuf>,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Create a profile and store its password
    ///
    /// Without --kind, asks for the settings at the terminal. With --from, creates many profiles; the other options are
    /// their defaults.
    Add(Add),
    /// List profiles
    List(Json),
    /// Show a profile's effective settings, including defaults
    Show {
        #[command(flatten)]
        profile: Name,
        #[command(flatten)]
        json: Json,
    },
    /// Edit a profile; changes are saved only if valid
    Edit(Name),
    /// Store a new password for a profile, or sign in again
    Login {
        #[command(flatten)]
        profile: Name,
        /// Store the password for the proxy instead
        #[arg(long)]
        proxy: bool,
        /// Read the password from standard input
        #[arg(long)]
        password_stdin: bool,
        /// Open the page for the device code in the browser of this machine
        #[arg(long, conflicts_with_all = ["proxy", "password_stdin"])]
        browser: bool,
    },
    /// Remove a profile and its password
    Remove {
        #[command(flatten)]
        profile: Name,
        /// Do not ask for confirmation
        #[arg(long)]
        yes: bool,
    },
    /// Rename a profile together with its password, history, shortcuts and caches
    Rename {
        /// The current name, also if it is the name of a command
        #[arg(value_name = "OLD")]
        old: String,
        /// The new name
        #[arg(value_name = "NEW")]
        new: String,
    },
    /// Copy a profile and its password
    Copy {
        /// The profile to copy
        #[arg(value_name = "OLD")]
        old: String,
        /// The new profile's name
        #[arg(value_name = "NEW")]
        new: String,
    },
    /// Print the JSON schema of a profile, for editors
    Schema,
    /// Import a profile's cmdlets into a running PowerShell
    ///
    /// Prints the import command for `Invoke-Expression`: `lyncsh attach work | Invoke-Expression`.
    Attach {
        #[command(flatten)]
        profile: Name,
        /// Print only the path of the profile's PowerShell module
        #[arg(long, group = "wanted")]
        module: bool,
        /// Start the agent and print the path of its socket
        #[arg(long, group = "wanted")]
        socket: bool,
        /// Start the agent and print the session facts for the module
        // Modules of earlier versions pass --json, and get the error that the module was replaced.
        #[arg(long, alias = "json", group = "wanted", hide = true)]
        facts: bool,
        /// Write the proxies of the endpoint's commands and print their folder
        #[arg(long, group = "wanted", hide = true)]
        proxies: bool,
        /// Print the profile's secret for the module
        #[arg(long, group = "wanted", hide = true)]
        secret: bool,
        /// Print the settings of a standalone session and remove the session after the shell ends
        #[arg(long, group = "wanted", hide = true)]
        own: bool,
    },
    /// Import cmdlets into every new PowerShell session
    Hook {
        #[command(subcommand)]
        action: HookAction,
    },
    /// Rebuild a profile's cached cmdlet proxies
    Refresh(Name),
    /// Create a desktop shortcut that opens a profile's shell in a terminal
    Shortcut(ShortcutOptions),
    /// Run one command or script without a shell, in one profile or many
    Exec(Box<Exec>),
    /// Show agents, their shells, and which sessions count against the endpoint's limit
    Status(StatusOptions),
    /// Check whether a profile can connect, and show what prevents it; changes nothing
    ///
    /// The exit code is 0 if the profile can connect, and 3 if a check failed. All checks together take at most 15 seconds.
    Doctor {
        #[command(flatten)]
        profile: Name,
        #[command(flatten)]
        json: Json,
    },
    /// Show agents, shells, pipelines and sessions in a live screen
    ///
    /// `q` quits, `s` stops the selected agent after a confirmation, and the arrow keys select.
    Watch {
        /// Print one snapshot as JSON, as `lyncsh status` does
        #[arg(long)]
        json: bool,
    },
    /// Stop agents and remove their sessions
    Stop {
        /// Profiles whose agents to stop
        #[arg(required_unless_present = "all")]
        profiles: Vec<String>,
        /// Stop all agents of this user
        #[arg(long)]
        all: bool,
        /// Forget sessions that cannot be removed: the server ends them only at their idle timeout
        #[arg(long)]
        forget: bool,
    },
    /// Try lyncsh against a built-in simulated endpoint
    #[cfg(feature = "demo")]
    Demo(Demo),
    /// Print the completion script for a shell: commands, options, profiles and cmdlets
    Completions {
        #[arg(value_enum)]
        shell: clap_complete::Shell,
    },
    /// Print a manual page
    Man {
        /// The command, as in `lyncsh man hook install` [default: lyncsh itself]
        #[arg(value_name = "COMMAND")]
        command: Vec<String>,
        /// Write all manual pages into this folder
        #[arg(long, value_name = "DIR", value_parser = path(), conflicts_with = "command")]
        output: Option<PathBuf>,
    },
    /// Print help for a command or a topic
    Help {
        /// A command, or one of the topics profile, console, exec, authentication and exit-codes
        #[arg(value_name = "COMMAND|TOPIC")]
        words: Vec<String>,
    },
    /// Run the agent, which owns one remote session; started by lyncsh itself
    #[command(hide = true)]
    Agent,
    /// Open a shell with the cmdlets of this profile
    #[command(external_subcommand)]
    Shell(Vec<String>),
    /// The parsed form of `Shell`, set by [`Cli::read`]
    #[command(skip)]
    Work(Work),
}

/// Arguments of `lyncsh NAME`.
#[derive(Debug, Parser)]
#[command(
    name = "lyncsh",
    no_binary_name = true,
    max_term_width = 100,
    override_usage = "lyncsh PROFILE [OPTIONS] [SCRIPT [ARGUMENTS]] [-- ARGUMENTS]",
    after_help = "SCRIPT is a PowerShell script. The console checks the whole script before it runs the first line.\n\
                  Words after the script's name are its arguments ($args)."
)]
pub struct Work {
    /// The profile's name
    #[arg(value_name = "PROFILE")]
    pub name: String,
    #[command(flatten)]
    pub common: Common,
    /// Open this shell instead of the profile's: `console`, or a PowerShell by name or path
    #[arg(long)]
    pub shell: Option<String>,
    /// Arguments for PowerShell, as in `-- -NoProfile -Command Get-CsTenant`
    #[arg(last = true)]
    pub arguments: Vec<String>,
    /// The script and its arguments, from [`Work::script_of`]
    #[arg(skip)]
    pub script: Vec<String>,
}

impl Work {
    /// Parses the arguments after `lyncsh`; exits the program if they are invalid.
    fn read(words: &[String], refused: fn()) -> Self {
        let (words, script) = words.split_at(Self::script_of(words));
        let read = Self::try_parse_from(words).unwrap_or_else(|error| quit(&error, refused));
        let mut script = script.to_vec();
        if let Some(file) = script.first_mut() {
            *file = expanded_text(file);
        }
        Self { script, ..read }
    }

    /// Returns the index of the script's name: the first word after the profile's name that is not an
    /// option or an option's value. All words after it are the script's arguments.
    fn script_of(words: &[String]) -> usize {
        let mut at = 1;
        while let Some(word) = words.get(at) {
            match word.as_str() {
                "--" => return words.len(),
                "--shell" | "--config-dir" => at += 2,
                option if option.starts_with('-') && option.len() > 1 => at += 1,
                _ => return at,
            }
        }
        words.len()
    }
}

impl Cli {
    /// Returns the declaration with the examples of every command.
    pub fn declaration() -> clap::Command {
        examples::add(Self::command())
    }

    /// Parses the command line. If it is invalid, calls `refused` and exits the program.
    pub fn read(refused: fn()) -> Self {
        let matches = Self::declaration().try_get_matches();
        let parsed = matches.and_then(|matches| {
            Self::from_arg_matches(&matches).map_err(|error| error.format(&mut Self::declaration()))
        });
        let mut cli = parsed.unwrap_or_else(|error| quit(&error, refused));
        if let Command::Shell(words) = &cli.command {
            let work = Work::read(words, refused);
            cli.common.verbose += work.common.verbose;
            cli.common.config_dir = work.common.config_dir.clone().or(cli.common.config_dir);
            cli.command = Command::Work(work);
        }
        cli.common.config_dir = cli.common.config_dir.or_else(config_dir);
        cli
    }
}

/// Prints help, the version, or the error of the command line, and exits the program.
fn quit(error: &clap::Error, refused: fn()) -> ! {
    let stream = if error.use_stderr() { Stream::Error } else { Stream::Output };
    // A closed pipe is not an error.
    let _ = stream.write(&shown(&error.render(), stream));
    if error.use_stderr() {
        refused();
    }
    std::process::exit(error.exit_code());
}

/// Formats help or an error of clap for a stream.
pub fn shown(text: &StyledStr, stream: Stream) -> Shown {
    let text = match stream.colour() {
        Colour::Keep => text.ansi().to_string(),
        Colour::Drop => text.to_string(),
    };
    stream.message(&text, HANG)
}

/// Returns the configuration directory from the environment.
pub fn config_dir() -> Option<PathBuf> {
    // clap's `env` would list the option in every usage line, and reject an empty variable.
    let set = std::env::var_os("LYNCSH_CONFIG_DIR").filter(|name| !name.is_empty())?;
    Some(expanded(Path::new(&set)))
}

/// Returns the parser of a path, which expands `~`: shells do not expand it in `--option=~/x`, and `cmd` never does.
fn path() -> impl TypedValueParser<Value = PathBuf> {
    PathBufValueParser::new().map(|path| expanded(&path))
}

/// Arguments of `lyncsh add`.
#[derive(Args, Debug)]
pub struct Add {
    /// The new profile's name
    #[arg(value_name = "PROFILE")]
    pub name: Option<String>,
    /// Create one profile for each row of this CSV file; its columns are `name` and the keys of a profile
    #[arg(long, value_name = "FILE", value_parser = path(), conflicts_with_all = ["name", "force"])]
    pub from: Option<PathBuf>,
    /// Kind of endpoint: lync-online, skype-server, exchange-server, wsman, or (not verified) teams, exchange-online
    #[arg(long)]
    pub kind: Option<String>,
    /// Account to sign in with, as name@domain
    #[arg(long)]
    pub user: Option<String>,
    /// Domain to administer [default: the domain of the user]
    #[arg(long)]
    pub domain: Option<String>,
    /// Connection URI of the endpoint
    #[arg(long)]
    pub uri: Option<String>,
    /// Send the discovery request to this URI instead of lyncdiscover.DOMAIN
    #[arg(long, value_name = "URI")]
    pub discovery: Option<String>,
    /// Session configuration, as a name or a resource URI
    #[arg(long)]
    pub configuration: Option<String>,
    /// Authentication method, such as kerberos, negotiate, ntlm, basic or token
    #[arg(long)]
    pub authentication: Option<String>,
    /// Read the password from the first line of this command's output
    #[arg(long, value_name = "COMMAND", conflicts_with_all = ["prompt", "password_stdin"])]
    pub credential_command: Option<String>,
    /// Ask for the password each time instead of storing it
    #[arg(long, conflicts_with = "password_stdin")]
    pub prompt: bool,
    /// Read the password from the first line of this file
    #[arg(long, value_name = "FILE", value_parser = path(), conflicts_with_all = ["prompt", "password_stdin", "credential_command"])]
    pub credential_file: Option<PathBuf>,
    /// Store the password in this keyring entry, which several profiles can use
    #[arg(long, value_name = "ENTRY", conflicts_with_all = ["prompt", "credential_command", "credential_file"])]
    pub keyring: Option<String>,
    /// Store no password: use the Kerberos ticket or the Windows logon
    #[arg(long, conflicts_with_all = ["prompt", "password_stdin", "credential_command", "credential_file", "keyring"])]
    pub system: bool,
    /// Read the password from standard input
    #[arg(long)]
    pub password_stdin: bool,
    /// Change an existing profile: replace only the given settings
    #[arg(long)]
    pub force: bool,
}

/// Arguments of `lyncsh exec`.
#[derive(Args, Debug)]
#[command(
    override_usage = "lyncsh exec [OPTIONS] PROFILE -- COMMAND\n       lyncsh exec [OPTIONS] PROFILE [SCRIPT [-- ARGUMENTS]]\n       lyncsh exec [OPTIONS] --all|--tag TAG|--profiles NAMES ...",
    after_help = "COMMAND is a whole line in one argument, or one pipeline in several arguments, each of which is one \
                  value:\n  \
                  lyncsh exec work --json -- 'Get-CsOnlineUser | Select-Object DisplayName, LineUri'\n  \
                  lyncsh exec work --json -- Get-CsOnlineUser -Identity \"Ann O'Neil\" '|' Select-Object DisplayName\n\
                  Options of lyncsh precede `--`.\n\
                  Without COMMAND and SCRIPT, the script is read from standard input.\n\
                  Exit codes: lyncsh help exit-codes"
)]
pub struct Exec {
    /// The profile (not with --all, --tag or --profiles), and the path of a script (instead of COMMAND)
    #[arg(value_name = "PROFILE")]
    pub words: Vec<String>,
    #[command(flatten)]
    pub output: ExecFormat,
    /// Pass standard input to the command as objects, read in this format
    #[arg(long, value_enum, value_name = "FORMAT")]
    pub input: Option<InputFormat>,
    /// Format of the errors on standard error
    #[arg(long, value_enum, default_value_t, value_name = "FORMAT")]
    pub errors: ErrorFormat,
    /// Run in all profiles
    #[arg(long, group = "selection")]
    pub all: bool,
    /// Run in the profiles with this tag
    #[arg(long, group = "selection", value_name = "TAG")]
    pub tag: Option<String>,
    /// Run in these profiles, separated by commas
    #[arg(long, group = "selection", value_name = "NAMES", value_delimiter = ',')]
    pub profiles: Vec<String>,
    /// Run in N profiles at the same time; profiles slower than 5 seconds do not count
    #[arg(long, default_value_t = 16, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=256))]
    pub parallel: u16,
    /// Print the results in the order of the profiles, not as they come
    #[arg(long, requires = "selection")]
    pub ordered: bool,
    /// Stop all profiles at the first failure
    #[arg(long, requires = "selection")]
    pub fail_fast: bool,
    /// Time limit for each profile, such as 90s or 5m
    #[arg(long, value_parser = humantime::parse_duration, value_name = "DURATION")]
    pub timeout: Option<std::time::Duration>,
    /// The command; after a script, its arguments
    #[arg(last = true, value_name = "COMMAND")]
    pub line: Vec<String>,
}

/// Format of the output of `lyncsh exec`.
#[derive(Args, Clone, Copy, Debug)]
#[group(multiple = false)]
pub struct ExecFormat {
    /// Print all objects as one JSON array
    #[arg(long)]
    pub json: bool,
    /// Print each object as one line of JSON, as it arrives
    #[arg(long)]
    pub jsonl: bool,
    /// Print CSV
    #[arg(long)]
    pub csv: bool,
    /// Print CLIXML, for Import-Clixml
    #[arg(long)]
    pub clixml: bool,
}

/// Subcommands of `lyncsh hook`.
#[derive(Debug, Subcommand)]
pub enum HookAction {
    /// Show the hook script, then add it to the startup script of each PowerShell
    Install {
        #[command(flatten)]
        of: HookOptions,
        /// Do not ask for confirmation
        #[arg(long)]
        yes: bool,
    },
    /// Remove the hook script from all startup scripts
    Remove,
    /// Print the hook script to install manually
    Print(HookOptions),
    /// Print the configuration that shows running agents in a shell's prompt
    Prompt {
        #[arg(value_enum)]
        shell: PromptShell,
    },
}

/// Programs that draw a prompt.
#[derive(clap::ValueEnum, Clone, Copy, Debug, PartialEq, Eq)]
pub enum PromptShell {
    Bash,
    Zsh,
    Fish,
    Starship,
}

/// Options of `lyncsh hook`.
#[derive(Args, Debug)]
pub struct HookOptions {
    /// Profiles to import [default: all]
    #[arg(value_name = "PROFILE")]
    pub names: Vec<String>,
    /// Connect when PowerShell starts instead of on the first call of a cmdlet
    #[arg(long)]
    pub eager: bool,
}

/// Arguments of `lyncsh shortcut`.
#[derive(Args, Debug)]
pub struct ShortcutOptions {
    /// Profile to open
    #[arg(value_name = "PROFILE")]
    pub name: String,
    /// Create the shortcut in the application menu instead of on the desktop
    #[arg(long)]
    pub menu: bool,
    /// Start at login
    #[arg(long)]
    pub autostart: bool,
    /// Create the shortcut in this folder
    #[arg(long, value_name = "DIR", value_parser = path())]
    pub output: Option<PathBuf>,
    /// Remove the shortcut from the given location [default: desktop, menu and login]
    #[arg(long)]
    pub remove: bool,
    /// Open the shell in a new terminal; used by shortcuts
    #[arg(long, hide = true, conflicts_with_all = ["menu", "autostart", "output", "remove", "here"])]
    pub open: bool,
    /// Open the shell in this terminal, and keep the terminal open on failure; used by shortcuts
    #[arg(long, hide = true, conflicts_with_all = ["menu", "autostart", "output", "remove"])]
    pub here: bool,
}

/// Argument of commands that take one profile.
#[derive(Args, Debug)]
pub struct Name {
    /// The profile's name
    #[arg(value_name = "PROFILE")]
    pub name: String,
}

/// Options of `lyncsh status`.
#[derive(Args, Debug)]
pub struct StatusOptions {
    #[command(flatten)]
    pub json: Json,
    /// Print one line for each agent: text with fields in braces, such as '{name} {shells}'
    ///
    /// Fields: name, shells, state (open or connecting), process, user, endpoint, session, since (time since the
    /// session was opened), used and allowed (sessions of the account), running, queued, pipelines, received,
    /// sent, errors. `{{` and `}}` are braces. Only the field `used` sends a request to the endpoint.
    #[arg(long, conflicts_with = "json")]
    pub format: Option<String>,
}

#[derive(Args, Clone, Copy, Debug)]
pub struct Json {
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// Options of `lyncsh demo`.
#[cfg(feature = "demo")]
#[derive(Args, Debug)]
pub struct Demo {
    /// Open this PowerShell, by name or path, instead of the built-in console
    #[arg(long, default_value = "console", conflicts_with = "serve")]
    pub shell: String,
    /// Run only the endpoint, and print its address as one line of JSON
    #[arg(long)]
    pub serve: bool,
    /// Act as an SSH `powershell` subsystem: serve one client on standard input and output
    #[arg(long, hide = true, conflicts_with_all = ["serve", "shell"])]
    pub stdio: bool,
    /// Port of the endpoint; 0 selects a free port
    #[arg(long, default_value_t = 0)]
    pub port: u16,
    /// Delay before every response
    #[arg(long, hide = true, default_value = "0s", value_parser = humantime::parse_duration, value_name = "DURATION")]
    pub latency: std::time::Duration,
    /// Minimum number of cmdlets
    #[arg(long, hide = true, value_name = "N")]
    pub cmdlets: Option<usize>,
    /// Add tenants `tenant0001.example` and so on, each with the account `admin@DOMAIN`
    #[arg(long, default_value_t = 0, value_name = "N", requires = "serve")]
    pub tenants: usize,
    /// Fault of a tenant, as DOMAIN=refused, dead, full or a delay
    #[arg(long, hide = true, value_parser = crate::simulator::TenantFault::parse, value_name = "DOMAIN=FAULT")]
    pub fault: Vec<(String, crate::simulator::TenantFault)>,
    /// Minimum number of users
    #[arg(long, hide = true, value_name = "N")]
    pub users: Option<usize>,
    /// Remove a session after this long without a request
    #[arg(long, hide = true, default_value = "15m", value_parser = humantime::parse_duration, value_name = "DURATION")]
    pub idle_timeout: std::time::Duration,
    /// Offer the commands of the recorded endpoint as well
    #[arg(long, hide = true)]
    pub fixtures: bool,
    /// Do not answer a session over the quota, as the service did
    #[arg(long, hide = true)]
    pub hang: bool,
    /// Answer each Receive with one message after this delay
    #[arg(long, hide = true, value_parser = humantime::parse_duration, value_name = "DURATION")]
    pub trickle: Option<std::time::Duration>,
    /// Use TLS; the JSON line contains the path of the CA certificate as `ca`
    #[arg(long)]
    pub tls: bool,
    /// Require this authentication of clients
    #[arg(long, value_enum, default_value_t, value_name = "NAME", requires = "serve")]
    pub authentication: crate::simulator::Authentication,
    /// Behave like the vendor's OMI server instead of WinRM
    #[arg(long, hide = true)]
    pub omi: bool,
}

/// Returns the command names, which cannot be profile names.
pub fn taken() -> &'static [&'static str] {
    static COMMAND: LazyLock<clap::Command> = LazyLock::new(Cli::command);
    static NAMES: LazyLock<Vec<&str>> =
        LazyLock::new(|| COMMAND.get_subcommands().map(clap::Command::get_name).collect());
    &NAMES
}
