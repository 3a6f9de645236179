//! Types of the objects that local cmdlets create.

use crate::psrp::clixml::Value;

/// Type of a local file, after which the console finds its view. An endpoint's FileInfo has another.
pub const FILE: &str = "System.IO.FileInfo#Local";
/// Type of a local folder.
pub const FOLDER: &str = "System.IO.DirectoryInfo#Local";

/// Types with the view of local items.
pub const ITEM_TYPES: [&str; 2] = [FILE, FOLDER];

/// Type of a match of Select-String, which the console shows as its text.
pub const MATCH: &str = "Microsoft.PowerShell.Commands.MatchInfo";

/// Returns whether an object is a local file or folder.
pub fn is_local_file(value: &Value) -> bool {
    value.type_names().first().is_some_and(|first| ITEM_TYPES.contains(first))
}
