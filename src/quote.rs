//! Quoting of values for other languages. Only this module inserts values into scripts, command lines and
//! desktop files.

pub mod desktop;
pub mod powershell;
