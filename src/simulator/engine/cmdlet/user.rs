//! Get-CsTenant, Get-CsOnlineUser, Set-CsUser and the PSTN settings of users.

use super::super::fault::{Category, Fault};
use super::super::filter::Filter;
use super::super::spec::{Kind, Validate, boolean, int, parameter, string, switch};
use super::super::stage::{Call, Executable, Running, StopReason};
use super::super::state::Tenant;
use super::super::value::{custom, text};
use crate::psrp::clixml::Value;

pub fn commands() -> Vec<Executable> {
    let result_size = || int("ResultSize").valid(Validate::Range(0, i64::from(i32::MAX)));
    vec![
        Executable::cmdlet(
            "Get-CsTenant",
            "Returns information about the tenants that you may administer.",
            get_tenant,
        )
        .default_set("Identity")
        .with(vec![
            string("Identity").at(0).piped().in_set("Identity"),
            string("Filter").in_set("Filter"),
            string("DomainController"),
            result_size(),
        ]),
        Executable::cmdlet(
            "Get-CsOnlineUser",
            "Returns information about users who have accounts homed online.",
            get_user,
        )
        .default_set("Identity")
        .with(vec![
            string("Identity").at(0).piped().in_set("Identity"),
            string("Filter").in_set("Identity").in_set("Filter"),
            string("OU"),
            string("DomainController"),
            parameter("Credential", Kind::Credential),
            result_size(),
            switch("OnModernServer"),
            switch("UnassignedUser"),
            switch("SkipUserPolicies"),
        ]),
        Executable::cmdlet("Set-CsUser", "Modifies properties of an existing user account.", set_user)
            .changes()
            .with(vec![
                string("Identity").at(0).mandatory().piped(),
                boolean("AudioVideoDisabled"),
                boolean("EnterpriseVoiceEnabled"),
                parameter("HostedVoiceMail", Kind::Bool),
                string("LineURI"),
                string("OnPremLineURI"),
                string("LineServerURI"),
                boolean("RemoteCallControlTelephonyEnabled"),
                string("SipAddress"),
                string("PrivateLine"),
                boolean("Enabled"),
                string("DomainController"),
                switch("PassThru"),
            ]),
        Executable::cmdlet("Get-CsUserPstnSettings", "Returns a user's PSTN settings.", get_pstn).with(vec![
            string("Identity").at(0).mandatory().piped(),
            string("DomainController"),
            parameter("Tenant", Kind::Guid),
        ]),
        Executable::cmdlet("Set-CsUserPstnSettings", "Modifies a user's PSTN settings.", set_pstn)
            .changes()
            .with(vec![
                string("Identity").at(0).mandatory().piped(),
                boolean("AllowInternationalCalls"),
                boolean("HybridPSTNSite"),
                string("DomainController"),
                parameter("Tenant", Kind::Guid),
            ]),
    ]
}

/// Returns the fault for an unknown user, room or setting.
pub fn not_found(identity: &str) -> Fault {
    Fault::management(
        "ManagementObjectNotFound",
        Category::ObjectNotFound,
        format!("Management object not found for identity \"{identity}\"."),
    )
    .about(text(identity))
}

/// Returns the maximum number of objects; `-ResultSize 0` returns none, as documented.
fn limit(call: &Call<'_>) -> usize {
    call.bound.int("ResultSize").map_or(usize::MAX, |size| usize::try_from(size).unwrap_or_default())
}

fn get_tenant<'a>(call: &'a mut Call<'_>) -> Running<'a> {
    Box::pin(async move {
        let tenant = call.tenant(|tenant| tenant.tenant_object());
        if let Some(identity) = call.bound.text("Identity") {
            let domains = tenant.property("Domains").map(super::super::value::items).unwrap_or_default();
            let known = ["Identity", "TenantId", "DisplayName", "Name"]
                .iter()
                .filter_map(|name| tenant.property(name))
                .chain(&domains)
                .any(|name| name.display_text().eq_ignore_ascii_case(&identity));
            if !known {
                return call.error(not_found(&identity)).await;
            }
        }
        if accepts(call, &tenant)? && limit(call) > 0 { call.output(tenant).await } else { Ok(()) }
    })
}

/// Returns whether an object matches `-Filter`.
fn accepts(call: &Call<'_>, object: &Value) -> Result<bool, StopReason> {
    Ok(filter(call)?.is_none_or(|filter| filter.accepts(object)))
}

