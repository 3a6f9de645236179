//! The bodies that open a runspace pool: SESSION_CAPABILITY (MS-PSRP 2.2.2.1), INIT_RUNSPACEPOOL
//! (2.2.2.2), APPLICATION_PRIVATE_DATA (2.2.2.13).

use std::fmt;
use std::str::FromStr;

use super::Missing;
use super::clixml::Value;
use super::host::HostInfo;

/// A protocol version; the major number is 2 in all existing versions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Protocol {
    pub major: u32,
    pub minor: u32,
}

impl Protocol {
    /// lyncsh's default: the latest version with a session key.
    pub const V2_3: Self = Self { major: 2, minor: 3 };
    /// Sends SecureStrings in clear text.
    pub const V2_4: Self = Self { major: 2, minor: 4 };

    /// Returns the common version of two peers: the lower one if the major numbers are equal (MS-PSRP
    /// 3.1.5.4.1, 3.2.5.4.1).
    pub fn shared_with(self, peer: Self) -> Option<Self> {
        (self.major == peer.major).then(|| self.min(peer))
    }

    /// Returns whether SecureStrings are sent in clear text.
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

    /// Parses `2.3`; ignores further parts.
    fn from_str(text: &str) -> Result<Self, Missing> {
        let mut parts = text.split('.').map(|part| part.parse().ok());
        match (parts.next().flatten(), parts.next().flatten()) {
            (Some(major), Some(minor)) => Ok(Self { major, minor }),
            _ => Err(Missing("protocolversion")),
        }
    }
}

/// SESSION_CAPABILITY, the first message of each peer.
#[derive(Clone, Debug, PartialEq)]
pub struct SessionCapability {
    pub protocol: Protocol,
}

impl SessionCapability {
    /// Returns the body; PSVersion is 2.0 for every PowerShell, as in PowerShell itself.
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

/// Application argument of lyncsh's own clients: they accept the state of their pool at any time after the
/// capabilities of the server.
const ACCEPTS_EARLY_STATE: &str = "LyncshAcceptsEarlyState";

/// INIT_RUNSPACEPOOL, a client's request to open a pool.
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
            // A pool cannot use another pool's host: treated as no host.
            host: HostInfo::read(host)?.unwrap_or_else(HostInfo::null),
            application_arguments: value.property("ApplicationArguments").cloned().unwrap_or_default(),
        })
    }
}

/// Returns the ApartmentState for clients on any system.
pub(super) fn unknown_apartment() -> Value {
    enumeration("System.Threading.ApartmentState", "Unknown", 2)
}

fn enumeration(type_name: &str, name: &str, number: i32) -> Value {
    Value::enumeration(type_name, name, number)
}

/// Returns the body of APPLICATION_PRIVATE_DATA.
pub fn application_private_data(data: Value) -> Value {
    Value::with_properties([("ApplicationPrivateData", data)])
}

/// Returns whether a client with these application arguments accepts the state of its pool immediately after the
/// capabilities.
pub fn accepts_early_state(application_arguments: &Value) -> bool {
    application_arguments.get(ACCEPTS_EARLY_STATE).is_some()
}

/// Returns the application arguments with the entry that [`accepts_early_state`] looks for.
pub(super) fn with_early_state(application_arguments: &Value) -> Value {
    let entries = application_arguments.entries().unwrap_or_default().iter().cloned();
    Value::primitive_dictionary(entries.chain([(ACCEPTS_EARLY_STATE.into(), true.into())]))
}

/// Returns a dictionary with the PSVersionTable, as in application arguments and private data.
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
    fn peers_agree_on_the_lower_version() {
        let spoken = |peer: &str| Protocol::V2_3.shared_with(peer.parse().unwrap());
        assert_eq!(spoken("2.2").map(|p| p.to_string()).as_deref(), Some("2.2"));
        assert_eq!(spoken("2.3"), Some(Protocol::V2_3));
        assert_eq!(spoken("2.4"), Some(Protocol::V2_3));
        assert_eq!(spoken("3.0"), None);
        assert!("two".parse::<Protocol>().is_err());
    }
}
