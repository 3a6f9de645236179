//! Commands of the recorded endpoint with their recorded behaviour (`tests/transcripts/`): the module `CsAdmin` of a
//! restricted configuration. Four of them replace cmdlets of the same name.

use std::time::Duration;

use secrecy::{ExposeSecret, SecretString};
use uuid::Uuid;

use super::super::fault::{Category, Fault};
use super::super::spec::{Kind, Validate, boolean, int, parameter, string, switch};
use super::super::stage::{Call, Executable, Running, StopReason, answer_of, array_list, field};
use super::super::value::{adapted, array, custom, dictionary, extended, properties, strings, text};
use crate::psrp::clixml::{Secure, Value};
use crate::psrp::host::HostMethod;
use crate::psrp::record::{InformationRecord, ProgressRecord};

const MODULE: &str = "CsAdmin";
const SOURCE: &str = "/opt/litware/CsAdmin.psm1";

pub fn commands() -> Vec<Executable> {
    let function = |name: &str, run| Executable::function(name, MODULE, run);
    vec![
        function("Get-CsTenant", get_tenant).default_set("Identity").with(vec![
            string("Identity").at(0).piped().in_set("Identity"),
            string("Filter").in_set("Filter"),
            int("ResultSize"),
            string("DomainController"),
        ]),
        function("Get-CsOnlineUser", get_user).with(vec![
            string("Identity").at(0).piped(),
            string("Filter"),
            int("ResultSize").valid(Validate::Range(1, i64::from(i32::MAX))),
        ]),
        function("Set-CsUser", set_user).changes().with(vec![
            string("Identity").at(0).mandatory().piped(),
            boolean("EnterpriseVoiceEnabled"),
            switch("PassThru"),
        ]),
        function("Grant-CsConferencingPolicy", grant)
            .with(vec![string("Identity").at(0).mandatory().piped(), string("PolicyName")]),
        function("Test-CsStreams", streams),
        function("Test-CsTerminating", terminating),
        function("Set-CsSecret", secret)
            .with(vec![parameter("Pin", Kind::SecureString), parameter("Credential", Kind::Credential)]),
        function("Wait-Cs", wait).with(vec![int("Seconds").at(0)]),
        function("Get-CsBig", big).with(vec![int("Count").at(0), int("Width").at(1)]),
        function("Get-CsOneBig", one_big).with(vec![int("Bytes").at(0)]),
        function("Read-CsInput", read),
        function("Get-CsHost", host),
        function("Measure-CsInput", measure)
            .with(vec![parameter("InputObject", Kind::Object).by_value()])
            .ends(measure_end),
    ]
}

fn get_tenant<'a>(call: &'a mut Call<'_>) -> Running<'a> {
    Box::pin(async move {
        let map = dictionary(
            &["System.Collections.Hashtable"],
            vec![(text("b"), array(vec![Value::I32(1), Value::I32(2)])), (text("a"), Value::I32(1))],
        );
        let tenant = properties([
            ("TenantId", Value::Guid(Uuid::from_u128(0x38aa_d667_af54_4397_aaa7_e94c_79ec_2308))),
            ("DisplayName", text("Litware")),
            ("Domains", strings(["litwareinc.com", "litwareinc.onmicrosoft.com"])),
            ("CountryOrRegionDisplayName", text("United States")),
            ("WhenCreated", Value::DateTime("2011-06-28T17:00:00Z".into())),
            ("MaxUsers", Value::I64(250)),
            ("Quota", Value::Decimal("12.5".into())),
            ("Ratio", Value::Double(0.75)),
            ("Logo", Value::Bytes((1..=16).collect())),
            ("Uri", Value::Uri("https://admin0d.online.lync.com/OcsPowershellLiveId".into())),
            ("Version", Value::Version("5.0.8308.0".into())),
            ("Span", Value::Duration("PT15M".into())),
            ("Xml", Value::Xml("<a b=\"c\">d</a>".into())),
            ("Nothing", Value::Null),
            ("Char", Value::Char(u16::from(b'x'))),
            ("Map", map),
        ]);
        call.output(custom("Microsoft.Rtc.Management.Hosted.TenantObject", tenant)).await
    })
}

