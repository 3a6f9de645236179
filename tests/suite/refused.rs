//! Refusals: the program's message for each symptom that a peer can produce. Each message has the code of the server
//! and a line for each cause. Symptoms without a peer are rows of the tests in `src/advice`.

use crate::kdc::{self, Kdc};
use crate::negotiate::{Site, lacks};
use crate::negotiate_peer::{DOMAIN_USER, Setup};

const NTLM: &str = "authentication = \"ntlm\"";
const KERBEROS: &str = "authentication = \"kerberos\"";

/// HTTP statuses and pages before the authentication.
#[test]
fn each_status_has_a_message() {
    let mut site = Site::ntlm(&[], "");
    // http.sys.
    let long = "answer=400|text/html|<TITLE>Bad Request</TITLE><h2>Bad Request - Request Too Long</h2>";
    let mut wrong = site.wrong(&[
        (
            long,
            &[
                "answered 400 Bad Request: a page, \"Bad Request\"",
                "MaxFieldLength",
                "keys of the connection",
            ],
        ),
        (
            "answer=400||",
            &["400 Bad Request: an empty answer to 0 bytes", "MaxRequestBytes", "path and port"],
        ),
        ("front=302", &["answered 302 Found", "a proxy or a sign-in page"]),
        ("front=403", &["answered 403 Forbidden", "permission", "a proxy answered"]),
        ("front=404", &["answered 404 Not Found", "/wsman on the ports 5985 and 5986"]),
        ("front=405", &["answered 405 Method Not Allowed", "/PowerShell/"]),
        ("front=407", &["answered 407 Proxy Authentication Required", "Set proxy in the profile"]),
        ("answer=411||", &["answered 411 Length Required", "Content-Length"]),
        ("status=413@Create", &["answered 413", "MaxEnvelopeSizekb", "a proxy or IIS"]),
        ("answer=503||", &["answered 503", "sent by Microsoft-HTTPAPI/2.0", "load balancer", "port of uri"]),
        ("answer=504|text/html|x|Via: 1.1 gate", &["answered 504", "sent by 1.1 gate"]),
        ("answer=501||", &["answered 501", "internal error"]),
        ("answer=400|text/plain|Blocked by policy 7.", &["400 Bad Request: Blocked by policy 7."]),
        ("status=500@Create", &["answered 500", "event log"]),
    ]);
    site.path = "/PowerShell/";
    site.profile(DOMAIN_USER, NTLM);
    wrong.extend(site.wrong(&[
        (
            "answer=400|text/html|x",
            &["answered 400", "MaxFieldLength", "RemotePowerShellEnabled", "20 minutes"],
        ),
        ("answer=403|text/html|x|X-FEServer: MBX1", &["answered 403", "front end MBX1", "Require SSL"]),
        ("answer=500||", &["answered 500", "an empty answer to", "event log", "ExchangeInstallPath"]),
        ("answer=503||", &["answered 503", "MSExchangePowerShellAppPool"]),
    ]));
    site.path = "/OcsPowershell";
    site.profile(DOMAIN_USER, NTLM);
    wrong.extend(site.wrong(&[("front=403", &["answered 403", "`Cs…` group", "RTCUniversal"])]));
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn an_untyped_answer_lists_its_causes() {
    let mut site = Site::new(Setup::new(&["--offer", "Basic"]), "authentication = \"basic\"");
    site.path = "/PowerShell/";
    site.profile(lyncsh::simulator::USER, "authentication = \"basic\"");
    let wrong = site.wrong(&[
        (
            "answer=200||x",
            &["answered 200 OK: an answer without a content type", "kerbauth", "RemotePowerShellEnabled"],
        ),
        ("answer=200||", &["answered 200 OK: an empty answer to", "kerbauth"]),
    ]);
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn each_fault_of_create_has_a_message_with_its_code() {
    let site = Site::ntlm(&[], "");
    let wrong = site.wrong(&[
        (
            "fault=2150858811|a:DestinationUnreachable|The resource URI was not found@Create",
            &["not found (WSManFault 2150858811, 0x8033803B)", "Get-PSSessionConfiguration", "/PowerShell/"],
        ),
        ("fault=|a:DestinationUnreachable|no@Create", &["no (a:DestinationUnreachable)", "`configuration`"]),
        (
            "fault=5|w:AccessDenied|Access is denied.@Create",
            &["Access is denied. (WSManFault 5)", "Remote Management Users", "LocalAccountTokenFilterPolicy", "JEA"],
        ),
        (
            "fault=2150859173|w:QuotaLimit|The maximum number of 5 concurrent shells@Create:all",
            &["5 concurrent shells (WSManFault 2150859173, 0x803381A5)", "Close an unneeded session", "MaxShellsPerUser"],
        ),
        (
            "fault=2150859174|w:QuotaLimit|1500 concurrent operations@Create:all",
            &["(WSManFault 2150859174, 0x803381A6)", "Open another session", "MaxConcurrentOperationsPerUser"],
        ),
        (
            "fault=2150859175|w:QuotaLimit|The user load quota of 1000 requests per 2 seconds@Create:all",
            &["(WSManFault 2150859175, 0x803381A7)", "Wait as long", "PowerShellMaxCmdlets"],
        ),
        (
            "fault=2150859236|w:QuotaLimit|The plugin quota@Create:all",
            &["(WSManFault 2150859236, 0x803381E4)", "Close an unneeded session"],
        ),
        (
            "fault=2150858999|w:InternalError|[FailureCategory=AuthZ-AuthorizationException] Fail to create a \
             runspace because you have exceeded the maximum number of connections allowed : 3 for the policy party : \
             MaxConcurrency ActiveRunspaces 3/3@Create:all",
            &["ActiveRunspaces 3/3 (WSManFault 2150858999", "Close an unneeded session", "throttling policy"],
        ),
        (
            "fault=2150858999|w:InternalError|The maximum number of concurrent shells for this tenant has been \
             exceeded@Create:all",
            &["for this tenant", "a tenant has 9"],
        ),
        (
            "fault=2150858999|w:InternalError|[ClientAccessServer=A,BackEndServer=B,RequestId=1,TimeStamp=2] \
             [FailureCategory=WSMan-InvalidShellID] no@Create",
            &["BackEndServer=B", "Open the session again", "name of one server", "versions"],
        ),
        (
            "fault=2150858819|w:InternalError|[Server=MBX1] Access is denied@Create",
            &["(WSManFault 2150858819, 0x80338043)", "ms-Exch-EPI-Token-Serialization", "server's own account"],
        ),
        ("fault=2150858999|w:InternalError|no@Create", &["(WSManFault 2150858999", "1000 of them", "event log"]),
        (
            "fault=||@Create",
            &["refused the request and gave no reason", "user@REALM", "`configuration`"],
        ),
    ]);
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn refused_ntlm_lists_its_causes() {
    let site = Site::ntlm(&[], "");
    let wrong = site.wrong(&[
        (
            "locked",
            &[
                "refused the credential of LITWAREINC\\kenmyer (HTTP 401); it offers Negotiate, Kerberos",
                "locked, disabled or expired",
                "LocalAccountTokenFilterPolicy",
                "Protected Users",
            ],
        ),
        ("not-ntlm", &["invalid NTLM CHALLENGE message", "authentication = \"kerberos\"", "proxy"]),
    ]);
    assert!(wrong.is_empty(), "{wrong:#?}");
    // Over http, lyncsh sends no channel binding: servers accept an absent binding, but not one that is all zeros.
    site.works();
    assert!(
        site.server.events("logon").iter().all(|row| row["binding"] == "absent"),
        "{:#?}",
        site.server.log()
    );

    let site = Site::ntlm(&["--mechanisms", "kerberos"], "");
    let err = site.fails();
    assert_eq!(lacks(&err, &["(HTTP 401)", "authentication = \"kerberos\""]), None);
}

#[test]
fn a_tls_proxy_breaks_the_channel_binding() {
    let site = Site::new(Setup::new(&["--cbt", "strict"]).tls().behind_tls_proxy(), "");
    std::fs::copy(site.server.ca(), site.world.folders.profiles().join("ca.pem")).unwrap();
    site.profile(DOMAIN_USER, &format!("{NTLM}\nca = \"ca.pem\""));
    let err = site.fails();
    assert_eq!(lacks(&err, &["refused the credential", "CbtHardeningLevel", "Extended Protection"]), None);
    // Only one attempt, because the server counts each as a failed logon.
    assert_eq!(site.server.failed_logons(), 1);
}

#[test]
fn both_failures_of_negotiate_are_shown() {
    let site = Site::new(Setup::new(&["--mechanisms", "ntlm"]), "authentication = \"negotiate\"");
    let wrong = site.wrong(&[("locked", &["using NTLM: cannot get a Kerberos ticket", "(HTTP 401)"])]);
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn a_disabled_scheme_is_not_a_wrong_password() {
    for (offer, more, expected) in [
        ("Negotiate", "authentication = \"basic\"", "does not offer Basic (HTTP 401); it offers Negotiate"),
        ("Basic", NTLM, "does not offer NTLM (HTTP 401); it offers Basic"),
        ("Basic", KERBEROS, "does not offer Kerberos (HTTP 401); it offers Basic"),
    ] {
        let mut site = Site::kerberos(&["--offer", offer], more);
        site.path = "/PowerShell/";
        site.profile(&format!("alice@{}", kdc::REALM), more);
        let err = site.fails();
        assert_eq!(lacks(&err, &[expected]), None);
        // Basic is not supported on the directory of Exchange.
        assert!(!err.contains("\"basic\""), "{err}");
        assert!(site.server.events("logon").iter().all(|row| row["reason"] == "not offered"));
    }
}

#[test]
fn each_refusal_of_the_kdc_has_a_message_with_its_code() {
    let site = Site::kerberos(&[], KERBEROS);
    let kdc = site.kdc.as_ref().unwrap();
    let mut wrong = Vec::new();
    let mut expect = |user: &str, more: &str, expected: &[&str]| {
        site.profile(user, &format!("{KERBEROS}\n{more}"));
        let err = site.fails();
        wrong.extend(lacks(&err, expected).map(|lacks| format!("{user} {more} {lacks}")));
    };
    let alice = "alice@LITWAREINC.COM";
    // Without the port: cloudsoft/winrm4j#27.
    expect(
        alice,
        "service_principal = \"HTTP/alias\"",
        &["Server HTTP/alias@LITWAREINC.COM not found", "(-1765328377)", "setspn -Q", "host/HOST", "ASA"],
    );
    expect("alice-unknown@LITWAREINC.COM", "", &["(-1765328378)", "user@REALM", "sAMAccountName"]);
    expect("alice@CONTOSO.EXAMPLE", "", &["(-1765328230)", "DNS name", "krb5.conf"]);
    expect(alice, "credential = \"system\"", &["(-1765328243)", "kinit", "KRB5CCNAME"]);
    expect(
        alice,
        "credential = { command = \"echo wrong\" }",
        &["(-1765328360)", "lockout", "name and realm"],
    );
    kdc.kadmin("modprinc -allow_tix alice");
    expect(alice, "", &["(-1765328366)", "locked or disabled", "kinit"]);
    kdc.kadmin("modprinc +allow_tix -pwexpire yesterday alice");
    expect(alice, "", &["(-1765328361)", "kpasswd"]);
    kdc.kadmin("modprinc -pwexpire never -expire yesterday alice");
    expect(alice, "", &["(-1765328383)", "validity"]);
    kdc.kadmin("modprinc -expire never alice");
    kdc.kadmin(&format!("modprinc -allow_svr {}", kdc::SERVICE));
    expect(alice, "", &["(-1765328357)"]);
    kdc.kadmin(&format!("modprinc +allow_svr {}", kdc::SERVICE));
    let config = std::fs::read_to_string(kdc.path("krb5.conf")).unwrap();
    let rc4 =
        "[libdefaults]\n permitted_enctypes = arcfour-hmac\n allow_weak_crypto = true\n allow_rc4 = true\n";
    let weak = config.replace("[libdefaults]\n", rc4);
    std::fs::write(kdc.path("krb5.conf"), weak).unwrap();
    expect(alice, "", &["(-1765328370)", "AES keys", "KDCSVC"]);
    std::fs::write(kdc.path("krb5.conf"), config.replace("default_realm = LITWAREINC.COM\n", "\n")).unwrap();
    expect("alice", "", &["(-1765328160)", "default_realm"]);
    std::fs::write(kdc.path("krb5.conf"), config).unwrap();
    assert!(wrong.is_empty(), "{wrong:#?}");
    assert!(site.server.operations().is_empty());
}

#[test]
fn an_unreachable_kdc_has_a_message() {
    let mut site = Site::kerberos(&[], KERBEROS);
    site.kdc.as_mut().unwrap().stop();
    let err = site.fails();
    assert_eq!(
        lacks(&err, &["(-1765328228)", "port 88", "_kerberos._tcp", "another domain or forest"]),
        None
    );
}

#[test]
fn a_refused_ticket_lists_its_causes() {
    let causes = [
        "refused the Kerberos ticket of alice@LITWAREINC.COM for HTTP/localhost (HTTP 401)",
        "setspn -Q",
        "\"WSMAN/HOST\"",
        "authentication = \"ntlm\"",
        "clock",
        "Remote Management Users",
    ];
    let mut site = Site::kerberos(&[], KERBEROS);
    let mut wrong = site.wrong(&[("locked", &causes)]);
    site.path = "/PowerShell/";
    site.profile("alice@LITWAREINC.COM", KERBEROS);
    wrong.extend(site.wrong(&[("locked", &["RemotePowerShellEnabled", "kerbauth"])]));
    // The keytab still has the previous key.
    let kdc = site.kdc.as_ref().unwrap();
    kdc.kadmin(&format!("cpw -randkey {}", kdc::SERVICE));
    wrong.extend(lacks(&site.fails(), &["refused the Kerberos ticket", "another account"]));
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn a_ticket_bound_to_the_proxys_certificate_is_refused() {
    let kdc = Kdc::start();
    let setup = Setup::new(&["--cbt", "strict"]).tls().behind_tls_proxy().kerberos(&kdc);
    let mut site = Site::new(setup, "");
    std::fs::copy(site.server.ca(), site.world.folders.profiles().join("ca.pem")).unwrap();
    site.profile("alice@LITWAREINC.COM", &format!("{KERBEROS}\nca = \"ca.pem\""));
    site.kdc = Some(kdc);
    let err = site.fails();
    assert_eq!(lacks(&err, &["refused the Kerberos ticket", "CbtHardeningLevel", "MIT krb5 to 1.19"]), None);
}

#[test]
fn clock_skew_has_a_message() {
    let kdc = Kdc::start();
    let mut site = Site::new(Setup::new(&[]).kerberos(&kdc).clock("+10m"), "");
    site.profile("alice@LITWAREINC.COM", KERBEROS);
    site.kdc = Some(kdc);
    let err = site.fails();
    assert_eq!(lacks(&err, &["refused the Kerberos ticket", "Compare the clock"]), None);
}

#[test]
fn an_expired_ticket_does_not_replace_a_password() {
    let site = Site::kerberos(&[], KERBEROS);
    site.kdc.as_ref().unwrap().kinit(&["-l", "1s"]);
    std::thread::sleep(std::time::Duration::from_secs(2));
    site.works();
}

/// The forms of sealed answers that servers have, Exchange's with a space in the boundary.
#[test]
fn exchange_boundaries_and_multiple_parts_are_read() {
    let arguments = ["--boundary", "exchange", "--parts", "3"];
    Site::ntlm(&arguments, "").works();
    Site::kerberos(&arguments, KERBEROS).works();
}

/// The server has lost the keys of an idle connection: lyncsh logs on once more, and the session continues. Only if the
/// next request fails too, the shell is gone.
#[test]
fn an_empty_400_is_followed_by_one_logon() {
    for more in [NTLM, KERBEROS] {
        let site = Site::kerberos(&[], more);
        let user = if more == NTLM { DOMAIN_USER } else { "alice@LITWAREINC.COM" };
        site.profile(user, more);
        site.server.fault("context-gone@Receive:2");
        site.works();
        let logons = site.server.logons();
        assert!((3..=5).contains(&logons), "{logons}: {:#?}", site.server.log());
        assert_eq!(site.server.failed_logons(), 0);
    }
}

/// IIS with SslNegotiateCert: the server asks for a certificate after the request.
#[test]
fn a_late_certificate_request_is_reported() {
    for version in ["1.2", "1.3"] {
        let setup = Setup::new(&["--tls-max", version]).tls();
        let setup = setup.client_certificates(&["--client-certificate", "later"]);
        let site = Site::new(setup, "");
        std::fs::copy(site.server.ca(), site.world.folders.profiles().join("ca.pem")).unwrap();
        let more = format!("{NTLM}\nca = \"ca.pem\"\n[timeouts]\nconnect = \"5s\"\nopen = \"8s\"");
        site.profile(DOMAIN_USER, &more);
        let err = site.fails();
        assert_eq!(
            lacks(&err, &["authenticating", "SslNegotiateCert", "tls = \"system\"", "to TLS 1.2"]),
            None
        );
        if cfg!(feature = "system-tls") && version == "1.2" {
            site.profile(DOMAIN_USER, &format!("{NTLM}\nca = \"ca.pem\"\ntls = \"system\""));
            site.works();
        }
    }
}

/// The same with a client certificate alone, which no library presents after the handshake of TLS 1.3.
#[test]
fn a_late_client_certificate_request_is_reported() {
    for (version, library, works) in [
        ("1.2", "rustls", false),
        ("1.3", "rustls", false),
        ("1.3", "system", false),
        ("1.2", "system", true),
    ] {
        if library == "system" && !cfg!(feature = "system-tls") {
            continue;
        }
        let setup = Setup::new(&["--tls-max", version]).tls();
        let site = Site::new(setup.client_certificates(&["--client-certificate", "later"]), "");
        let file = |name: &str| site.server.file(name).display().to_string();
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o600);
        std::fs::set_permissions(site.server.file("client.key"), mode).unwrap();
        let more = format!(
            "authentication = \"certificate\"\ntls = \"{library}\"\nca = '{}'\ncertificate = '{}'\nkey = '{}'\n\
             [timeouts]\nopen = \"8s\"",
            file("ca.pem"),
            file("client.pem"),
            file("client.key")
        );
        site.profile(DOMAIN_USER, &more);
        if works {
            site.works();
        } else {
            let err = site.fails();
            assert_eq!(lacks(&err, &["creating the session", "SslNegotiateCert", "to TLS 1.2"]), None);
        }
    }
}

/// lyncsh requests a ticket for the service class in the profile.
#[test]
fn a_ticket_for_another_class_of_the_service_is_accepted() {
    let site = Site::kerberos(&[], KERBEROS);
    let kdc = site.kdc.as_ref().unwrap();
    for service in ["host/localhost", "WSMAN/localhost"] {
        kdc.kadmin(&format!("addprinc -randkey {service}"));
        kdc.kadmin(&format!("ktadd -k {} {service}", kdc.path("keytab").display()));
        site.profile("alice@LITWAREINC.COM", &format!("{KERBEROS}\nservice_principal = \"{service}\""));
        site.works();
        assert!(kdc.log().contains(&format!("for {service}@")), "{}", kdc.log());
    }
}

/// The shell is gone: each Receive is answered with 400, although the connection is authenticated again.
#[test]
fn an_empty_400_to_each_receive_loses_the_session() {
    let site = Site::ntlm(&[], "");
    site.server.fault("context-gone@Receive:all");
    let err = site.fails();
    assert_eq!(lacks(&err, &["400 Bad Request: an empty answer", "retries failed"]), None);
    site.server.no_faults();
    let _ = site.run("");
    site.is_left_clean();
}

/// Tokens and sealed answers that are cut, forged or of another session: the error names the step.
#[test]
fn invalid_tokens_and_sealed_answers_of_kerberos_name_the_step() {
    let handshake: &[(&str, &[&str])] = &[
        ("truncated-token", &["cannot authenticate alice@LITWAREINC.COM"]),
        ("not-ntlm", &["cannot authenticate alice@LITWAREINC.COM"]),
        ("other-token", &["cannot authenticate alice@LITWAREINC.COM"]),
        ("final=wrong", &["cannot authenticate alice@LITWAREINC.COM"]),
        ("final=missing", &["cannot authenticate alice@LITWAREINC.COM"]),
        ("big-token", &["ended while authenticating", "too large"]),
        ("endless", &["cannot authenticate alice@LITWAREINC.COM"]),
    ];
    let sealed: &[(&str, &[&str])] = &[
        ("unsealed@Create", &["while creating the session", "not sealed"]),
        ("bad-signature@Create", &["while creating the session"]),
        ("bad-sequence@Create", &["while creating the session"]),
        ("bad-length@Create", &["while creating the session", "sealed body"]),
        ("unsealed@Receive", &["while waiting for the session", "not sealed"]),
        ("bad-signature@Receive", &["while waiting for the session"]),
        ("bad-sequence@Receive", &["while waiting for the session"]),
        ("bad-length@Receive", &["while waiting for the session", "sealed body"]),
    ];
    for word in ["kerberos", "negotiate"] {
        let site = Site::kerberos(&[], &format!("authentication = \"{word}\""));
        // The token of an earlier session is what `other-token` sends.
        site.works();
        let wrong = [site.wrong(handshake), site.wrong(sealed)].concat();
        assert!(wrong.is_empty(), "{word}: {wrong:#?}");
    }
}

#[test]
fn invalid_tokens_of_spnego_name_the_step() {
    let site = Site::ntlm(&["--forms", "spnego"], "");
    site.works();
    let wrong = site.wrong(&[
        ("truncated-token", &["cannot authenticate", "invalid SPNEGO token"]),
        ("not-ntlm", &["cannot authenticate", "invalid SPNEGO token"]),
        ("absurd-challenge=pair", &["cannot authenticate", "invalid NTLM CHALLENGE message"]),
        ("final=missing", &["cannot authenticate", "cannot verify the peer", "prove its identity"]),
        ("final=wrong", &["cannot authenticate"]),
        ("endless", &["(HTTP 401)"]),
    ]);
    assert!(wrong.is_empty(), "{wrong:#?}");
}
