//! Meeting migration: a slow cmdlet, to show progress and stopping.

use std::time::Duration;

use super::super::spec::{Kind, parameter, string};
use super::super::stage::{Call, Executable, Running};
use super::super::value::{custom, properties, text};
use super::user::{confirmed, not_found};
use crate::psrp::clixml::Value;
use crate::psrp::record::ProgressRecord;

/// Number of meetings of a user.
const MEETINGS: i32 = 60;
/// Time for each meeting.
const MEETING_TIME: Duration = Duration::from_millis(500);

const MEETING_TYPE: Kind =
    Kind::Enum("Microsoft.Rtc.Management.Hosted.MeetingMigration.MeetingType", &["SfB", "Teams", "Current"]);

pub fn commands() -> Vec<Executable> {
    vec![
        Executable::cmdlet(
            "Start-CsExMeetingMigration",
            "Updates a user's meetings one by one, which takes about half a minute.",
            start,
        )
        .changes()
        .with(vec![
            string("Identity").at(0).mandatory().piped(),
            parameter("SourceMeetingType", MEETING_TYPE),
            parameter("TargetMeetingType", MEETING_TYPE),
        ]),
        Executable::cmdlet(
            "Get-CsMeetingMigrationStatus",
            "Returns the migration status of users' meetings.",
            status,
        )
        .default_set("Identity")
        .with(vec![
            string("Identity").at(0).piped().in_set("Identity"),
            string("StartTime"),
            string("EndTime"),
            parameter("State", Kind::String),
        ]),
    ]
}

fn start<'a>(call: &'a mut Call<'_>) -> Running<'a> {
    Box::pin(async move {
        let Some(at) = confirmed(call, false).await? else { return Ok(()) };
        let name = call.tenant(|tenant| tenant.users[at].display_name());
        call.tenant(|tenant| tenant.migrated.insert(at, "InProgress".into()));
        let progress = |done: i32| ProgressRecord {
            activity: format!("Migrating the meetings of {name}"),
            activity_id: 1,
            parent_id: -1,
            status: format!("Meeting {done} of {MEETINGS}"),
            current_operation: None,
            percent: done * 100 / MEETINGS,
            seconds_remaining: (MEETINGS - done) / 2,
            completed: done == MEETINGS,
        };
        for done in 1..=MEETINGS {
            call.engine.or_stopped(tokio::time::sleep(MEETING_TIME)).await?;
            call.progress(0, progress(done)).await?;
        }
        call.tenant(|tenant| tenant.migrated.insert(at, "Succeeded".into()));
        Ok(())
    })
}

fn status<'a>(call: &'a mut Call<'_>) -> Running<'a> {
    Box::pin(async move {
        let identity = call.bound.text("Identity");
        let state = call.bound.text("State");
        let found = call.tenant(|tenant| {
            let only = match &identity {
                Some(identity) => Some(tenant.find(identity, false)?),
                None => None,
            };
            let shown = |(&at, status): (&usize, &String)| {
                properties([
                    ("UserPrincipalName", text(tenant.users[at].address(&tenant.domain))),
                    ("Status", text(status)),
                    ("MeetingsTotal", Value::I32(MEETINGS)),
                ])
            };
            Some(
                tenant
                    .migrated
                    .iter()
                    .filter(|(at, _)| only.is_none_or(|only| only == **at))
                    .filter(|(_, status)| {
                        state.as_ref().is_none_or(|state| state.eq_ignore_ascii_case(status))
                    })
                    .map(shown)
                    .collect::<Vec<_>>(),
            )
        });
        match (found, identity) {
            (None, Some(identity)) => call.error(not_found(&identity)).await,
            (found, _) => {
                for shown in found.unwrap_or_default() {
                    call.output(custom("Microsoft.Rtc.Management.Hosted.MeetingMigration.Status", shown))
                        .await?;
                }
                Ok(())
            }
        }
    })
}