fn filter(call: &Call<'_>) -> Result<Option<Filter>, StopReason> {
    let Some(filter) = call.bound.text("Filter") else { return Ok(None) };
    Filter::read(&filter).map(Some).map_err(|reason| {
        let message = format!("Cannot parse the filter \"{filter}\". {reason}");
        Fault::management("InvalidFilter", Category::InvalidArgument, message)
            .of_command(&call.spec.name, &call.spec.error_source())
            .into()
    })
}

fn get_user<'a>(call: &'a mut Call<'_>) -> Running<'a> {
    Box::pin(async move {
        let filter = filter(call)?;
        if let Some(identity) = call.bound.text("Identity") {
            let user =
                call.tenant(|tenant| tenant.find(&identity, false).map(|at| tenant.users[at].object(tenant)));
            return match user {
                None => call.error(not_found(&identity)).await,
                Some(user) if filter.is_none_or(|filter| filter.accepts(&user)) => call.output(user).await,
                Some(_) => Ok(()),
            };
        }
        let limit = limit(call);
        let (mut at, mut given) = (0, 0);
        // One user at a time, so that a slow reader holds no lock.
        while given < limit {
            let next = call.tenant(|tenant| {
                let found = tenant.users.iter().skip(at).position(|user| !user.is_room)?;
                at += found + 1;
                Some(tenant.users[at - 1].object(tenant))
            });
            let Some(user) = next else { break };
            if filter.as_ref().is_none_or(|filter| filter.accepts(&user)) {
                given += 1;
                call.output(user).await?;
            }
        }
        Ok(())
    })
}

/// Returns the position of the user or room that `-Identity` names. Returns `None` if ShouldProcess declines, or if
/// nothing has this identity, which is reported as an error.
pub async fn confirmed(call: &mut Call<'_>, rooms: bool) -> Result<Option<usize>, StopReason> {
    let identity = call.bound.text("Identity").unwrap_or_default();
    let found =
        call.tenant(|tenant| tenant.find(&identity, rooms).map(|at| (at, tenant.users[at].display_name())));
    let Some((at, name)) = found else {
        call.error(not_found(&identity)).await?;
        return Ok(None);
    };
    Ok(call.should_process(&name).await?.then_some(at))
}

/// Sets the given properties of a user or room, with ShouldProcess; `-PassThru` returns the object.
pub async fn change_user(call: &mut Call<'_>, rooms: bool, names: &[&str]) -> Result<(), StopReason> {
    let Some(at) = confirmed(call, rooms).await? else { return Ok(()) };
    let changes: Vec<_> =
        call.bound.values().iter().filter(|(name, _)| names.contains(&name.as_str())).cloned().collect();
    let changed = call.tenant(|tenant| {
        for (name, value) in changes {
            tenant.users[at].change(&name, value);
        }
        tenant.users[at].object(tenant)
    });
    if call.bound.flag("PassThru") { call.output(changed).await } else { Ok(()) }
}

fn set_user<'a>(call: &'a mut Call<'_>) -> Running<'a> {
    Box::pin(change_user(
        call,
        false,
        &[
            "AudioVideoDisabled",
            "EnterpriseVoiceEnabled",
            "HostedVoiceMail",
            "LineURI",
            "OnPremLineURI",
            "LineServerURI",
            "RemoteCallControlTelephonyEnabled",
            "SipAddress",
            "PrivateLine",
            "Enabled",
        ],
    ))
}

fn pstn(tenant: &Tenant, at: usize) -> Value {
    let user = &tenant.users[at];
    let allowed = user.changed("AllowInternationalCalls").cloned().unwrap_or(Value::Bool(true));
    let site = user.changed("HybridPSTNSite").cloned().unwrap_or(Value::Null);
    custom(
        "Microsoft.Rtc.Management.Hosted.Voice.PstnSettings",
        vec![
            ("Identity".into(), text(user.address(&tenant.domain))),
            ("AllowInternationalCalls".into(), allowed),
            ("HybridPSTNSite".into(), site),
        ],
    )
}

fn get_pstn<'a>(call: &'a mut Call<'_>) -> Running<'a> {
    Box::pin(async move {
        let identity = call.bound.text("Identity").unwrap_or_default();
        match call.tenant(|tenant| tenant.find(&identity, false).map(|at| pstn(tenant, at))) {
            Some(settings) => call.output(settings).await,
            None => call.error(not_found(&identity)).await,
        }
    })
}

fn set_pstn<'a>(call: &'a mut Call<'_>) -> Running<'a> {
    Box::pin(change_user(call, false, &["AllowInternationalCalls", "HybridPSTNSite"]))
}
