//! Federation settings: lists and patterns of domains, public providers.

use super::super::family::FAMILIES;
use super::super::fault::{Category, Fault};
use super::super::spec::{Kind, Validate, parameter, string};
use super::super::stage::{Call, Executable, Running};
use super::super::value::{adapted, items, properties, strings, text};
use crate::psrp::clixml::Value;

const PROVIDERS: &[&str] = &["", "WindowsLive", "AOL", "Yahoo"];
const PREFIX: &str = "Microsoft.Rtc.Management.WritableConfig.Settings.Edge";

pub fn commands() -> Vec<Executable> {
    vec![
        Executable::cmdlet(
            "New-CsEdgeAllowAllKnownDomains",
            "Creates the value that allows every domain except blocked ones.",
            allow_all,
        ),
        Executable::cmdlet("New-CsEdgeAllowList", "Creates a list of allowed domains.", allow_list)
            .with(vec![parameter("AllowedDomain", Kind::Objects).at(0).mandatory().by_value()]),
        Executable::cmdlet(
            "New-CsEdgeDomainPattern",
            "Creates a domain for a list of allowed or blocked domains.",
            pattern,
        )
        .with(vec![string("Domain").at(0).mandatory().piped()]),
        Executable::cmdlet(
            "Set-CsTenantPublicProvider",
            "Sets the public providers that users may communicate with.",
            set_provider,
        )
        .changes()
        .with(vec![
            parameter("Provider", Kind::Strings).at(0).mandatory().valid(Validate::Set(PROVIDERS)),
            parameter("Tenant", Kind::Guid),
        ]),
    ]
}

fn allow_all<'a>(call: &'a mut Call<'_>) -> Running<'a> {
    Box::pin(async move {
        let name = format!("{PREFIX}.AllowAllKnownDomains");
        call.output(adapted(&[&name], "AllowAllKnownDomains", Vec::new())).await
    })
}

fn allow_list<'a>(call: &'a mut Call<'_>) -> Running<'a> {
    Box::pin(async move {
        let domains = call.bound.get("AllowedDomain").map(items).unwrap_or_default();
        let shown: Vec<String> = domains.iter().map(Value::display_text).collect();
        let name = format!("{PREFIX}.AllowList");
        let list = properties([("AllowedDomain", strings(shown.clone()))]);
        call.output(adapted(&[&name], &shown.join(","), list)).await
    })
}

fn pattern<'a>(call: &'a mut Call<'_>) -> Running<'a> {
    Box::pin(async move {
        let domain = call.bound.text("Domain").unwrap_or_default();
        let valid = domain.split('.').count() > 1
            && domain.split('.').all(|label| {
                !label.is_empty() && label.chars().all(|c| c.is_ascii_alphanumeric() || c == '-')
            });
        if !valid {
            let message = format!("The domain \"{domain}\" is not a valid fully qualified domain name.");
            let fault =
                Fault::management("InvalidDomain", Category::InvalidArgument, message).about(text(domain));
            return call.error(fault).await;
        }
        let name = format!("{PREFIX}.DomainPattern");
        let shown = format!("Domain={domain}");
        call.output(adapted(&[&name], &shown, properties([("Domain", text(domain))]))).await
    })
}

fn set_provider<'a>(call: &'a mut Call<'_>) -> Running<'a> {
    Box::pin(async move {
        let providers: Vec<String> =
            call.bound.texts("Provider").into_iter().filter(|provider| !provider.is_empty()).collect();
        if !call.should_process("Global").await? {
            return Ok(());
        }
        let status = if providers.is_empty() { "Disabled" } else { "Enabled" };
        call.tenant(|tenant| {
            let Some(family) = FAMILIES.iter().find(|family| family.noun == "CsTenantPublicProvider") else {
                return;
            };
            for setting in tenant.settings(family) {
                for (name, value) in &mut setting.values {
                    *value = match name.as_ref() {
                        "ProviderSet" => text(providers.join(",")),
                        "DomainPICStatus" => text(status),
                        _ => Value::clone(value),
                    };
                }
            }
        });
        Ok(())
    })
}
