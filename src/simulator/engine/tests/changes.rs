//! Tests of changes to the tenant's state.

use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::*;
use crate::psrp::message::MessageType;

#[tokio::test]
async fn the_tenant_and_its_users_are_returned() {
    let world = world(false);
    let tenant = run(&world, "Get-CsTenant").await;
    assert_eq!(tenant.all("DisplayName"), ["Litware"]);
    let users = run(&world, "Get-CsOnlineUser").await;
    assert_eq!(users.all("DisplayName"), ["Ken Myer", "Pilar Ackerman"]);
    assert_eq!(users.all("SipAddress")[0], "sip:kenmyer@litwareinc.com");
    assert!(matches!(users.outcome, Outcome::Completed));
}

#[tokio::test]
async fn a_changed_user_is_read_back() {
    let world = world(false);
    let changed =
        run(&world, "Set-CsUser kenmyer@litwareinc.com -EnterpriseVoiceEnabled $true -PassThru").await;
    assert_eq!(changed.all("EnterpriseVoiceEnabled"), ["True"]);
    let read = run(&world, "Get-CsOnlineUser sip:kenmyer@litwareinc.com").await;
    assert_eq!(read.all("EnterpriseVoiceEnabled"), ["True"]);
    let other = run(&world, "Get-CsOnlineUser Pilar_Ackerman").await;
    assert_eq!(other.all("EnterpriseVoiceEnabled"), ["False"]);
}

#[tokio::test]
async fn piped_users_are_granted_a_policy() {
    let world = world(false);
    run(&world, "Get-CsOnlineUser | Grant-CsConferencingPolicy -PolicyName BposSAllModality").await;
    let read = run(&world, "Get-CsOnlineUser").await;
    assert_eq!(read.all("ConferencingPolicy"), ["BposSAllModality", "BposSAllModality"]);
    run(&world, "Grant-CsConferencingPolicy kenmyer $null").await;
    let read = run(&world, "Get-CsOnlineUser").await;
    assert_eq!(read.all("ConferencingPolicy"), ["", "BposSAllModality"]);
    let refused = run(&world, "Grant-CsConferencingPolicy kenmyer Nowhere").await;
    assert_eq!(
        refused.failure().0,
        "Policy \"Nowhere\" is not a user policy. You can assign only a user policy to a specific user."
    );
}

#[tokio::test]
async fn policies_are_created_changed_and_removed() {
    let world = world(false);
    run(&world, "New-CsClientPolicy RedmondClientPolicy -DisableEmoticons $true").await;
    run(&world, "Set-CsClientPolicy RedmondClientPolicy -MaximumNumberOfContacts 100").await;
    let made = run(&world, "Get-CsClientPolicy Tag:RedmondClientPolicy").await;
    assert_eq!(made.all("DisableEmoticons"), ["True"]);
    assert_eq!(made.all("MaximumNumberOfContacts"), ["100"]);
    let twice = run(&world, "New-CsClientPolicy RedmondClientPolicy").await;
    assert_eq!(twice.errors()[0].0, "An item with identity \"Tag:RedmondClientPolicy\" exists already.");
    run(&world, "Remove-CsClientPolicy RedmondClientPolicy").await;
    let gone = run(&world, "Get-CsClientPolicy RedmondClientPolicy").await;
    assert_eq!(gone.errors()[0].0, "Management object not found for identity \"RedmondClientPolicy\".");
}

#[tokio::test]
async fn federation_accepts_a_list_of_domains() {
    let world = world(false);
    let list = run(&world, "New-CsEdgeDomainPattern contoso.com | New-CsEdgeAllowList").await;
    let mut set = pipeline("Set-CsTenantFederationConfiguration");
    set.commands[0]
        .arguments
        .push(Argument { name: Some("AllowedDomains".into()), value: Some(list.output()[0].clone()) });
    run_with(&world, set, Vec::new(), Vec::new(), host(80)).await;
    let read = run(&world, "Get-CsTenantFederationConfiguration").await;
    assert_eq!(read.all("AllowedDomains"), ["Domain=contoso.com"]);
}

#[tokio::test]
async fn rooms_are_disabled_and_enabled() {
    let world = world(false);
    assert_eq!(run(&world, "Get-CsMeetingRoom").await.output().len(), 1);
    run(&world, "Disable-CsMeetingRoom room-redmond").await;
    assert_eq!(run(&world, "Get-CsMeetingRoom").await.output().len(), 0);
    run(&world, "Enable-CsMeetingRoom room-redmond -RegistrarPool sippool0e.infra.lync.com").await;
    assert_eq!(run(&world, "Get-CsMeetingRoom").await.all("RegistrarPool"), ["sippool0e.infra.lync.com"]);
}

#[tokio::test]
async fn a_filter_and_result_size_limit_the_output() {
    let world = World::new(&Options { users: Some(50), ..Options::default() });
    assert_eq!(run(&world, "Get-CsOnlineUser").await.output().len(), 50);
    assert_eq!(run(&world, "Get-CsOnlineUser -ResultSize 7").await.output().len(), 7);
    let mut filtered = pipeline("Get-CsOnlineUser -Filter:x");
    filtered.commands[0].arguments[0].value = Some(text("{DisplayName -like \"Ken*\"}"));
    let found = run_with(&world, filtered, Vec::new(), Vec::new(), host(80)).await;
    assert_eq!(found.all("DisplayName"), ["Ken Myer"]);
}

