//! Reads the parts of a message that the transport needs: a state, a command's name. Bodies are not parsed as
//! CLIXML, for speed: every message passes here.

use quick_xml::events::Event;
use quick_xml::reader::Reader;

use crate::psrp::message::{Message, MessageType};
use crate::psrp::record::PipelineState;

/// RunspacePoolState `Opened` (MS-PSRP 2.2.3.4).
const OPENED: i32 = 2;

/// Returns whether a message reports that the pool is open.
pub(super) fn is_opened(message: &Message) -> bool {
    message.kind == MessageType::RunspacePoolState && state(&message.body, "RunspaceState") == Some(OPENED)
}

/// Returns whether a message is its pipeline's final state.
pub(super) fn is_final(message: &Message) -> bool {
    const FINAL: [PipelineState; 3] =
        [PipelineState::Stopped, PipelineState::Completed, PipelineState::Failed];
    message.kind == MessageType::PipelineState
        && state(&message.body, "PipelineState")
            .is_some_and(|state| FINAL.iter().any(|last| *last as i32 == state))
}

/// Returns the first command's name of a pipeline's first message, for the server's logs.
pub(super) fn command_name(message: &Message) -> String {
    match message.kind {
        MessageType::GetCommandMetadata => "Get-Command".to_owned(),
        _ => property(&message.body, "Cmd", None).unwrap_or_default(),
    }
}

/// Returns a state, which is a property of the message's object itself: `Obj/MS/I32`.
fn state(body: &str, name: &str) -> Option<i32> {
    property(body, name, Some(3))?.trim().parse().ok()
}

/// Returns the text of the first element whose attribute `N` is `name`, at a given depth or any.
fn property(body: &str, name: &str, at: Option<usize>) -> Option<String> {
    let mut reader = Reader::from_str(body);
    let mut depth = 0_usize;
    loop {
        match reader.read_event().ok()? {
            Event::Start(start) => {
                depth += 1;
                let named = start.try_get_attribute("N").ok().flatten();
                if at.is_none_or(|at| at == depth) && named.is_some_and(|found| found.value == name) {
                    return element_text(&mut reader);
                }
            }
            Event::End(_) => depth = depth.saturating_sub(1),
            Event::Eof => return None,
            _ => {}
        }
    }
}

fn element_text(reader: &mut Reader<&[u8]>) -> Option<String> {
    let mut text = String::new();
    loop {
        match reader.read_event().ok()? {
            Event::Text(part) => text.push_str(&part.xml10_content()),
            Event::GeneralRef(reference) => match reference.resolve_char_ref().ok()? {
                Some(character) => text.push(character),
                None => text.push_str(quick_xml::escape::resolve_predefined_entity(&reference)?),
            },
            _ => return Some(text),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::psrp::message::Destination;
    use uuid::Uuid;

    fn message(kind: MessageType, body: &str) -> Message {
        let (pool, pipeline) = (Uuid::nil(), Uuid::nil());
        Message { destination: Destination::Client, kind, pool, pipeline, body: body.to_owned() }
    }

    #[test]
    fn only_the_objects_own_state_is_read() {
        let open = r#"<Obj RefId="0"><MS><I32 N="RunspaceState">2</I32></MS></Obj>"#;
        assert!(is_opened(&message(MessageType::RunspacePoolState, open)));
        assert!(!is_opened(&message(MessageType::PipelineState, open)));
        assert!(!is_opened(&message(MessageType::RunspacePoolState, &open.replace('2', "1"))));

        let failed = r#"<Obj RefId="0"><MS><Obj N="ExceptionAsErrorRecord"><MS><I32 N="PipelineState">1</I32>
            </MS></Obj><I32 N="PipelineState">5</I32></MS></Obj>"#;
        assert!(is_final(&message(MessageType::PipelineState, failed)));
        assert!(!is_final(&message(MessageType::PipelineState, &failed.replace('5', "1"))));
        assert!(!is_final(&message(MessageType::PipelineState, "<Obj")));
    }

    #[test]
    fn the_first_command_name_is_read() {
        let body = r#"<Obj><MS><Obj N="PowerShell"><MS><Obj N="Cmds"><LST><Obj><MS><S N="Cmd">a &amp; b</S>
            </MS></Obj><Obj><MS><S N="Cmd">c</S></MS></Obj></LST></Obj></MS></Obj></MS></Obj>"#;
        assert_eq!(command_name(&message(MessageType::CreatePipeline, body)), "a & b");
        assert_eq!(command_name(&message(MessageType::GetCommandMetadata, "")), "Get-Command");
    }
}
