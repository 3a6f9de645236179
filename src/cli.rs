//! The command line, and nothing else.

use std::path::PathBuf;

use clap::{Args, CommandFactory as _, Parser, Subcommand};

use crate::screen::{Colour, Stream};

/// How far a line that goes on below is indented: a usage line, or an error.
const HANG: usize = 4;

/// A shell with a tenant's PowerShell cmdlets; its remote session is removed whatever happens.
///
/// `lyncsh work` connects with the profile `work` and opens a shell in which the tenant's cmdlets
/// already are.
#[cfg_attr(feature = "demo", doc = "`lyncsh demo` shows it without a tenant.")]
#[derive(Debug, Parser)]
#[command(
    name = "lyncsh",
    version,
    max_term_width = 100,
    arg_required_else_help = true,
    override_usage = "lyncsh [OPTIONS] PROFILE [--shell SHELL] [SCRIPT [ARGUMENTS]] [-- ARGUMENTS]\n       lyncsh [OPTIONS] COMMAND"
)]
pub struct Cli {
    #[command(flatten)]
    pub common: Common,
    #[command(subcommand)]
    pub command: Command,
}

/// What every command takes.
#[derive(Args, Debug)]
pub struct Common {
    /// Print the steps of connecting as they happen; twice and more for the log
    #[arg(short, long, global = true, action = clap::ArgAction::Count)]
    pub verbose: u8,
    /// Keep profiles, cache, journal and sockets below this folder [env: LYNCSH_CONFIG_DIR]
    #[arg(long, global = true, value_name = "DIR")]
    pub config_dir: Option<PathBuf>,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Write a profile and store its password
    Add(Add),
    /// List the profiles
    List(Json),
    /// Show what a profile comes to, its defaults filled in
    Show {
        #[command(flatten)]
        profile: Name,
        #[command(flatten)]
        json: Json,
    },
    /// Change a profile in an editor; it takes effect once it has no mistakes
    Edit(Name),
    /// Store a new password for a profile
    Login {
        #[command(flatten)]
        profile: Name,
        /// Read the password from standard input
        #[arg(long)]
        password_stdin: bool,
    },
    /// Remove a profile and its password
    Remove {
        #[command(flatten)]
        profile: Name,
        /// Don't ask
        #[arg(long)]
        yes: bool,
    },
    /// Have the cmdlets of a profile in a PowerShell that runs already
    ///
    /// `lyncsh attach work | Invoke-Expression` imports them: it prints the line that does it.
    Attach {
        #[command(flatten)]
        profile: Name,
        /// Print the path of the profile's PowerShell module alone
        #[arg(long, group = "wanted")]
        module: bool,
        /// Start the agent, and print the path of its socket
        #[arg(long, group = "wanted")]
        socket: bool,
        /// Start the agent, and print what the module needs to know
        // Modules of earlier versions pass --json; the answer is that the module was replaced.
        #[arg(long, alias = "json", group = "wanted", hide = true)]
        facts: bool,
        /// Write the proxies of the endpoint's commands, and print where they are
        #[arg(long, group = "wanted", hide = true)]
        proxies: bool,
        /// Hand the profile's secret to the module that has asked for it
        #[arg(long, group = "wanted", hide = true)]
        secret: bool,
        /// Hand over what a session of the shell's own takes, and remove it when the shell is gone
        #[arg(long, group = "wanted", hide = true)]
        own: bool,
    },
    /// Have the cmdlets in every PowerShell, from its start
    Hook {
        #[command(subcommand)]
        action: HookAction,
    },
    /// Rebuild a profile's cached cmdlet proxies
    Refresh(Name),
    /// Make a shortcut that opens a profile's shell in a terminal: on the desktop, or where you say
    Shortcut(ShortcutOptions),
    /// Show every agent, its shells, and who holds the slots of its endpoint
    Status(Json),
    /// End agents and remove their sessions
    Stop {
        /// The profiles whose agents end
        #[arg(required_unless_present = "all")]
        profiles: Vec<String>,
        /// End every agent of this user
        #[arg(long)]
        all: bool,
    },
    /// The whole of it on an embedded endpoint, without a tenant
    #[cfg(feature = "demo")]
    Demo(Demo),
    /// Print a script that completes lyncsh's words in a shell
    Completions {
        #[arg(value_enum)]
        shell: clap_complete::Shell,
    },
    /// The owner of one remote session; started by lyncsh itself
    #[command(hide = true)]
    Agent,
    /// Open a shell with the cmdlets of this profile
    #[command(external_subcommand)]
    Shell(Vec<String>),
    /// What [`Cli::read`] makes of it
    #[command(skip)]
    Work(Work),
}