#[tokio::test]
async fn what_if_reports_without_changing() {
    let world = world(false);
    let would = run(&world, "Set-CsUser kenmyer -EnterpriseVoiceEnabled $true -WhatIf").await;
    assert_eq!(
        would.host_calls(),
        [(
            HostMethod::WriteLine2,
            "What if: Performing the operation \"Set-CsUser\" on target \"Ken Myer\".".into()
        )]
    );
    let read = run(&world, "Get-CsOnlineUser kenmyer").await;
    assert_eq!(read.all("EnterpriseVoiceEnabled"), ["False"]);
}

#[tokio::test]
async fn confirm_with_yes_to_all_prompts_once() {
    let world = world(false);
    let asked = |line: &'static str, answers: Vec<i32>| {
        let world = Arc::clone(&world);
        async move {
            let answers = answers.into_iter().map(|choice| Ok(Some(Value::I32(choice)))).collect();
            run_with(&world, pipeline(line), Vec::new(), answers, host(80)).await
        }
    };
    asked("Set-CsUser kenmyer -Enabled $false -Confirm", vec![2]).await;
    assert_eq!(run(&world, "Get-CsOnlineUser kenmyer").await.all("Enabled"), ["True"]);
    let all = asked("Get-CsOnlineUser | Set-CsUser -Enabled $false -Confirm", vec![1]).await;
    assert_eq!(all.host_calls().len(), 1);
    assert!(all.host_calls()[0].1.starts_with(
        "Confirm|Are you sure you want to perform this action?\nPerforming the operation \"Set-CsUser\" on target \"Ken Myer\"."
    ));
    assert_eq!(run(&world, "Get-CsOnlineUser").await.all("Enabled"), ["False", "False"]);
}

#[tokio::test]
async fn a_migration_shows_progress_and_can_be_stopped() {
    let world = world(false);
    let (sender, mut receiver) = mpsc::channel(1);
    let (_, input) = mpsc::channel(1);
    let stop = CancellationToken::new();
    let context = Context {
        user: "admin@litwareinc.com".into(),
        host: host(80),
        input,
        output: sender,
        stop: stop.clone(),
    };
    let running = {
        let world = Arc::clone(&world);
        tokio::spawn(async move { world.run(pipeline("Start-CsExMeetingMigration kenmyer"), context).await })
    };
    let Some(PipelineOutput::Progress(progress)) = receiver.recv().await else { panic!("no progress") };
    assert_eq!(progress.activity, "Migrating the meetings of Ken Myer");
    stop.cancel();
    assert!(matches!(running.await.unwrap(), Outcome::Stopped));
    let status = run(&world, "Get-CsMeetingMigrationStatus kenmyer").await;
    assert_eq!(status.all("Status"), ["InProgress"]);
}

#[tokio::test]
async fn a_dropped_reader_ends_the_pipeline() {
    let world = World::new(&Options { users: Some(1000), ..Options::default() });
    let (sender, mut receiver) = mpsc::channel(1);
    let (_, input) = mpsc::channel(1);
    let context = Context {
        user: "admin@litwareinc.com".into(),
        host: host(80),
        input,
        output: sender,
        stop: CancellationToken::new(),
    };
    let running = tokio::spawn(async move { world.run(pipeline("Get-CsOnlineUser"), context).await });
    assert!(receiver.recv().await.is_some());
    drop(receiver);
    assert!(matches!(running.await.unwrap(), Outcome::Stopped));
}

#[tokio::test]
async fn error_action_controls_error_handling() {
    let world = world(false);
    let id = "ManagementObjectNotFound,Microsoft.Rtc.Management.Cmdlets.GetCsOnlineUserCmdlet";
    let message = "Management object not found for identity \"nobody\".";
    let on = run(&world, "Get-CsOnlineUser nobody").await;
    assert_eq!(on.errors(), [(message, id)]);
    assert!(matches!(on.outcome, Outcome::Completed));
    let silent = run(&world, "Get-CsOnlineUser nobody -ea SilentlyContinue").await;
    assert!(silent.events.is_empty());
    let stop = run(&world, "Get-CsOnlineUser nobody -ErrorAction Stop").await;
    assert_eq!(
        stop.failure(),
        (
            "The running command stopped because the preference variable \"ErrorActionPreference\" or common parameter is set to Stop: Management object not found for identity \"nobody\".",
            id
        )
    );
}

#[tokio::test]
async fn verbose_records_need_the_switch() {
    let world = world(false);
    let quiet = run(&world, "Set-CsUser kenmyer -Enabled $true").await;
    assert!(quiet.events.is_empty());
    let wordy = run(&world, "Set-CsUser kenmyer -Enabled $true -Verbose").await;
    assert!(matches!(&wordy.events[0], PipelineOutput::Text(MessageType::VerboseRecord, message)
        if message == "Performing the operation \"Set-CsUser\" on target \"Ken Myer\"."));
}

#[tokio::test]
async fn sign_in_selects_the_users_tenant() {
    let world = world(false);
    assert_eq!(world.sign_in("Admin@litwareinc.com", "L1tware!").as_deref(), Some("litwareinc.com"));
    assert_eq!(world.sign_in("admin@contoso.com", "C0ntoso!").as_deref(), Some("contoso.com"));
    assert_eq!(world.sign_in("admin@litwareinc.com", "wrong"), None);
    assert_eq!(world.sign_in("kenmyer@litwareinc.com", "L1tware!"), None);
}
