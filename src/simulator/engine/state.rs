//! Tenants with their users and settings.

use std::collections::BTreeMap;

use uuid::Uuid;

use super::family::{FAMILIES, Family};
use super::value::{Properties, custom, properties, strings, text};
use crate::psrp::clixml::Value;

/// All tenants of the simulator.
#[derive(Debug)]
pub struct Tenants {
    all: Vec<Tenant>,
}

/// A tenant.
#[derive(Debug)]
pub struct Tenant {
    pub domain: String,
    pub name: String,
    pub id: Uuid,
    /// Administrators and their password.
    admins: Vec<String>,
    password: &'static str,
    pub users: Vec<User>,
    /// Policies and configurations by noun.
    settings: BTreeMap<&'static str, Vec<Setting>>,
    /// Status of the last meeting migration, by index of the user in `users`.
    pub migrated: BTreeMap<usize, String>,
}

/// A policy or configuration.
#[derive(Clone, Debug)]
pub struct Setting {
    /// `Global` or `Tag:NAME`.
    pub identity: String,
    pub values: Properties,
}

/// A user or meeting room.
#[derive(Clone, Debug)]
pub struct User {
    pub alias: String,
    pub first_name: String,
    pub last_name: String,
    pub is_room: bool,
    pub number: usize,
    /// Changed properties, which override the defaults.
    pub changed: Properties,
}

const LITWARE: Uuid = Uuid::from_u128(0x38aa_d667_af54_4397_aaa7_e94c_79ec_2308);
const CONTOSO: Uuid = Uuid::from_u128(0x7c1b_26d4_90e3_4f58_8a35_1d6f_02b9_c4ae);

/// Password of the administrators of additional tenants.
pub const TENANT_PASSWORD: &str = "T3nant!";

impl Tenants {
    /// Creates Litware with at least `users` users, Contoso, and `more` tenants `tenant0001.example` and so on.
    pub fn new(users: usize, more: usize) -> Self {
        let mut litware = Tenant::new("litwareinc.com", "Litware", LITWARE, "L1tware!");
        litware.admins.extend((2..=4).map(|number| format!("admin{number}@litwareinc.com")));
        litware.add("kenmyer", "Ken", "Myer", false);
        litware.add("pilarackerman", "Pilar", "Ackerman", false);
        litware.add("room-redmond", "Redmond", "Meeting Room", true);
        for number in 1..=users.saturating_sub(2) {
            litware.add(&format!("user{number:04}"), "User", &format!("{number:04}"), false);
        }
        let mut contoso = Tenant::new("contoso.com", "Contoso", CONTOSO, "C0ntoso!");
        contoso.add("user0001", "User", "0001", false);
        let more = (1..=more).map(|number| {
            let name = format!("tenant{number:04}");
            let id = Uuid::from_u128(CONTOSO.as_u128() + number as u128);
            let mut tenant = Tenant::new(&format!("{name}.example"), &name, id, TENANT_PASSWORD);
            tenant.add("user0001", "User", "0001", false);
            tenant
        });
        Self { all: [litware, contoso].into_iter().chain(more).collect() }
    }

    /// Returns the domain of an administrator if the password is correct.
    pub fn sign_in(&self, user: &str, password: &str) -> Option<String> {
        self.all
            .iter()
            .find(|tenant| tenant.has_admin(user) && tenant.password == password)
            .map(|tenant| tenant.domain.clone())
    }

    /// Returns the password of an account.
    pub fn password(&self, user: &str) -> Option<&'static str> {
        self.all.iter().find(|tenant| tenant.has_admin(user)).map(|tenant| tenant.password)
    }

    /// Returns an account's tenant; the first tenant for an unknown account.
    pub fn of(&mut self, user: &str) -> &mut Tenant {
        let domain = user.rsplit('@').next().unwrap_or_default().to_lowercase();
        let at = self.all.iter().position(|tenant| tenant.domain == domain).unwrap_or(0);
        &mut self.all[at]
    }
}

impl Tenant {
    /// Creates a tenant with the administrator `admin@DOMAIN`.
    fn new(domain: &str, name: &str, id: Uuid, password: &'static str) -> Self {
        let settings = FAMILIES
            .iter()
            .map(|family| {
                let instances = family.instances.iter().map(|&identity| Setting {
                    identity: identity.to_owned(),
                    values: family.defaults(identity),
                });
                (family.noun, instances.collect())
            })
            .collect();
        Self {
            domain: domain.to_owned(),
            name: name.to_owned(),
            id,
            admins: vec![format!("admin@{domain}")],
            password,
            users: Vec::new(),
            settings,
            migrated: BTreeMap::new(),
        }
    }

    fn has_admin(&self, user: &str) -> bool {
        self.admins.iter().any(|name| name.eq_ignore_ascii_case(user))
    }

    fn add(&mut self, alias: &str, first_name: &str, last_name: &str, is_room: bool) {
        self.users.push(User {
            alias: alias.into(),
            first_name: first_name.into(),
            last_name: last_name.into(),
            is_room,
            number: self.users.len() + 1,
            changed: Vec::new(),
        });
    }

    /// Returns the policies or configurations of one kind.
    pub fn settings(&mut self, family: &Family) -> &mut Vec<Setting> {
        self.settings.entry(family.noun).or_default()
    }