/// `lyncsh NAME`: a shell with the cmdlets of this profile.
#[derive(Debug, Parser)]
#[command(
    name = "lyncsh",
    no_binary_name = true,
    max_term_width = 100,
    override_usage = "lyncsh PROFILE [OPTIONS] [SCRIPT [ARGUMENTS]] [-- ARGUMENTS]",
    after_help = "SCRIPT is a PowerShell script: the console runs it as a whole or not at all, a PowerShell as any\n\
                  other script. What follows its name is its own ($args)."
)]
pub struct Work {
    /// The profile's name
    #[arg(value_name = "PROFILE")]
    pub name: String,
    #[command(flatten)]
    pub common: Common,
    /// `console`, or a PowerShell by name or path, instead of the profile's (5.1 is not verified)
    #[arg(long)]
    pub shell: Option<String>,
    /// What the PowerShell is called with, as in `-- -NoProfile -Command Get-CsTenant`
    #[arg(last = true)]
    pub arguments: Vec<String>,
    /// A script and its arguments: [`Work::script_of`]
    #[arg(skip)]
    pub script: Vec<String>,
}

impl Work {
    /// Reads the words behind `lyncsh`; ends the program where they are wrong.
    fn read(words: &[String], refused: fn()) -> Self {
        let (words, script) = words.split_at(Self::script_of(words));
        let read = Self::try_parse_from(words).unwrap_or_else(|error| quit(&error, refused));
        Self { script: script.to_vec(), ..read }
    }

    /// Where the script's name stands: the first word behind the profile's that is no option and no
    /// option's value. All that follows it is the script's.
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
    /// The script that completes commands and options in a shell.
    pub fn completions(shell: clap_complete::Shell, into: &mut dyn std::io::Write) {
        clap_complete::generate(shell, &mut Self::command(), "lyncsh", into);
    }

