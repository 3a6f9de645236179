//! Kinds of connection: each is data here, an example in `profiles/`, and at most one template.

use super::authentication::Authentication;

/// What a profile connects to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    LyncOnline,
    SkypeServer,
    ExchangeServer,
    Wsman,
    Teams,
    ExchangeOnline,
}

/// What a kind knows by itself.
#[derive(Clone, Copy, Debug)]
pub struct Traits {
    /// As it stands in a profile.
    pub name: &'static str,
    pub summary: &'static str,
    /// Whether its protocol was tested, at least against another implementation.
    pub verified: bool,
    pub default_authentication: Authentication,
    pub authentications: &'static [Authentication],
    /// The configuration's resource URI where the profile names none.
    pub configuration: &'static str,
    /// Whether the endpoint can be found without `uri`.
    pub discovers: bool,
    /// Whether `user` is needed.
    pub needs_user: bool,
    /// Type names whose views are imported where the profile names none.
    pub format_data: &'static [&'static str],
}

/// The resource URI's part before a configuration's name.
pub const CONFIGURATION_PREFIX: &str = "http://schemas.microsoft.com/powershell/";

impl Kind {
    pub const ALL: [Self; 6] = [
        Self::LyncOnline,
        Self::SkypeServer,
        Self::ExchangeServer,
        Self::Wsman,
        Self::Teams,
        Self::ExchangeOnline,
    ];

    /// The kind's data.
    pub const fn traits(self) -> Traits {
        use Authentication::{Basic, Token};
        match self {
            Self::LyncOnline => Traits {
                name: "lync-online",
                summary: "Lync Online's protocol: discovery, then OcsPowershellLiveId or OcsPowershellOAuth",
                verified: true,
                default_authentication: Basic,
                authentications: &[Basic, Token],
                configuration: "http://schemas.microsoft.com/powershell/Microsoft.PowerShell",
                discovers: true,
                needs_user: true,
                format_data: &["Microsoft.Rtc*"],
            },
            Self::SkypeServer => Traits {
                name: "skype-server",
                summary: "Lync Server or Skype for Business Server: https://POOL/OcsPowershell",
                verified: true,
                default_authentication: Basic,
                authentications: &[Basic, Token],
                configuration: "http://schemas.microsoft.com/powershell/Microsoft.PowerShell",
                discovers: false,
                needs_user: true,
                format_data: &["Microsoft.Rtc*"],
            },
            Self::ExchangeServer => Traits {
                name: "exchange-server",
                summary: "Exchange Server: https://HOST/PowerShell/",
                verified: true,
                default_authentication: Basic,
                authentications: &[Basic, Token],
                configuration: "http://schemas.microsoft.com/powershell/Microsoft.Exchange",
                discovers: false,
                needs_user: true,
                format_data: &["Microsoft.Exchange*"],
            },
            Self::Wsman => Traits {
                name: "wsman",
                summary: "any PowerShell remoting endpoint or JEA configuration over WSMan",
                verified: true,
                default_authentication: Basic,
                authentications: &[Basic, Token],
                configuration: "http://schemas.microsoft.com/powershell/Microsoft.PowerShell",
                discovers: false,
                needs_user: true,
                format_data: &["*"],
            },
            Self::Teams => Traits {
                name: "teams",
                summary: "Microsoft Teams, through its PowerShell module (not verified)",
                ..SERVICE
            },
            Self::ExchangeOnline => Traits {
                name: "exchange-online",
                summary: "Exchange Online, through its PowerShell module (not verified)",
                ..SERVICE
            },
        }
    }
}

/// A module that has its session itself: nothing here is of its concern.
const SERVICE: Traits = Traits {
    name: "",
    summary: "",
    verified: false,
    default_authentication: Authentication::Basic,
    authentications: &[],
    configuration: "",
    discovers: false,
    needs_user: false,
    format_data: &[],
};

impl std::fmt::Display for Kind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.traits().name)
    }
}