const USERS: [(&str, &str); 3] = [
    ("kenmyer", "Ken Myer"),
    ("pilarackerman", "Pilar Ackerman"),
    ("mrmitzshne", "Mr. Ümit <Öz> & \"Söhne\""),
];

fn user((alias, name): (&str, &str), voice: bool) -> Value {
    let address = format!("{alias}@litwareinc.com");
    custom(
        "Deserialized.Microsoft.Rtc.Management.ADConnect.Schema.OCSADUser",
        properties([
            ("Identity", text(format!("CN={alias},OU=litwareinc,DC=online,DC=lync,DC=com"))),
            ("DisplayName", text(name)),
            ("SipAddress", text(format!("sip:{address}"))),
            ("Enabled", Value::Bool(true)),
            ("EnterpriseVoiceEnabled", Value::Bool(voice)),
            ("WhenCreated", Value::DateTime("2012-05-14T09:30:15.123Z".into())),
            ("ObjectId", Value::Guid(Uuid::from_u128(0x6b0e_5f2e_4f1a_4c9e_9d2b_0a1b_2c3d_4e5f))),
            ("ProxyAddresses", strings([format!("SMTP:{address}"), format!("sip:{address}")])),
        ]),
    )
}

fn find(identity: &str) -> Option<(&'static str, &'static str)> {
    USERS.into_iter().find(|known| {
        known.0.eq_ignore_ascii_case(identity)
            || ["Identity", "DisplayName", "SipAddress"].iter().any(|name| {
                user(*known, false)
                    .property(name)
                    .is_some_and(|value| value.display_text().eq_ignore_ascii_case(identity))
            })
    })
}

async fn not_found(call: &mut Call<'_>, identity: &str) -> Result<(), StopReason> {
    let message = format!("Management object not found for identity \"{identity}\".");
    let trace = format!("at {}<Process>, {SOURCE}: line 9", call.spec.name);
    let fault = Fault::written("ManagementObjectNotFound", Category::ObjectNotFound, &message, &trace)
        .about(text(identity))
        .advise("Check the identity.");
    call.error(fault).await
}

fn get_user<'a>(call: &'a mut Call<'_>) -> Running<'a> {
    Box::pin(async move {
        if let Some(identity) = call.bound.text("Identity") {
            return match find(&identity) {
                Some(known) => call.output(user(known, false)).await,
                None => not_found(call, &identity).await,
            };
        }
        let limit = call
            .bound
            .int("ResultSize")
            .map_or(USERS.len(), |size| usize::try_from(size).unwrap_or_default());
        for known in USERS.into_iter().take(limit) {
            call.output(user(known, false)).await?;
        }
        Ok(())
    })
}

fn set_user<'a>(call: &'a mut Call<'_>) -> Running<'a> {
    Box::pin(async move {
        let identity = call.bound.text("Identity").unwrap_or_default();
        let Some(known) = find(&identity) else { return not_found(call, &identity).await };
        if call.should_process(known.1).await? && call.bound.flag("PassThru") {
            let voice = call.bound.flag("EnterpriseVoiceEnabled");
            return call.output(user(known, voice)).await;
        }
        Ok(())
    })
}

fn grant<'a>(call: &'a mut Call<'_>) -> Running<'a> {
    Box::pin(async move {
        let given = |name: &str| call.bound.text(name).unwrap_or_default();
        let reply = format!("granted '{}' to {}", given("PolicyName"), given("Identity"));
        call.output(text(reply)).await
    })
}

fn information(message: Value, tags: &[&str]) -> InformationRecord {
    InformationRecord {
        message,
        source: SOURCE.into(),
        tags: tags.iter().map(|&tag| tag.to_owned()).collect(),
    }
}