    /// Returns the index of a user by SIP address, user principal name, display name, alias, distinguished
    /// name or object id.
    pub fn find(&self, identity: &str, rooms: bool) -> Option<usize> {
        let wanted = identity.strip_prefix("sip:").unwrap_or(identity);
        self.users.iter().position(|user| {
            user.is_room == rooms
                && [
                    user.alias.clone(),
                    user.display_name(),
                    user.address(&self.domain),
                    user.distinguished_name(self),
                    user.object_id(self).to_string(),
                ]
                .iter()
                .any(|name| name.eq_ignore_ascii_case(wanted))
        })
    }

    pub fn tenant_object(&self) -> Value {
        custom(
            "Microsoft.Rtc.Management.Hosted.TenantObject",
            properties([
                ("Identity", text(format!("OU={},OU=OCS Tenants,DC=online,DC=lync,DC=com", self.id))),
                ("TenantId", Value::Guid(self.id)),
                ("DisplayName", text(&self.name)),
                ("Name", text(self.id.to_string())),
                ("Domains", strings([self.domain.clone(), self.onmicrosoft()])),
                ("DomainUrlMap", strings([format!("{}#https://webdir0d.online.lync.com/", self.domain)])),
                ("CountryOrRegionDisplayName", text("United States")),
                ("CountryAbbreviation", text("US")),
                ("City", text("Redmond")),
                ("StateOrProvince", text("WA")),
                ("PreferredLanguage", text("en-US")),
                ("WhenCreated", Value::DateTime("2011-06-28T17:00:00Z".into())),
                ("TenantPoolExtension", strings(["registrar:sippool0D.infra.lync.com"])),
                ("DirSyncEnabled", Value::Bool(false)),
                ("AllowedDataLocation", strings(["NOAM"])),
                ("ObjectState", text("Unchanged")),
            ]),
        )
    }

    fn onmicrosoft(&self) -> String {
        format!("{}.onmicrosoft.com", self.domain.split('.').next().unwrap_or(&self.domain))
    }
}

impl User {
    pub fn display_name(&self) -> String {
        format!("{} {}", self.first_name, self.last_name)
    }

    pub fn address(&self, domain: &str) -> String {
        format!("{}@{domain}", self.alias)
    }

    fn distinguished_name(&self, tenant: &Tenant) -> String {
        format!("CN={},OU={},OU=OCS Tenants,DC=online,DC=lync,DC=com", self.object_id(tenant), tenant.id)
    }

    /// Derives the object id from the tenant's id and the user's number.
    fn object_id(&self, tenant: &Tenant) -> Uuid {
        Uuid::from_u128(tenant.id.as_u128() ^ ((self.number as u128) << 32))
    }

    /// Overrides a property.
    pub fn change(&mut self, name: &str, value: Value) {
        match self.changed.iter_mut().find(|(changed, _)| **changed == *name) {
            Some((_, old)) => *old = value,
            None => self.changed.push((name.into(), value)),
        }
    }

    pub fn forget(&mut self, name: &str) {
        self.changed.retain(|(changed, _)| **changed != *name);
    }

    /// Returns an overridden property.
    pub fn changed(&self, name: &str) -> Option<&Value> {
        self.changed.iter().find(|(changed, _)| **changed == *name).map(|(_, value)| value)
    }

    /// Returns the object of Get-CsOnlineUser and Get-CsMeetingRoom.
    pub fn object(&self, tenant: &Tenant) -> Value {
        let address = self.address(&tenant.domain);
        let mut all = properties([
            ("Identity", text(self.distinguished_name(tenant))),
            ("DisplayName", text(self.display_name())),
            ("SipAddress", text(format!("sip:{address}"))),
            ("UserPrincipalName", text(&address)),
            ("Alias", text(&self.alias)),
            ("FirstName", text(&self.first_name)),
            ("LastName", text(&self.last_name)),
            ("WindowsEmailAddress", text(&address)),
            ("Enabled", Value::Bool(true)),
            ("EnterpriseVoiceEnabled", Value::Bool(false)),
            ("HostedVoiceMail", Value::Null),
            ("AudioVideoDisabled", Value::Bool(false)),
            ("LineURI", text("")),
            ("OnPremLineURI", text("")),
            ("UsageLocation", text("US")),
            ("CountryAbbreviation", text("US")),
            ("City", text("Redmond")),
            ("Department", text("")),
            ("Title", text("")),
            ("PreferredLanguage", text("en-US")),
            ("RegistrarPool", text("sippool0d.infra.lync.com")),
            ("HostingProvider", text("SRV:")),
            ("InterpretedUserType", text("PureOnline")),
            ("ObjectId", Value::Guid(self.object_id(tenant))),
            ("TenantId", Value::Guid(tenant.id)),
            ("WhenCreated", Value::DateTime("2012-05-14T09:30:15Z".into())),
            ("ProxyAddresses", strings([format!("SMTP:{address}"), format!("sip:{address}")])),
            ("AcpInfo", strings(Vec::<String>::new())),
        ]);
        for family in FAMILIES.iter().filter(|family| family.grants()) {
            all.push((family.granted_as().into(), Value::Null));
        }
        for (name, value) in &self.changed {
            match all.iter_mut().find(|(known, _)| known == name) {
                Some((_, old)) => *old = value.clone(),
                None => all.push((name.clone(), value.clone())),
            }
        }
        let kind = if self.is_room { "OCSADMeetingRoom" } else { "OCSADUser" };
        custom(&format!("Microsoft.Rtc.Management.ADConnect.Schema.{kind}"), all)
    }
}
