//! An endpoint whose CA only the profile trusts.

use std::path::Path;

use lyncsh::simulator::{Options, PASSWORD, Server, USER};

use crate::agent_world::World;
use crate::program::{Ran, signal};

async fn endpoint() -> Server {
    Server::start(Options { tls: true, ..Options::default() }).await.unwrap()
}

/// Creates a user with the profile `work`, with discovery or a URI, password or token.
fn user(server: &Server, more: &str) -> World {
    let world = World::without_endpoint();
    std::fs::create_dir_all(world.folders.profiles()).unwrap();
    let text = format!(
        "kind = \"lync-online\"\nuser = \"{USER}\"\ndiscovery = \"{}\"\nshell = \"console\"\n\
         credential = {{ command = \"echo '{PASSWORD}'\" }}\n{more}\n",
        server.discovery
    );
    std::fs::write(world.folders.profile("work"), text).unwrap();
    world
}

fn trusting(ca: &Path) -> String {
    format!("ca = \"{}\"\n", ca.display())
}

/// Runs `lyncsh work` with a line on standard input.
async fn work(world: &World) -> (Option<i32>, String, String) {
    let program = world.program(&["work"]).stdin("Get-CsTenant\n");
    let Ran { code, out, err } = tokio::task::spawn_blocking(move || program.run()).await.unwrap();
    (code, out, err)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_private_ca_is_trusted_at_every_step() {
    let server = endpoint().await;
    assert!(server.url.starts_with("https://127.0.0.1:"), "{}", server.url);
    let ca = trusting(server.ca().unwrap());
    for way in ["", "authentication = \"token\"", &format!("uri = \"{}\"", server.url)] {
        let (code, out, err) = work(&user(&server, &format!("{ca}{way}"))).await;
        assert_eq!(code, Some(0), "{way}: {err}");
        assert!(out.contains("Litware"), "{way}: {out}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_untrusted_certificate_is_refused_on_loopback() {
    let server = endpoint().await;
    let other = endpoint().await;
    for more in [
        String::new(),
        "authentication = \"token\"".to_owned(),
        format!("uri = \"{}\"", server.url),
        trusting(other.ca().unwrap()),
    ] {
        let (code, _, err) = work(&user(&server, &more)).await;
        assert_eq!(code, Some(3), "{more}: {err}");
        assert!(err.contains("certificate"), "{more}: {err}");
        assert!(err.contains("unknown issuer"), "{more}: {err}");
    }
    assert_eq!((server.requests(), server.shells().len()), (0, 0), "nothing was sent");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_without_a_ca_certificate_is_reported_with_help() {
    let server = endpoint().await;
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, text: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        path
    };
    let good = std::fs::read_to_string(server.ca().unwrap()).unwrap();
    let broken = good.replacen("MII", "AAA", 1);
    for (path, why) in [
        (folder.path().join("none.pem"), "cannot read the CA certificates"),
        (file("empty.pem", ""), "it contains no certificate"),
        (file("text.pem", "my authority"), "it contains no certificate"),
        (file("broken.pem", &broken), "is not a PEM file of CA certificates"),
    ] {
        let (code, _, err) = work(&user(&server, &trusting(&path))).await;
        assert_eq!(code, Some(3), "{why}: {err}");
        let flat = crate::program::one_line(&err);
        assert!(flat.contains(why), "{why}: {err}");
        assert!(err.contains("ca in the profile"), "{why}: {err}");
    }
    assert_eq!(server.requests(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ca_path_is_relative_to_the_profile() {
    let server = endpoint().await;
    let world = user(&server, "ca = \"own-ca.pem\"");
    std::fs::copy(server.ca().unwrap(), world.folders.profiles().join("own-ca.pem")).unwrap();
    let (code, out, err) = work(&world).await;
    assert_eq!(code, Some(0), "{err}");
    assert!(out.contains("Litware"), "{out}");
}

#[test]
fn the_tls_demo_reports_its_ca_file() {
    let world = World::without_endpoint();
    let printed = world.program(&["demo", "--tls"]).stdin("Get-CsTenant\nexit\n").run().success_output();
    assert!(printed.contains("Litware"));

    let mut serve = world.program(&["demo", "--serve", "--tls"]).start();
    let ready = serve.ready();
    for key in ["url", "discovery"] {
        assert!(ready[key].as_str().unwrap().starts_with("https://"), "{ready}");
    }
    let ca = Path::new(ready["ca"].as_str().unwrap());
    assert!(std::fs::read_to_string(ca).unwrap().starts_with("-----BEGIN CERTIFICATE-----"));
    signal(serve.0.id(), rustix::process::Signal::TERM);
    assert!(serve.wait().success());
    assert!(!ca.exists(), "it goes with the endpoint");
}