    /// Parses the command line; ends the program where it is wrong, after `refused`.
    pub fn read(refused: fn()) -> Self {
        let mut cli = Self::try_parse().unwrap_or_else(|error| quit(&error, refused));
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

/// Prints help, the version, or what is wrong with the command line, and ends the program.
fn quit(error: &clap::Error, refused: fn()) -> ! {
    let stream = if error.use_stderr() { Stream::Error } else { Stream::Output };
    let styled = error.render();
    let text = match stream.colour() {
        Colour::Keep => styled.ansi().to_string(),
        Colour::Drop => styled.to_string(),
    };
    // A reader that has stopped is not an error.
    let _ = stream.write(&stream.message(&text, HANG));
    if error.use_stderr() {
        refused();
    }
    std::process::exit(error.exit_code());
}

/// The configuration directory that the environment names.
pub fn config_dir() -> Option<PathBuf> {
    // Not clap's: it would demand the option in every usage line, and forbid an empty variable.
    std::env::var_os("LYNCSH_CONFIG_DIR").filter(|name| !name.is_empty()).map(PathBuf::from)
}

/// What a profile is made of.
#[derive(Args, Debug)]
pub struct Add {
    /// The new profile's name
    #[arg(value_name = "PROFILE")]
    pub name: String,
    /// lync-online, skype-server, exchange-server, wsman, or (not verified) teams, exchange-online
    #[arg(long, required_unless_present = "force")]
    pub kind: Option<String>,
    /// Who signs in, as name@domain
    #[arg(long)]
    pub user: Option<String>,
    /// The domain to administer, where it is not the user's
    #[arg(long)]
    pub domain: Option<String>,
    /// The endpoint's connection URI
    #[arg(long)]
    pub uri: Option<String>,
    /// Ask this address instead of lyncdiscover.DOMAIN
    #[arg(long, value_name = "URI")]
    pub discovery: Option<String>,
    /// The configuration, by its name or as a resource URI
    #[arg(long)]
    pub configuration: Option<String>,
    /// basic or token
    #[arg(long)]
    pub authentication: Option<String>,
    /// Take the password from this command's first line of output
    #[arg(long, value_name = "COMMAND", conflicts_with_all = ["prompt", "password_stdin"])]
    pub credential_command: Option<String>,
    /// Store no password, ask for it each time
    #[arg(long, conflicts_with = "password_stdin")]
    pub prompt: bool,
    /// Read the password from standard input
    #[arg(long)]
    pub password_stdin: bool,
    /// Change the settings that are given in a profile that exists; the others stay
    #[arg(long)]
    pub force: bool,
}

/// What is done with the hook.
#[derive(Debug, Subcommand)]
pub enum HookAction {
    /// Put it into the startup script of each PowerShell, after showing it
    Install {
        #[command(flatten)]
        of: HookOptions,
        /// Don't ask
        #[arg(long)]
        yes: bool,
    },
    /// Take it out again; everything else in the scripts stays as it is
    Remove,
    /// Print its lines, for a place of your own
    Print(HookOptions),
}

/// Whose cmdlets, and when.
#[derive(Args, Debug)]
pub struct HookOptions {
    /// The profiles; by default all
    #[arg(value_name = "PROFILE")]
    pub names: Vec<String>,
    /// Connect at PowerShell's start, not when one of the cmdlets is first called
    #[arg(long)]
    pub eager: bool,
}

/// Which shortcut, and where.
#[derive(Args, Debug)]
pub struct ShortcutOptions {
    /// The profile that it opens
    #[arg(value_name = "PROFILE")]
    pub name: String,
    /// In the menu of applications, instead of on the desktop
    #[arg(long)]
    pub menu: bool,
    /// Among what starts when you sign in
    #[arg(long)]
    pub autostart: bool,
    /// In this folder
    #[arg(long, value_name = "DIR")]
    pub output: Option<PathBuf>,
    /// Remove it, from where the other flags say or from all places but --output
    #[arg(long)]
    pub remove: bool,
    /// Open the shell in a new terminal; what a shortcut does
    #[arg(long, hide = true, conflicts_with_all = ["menu", "autostart", "output", "remove", "here"])]
    pub open: bool,
    /// Open the shell in this terminal, and keep it if that fails; what a shortcut does
    #[arg(long, hide = true, conflicts_with_all = ["menu", "autostart", "output", "remove"])]
    pub here: bool,
}

/// A profile's name.
#[derive(Args, Debug)]
pub struct Name {
    /// The profile's name
    #[arg(value_name = "PROFILE")]
    pub name: String,
}

#[derive(Args, Clone, Copy, Debug)]
pub struct Json {
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// `lyncsh demo`.
#[cfg(feature = "demo")]
#[derive(Args, Debug)]
pub struct Demo {
    /// A PowerShell by name or path; by default the built-in console
    #[arg(long, default_value = "console", conflicts_with = "serve")]
    pub shell: String,
    /// Run the endpoint alone, and print one line of JSON that says where it is
    #[arg(long)]
    pub serve: bool,
    /// Be a host's `powershell` subsystem: serve one client on standard input and output
    #[arg(long, hide = true, conflicts_with_all = ["serve", "shell"])]
    pub stdio: bool,
    /// The endpoint's port; by default one that is free
    #[arg(long, default_value_t = 0)]
    pub port: u16,
    /// Wait this long before every answer
    #[arg(long, hide = true, default_value = "0s", value_parser = humantime::parse_duration, value_name = "DURATION")]
    pub latency: std::time::Duration,
    /// Offer at least this many cmdlets
    #[arg(long, hide = true, value_name = "N")]
    pub cmdlets: Option<usize>,
    /// Have at least this many users
    #[arg(long, hide = true, value_name = "N")]
    pub users: Option<usize>,
    /// Remove a session after this long without a request
    #[arg(long, hide = true, default_value = "15m", value_parser = humantime::parse_duration, value_name = "DURATION")]
    pub idle_timeout: std::time::Duration,
    /// Offer the commands of the recorded endpoint as well
    #[arg(long, hide = true)]
    pub fixtures: bool,
    /// Leave a session past the quota without an answer, as the service did
    #[arg(long, hide = true)]
    pub hang: bool,
    /// Answer each Receive with one message, after this long
    #[arg(long, hide = true, value_parser = humantime::parse_duration, value_name = "DURATION")]
    pub trickle: Option<std::time::Duration>,
    /// Speak TLS, with a certificate whose authority's file the JSON line names as `ca`
    #[arg(long)]
    pub tls: bool,
    /// Behave as the vendor's OMI server instead of WinRM
    #[arg(long, hide = true)]
    pub omi: bool,
}

/// The words that are commands: no profile can be named so.
pub fn taken() -> Vec<String> {
    let command = Cli::command();
    let names = command.get_subcommands().map(|one| one.get_name().to_owned());
    names.chain(["help".to_owned()]).collect()
}
