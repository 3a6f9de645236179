//! Sessions that count against an endpoint's limit, and the choice of sessions to remove.

use std::io::BufRead as _;

use crate::agent::control::{Failure, Holder};
use crate::agent::control_client;
use crate::folders::Folders;
use crate::screen;
use crate::screen::format_seconds;

/// Lists the sessions that count against the limit, and asks the user which to remove. Without a terminal,
/// the list is part of the error.
pub async fn choose(
    folders: &Folders,
    failure: &Failure,
    holders: &[Holder],
) -> Result<Vec<Holder>, Failure> {
    let mut list = listed(holders);
    let ours = own_profiles(holders);
    for profile in &ours {
        let status = control_client::status(folders, profile).await.ok().flatten();
        match status.map_or(0, |status| status.shells.len()) {
            0 => {}
            1 => {
                list.push_str(&format!("\nOne shell is attached to '{profile}' and would lose its session."));
            }
            more => list.push_str(&format!(
                "\n{more} shells are attached to '{profile}' and would lose their session."
            )),
        }
    }
    let advice =
        ours.first().map(|profile| format!("`lyncsh stop {profile}` removes the session of '{profile}'."));
    let advice = [failure.advice.clone(), advice].into_iter().flatten().collect::<Vec<_>>().join(" ");
    let advice = Some(advice).filter(|advice| !advice.is_empty());
    if holders.is_empty() || !screen::can_ask() {
        let text = if list.is_empty() {
            failure.text.clone()
        } else {
            format!("{}\n\nThese sessions count against the limit:\n{list}", failure.text)
        };
        return Err(Failure { text, advice });
    }
    crate::errln!("{failure}\n\nThese sessions count against the limit:\n{list}");
    loop {
        // Fails if the terminal was closed; then there is no answer either.
        let _ = screen::question("Sessions to remove (numbers, `all`, or Enter to cancel): ");
        // A separate thread, so that Ctrl-C ends the wait immediately.
        let (answering, answer) = tokio::sync::oneshot::channel();
        std::thread::spawn(move || {
            let mut line = String::new();
            // An empty answer removes nothing.
            let _ = std::io::stdin().lock().read_line(&mut line);
            let _ = answering.send(line);
        });
        let answer = answer.await.unwrap_or_default();
        match chosen(&answer, holders) {
            Ok(chosen) if chosen.is_empty() => return Err(Failure { text: failure.text.clone(), advice }),
            Ok(chosen) => return Ok(chosen),
            Err(word) => crate::errln!("'{word}' is not a session in the list."),
        }
    }
}

/// Returns the profiles of this machine's sessions, each once, in the order of the list.
fn own_profiles(holders: &[Holder]) -> Vec<&str> {
    let mut ours = Vec::new();
    for profile in holders.iter().filter_map(|holder| holder.ours.as_deref()) {
        if !ours.contains(&profile) {
            ours.push(profile);
        }
    }
    ours
}

/// Returns the sessions that an answer names, or the first invalid word.
fn chosen<'a>(answer: &'a str, holders: &[Holder]) -> Result<Vec<Holder>, &'a str> {
    if answer.trim().eq_ignore_ascii_case("all") {
        return Ok(holders.to_vec());
    }
    let words = answer.split(|one: char| one == ',' || one.is_whitespace()).filter(|word| !word.is_empty());
    let found = words.map(|word| {
        let at = word.trim_end_matches('.').parse::<usize>().ok().and_then(|number| number.checked_sub(1));
        at.and_then(|at| holders.get(at)).cloned().ok_or(word)
    });
    found.collect()
}

/// Formats sessions, one line each.
pub fn listed(holders: &[Holder]) -> String {
    let lines = holders.iter().enumerate().map(|(index, holder)| {
        let from = holder.client.as_deref().unwrap_or("an unknown machine");
        let age = holder.age.map(|age| format!(", open for {}", format_seconds(age))).unwrap_or_default();
        let idle = holder.idle.map(|idle| format!(", idle for {}", format_seconds(idle))).unwrap_or_default();
        let whose = match &holder.ours {
            Some(profile) => format!("this machine's '{profile}'"),
            None => holder.owner.clone().unwrap_or_else(|| "another account".to_owned()),
        };
        format!("  {}. {whose}, from {from}{age}{idle}", index + 1)
    });
    lines.collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use uuid::Uuid;

    use super::*;

    #[test]
    fn sessions_are_listed_with_owner_client_and_age() {
        let holder = |ours: Option<&str>| Holder {
            shell: Uuid::new_v4(),
            owner: Some("kenmyer@litwareinc.com".into()),
            client: Some("192.0.2.7".into()),
            age: Some(Duration::from_millis(3_600_123)),
            idle: Some(Duration::from_secs(61)),
            ours: ours.map(str::to_owned),
        };
        assert_eq!(
            listed(&[holder(Some("work")), holder(None)]),
            "  1. this machine's 'work', from 192.0.2.7, open for 1h, idle for 1m 1s\n\
             \x20 2. kenmyer@litwareinc.com, from 192.0.2.7, open for 1h, idle for 1m 1s"
        );
    }

    fn holder(ours: Option<&str>) -> Holder {
        let ours = ours.map(str::to_owned);
        Holder { shell: Uuid::new_v4(), owner: None, client: None, age: None, idle: None, ours }
    }

    #[test]
    fn each_own_profile_is_listed_once() {
        let holders = [Some("work"), Some("lab"), None, Some("work"), Some("lab")].map(holder);
        assert_eq!(own_profiles(&holders), ["work", "lab"]);
    }

    #[test]
    fn an_answer_selects_sessions_by_number_or_all() {
        let all = [None, None, None].map(holder);
        assert_eq!(chosen("ALL\n", &all), Ok(all.to_vec()));
        assert_eq!(chosen("3., 1\n", &all), Ok(vec![all[2].clone(), all[0].clone()]));
        assert_eq!(chosen(" \n", &all), Ok(Vec::new()));
        for wrong in ["9", "0", "-1", "the first"] {
            assert_eq!(chosen(wrong, &all), Err(wrong.split(' ').next().unwrap()));
        }
    }
}
