//! Command lines that run without PowerShell. A text is parsed into statements. The leading commands of a statement
//! run on the endpoint, and the other commands run locally on the objects as they arrive. The output is a table, a
//! list, JSON or CSV.

mod accelerators;
mod bits;
mod block;
mod builtin;
mod check;
mod column;
mod common;
mod compare;
pub mod complete;
mod composite;
pub mod data;
pub mod draw;
pub mod error;
mod evaluate;
pub mod help;
mod inspect;
mod layout;
mod members;
mod moment;
mod nested;
mod number;
mod operate;
mod parse;
mod pattern;
mod plan;
mod printer;
mod repeat;
pub mod rows;
mod stage;
mod syntax;
mod time;
mod value;
mod views;
pub mod walk;
mod words;

pub use builtin::is_builtin;
pub use check::{is_own, is_script_call, own_names, script, statement as check};
pub use common::{Action, CommonParameters, ERROR_ACTION, VariableAssignments};
pub use error::LineError;
pub use evaluate::Variables;
pub use inspect::member;
pub use nested::{Loop, fold, nested, repeated};
pub use parse::parse;
pub use plan::{
    LocalStages, NonTerminatingError, Plan, StreamTarget, Streams, error_target, is_here, is_module_list,
    plan, reads_files, remote_commands, words,
};
pub use printer::Printer;
pub use stage::host::{HostCommand, HostPart, TranscriptFile, colour_names, split as host_part};
pub use stage::path;
pub use stage::{File, PlanContext, all_aliases, is_local, local_cmdlets, local_name, remote_name};
pub use syntax::{Arg, CommandLine, Element, Expr, Statement, SyntaxError};
pub use views::{HISTORY_INFO, Views};
pub use walk::reads;
pub use words::{boolean, parameter, pipeline, with_input};

/// Returns whether a statement is incomplete: an open quote or bracket, or a pipe or backtick at the end.
pub fn is_incomplete(text: &str) -> bool {
    let continued = text.trim_end_matches([' ', '\t']).ends_with('`');
    continued || parse(text).is_err_and(|error| error.incomplete)
}
