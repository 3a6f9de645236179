//! Every kind of CLIXML value from lyncsh's own client to a real PowerShell behind the tests' WSMan
//! service (tests/front), and back.

use lyncsh::psrp::client::{ClientPool, PipelineEvent};
use lyncsh::psrp::clixml::{Content, Value};
use lyncsh::psrp::pipeline::{Argument, Pipeline, PipelineCommand};
use lyncsh::transport::session::Session;
use lyncsh::transport::wsman::{self, Endpoint};
use tokio::time::timeout;
use uuid::Uuid;

use crate::agent_world::{PATIENCE, host, output};
use crate::front;
use crate::omi::endpoint;
use crate::psrp_psrpcore::{object, same, values};

/// Returns a value's type in PowerShell, its text in the invariant culture, and the value itself.
const SCRIPT: &str = "param($value)
if ($null -eq $value) { 'null' } else { $value.GetType().FullName }
if ($value -is [securestring]) { [pscredential]::new('x', $value).GetNetworkCredential().Password }
elseif ($value -is [datetime] -or $value -is [double] -or $value -is [float]) { $value.ToString(('o', 'R')[$value -isnot [datetime]], [cultureinfo]::InvariantCulture) }
elseif ($value -is [System.Collections.IDictionary]) { @($value.Keys | ForEach-Object { \"$($_.GetType().Name) $_\" } | Sort-Object) -join ';' }
elseif (($value -is [string] -or $value -is [byte[]]) -and $value.Length -gt 100) { $value.Length }
elseif ($value -is [System.Collections.IEnumerable] -and $value -isnot [string] -and $value -isnot [xml]) { @($value | ForEach-Object { if ($null -eq $_) { 'null' } else { $_.GetType().Name } }) -join ';' }
elseif ($value -is [xml]) { $value.OuterXml }
else { \"$value\" }
, $value";

/// The types and texts of the values in PowerShell.
const EXPECTED: &[&str] = &[
    "System.String plain",
    "System.String <&> \"'_x000A_ _x \u{1f600} \r\n\t \u{85} é",
    "System.Char \u{2620}",
    "System.Boolean True",
    "System.Boolean False",
    "System.DateTime 2021-05-03T08:00:00.1234567+00:00",
    "System.DateTime 2021-05-03T10:00:00.0000000Z",
    "System.TimeSpan 1.02:03:04.5000000",
    "System.Byte 255",
    "System.SByte -128",
    "System.UInt16 65535",
    "System.Int16 -32768",
    "System.UInt32 4294967295",
    "System.Int32 -2147483648",
    "System.UInt64 18446744073709551615",
    "System.Int64 -9223372036854775808",
    "System.Single 1.5",
    "System.Double -2.5E-07",
    "System.Decimal 79228162514264337593543950335",
    "System.Byte[] 256",
    "System.Guid 01020304-0506-0708-090a-0b0c0d0e0f10",
    "System.Uri http://litwareinc.com/?a=1&b=2",
    "System.Version 1.2.3.4",
    // A script block arrives as text (about_Remote_Output).
    "System.String { $_ -lt 3 }",
    "System.Security.SecureString hunter2 \u{1f511}",
    "System.Collections.ArrayList ",
    "System.Collections.ArrayList Int32;ArrayList;SecureString",
    "System.Collections.Hashtable Int32 2;String a",
    "System.Collections.Stack Int32;Int32",
    "System.Collections.Queue Int32;Int32",
    "System.Management.Automation.PSCustomObject @{DisplayName=Ken Myer; Odd _x0041_ \"name\"=5; Nested=}",
    "System.String 220000",
    "null ",
    "System.String ",
    // A lone surrogate is not valid text.
    "System.Char \u{fffd}",
    "System.Double NaN",
    "System.Double -Infinity",
    "System.Single 3.4028235E+38",
    "System.Double 2.2250738585072014E-308",
    "System.Xml.XmlDocument <a b=\"&lt;c&gt;\">d<e /></a>",
    "System.DateTime 2021-05-03T10:00:00.0000000",
    "System.TimeSpan -00:00:00.0000001",
    "System.Byte[] ",
    "System.Int32 5",
    "System.Collections.ArrayList Int32;null",
    "System.Collections.ArrayList String;null",
];

async fn session(endpoint: &Endpoint) -> Session {
    let mut pool = ClientPool::new(Uuid::new_v4(), host(), (1, 1));
    pool.open();
    let (connection, _) =
        wsman::connect(endpoint.clone(), pool.id(), pool.take_outgoing(), |_| true).await.unwrap();
    Session::open_pool(connection, pool).await.unwrap().0
}

#[tokio::test(flavor = "multi_thread")]
async fn clixml_round_trips_with_powershell() {
    let Some(pwsh) = front::powershell() else { return };
    let mut options = front::Options::new(pwsh);
    options.environment.push(("TZ".into(), "UTC".into()));
    let front = front::Front::start(options).await.unwrap();
    let endpoint = endpoint(front.uri.parse().unwrap());
    let session = timeout(PATIENCE, session(&endpoint)).await.unwrap();
    let mut all = values();
    all.extend([
        Value::Null,
        "".into(),
        Value::Char(0xd83d),
        Value::Double(f64::NAN),
        Value::Double(f64::NEG_INFINITY),
        Value::Single(f32::MAX),
        Value::Double(f64::MIN_POSITIVE),
        Value::Xml("<a b=\"&lt;c&gt;\">d<e/></a>".into()),
        Value::DateTime("2021-05-03T10:00:00".into()),
        Value::Duration("-PT0.0000001S".into()),
        Value::Bytes(Vec::new()),
        Value::enumeration("System.DayOfWeek", "Friday", 5),
        object(Content::Enumerable(vec![1.into(), Value::Null]), "System.Collections.ArrayList"),
        Value::list(["System.Collections.ArrayList", "System.Object"], ["x".into(), Value::Null]),
    ]);
    let mut seen = Vec::new();
    for value in &all {
        let mut script = PipelineCommand::new(SCRIPT);
        script.is_script = true;
        script.arguments.push(Argument::positional(value.clone()));
        let events = output(session.invoke(&Pipeline::new(vec![script])).await.unwrap()).await;
        let mut answers = Vec::new();
        for event in events {
            match event {
                PipelineEvent::Output(output) => answers.push(output),
                PipelineEvent::State(..) => {}
                other => panic!("{value:?}: {other:?}"),
            }
        }
        let [kind, text, back] = answers.as_slice() else { panic!("{value:?}: {answers:?}") };
        assert!(is_same(value, back), "{value:?} is {back:?}");
        seen.push(format!("{} {}", kind.display_text(), text.display_text()));
    }
    assert_eq!(seen, EXPECTED);
    timeout(PATIENCE, session.close()).await.unwrap().unwrap();
    front.wait_empty().await;
}

/// Returns whether a value came back as documented (MS-PSRP 2.2.5): times in PowerShell's zone, scripts as
/// text, XML in PowerShell's form.
fn is_same(sent: &Value, back: &Value) -> bool {
    let moment = |text: &str| chrono::DateTime::parse_from_rfc3339(text).ok();
    match (sent, back.primitive()) {
        (Value::Double(sent), Value::Double(back)) => {
            sent.total_cmp(back).is_eq() || sent.is_nan() && back.is_nan()
        }
        (Value::DateTime(sent), Value::DateTime(back)) if moment(sent).is_some() => {
            moment(sent) == moment(back)
        }
        (Value::ScriptBlock(sent), Value::String(back)) => sent == back,
        (Value::Xml(sent), Value::Xml(back)) => sent.replace("/>", " />") == *back,
        _ => same(sent, back),
    }
}
