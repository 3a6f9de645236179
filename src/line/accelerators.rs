//! Type accelerators: PowerShell's short names of types (`TypeAccelerators` in `TypeResolver.cs`).

/// Short names and names of the types that Get-Member shows by their short names.
const SHOWN: [(&str, &str); 23] = [
    ("string", "System.String"),
    ("int", "System.Int32"),
    ("long", "System.Int64"),
    ("uint", "System.UInt32"),
    ("ulong", "System.UInt64"),
    ("short", "System.Int16"),
    ("ushort", "System.UInt16"),
    ("byte", "System.Byte"),
    ("sbyte", "System.SByte"),
    ("bool", "System.Boolean"),
    ("double", "System.Double"),
    ("float", "System.Single"),
    ("decimal", "System.Decimal"),
    ("char", "System.Char"),
    ("datetime", "System.DateTime"),
    ("timespan", "System.TimeSpan"),
    ("guid", "System.Guid"),
    ("uri", "System.Uri"),
    ("version", "System.Version"),
    ("byte[]", "System.Byte[]"),
    ("xml", "System.Xml.XmlDocument"),
    ("scriptblock", "System.Management.Automation.ScriptBlock"),
    ("securestring", "System.Security.SecureString"),
];

/// Further names that a line may use. PowerShell also accepts a name without `System.`.
const ACCEPTED: [(&str, &str); 5] = [
    ("hashtable", "System.Collections.Hashtable"),
    ("bigint", "System.Numerics.BigInteger"),
    ("pscustomobject", "System.Management.Automation.PSCustomObject"),
    ("psobject", "System.Management.Automation.PSCustomObject"),
    ("pscredential", "System.Management.Automation.PSCredential"),
];

/// Returns the short name of a type as Get-Member shows it.
pub fn short_name(name: &str) -> Option<&'static str> {
    SHOWN.iter().find(|(_, of)| *of == name).map(|(short, _)| *short)
}

/// Returns the name of the type with a short name, in any case.
pub fn full_name(short: &str) -> Option<&'static str> {
    let known = SHOWN.iter().chain(&ACCEPTED).find(|(name, _)| name.eq_ignore_ascii_case(short));
    known.map(|(_, name)| *name)
}
