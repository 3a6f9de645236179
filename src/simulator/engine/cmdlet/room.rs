//! Meeting rooms, a kind of user account.

use super::super::spec::{Kind, boolean, int, parameter, string, switch};
use super::super::stage::{Call, Executable, Running};
use super::super::value::text;
use super::user::{change_user, confirmed, not_found};
use crate::psrp::clixml::Value;

pub fn commands() -> Vec<Executable> {
    let identity = || string("Identity").at(0).mandatory().piped();
    vec![
        Executable::cmdlet("Get-CsMeetingRoom", "Returns the enabled meeting rooms.", get)
            .default_set("Identity")
            .with(vec![
                string("Identity").at(0).piped().in_set("Identity"),
                string("Filter").in_set("Filter"),
                string("OU"),
                string("DomainController"),
                int("ResultSize"),
            ]),
        Executable::cmdlet("Set-CsMeetingRoom", "Modifies a meeting room.", set).changes().with(vec![
            identity(),
            boolean("AudioVideoDisabled"),
            boolean("EnterpriseVoiceEnabled"),
            boolean("Enabled"),
            string("LineURI"),
            string("LineServerURI"),
            boolean("RemoteCallControlTelephonyEnabled"),
            string("SipAddress"),
            string("DomainController"),
            switch("PassThru"),
        ]),
        Executable::cmdlet("Enable-CsMeetingRoom", "Enables a room account for meetings.", enable)
            .changes()
            .with(vec![
                identity(),
                string("RegistrarPool").mandatory(),
                string("SipAddress"),
                parameter(
                    "SipAddressType",
                    Kind::Enum(
                        "Microsoft.Rtc.Management.AD.SipAddressType",
                        &["SamAccountName", "FirstLastName", "EmailAddress", "UserPrincipalName"],
                    ),
                ),
                string("SipDomain"),
                string("ProxyPool"),
                string("DomainController"),
                switch("PassThru"),
            ]),
        Executable::cmdlet("Disable-CsMeetingRoom", "Disables the meeting room of a room account.", disable)
            .changes()
            .with(vec![identity(), string("DomainController"), switch("PassThru")]),
    ]
}

/// Returns whether a room is enabled for meetings, which is the default.
fn is_enabled(changed: Option<&Value>) -> bool {
    changed != Some(&Value::Bool(false))
}

fn get<'a>(call: &'a mut Call<'_>) -> Running<'a> {
    Box::pin(async move {
        let identity = call.bound.text("Identity");
        let rooms = call.tenant(|tenant| {
            let only = identity.as_ref().map(|identity| tenant.find(identity, true));
            tenant
                .users
                .iter()
                .enumerate()
                .filter(|(at, user)| only.is_none_or(|only| only == Some(*at)) && user.is_room)
                .filter(|(_, user)| is_enabled(user.changed("RoomEnabled")))
                .map(|(_, user)| user.object(tenant))
                .collect::<Vec<_>>()
        });
        if let (Some(identity), true) = (&identity, rooms.is_empty()) {
            return call.error(not_found(identity)).await;
        }
        let limit =
            call.bound.int("ResultSize").map_or(usize::MAX, |size| usize::try_from(size).unwrap_or_default());
        for room in rooms.into_iter().take(limit) {
            call.output(room).await?;
        }
        Ok(())
    })
}

fn set<'a>(call: &'a mut Call<'_>) -> Running<'a> {
    Box::pin(change_user(
        call,
        true,
        &[
            "AudioVideoDisabled",
            "EnterpriseVoiceEnabled",
            "Enabled",
            "LineURI",
            "LineServerURI",
            "RemoteCallControlTelephonyEnabled",
            "SipAddress",
        ],
    ))
}

fn enable<'a>(call: &'a mut Call<'_>) -> Running<'a> {
    Box::pin(async move {
        let identity = call.bound.text("Identity").unwrap_or_default();
        let known = call.tenant(|tenant| tenant.find(&identity, true).is_some());
        if !known {
            // Convert a user account to a room.
            let became = call.tenant(|tenant| {
                let at = tenant.find(&identity, false)?;
                Some((at, tenant.users[at].display_name()))
            });
            let Some((at, name)) = became else { return call.error(not_found(&identity)).await };
            if !call.should_process(&name).await? {
                return Ok(());
            }
            call.tenant(|tenant| tenant.users[at].is_room = true);
            return finish(call, at).await;
        }
        switch_room(call, true).await
    })
}

fn disable<'a>(call: &'a mut Call<'_>) -> Running<'a> {
    Box::pin(switch_room(call, false))
}

async fn switch_room(call: &mut Call<'_>, on: bool) -> Result<(), super::super::stage::StopReason> {
    let Some(at) = confirmed(call, true).await? else { return Ok(()) };
    call.tenant(|tenant| {
        let room = &mut tenant.users[at];
        if on {
            room.forget("RoomEnabled");
        } else {
            room.change("RoomEnabled", Value::Bool(false));
        }
    });
    finish(call, at).await
}

async fn finish(call: &mut Call<'_>, at: usize) -> Result<(), super::super::stage::StopReason> {
    if let Some(pool) = call.bound.text("RegistrarPool") {
        call.tenant(|tenant| tenant.users[at].change("RegistrarPool", text(pool)));
    }
    if call.bound.flag("PassThru") {
        let room = call.tenant(|tenant| tenant.users[at].object(tenant));
        return call.output(room).await;
    }
    Ok(())
}
