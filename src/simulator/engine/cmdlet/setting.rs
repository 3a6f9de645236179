//! Get-, Set-, New-, Remove- and Grant- for every family of policies and configurations.

use super::super::family::{FAMILIES, Family, Verb};
use super::super::fault::{Category, Fault};
use super::super::filter::Filter;
use super::super::spec::{Kind, ParameterSpec, parameter, string, switch};
use super::super::stage::{Call, Executable, Run, Running, StopReason};
use super::super::state::Setting;
use super::super::value::{Properties, custom, properties, text};
use super::user::{confirmed, not_found};
use crate::psrp::clixml::Value;
use crate::wildcard::like;

/// Returns the parameters of a Get- command.
pub fn identity_parameters() -> Vec<ParameterSpec> {
    vec![
        string("Identity").at(0).piped().in_set("Identity"),
        string("Filter").in_set("Filter"),
        parameter("Tenant", Kind::Guid),
        switch("LocalStore"),
    ]
}

pub fn commands() -> Vec<Executable> {
    let mut all = Vec::new();
    for family in FAMILIES {
        for &verb in family.verbs {
            all.push(command(family, verb));
        }
    }
    all
}

fn command(family: &Family, verb: Verb) -> Executable {
    let noun = family.noun;
    let tenant = || parameter("Tenant", Kind::Guid);
    let what = if family.grants() { "policies" } else { "settings" };
    let named = |verb: &str, does: &str, run: Run| {
        Executable::cmdlet(
            format!("{verb}-{noun}"),
            format!("{does} of the kind {}.", family.granted_as()),
            run,
        )
    };
    match verb {
        Verb::Get => {
            let mut parameters = identity_parameters();
            if family.grants() {
                parameters.push(string("ApplicableTo"));
            }
            named("Get", &format!("Returns {what}"), get).default_set("Identity").with(parameters)
        }
        Verb::Set => {
            let mut parameters = vec![
                string("Identity").at(0).by_property().in_set("Identity"),
                parameter("Instance", Kind::Object).by_value().in_set("Instance"),
                tenant(),
                switch("Force"),
            ];
            parameters.extend(family.property_parameters());
            named("Set", &format!("Modifies {what}"), set).default_set("Identity").changes().with(parameters)
        }
        Verb::New => {
            let mut parameters = vec![
                string("Identity").at(0).mandatory().by_property(),
                tenant(),
                switch("InMemory"),
                switch("Force"),
            ];
            parameters.extend(family.property_parameters());
            named("New", &format!("Creates {what}"), new).changes().with(parameters)
        }
        Verb::Remove => named("Remove", &format!("Removes {what}"), remove).changes().with(vec![
            string("Identity").at(0).mandatory().piped(),
            tenant(),
            switch("Force"),
        ]),
        Verb::Grant => named("Grant", &format!("Assigns {what}"), grant).changes().with(vec![
            string("Identity").at(0).mandatory().piped(),
            string("PolicyName").at(1),
            tenant(),
            string("DomainController"),
            switch("PassThru"),
        ]),
    }
}

