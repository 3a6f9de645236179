//! The bodies that open a runspace pool: SESSION_CAPABILITY (MS-PSRP 2.2.2.1), INIT_RUNSPACEPOOL
//! (2.2.2.2), APPLICATION_PRIVATE_DATA (2.2.2.13).

use std::fmt;
use std::str::FromStr;

use super::Missing;
use super::clixml::{Content, Object, Value};
use super::host::HostInfo;

/// A version of the protocol; the major number is 2 in all there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Protocol {
    pub major: u32,
    pub minor: u32,
}

impl Protocol {
    /// What lyncsh says unless told otherwise: the newest with a session key.
    pub const V2_3: Self = Self { major: 2, minor: 3 };
    /// SecureStrings in clear.
    pub const V2_4: Self = Self { major: 2, minor: 4 };

    /// What two peers speak: the lower version, where the major numbers are the same
    /// (MS-PSRP 3.1.5.4.1, 3.2.5.4.1).
    pub fn shared_with(self, peer: Self) -> Option<Self> {
        (self.major == peer.major).then(|| self.min(peer))
    }

    /// Whether SecureStrings travel in clear.
    pub fn has_clear_secrets(self) -> bool {
        self >= Self::V2_4
    }
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.major, self.minor)
    }
}

impl FromStr for Protocol {
    type Err = Missing;

    /// Reads `2.3`; further parts are passed over.
    fn from_str(text: &str) -> Result<Self, Missing> {
        let mut parts = text.split('.').map(|part| part.parse().ok());
        match (parts.next().flatten(), parts.next().flatten()) {
            (Some(major), Some(minor)) => Ok(Self { major, minor }),
            _ => Err(Missing("protocolversion")),
        }
    }
}

/// SESSION_CAPABILITY: what each end says first.
#[derive(Clone, Debug, PartialEq)]
pub struct SessionCapability {
    pub protocol: Protocol,
}

impl SessionCapability {
    /// The body; PSVersion is 2.0 whatever the PowerShell, as PowerShell itself has it.
    pub fn to_value(&self) -> Value {
        Value::with_properties([
            ("protocolversion", Value::Version(self.protocol.to_string())),
            ("PSVersion", Value::Version("2.0".to_owned())),
            ("SerializationVersion", Value::Version("1.1.0.1".to_owned())),
        ])
    }

    pub fn read(value: &Value) -> Result<Self, Missing> {
        let version = value.property("protocolversion").and_then(Value::as_str);
        Ok(Self { protocol: version.ok_or(Missing("protocolversion"))?.parse()? })
    }
}

/// INIT_RUNSPACEPOOL: what a client wants to open.
#[derive(Clone, Debug, PartialEq)]
pub struct InitRunspacePool {
    pub min_runspaces: i32,
    pub max_runspaces: i32,
    pub host: HostInfo,
    /// A PSPrimitiveDictionary, or null.
    pub application_arguments: Value,
}

impl InitRunspacePool {
    pub fn to_value(&self) -> Value {
        Value::with_properties([
            ("MinRunspaces", Value::I32(self.min_runspaces)),
            ("MaxRunspaces", Value::I32(self.max_runspaces)),
            (
                "PSThreadOptions",
                enumeration("System.Management.Automation.Runspaces.PSThreadOptions", "Default", 0),
            ),
            ("ApartmentState", unknown_apartment()),
            ("ApplicationArguments", self.application_arguments.clone()),
            ("HostInfo", self.host.to_value()),
        ])
    }

    pub fn read(value: &Value) -> Result<Self, Missing> {
        let number = |name| value.property(name).and_then(Value::as_i32);
        let host = value.property("HostInfo").ok_or(Missing("HostInfo"))?;
        Ok(Self {
            min_runspaces: number("MinRunspaces").ok_or(Missing("MinRunspaces"))?,
            max_runspaces: number("MaxRunspaces").ok_or(Missing("MaxRunspaces"))?,
            // A pool has no other's host to use: such a one has none.
            host: HostInfo::read(host)?.unwrap_or_else(HostInfo::null),
            application_arguments: value.property("ApplicationArguments").cloned().unwrap_or_default(),
        })
    }
}

/// The ApartmentState that a client on any system can ask for.
pub(super) fn unknown_apartment() -> Value {
    enumeration("System.Threading.ApartmentState", "Unknown", 2)
}

fn enumeration(type_name: &str, name: &str, number: i32) -> Value {
    Value::enumeration(type_name, name, number)
}

/// The body of APPLICATION_PRIVATE_DATA.
pub fn application_private_data(data: Value) -> Value {
    Value::with_properties([("ApplicationPrivateData", data)])
}

/// What application private data offers that makes PowerShell's client run pipelines of its own, for
/// the debugger, when it opens a pool and before each command.
const DEBUGGER_KEYS: [&str; 5] =
    ["DebugMode", "DebugStop", "DebugBreakpointCount", "UnhandledBreakpointMode", "BreakAll"];

/// Application private data (the dictionary) without what offers the debugger.
pub fn without_debugger(data: &Value) -> Value {
    let Value::Object(object) = data else { return data.clone() };
    let Content::Dictionary(entries) = &object.content else { return data.clone() };
    let kept = |(key, _): &&(Value, Value)| !key.as_str().is_some_and(|key| DEBUGGER_KEYS.contains(&key));
    let entries = entries.iter().filter(kept).cloned().collect();
    Object { content: Content::Dictionary(entries), ..Object::clone(object) }.into()
}

/// A dictionary with the PSVersionTable, as application arguments and private data hold it.
pub fn version_table(powershell: &str, edition: &str, protocol: Protocol) -> Value {
    let version = |text: &str| Value::Version(text.to_owned());
    let compatible = ["1.0", "2.0", "3.0", "4.0", "5.0", "5.1"].map(version);
    let table = Value::primitive_dictionary([
        ("PSVersion".into(), version(powershell)),
        ("PSEdition".into(), edition.into()),
        (
            "PSCompatibleVersions".into(),
            Value::list(["System.Version[]", "System.Array", "System.Object"], compatible),
        ),
        ("PSRemotingProtocolVersion".into(), version(&protocol.to_string())),
        ("SerializationVersion".into(), version("1.1.0.1")),
        ("WSManStackVersion".into(), version("3.0")),
    ]);
    Value::primitive_dictionary([("PSVersionTable".into(), table)])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn peers_speak_the_lower_version() {
        let spoken = |peer: &str| Protocol::V2_3.shared_with(peer.parse().unwrap());
        assert_eq!(spoken("2.2").map(|p| p.to_string()).as_deref(), Some("2.2"));
        assert_eq!(spoken("2.3"), Some(Protocol::V2_3));
        assert_eq!(spoken("2.4"), Some(Protocol::V2_3));
        assert_eq!(spoken("3.0"), None);
        assert!("two".parse::<Protocol>().is_err());
    }

    #[test]
    fn the_debugger_is_left_out_of_private_data_and_nothing_else() {
        let data = Value::primitive_dictionary([
            ("DebugMode".into(), Value::I32(1)),
            ("PSVersionTable".into(), Value::Null),
            ("BreakAll".into(), true.into()),
        ]);
        let without = without_debugger(&data);
        assert_eq!(without, Value::primitive_dictionary([("PSVersionTable".into(), Value::Null)]));
    }
}