fn streams<'a>(call: &'a mut Call<'_>) -> Running<'a> {
    Box::pin(async move {
        call.output(Value::I32(1)).await?;
        call.warning("careful").await?;
        call.verbose_always("wordy").await?;
        call.debug_always("deep").await?;
        call.information(information(text("info"), &["a", "b"])).await?;
        let hosted = adapted(
            &["System.Management.Automation.HostInformationMessage"],
            "hosted",
            properties([
                ("Message", text("hosted")),
                ("NoNewLine", Value::Bool(false)),
                ("ForegroundColor", text("Green")),
                ("BackgroundColor", text("-1")),
            ]),
        );
        call.write_host(information(hosted, &["PSHOST"]), 10, "hosted").await?;
        for step in 1..=3 {
            call.progress(
                0,
                ProgressRecord {
                    activity: "Counting".into(),
                    activity_id: 0,
                    parent_id: -1,
                    status: format!("step {step}"),
                    current_operation: Some(format!("op {step}")),
                    percent: step * 33,
                    seconds_remaining: 3 - step,
                    completed: false,
                },
            )
            .await?;
        }
        call.progress(
            0,
            ProgressRecord {
                activity: "Counting".into(),
                activity_id: 0,
                parent_id: -1,
                status: "Processing".into(),
                current_operation: None,
                percent: -1,
                seconds_remaining: -1,
                completed: true,
            },
        )
        .await?;
        let trace = format!("at Test-CsStreams, {SOURCE}: line 13");
        let written = "Microsoft.PowerShell.Commands.WriteErrorException";
        call.error(Fault::written(written, Category::NotSpecified, "not so good", &trace)).await?;
        let inner = Fault::exception(
            "System.InvalidOperationException",
            -2_146_233_079,
            "inner bad",
            Category::OperationStopped,
            "inner bad",
        );
        call.error(inner.of_activity("Write-Error").traced(&trace)).await?;
        call.output(text("last")).await
    })
}

fn terminating<'a>(call: &'a mut Call<'_>) -> Running<'a> {
    Box::pin(async move {
        call.output(text("before")).await?;
        let message = "Access to the tenant is denied.";
        Err(Fault::exception(
            "System.UnauthorizedAccessException",
            -2_147_024_891,
            message,
            Category::OperationStopped,
            message,
        )
        .traced(&format!("at Test-CsTerminating, {SOURCE}: line 14"))
        .into())
    })
}

/// Returns the text of a secret, which the state machine has decrypted.
fn readable(value: Option<&Value>) -> Option<SecretString> {
    match value {
        Some(Value::Secure(Secure::Plain(secret))) => Some(secret.clone()),
        _ => None,
    }
}

fn secret<'a>(call: &'a mut Call<'_>) -> Running<'a> {
    Box::pin(async move {
        let shown =
            |secret: Option<&SecretString>| secret.map_or(Value::Null, |secret| text(secret.expose_secret()));
        let pin = readable(call.bound.get("Pin"));
        let credential = call.bound.get("Credential");
        let password = readable(credential.and_then(|credential| credential.property("Password")));
        let name = credential.and_then(|credential| credential.property("UserName")).map(Value::display_text);
        let echo = pin.clone().map_or(Value::Null, |pin| Value::Secure(Secure::Plain(pin)));
        let reply = properties([
            ("Pin", shown(pin.as_ref())),
            ("User", name.map_or(Value::Null, text)),
            ("Password", shown(password.as_ref())),
            ("Echo", echo),
        ]);
        call.output(custom("", reply)).await
    })
}

fn wait<'a>(call: &'a mut Call<'_>) -> Running<'a> {
    Box::pin(async move {
        let seconds = call.bound.int("Seconds").unwrap_or(30);
        for tenth in 1..=seconds.saturating_mul(10) {
            call.output(Value::I32(tenth)).await?;
            call.engine.or_stopped(tokio::time::sleep(Duration::from_millis(100))).await?;
        }
        Ok(())
    })
}

fn big<'a>(call: &'a mut Call<'_>) -> Running<'a> {
    Box::pin(async move {
        let width = usize::try_from(call.bound.int("Width").unwrap_or(50)).unwrap_or_default();
        for id in 1..=call.bound.int("Count").unwrap_or(1000) {
            let object = properties([
                ("Id", Value::I32(id)),
                ("Text", text("äx".repeat(width))),
                ("Guid", Value::Guid(Uuid::nil())),
            ]);
            call.output(custom("Cs.Big", object)).await?;
        }
        Ok(())
    })
}

