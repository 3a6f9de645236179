//! The documented policies and configurations of Lync Online as one table: what each holds, and
//! which verbs it has. Names, types and defaults are the vendor's documentation's.

use super::spec::{Kind, ParameterSpec, parameter};
use super::value::{Properties, enumeration, strings, text};
use crate::psrp::clixml::Value;

/// One kind of policy or configuration.
#[derive(Debug)]
pub struct Family {
    /// `CsClientPolicy`.
    pub noun: &'static str,
    pub type_name: &'static str,
    /// Get, Set, New, Remove, Grant: which of them exist.
    pub verbs: &'static [Verb],
    /// What there is at the beginning.
    pub instances: &'static [&'static str],
    pub properties: &'static [(&'static str, Initial)],
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verb {
    Get,
    Set,
    New,
    Remove,
    Grant,
}

/// A property's first value, which tells its type too.
#[derive(Clone, Copy, Debug)]
pub enum Initial {
    Bool(bool),
    Int(i32),
    Text(&'static str),
    /// A text without a value.
    Unset,
    /// A number without a value.
    NoInt,
    Span(&'static str),
    /// Any objects, shown by their text.
    Objects,
    /// Type name, values, the first value.
    One(&'static str, &'static [&'static str], usize),
}

impl Initial {
    pub fn kind(self) -> Kind {
        match self {
            Self::Bool(_) => Kind::Bool,
            Self::Int(_) | Self::NoInt => Kind::Int,
            Self::Text(_) | Self::Unset => Kind::String,
            Self::Span(_) => Kind::TimeSpan,
            Self::Objects => Kind::Object,
            Self::One(name, values, _) => Kind::Enum(name, values),
        }
    }

    fn value(self) -> Value {
        match self {
            Self::Bool(value) => Value::Bool(value),
            Self::Int(value) => Value::I32(value),
            Self::Text(value) => text(value),
            Self::Unset | Self::NoInt => Value::Null,
            Self::Span(value) => Value::Duration(value.into()),
            Self::Objects => strings(Vec::<String>::new()),
            Self::One(name, values, at) => enumeration(
                name,
                values.get(at).copied().unwrap_or_default(),
                i32::try_from(at).unwrap_or_default(),
            ),
        }
    }
}

impl Family {
    pub fn has(&self, verb: Verb) -> bool {
        self.verbs.contains(&verb)
    }
    pub fn grants(&self) -> bool {
        self.has(Verb::Grant)
    }
    /// The user's property that a grant sets.
    pub fn granted_as(&self) -> &'static str {
        self.noun.strip_prefix("Cs").unwrap_or(self.noun)
    }
    /// The first values of one instance.
    pub fn defaults(&self, identity: &str) -> Properties {
        let unrestricted = identity == "Tag:NoFederationAndPIC";
        self.properties
            .iter()
            .map(|(name, default)| {
                let value = match default {
                    Initial::Bool(_) if unrestricted => Value::Bool(false),
                    other => other.value(),
                };
                ((*name).to_owned(), value)
            })
            .collect()
    }
    pub fn property_parameters(&self) -> Vec<ParameterSpec> {
        self.properties.iter().map(|(name, default)| parameter(*name, default.kind())).collect()
    }
}

use Initial::{Bool, Int, NoInt, Objects, One, Span, Text, Unset};
use Verb::{Get, Grant, New, Remove, Set};

const GLOBAL: &[&str] = &["Global"];
const ALL: &[Verb] = &[Get, Set, New, Remove, Grant];

pub const FAMILIES: &[Family] = &[
    Family {
        noun: "CsClientPolicy",
        type_name: "Microsoft.Rtc.Management.WritableConfig.Policy.Client.ClientPolicy",
        verbs: ALL,
        instances: &[
            "Global",
            "Tag:ClientPolicyDefaultPhoto",
            "Tag:ClientPolicyNoIMURL",
            "Tag:ClientPolicyNoIMURLPhoto",
        ],
        properties: &[
            ("Description", Unset),
            (
                "AddressBookAvailability",
                One(
                    "Microsoft.Rtc.Management.WritableConfig.Policy.Client.AddressBookAvailability",
                    &["WebSearchAndFileDownload", "WebSearchOnly", "FileDownloadOnly"],
                    1,
                ),
            ),
            ("AttendantSafeTransfer", Unset),
            ("CalendarStatePublicationInterval", NoInt),
            ("DisableCalendarPresence", Bool(false)),
            ("DisableContactCardOrganizationTab", Bool(false)),
            ("DisableEmailComparisonCheck", Bool(false)),
            ("DisableEmoticons", Bool(false)),
            ("DisableFreeBusyInfo", Bool(false)),
            ("DisablePresenceNote", Bool(false)),
            ("DisableSavingIM", Bool(false)),
            ("DisplayPhoto", Text("AllPhotos")),
            ("EnableAppearOffline", Bool(false)),
            ("EnableClientMusicOnHold", Bool(false)),
            ("EnableIMAutoArchiving", Bool(true)),
            ("EnableURL", Bool(true)),
            ("MaximumNumberOfContacts", Int(250)),
            ("MaxPhotoSizeKB", Int(30)),
            ("SearchPrefixFlags", NoInt),
            ("ShowRecentContacts", Bool(true)),
        ],
    },
    Family {
        noun: "CsConferencingPolicy",
        type_name: "Microsoft.Rtc.Management.WritableConfig.Policy.Meeting.MeetingPolicy",
        verbs: ALL,
        instances: &[
            "Global",
            "Tag:BposSAllModality",
            "Tag:BposSAllModalityNoFT",
            "Tag:BposSAllModalityNoRec",
        ],
        properties: &[
            ("AllowIPAudio", Bool(true)),
            ("AllowIPVideo", Bool(true)),
            ("Description", Unset),
            ("AllowParticipantControl", Bool(true)),
            ("AllowAnnotations", Bool(true)),
            ("DisablePowerPointAnnotations", Bool(false)),
            ("AllowUserToScheduleMeetingsWithAppSharing", Bool(true)),
            ("AllowAnonymousUsersToDialOut", Bool(false)),
            ("AllowAnonymousParticipantsInMeetings", Bool(true)),
            ("AllowExternalUsersToRecordMeeting", Bool(false)),
            ("AllowExternalUserControl", Bool(false)),
            ("AllowPolls", Bool(true)),
            (
                "EnableAppDesktopSharing",
                One(
                    "Microsoft.Rtc.Management.WritableConfig.Policy.Meeting.EnableAppDesktopSharing",
                    &["Desktop", "SingleApplication", "None"],
                    0,
                ),
            ),
            ("EnableDialInConferencing", Bool(true)),
            ("EnableFileTransfer", Bool(true)),
            ("EnableP2PFileTransfer", Bool(true)),
            ("EnableP2PRecording", Bool(true)),
            ("EnableDataCollaboration", Bool(true)),
            ("AllowConferenceRecording", Bool(true)),
            ("MaxMeetingSize", Int(250)),
            ("AudioBitRateKb", Int(200)),
            ("VideoBitRateKb", Int(50_000)),
            ("FileTransferBitRateKb", Int(50_000)),
        ],
    },
    Family {
        noun: "CsExternalAccessPolicy",
        type_name: "Microsoft.Rtc.Management.WritableConfig.Policy.ExternalAccess.ExternalAccessPolicy",
        verbs: ALL,
        instances: &["Global", "Tag:FederationAndPICDefault", "Tag:FederationOnly", "Tag:NoFederationAndPIC"],
        properties: &[
            ("Description", Unset),
            ("EnableFederationAccess", Bool(true)),
            ("EnableXmppAccess", Bool(false)),
            ("EnablePublicCloudAccess", Bool(true)),
            ("EnablePublicCloudAudioVideoAccess", Bool(true)),
            ("EnableOutsideAccess", Bool(true)),
        ],
    },
    Family {
        noun: "CsVoicePolicy",
        type_name: "Microsoft.Rtc.Management.WritableConfig.Policy.Voice.VoicePolicy",
        verbs: &[Get, Grant],
        instances: &["Global", "Tag:BusinessVoice_US", "Tag:InternationalCallsDisallowed"],
        properties: &[
            ("PstnUsages", Objects),
            ("Description", Unset),
            ("AllowSimulRing", Bool(true)),
            ("AllowCallForwarding", Bool(true)),
            ("AllowPSTNReRouting", Bool(true)),
            ("EnableDelegation", Bool(true)),
            ("EnableTeamCall", Bool(true)),
            ("EnableCallTransfer", Bool(true)),
            ("EnableCallPark", Bool(false)),
            ("EnableMaliciousCallTracing", Bool(false)),
        ],
    },
    Family {
        noun: "CsDialPlan",
        type_name: "Microsoft.Rtc.Management.WritableConfig.Policy.Voice.LocationProfile",
        verbs: &[Get, Grant],
        instances: &["Global", "Tag:US"],
        properties: &[
            ("Description", Unset),
            ("DialinConferencingRegion", Unset),
            ("NormalizationRules", Objects),
            ("CountryCode", Unset),
            ("State", Unset),
            ("City", Unset),
            ("ExternalAccessPrefix", Unset),
            ("SimpleName", Text("DefaultProfile")),
            ("OptimizeDeviceDialing", Bool(false)),
        ],
    },
    Family {
        noun: "CsHostedVoicemailPolicy",
        type_name: "Microsoft.Rtc.Management.WritableConfig.Policy.HostedVoicemail.HostedVoicemailPolicy",
        verbs: &[Get, Grant],
        instances: &["Global", "Tag:BusinessVoice"],
        properties: &[
            ("Description", Unset),
            ("Destination", Text("exap.um.outlook.com")),
            ("Organization", Unset),
        ],
    },
    Family {
        noun: "CsPresencePolicy",
        type_name: "Microsoft.Rtc.Management.WritableConfig.Policy.Presence.PresencePolicy",
        verbs: &[Get],
        instances: &["Global", "Tag:Service:Medium"],
        properties: &[
            ("Description", Unset),
            ("MaxCategorySubscription", Int(1000)),
            ("MaxPromptedSubscriber", Int(200)),
        ],
    },
    Family {
        noun: "CsExternalUserCommunicationPolicy",
        type_name: "Microsoft.Rtc.Management.WritableConfig.Policy.ExternalUserCommunication.ExternalUserCommunicationPolicy",
        verbs: &[Get, Set, New, Remove, Grant],
        instances: GLOBAL,
        properties: &[
            ("EnableP2PFileTransfer", Bool(true)),
            ("AllowPresenceVisibility", Bool(true)),
            ("AllowTitleVisibility", Bool(true)),
        ],
    },
    Family {
        noun: "CsTenantFederationConfiguration",
        type_name: "Microsoft.Rtc.Management.WritableConfig.Settings.Edge.Hosted.TenantFederationSettings",
        verbs: &[Get, Set],
        instances: GLOBAL,
        properties: &[
            ("AllowedDomains", Text("AllowAllKnownDomains")),
            ("BlockedDomains", Objects),
            ("AllowFederatedUsers", Bool(true)),
            ("AllowPublicUsers", Bool(true)),
            ("SharedSipAddressSpace", Bool(false)),
            ("TreatDiscoveredPartnersAsUnverified", Bool(false)),
        ],
    },
    Family {
        noun: "CsTenantHybridConfiguration",
        type_name: "Microsoft.Rtc.Management.WritableConfig.Settings.TenantHybridConfiguration.TenantHybridConfiguration",
        verbs: &[Get, Set],
        instances: GLOBAL,
        properties: &[
            ("HybridPSTNSites", Objects),
            ("HybridPSTNAppliances", Objects),
            ("TenantUpdateTimeWindows", Objects),
            ("PeerDestination", Unset),
            ("HybridConfigServiceInternalUrl", Unset),
            ("HybridConfigServiceExternalUrl", Unset),
            ("UseOnPremDialPlan", Bool(true)),
        ],
    },
    Family {
        noun: "CsTenantPublicProvider",
        type_name: "Microsoft.Rtc.Management.Hosted.PublicProvider.TenantPublicProvider",
        verbs: &[Get],
        instances: GLOBAL,
        properties: &[("ProviderSet", Text("WindowsLive")), ("DomainPICStatus", Text("Enabled"))],
    },
    Family {
        noun: "CsTenantLicensingConfiguration",
        type_name: "Microsoft.Rtc.Management.WritableConfig.Settings.TenantLicensing.TenantLicensingConfiguration",
        verbs: &[Get],
        instances: GLOBAL,
        properties: &[(
            "Status",
            One(
                "Microsoft.Rtc.Management.WritableConfig.Settings.TenantLicensing.TenantStatus",
                &["Enabled", "Disabled"],
                0,
            ),
        )],
    },
    Family {
        noun: "CsMeetingConfiguration",
        type_name: "Microsoft.Rtc.Management.WritableConfig.Settings.WebConf.MeetingConfiguration",
        verbs: &[Get, Set],
        instances: GLOBAL,
        properties: &[
            ("PstnCallersBypassLobby", Bool(true)),
            ("EnableAssignedConferenceType", Bool(true)),
            (
                "DesignateAsPresenter",
                One(
                    "Microsoft.Rtc.Management.WritableConfig.Settings.WebConf.DesignateAsPresenter",
                    &["None", "Company", "Everyone"],
                    1,
                ),
            ),
            ("AssignedConferenceTypeByDefault", Bool(true)),
            ("AdmitAnonymousUsersByDefault", Bool(true)),
            ("LogoURL", Unset),
            ("LegalURL", Unset),
            ("HelpURL", Unset),
            ("CustomFooterText", Unset),
            ("RequireRoomSystemsAuthorization", Bool(false)),
        ],
    },
    Family {
        noun: "CsPushNotificationConfiguration",
        type_name: "Microsoft.Rtc.Management.WritableConfig.Settings.PushNotificationConfiguration.PushNotificationConfiguration",
        verbs: &[Get, Set],
        instances: GLOBAL,
        properties: &[
            ("EnableApplePushNotificationService", Bool(true)),
            ("EnableMicrosoftPushNotificationService", Bool(true)),
        ],
    },
    Family {
        noun: "CsPrivacyConfiguration",
        type_name: "Microsoft.Rtc.Management.WritableConfig.Settings.UserServices.PrivacyConfiguration",
        verbs: &[Get, Set],
        instances: GLOBAL,
        properties: &[
            ("AutoInitiateContacts", Bool(true)),
            ("PublishLocationDataDefault", Bool(true)),
            ("DisplayPublishedPhotoDefault", Bool(true)),
            ("EnablePrivacyMode", Bool(false)),
        ],
    },
    Family {
        noun: "CsImFilterConfiguration",
        type_name: "Microsoft.Rtc.Management.WritableConfig.Settings.IMFilter.IMFilterConfiguration",
        verbs: &[Get, Set],
        instances: GLOBAL,
        properties: &[
            ("Prefixes", Objects),
            ("AllowMessage", Unset),
            ("WarnMessage", Unset),
            ("Enabled", Bool(false)),
            ("IgnoreLocal", Bool(true)),
            ("BlockFileExtension", Bool(false)),
            (
                "Action",
                One(
                    "Microsoft.Rtc.Management.WritableConfig.Settings.IMFilter.Action",
                    &["Allow", "Block", "Warn"],
                    1,
                ),
            ),
        ],
    },
    Family {
        noun: "CsBroadcastMeetingConfiguration",
        type_name: "Microsoft.Rtc.Management.WritableConfig.Settings.BroadcastMeeting.BroadcastMeetingConfiguration",
        verbs: &[Get, Set],
        instances: GLOBAL,
        properties: &[
            ("EnableBroadcastMeeting", Bool(false)),
            ("EnableOpenBroadcastMeeting", Bool(false)),
            ("EnableBroadcastMeetingRecording", Bool(true)),
            ("EnableAnonymousBroadcastMeeting", Bool(true)),
            ("EnforceBroadcastMeetingRecording", Bool(false)),
            ("BroadcastMeetingSupportUrl", Text("https://support.office.com/home/contact")),
        ],
    },
    Family {
        noun: "CsUserServicesConfiguration",
        type_name: "Microsoft.Rtc.Management.WritableConfig.Settings.UserServices.UserServicesSettings",
        verbs: &[Get],
        instances: GLOBAL,
        properties: &[
            ("MaxContacts", Int(250)),
            ("MaxScheduledMeetingsPerOrganizer", Int(1000)),
            ("AnonymousUserGracePeriod", Span("PT15M")),
            ("SubscribeToCollapsedDG", Bool(true)),
        ],
    },
];
