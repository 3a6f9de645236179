//! Types of the objects that local cmdlets create.

use crate::psrp::clixml::Value;

/// Type name of a local file, by which the console finds the view. An endpoint's FileInfo has a different type name.
pub const FILE: &str = "System.IO.FileInfo#Local";
/// Type name of a local folder.
pub const FOLDER: &str = "System.IO.DirectoryInfo#Local";

/// Type names with the view of local files and folders.
pub const ITEM_TYPES: [&str; 2] = [FILE, FOLDER];

/// Type name of a match of Select-String. The console shows the text of a match.
pub const MATCH: &str = "Microsoft.PowerShell.Commands.MatchInfo";

/// Returns whether an object is a local file or folder.
pub fn is_local_file(value: &Value) -> bool {
    value.type_names().first().is_some_and(|first| ITEM_TYPES.contains(first))
}