fn one_big<'a>(call: &'a mut Call<'_>) -> Running<'a> {
    Box::pin(async move {
        let bytes = usize::try_from(call.bound.int("Bytes").unwrap_or(100_000)).unwrap_or_default();
        call.output(text("z".repeat(bytes.min(64 << 20)))).await
    })
}

/// Asks the host; an exception of the host ends the command.
async fn ask(call: &mut Call<'_>, method: HostMethod, parameters: Vec<Value>) -> Result<Value, StopReason> {
    let answer = call.engine.ask(method, parameters).await?;
    answer.map(|answer| answer.unwrap_or(Value::Null)).map_err(|message| {
        Fault::exception(
            "System.Management.Automation.Host.HostException",
            -2_146_233_087,
            "HostException",
            Category::OperationStopped,
            &message.0,
        )
        .into()
    })
}

async fn prompt(
    call: &mut Call<'_>,
    titles: (&str, &str),
    name: &str,
    kind: Kind,
) -> Result<Value, StopReason> {
    let asked = vec![text(titles.0), text(titles.1), array_list(vec![field(name, &kind.full_name())])];
    let answers = ask(call, HostMethod::Prompt, asked).await?;
    Ok(answer_of(&answers, name).unwrap_or(Value::Null))
}

fn read<'a>(call: &'a mut Call<'_>) -> Running<'a> {
    Box::pin(async move {
        let name = prompt(call, ("", ""), "Your name", Kind::String).await?;
        let pin = prompt(call, ("", ""), "Pin", Kind::SecureString).await?;
        let choices = [("&Red", ""), ("&Blue", "")].map(|(label, help)| {
            extended(&[], properties([("label", text(label)), ("helpMessage", text(help))]))
        });
        let asked = vec![text("Pick"), text("Which one?"), array_list(choices.to_vec()), Value::I32(1)];
        let choice = ask(call, HostMethod::PromptForChoice, asked).await?;
        let asked = ["Sign in", "Who are you?", "ken", "litwareinc.com"].map(text);
        let asked = asked.into_iter().chain([Value::I32(3), Value::I32(1)]).collect();
        let credential = ask(call, HostMethod::PromptForCredential2, asked).await?;
        let age = prompt(call, ("cap", "msg"), "Age", Kind::Int).await?;
        let length = readable(Some(&pin)).map_or(0, |pin| pin.expose_secret().encode_utf16().count());
        let age = age.display_text().trim().parse().map_or(Value::Null, Value::I32);
        let reply = properties([
            ("Name", text(name.display_text())),
            ("PinLength", Value::I32(i32::try_from(length).unwrap_or(i32::MAX))),
            ("Choice", choice),
            ("User", credential.property("UserName").cloned().unwrap_or(Value::Null)),
            ("Age", age),
        ]);
        call.output(custom("", reply)).await
    })
}

fn host<'a>(call: &'a mut Call<'_>) -> Running<'a> {
    Box::pin(async move {
        let host = &call.engine.host;
        let reply = properties([
            ("Name", text("ServerRemoteHost")),
            ("Width", Value::I32(host.buffer.0)),
            ("Win", text(format!("{},{}", host.window.0, host.window.1))),
            ("Fg", Value::enumeration("System.ConsoleColor", &host.foreground.to_string(), host.foreground)),
            ("Culture", text("")),
            ("PSV", text("7.6.5")),
            ("Lang", text("FullLanguage")),
        ]);
        call.output(custom("", reply)).await
    })
}

fn measure<'a>(call: &'a mut Call<'_>) -> Running<'a> {
    Box::pin(async move {
        if let Some(value) = call.bound.get("InputObject") {
            call.memory.count += 1;
            let reply = format!("got {}", value.display_text());
            return call.output(text(reply)).await;
        }
        Ok(())
    })
}

fn measure_end<'a>(call: &'a mut Call<'_>) -> Running<'a> {
    Box::pin(async move {
        let reply = format!("total {}", call.memory.count);
        call.output(text(reply)).await
    })
}
