//! Kinds of connection. Each kind has its data here, an example in `profiles/`, and at most one template.

use super::authentication::Authentication;

/// Kind of endpoint of a profile.
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

/// Data of a kind.
#[derive(Clone, Copy, Debug)]
pub struct Traits {
    /// Value in a profile.
    pub name: &'static str,
    pub summary: &'static str,
    /// Whether the protocol was tested, at least against another implementation.
    pub verified: bool,
    pub default_authentication: Authentication,
    pub authentications: &'static [Authentication],
    /// Example of a connection URI; empty for module kinds.
    pub uri_example: &'static str,
    /// Default resource URI of the session configuration.
    pub configuration: &'static str,
    /// Whether the endpoint is discovered if `uri` is not set.
    pub discovers: bool,
    /// Whether `user` is required.
    pub needs_user: bool,
    /// Default type names whose views to import.
    pub format_data: &'static [&'static str],
    /// Hosts of the vendor that may receive the credential.
    pub redirects: &'static [&'static str],
    /// Known maximum numbers of sessions.
    pub sessions: Sessions,
}

/// Maximum numbers of concurrent sessions; `None` if the vendor documents no limit, or the administrator sets it.
#[derive(Clone, Copy, Debug, Default)]
pub struct Sessions {
    pub of_account: Option<usize>,
    pub of_tenant: Option<usize>,
}

/// Lync Online and its national clouds.
const LYNC_ONLINE: &[&str] = &[
    "*.online.lync.com",
    "*.online.partner.lync.cn",
    "*.online.gov.skypeforbusiness.us",
    "*.online.dod.skypeforbusiness.us",
];
/// Exchange Online and its national clouds.
const EXCHANGE_ONLINE: &[&str] = &[
    "*.outlook.com",
    "outlook.office365.com",
    "outlook.office.de",
    "partner.outlook.cn",
    "*.partner.outlook.cn",
    "outlook.office365.us",
    "*.office365.us",
    "webmail.apps.mil",
];

/// Prefix of a configuration's resource URI.
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

    /// Returns the kind's data.
    pub const fn traits(self) -> Traits {
        match self {
            Self::LyncOnline => Traits {
                name: "lync-online",
                summary: "Lync Online's protocol: discovery, then OcsPowershellLiveId or OcsPowershellOAuth",
                default_authentication: Authentication::Basic,
                authentications: &[Authentication::Basic, Authentication::Token],
                discovers: true,
                format_data: &["Microsoft.Rtc*"],
                redirects: LYNC_ONLINE,
                // The documentation of Lync Online's remote PowerShell.
                sessions: Sessions { of_account: Some(3), of_tenant: Some(9) },
                ..SERVER
            },
            Self::SkypeServer => Traits {
                name: "skype-server",
                summary: "Lync Server or Skype for Business Server: https://POOL/OcsPowershell",
                uri_example: "https://POOL/OcsPowershell",
                format_data: &["Microsoft.Rtc*"],
                ..SERVER
            },
            Self::ExchangeServer => Traits {
                name: "exchange-server",
                summary: "Exchange Server: https://HOST/PowerShell/",
                uri_example: "https://HOST/PowerShell/",
                default_authentication: Authentication::Kerberos,
                configuration: "http://schemas.microsoft.com/powershell/Microsoft.Exchange",
                format_data: &["Microsoft.Exchange*"],
                redirects: EXCHANGE_ONLINE,
                // PowerShellMaxConcurrency of the default throttling policy.
                sessions: Sessions { of_account: Some(18), of_tenant: None },
                ..SERVER
            },
            Self::Wsman => Traits {
                name: "wsman",
                summary: "any PowerShell remoting endpoint or JEA configuration over WSMan",
                ..SERVER
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

/// Common data of the kinds whose session lyncsh opens.
const SERVER: Traits = Traits {
    name: "",
    summary: "",
    verified: true,
    default_authentication: Authentication::Negotiate,
    authentications: &[
        Authentication::Kerberos,
        Authentication::Negotiate,
        Authentication::Ntlm,
        Authentication::Basic,
        Authentication::Token,
        Authentication::Certificate,
    ],
    uri_example: "https://HOST:5986/wsman",
    configuration: "http://schemas.microsoft.com/powershell/Microsoft.PowerShell",
    discovers: false,
    needs_user: true,
    format_data: &["*"],
    redirects: &[],
    sessions: Sessions { of_account: None, of_tenant: None },
};

/// Common data of module kinds: the module opens the session and ignores these values.
const SERVICE: Traits = Traits {
    name: "",
    summary: "",
    verified: false,
    default_authentication: Authentication::Basic,
    authentications: &[],
    uri_example: "",
    configuration: "",
    discovers: false,
    needs_user: false,
    format_data: &[],
    redirects: &[],
    sessions: Sessions { of_account: None, of_tenant: None },
};

impl std::fmt::Display for Kind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.traits().name)
    }
}
