//! Cmdlets for audio conferencing providers and a user's provider settings.

use super::super::fault::{Category, Fault};
use super::super::spec::{Kind, parameter, string, switch};
use super::super::stage::{Call, Executable, Running};
use super::super::value::{custom, properties, strings, text};
use super::user::{confirmed, not_found};
use crate::psrp::clixml::Value;

/// Two providers of the vendor's documented list: name, domain and a fictitious number.
const PROVIDERS: [(&str, &str, &str); 2] =
    [("Intercall", "intercall.com", "14255551298"), ("PGi", "pgi.com", "14255551299")];

pub fn commands() -> Vec<Executable> {
    let identity = || string("Identity").at(0).mandatory().piped();
    vec![
        Executable::cmdlet(
            "Get-CsAudioConferencingProvider",
            "Returns the audio conferencing providers.",
            providers,
        )
        .with(vec![string("Identity").at(0).piped(), parameter("Tenant", Kind::Guid)]),
        Executable::cmdlet("Get-CsUserAcp", "Returns a user's audio conferencing provider.", get).with(vec![
            string("Identity").at(0).mandatory().piped(),
            string("Filter"),
            parameter("ResultSize", Kind::Int),
            string("DomainController"),
        ]),
        Executable::cmdlet("Set-CsUserAcp", "Assigns an audio conferencing provider to a user.", set)
            .changes()
            .with(vec![
                identity(),
                parameter("TollNumber", Kind::String).mandatory(),
                parameter("ParticipantPasscode", Kind::String).mandatory(),
                string("Domain").mandatory(),
                string("Name").mandatory(),
                parameter("TollFreeNumbers", Kind::Strings),
                string("Url"),
                string("DomainController"),
                switch("PassThru"),
            ]),
        Executable::cmdlet("Remove-CsUserAcp", "Removes a user's audio conferencing provider.", remove)
            .changes()
            .with(vec![
                identity(),
                string("Name"),
                parameter("TollNumber", Kind::String),
                parameter("ParticipantPasscode", Kind::String),
                string("Domain"),
                string("DomainController"),
                switch("PassThru"),
            ]),
    ]
}

fn providers<'a>(call: &'a mut Call<'_>) -> Running<'a> {
    Box::pin(async move {
        let identity = call.bound.text("Identity");
        let wanted =
            |name: &str| identity.as_ref().is_none_or(|identity| identity.eq_ignore_ascii_case(name));
        let found: Vec<_> = PROVIDERS.into_iter().filter(|(name, ..)| wanted(name)).collect();
        if let (Some(identity), true) = (&identity, found.is_empty()) {
            return call.error(not_found(identity)).await;
        }
        for (name, domain, number) in found {
            let provider = properties([
                ("Identity", text(name)),
                ("Name", text(name)),
                ("Domain", text(domain)),
                ("TollNumbers", strings([number])),
                ("Url", text(format!("https://{domain}/"))),
            ]);
            call.output(custom("Microsoft.Rtc.Management.Hosted.Acp.AudioConferencingProvider", provider))
                .await?;
        }
        Ok(())
    })
}

fn get<'a>(call: &'a mut Call<'_>) -> Running<'a> {
    Box::pin(async move {
        let identity = call.bound.text("Identity").unwrap_or_default();
        let found = call.tenant(|tenant| {
            let at = tenant.find(&identity, false)?;
            let user = &tenant.users[at];
            let acp = user.changed("AcpInfo").cloned().unwrap_or_else(|| strings(Vec::<String>::new()));
            Some(properties([("Identity", text(user.address(&tenant.domain))), ("AcpInfo", acp)]))
        });
        match found {
            Some(shown) => call.output(custom("Microsoft.Rtc.Management.Hosted.Acp.UserAcp", shown)).await,
            None => call.error(not_found(&identity)).await,
        }
    })
}

fn set<'a>(call: &'a mut Call<'_>) -> Running<'a> {
    Box::pin(async move {
        let given = |name: &str| call.bound.text(name).unwrap_or_default();
        let (name, domain) = (given("Name"), given("Domain"));
        if !PROVIDERS.iter().any(|(known, _, _)| known.eq_ignore_ascii_case(&name)) {
            let message = format!(
                "The audio conferencing provider \"{name}\" is not known. Use Get-CsAudioConferencingProvider to see the providers."
            );
            return call.error(Fault::management("AcpNotFound", Category::ObjectNotFound, message)).await;
        }
        let info = format!(
            "<acpInformation default=\"true\"><tollNumber>{}</tollNumber><participantPassCode>{}</participantPassCode><domain>{domain}</domain><name>{name}</name><url>{}</url></acpInformation>",
            given("TollNumber"),
            given("ParticipantPasscode"),
            given("Url"),
        );
        change(call, Some(strings([info]))).await
    })
}

fn remove<'a>(call: &'a mut Call<'_>) -> Running<'a> {
    Box::pin(change(call, None))
}

async fn change(call: &mut Call<'_>, info: Option<Value>) -> Result<(), super::super::stage::StopReason> {
    let Some(at) = confirmed(call, false).await? else { return Ok(()) };
    let user = call.tenant(|tenant| {
        match info {
            Some(info) => tenant.users[at].change("AcpInfo", info),
            None => tenant.users[at].forget("AcpInfo"),
        }
        tenant.users[at].object(tenant)
    });
    if call.bound.flag("PassThru") { call.output(user).await } else { Ok(()) }
}