fn family(call: &Call<'_>) -> Option<&'static Family> {
    FAMILIES.iter().find(|family| family.noun.eq_ignore_ascii_case(call.spec.noun()))
}

/// Normalizes an identity: `Name` and `Tag:Name` are the same policy; `Global` has no tag.
fn tagged(identity: &str) -> String {
    if identity.eq_ignore_ascii_case("global") {
        "Global".into()
    } else if identity.get(..4).is_some_and(|start| start.eq_ignore_ascii_case("tag:")) {
        format!("Tag:{}", &identity[4..])
    } else {
        format!("Tag:{identity}")
    }
}

fn object(family: &Family, setting: &Setting) -> Value {
    let mut all = properties([("Identity", text(&setting.identity))]);
    all.extend(setting.values.clone());
    custom(family.type_name, all)
}

fn get<'a>(call: &'a mut Call<'_>) -> Running<'a> {
    Box::pin(async move {
        let Some(family) = family(call) else { return Ok(()) };
        let found: Vec<Value> = call
            .tenant(|tenant| tenant.settings(family).iter().map(|setting| object(family, setting)).collect());
        let name_of = |value: &Value| value.property("Identity").map(Value::display_text).unwrap_or_default();
        if let Some(identity) = call.bound.text("Identity") {
            let wanted = tagged(&identity);
            let matching: Vec<_> = found.into_iter().filter(|value| like(&wanted, &name_of(value))).collect();
            if matching.is_empty() && !identity.contains('*') {
                return call.error(not_found(&identity)).await;
            }
            for value in matching {
                call.output(value).await?;
            }
            return Ok(());
        }
        // Documented: a wildcard over the identity, `-Filter "Tag:*"`.
        let filter = call.bound.text("Filter");
        let compared = filter.as_deref().and_then(|filter| Filter::read(filter).ok());
        for value in found {
            let accepted = match (&filter, &compared) {
                (Some(_), Some(compared)) => compared.accepts(&value),
                (Some(filter), None) => like(filter, &name_of(&value)),
                (None, _) => true,
            };
            if accepted {
                call.output(value).await?;
            }
        }
        Ok(())
    })
}

/// Returns the given properties of the family.
fn given(call: &Call<'_>, family: &Family) -> Properties {
    let known = |name: &str| family.properties.iter().any(|(known, _)| *known == name);
    let bound = call.bound.values().iter().filter(|(name, _)| known(name));
    let bound = bound.map(|(name, value)| (name.as_str().into(), value.clone()));
    let from_instance = call.bound.get("Instance").into_iter().flat_map(|instance| {
        family
            .properties
            .iter()
            .filter_map(|(name, _)| instance.property(name).map(|value| ((*name).into(), value.clone())))
    });
    from_instance.chain(bound).collect()
}

fn set<'a>(call: &'a mut Call<'_>) -> Running<'a> {
    Box::pin(async move {
        let Some(family) = family(call) else { return Ok(()) };
        let identity = call
            .bound
            .text("Identity")
            .or_else(|| {
                let instance = call.bound.get("Instance")?;
                instance.property("Identity").map(Value::display_text)
            })
            .unwrap_or_else(|| "Global".into());
        let Some(wanted) = to_change(call, family, &identity).await? else { return Ok(()) };
        let changes = given(call, family);
        call.tenant(|tenant| {
            for setting in tenant.settings(family) {
                if setting.identity.eq_ignore_ascii_case(&wanted) {
                    apply(&mut setting.values, &changes);
                }
            }
        });
        Ok(())
    })
}

fn apply(values: &mut Properties, changes: &Properties) {
    for (name, value) in changes {
        if let Some((_, old)) = values.iter_mut().find(|(known, _)| known == name) {
            *old = value.clone();
        }
    }
}

fn new<'a>(call: &'a mut Call<'_>) -> Running<'a> {
    Box::pin(async move {
        let Some(family) = family(call) else { return Ok(()) };
        let identity = tagged(&call.bound.text("Identity").unwrap_or_default());
        let exists = call.tenant(|tenant| {
            tenant.settings(family).iter().any(|setting| setting.identity.eq_ignore_ascii_case(&identity))
        });
        if exists {
            let message = format!("An item with identity \"{identity}\" exists already.");
            let fault =
                Fault::management("ItemExists", Category::ResourceExists, message).about(text(identity));
            return call.error(fault).await;
        }
        if !call.should_process(&identity).await? {
            return Ok(());
        }
        let mut setting = Setting { values: family.defaults(&identity), identity };
        apply(&mut setting.values, &given(call, family));
        let made = object(family, &setting);
        if !call.bound.flag("InMemory") {
            call.tenant(|tenant| tenant.settings(family).push(setting));
        }
        call.output(made).await
    })
}

/// Returns the full identity of an existing setting that may be changed, or reports an error.
async fn to_change(
    call: &mut Call<'_>,
    family: &'static Family,
    identity: &str,
) -> Result<Option<String>, StopReason> {
    let wanted = tagged(identity);
    let exists = call.tenant(|tenant| {
        tenant.settings(family).iter().any(|setting| setting.identity.eq_ignore_ascii_case(&wanted))
    });
    if !exists {
        call.error(not_found(identity)).await?;
        return Ok(None);
    }
    Ok(call.should_process(&wanted).await?.then_some(wanted))
}

fn remove<'a>(call: &'a mut Call<'_>) -> Running<'a> {
    Box::pin(async move {
        let Some(family) = family(call) else { return Ok(()) };
        let identity = call.bound.text("Identity").unwrap_or_default();
        let Some(wanted) = to_change(call, family, &identity).await? else { return Ok(()) };
        call.tenant(|tenant| {
            let settings = tenant.settings(family);
            if wanted == "Global" {
                // Documented: the global instance cannot be removed, only reset to its defaults.
                for setting in settings.iter_mut().filter(|setting| setting.identity == wanted) {
                    setting.values = family.defaults(&wanted);
                }
            } else {
                settings.retain(|setting| !setting.identity.eq_ignore_ascii_case(&wanted));
            }
        });
        Ok(())
    })
}

fn grant<'a>(call: &'a mut Call<'_>) -> Running<'a> {
    Box::pin(async move {
        let Some(family) = family(call) else { return Ok(()) };
        let policy = call.bound.text("PolicyName").filter(|name| !name.is_empty());
        if let Some(policy) = &policy {
            check_policy(call, family, policy)?;
        }
        let Some(at) = confirmed(call, false).await? else { return Ok(()) };
        let user = call.tenant(|tenant| {
            let user = &mut tenant.users[at];
            match &policy {
                Some(policy) => {
                    let tag = tagged(policy);
                    user.change(family.granted_as(), text(tag.strip_prefix("Tag:").unwrap_or(&tag)));
                }
                None => user.forget(family.granted_as()),
            }
            tenant.users[at].object(tenant)
        });
        if call.bound.flag("PassThru") { call.output(user).await } else { Ok(()) }
    })
}

/// Checks that a policy exists and can be granted to users.
fn check_policy(call: &Call<'_>, family: &Family, policy: &str) -> Result<(), StopReason> {
    let wanted = tagged(policy);
    let exists = call.tenant(|tenant| {
        tenant.settings(family).iter().any(|setting| setting.identity.eq_ignore_ascii_case(&wanted))
    });
    if exists && wanted != "Global" {
        return Ok(());
    }
    let message = format!(
        "Policy \"{policy}\" is not a user policy. You can assign only a user policy to a specific user."
    );
    Err(Fault::management("PolicyNotFound", Category::InvalidArgument, message)
        .about(text(policy))
        .of_command(&call.spec.name, &call.spec.error_source())
        .into())
}
