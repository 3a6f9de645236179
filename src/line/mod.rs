//! A command line without PowerShell: parsed into stages, the leading ones run on the endpoint, the
//! rest here on the objects as they come, drawn as table, list, JSON or CSV.

pub mod draw;
