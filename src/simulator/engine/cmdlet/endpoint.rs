//! Standard commands of every restricted endpoint (InitialSessionState.CreateRestricted and
//! CommandMetadata.GetRestrictedCommands of PowerShell).

use super::super::fault::Fault;
use super::super::spec::{CommandSpec, Kind, Validate, parameter, string, switch};
use super::super::stage::{Call, Executable, Running, StopReason};
use super::super::value::{adapted, custom, items, properties, text, type_name};
use super::super::{format, help, metadata};
use crate::psrp::clixml::Value;
use crate::psrp::host::HostMethod;
use crate::psrp::record::ProgressRecord;

const SELECTABLE: &[&str] = &[
    "ModuleName",
    "Namespace",
    "OutputType",
    "Count",
    "HelpUri",
    "Name",
    "CommandType",
    "ResolvedCommandName",
    "DefaultParameterSet",
    "CmdletBinding",
    "Parameters",
];

const CATEGORIES: &[&str] = &[
    "None",
    "Alias",
    "Cmdlet",
    "Provider",
    "General",
    "FAQ",
    "Glossary",
    "HelpFile",
    "ScriptCommand",
    "Function",
    "Filter",
    "ExternalScript",
    "All",
    "DefaultHelp",
    "DscResource",
    "Class",
    "Configuration",
];

pub fn commands() -> Vec<Executable> {
    let input = || parameter("InputObject", Kind::Object).by_value();
    vec![
        Executable::function("Clear-Host", "", clear_host)
            .help_uri("https://go.microsoft.com/fwlink/?LinkID=2096480"),
        Executable::function("Exit-PSSession", "", exit)
            .help_uri("https://go.microsoft.com/fwlink/?LinkID=2096787"),
        Executable::function("Get-Command", "", get_command)
            .help_uri("https://go.microsoft.com/fwlink/?LinkID=2096579")
            .with(vec![
                parameter("Name", Kind::Strings).at(0).piped(),
                parameter("Module", Kind::Strings).by_property(),
                parameter("ArgumentList", Kind::Objects).at(1),
                parameter("CommandType", Kind::Object).by_property(),
                switch("ListImported"),
                switch("ShowCommandInfo"),
            ]),
        Executable::function("Get-FormatData", "", get_format_data)
            .help_uri("https://go.microsoft.com/fwlink/?LinkID=144303")
            .with(vec![
                parameter("TypeName", Kind::Strings).at(0),
                parameter("PowerShellVersion", Kind::Version),
            ]),
        Executable::function("Get-Help", "", get_help)
            .help_uri("https://go.microsoft.com/fwlink/?LinkID=113316")
            .with(vec![
                string("Name").at(0).by_property(),
                parameter("Category", Kind::Strings).valid(Validate::Set(CATEGORIES)),
            ]),
        Executable::function("Measure-Object", "", measure)
            .help_uri("https://go.microsoft.com/fwlink/?LinkID=113349")
            .with(vec![input()])
            .ends(measure_end),
        Executable::function("Out-Default", "", out_default)
            .help_uri("https://go.microsoft.com/fwlink/?LinkID=113362")
            .with(vec![input()])
            .ends(out_default_end),
        Executable::function("Select-Object", "", select)
            .help_uri("https://go.microsoft.com/fwlink/?LinkID=113387")
            .with(vec![parameter("Property", Kind::Strings).at(0).valid(Validate::Set(SELECTABLE)), input()]),
    ]
}

fn clear_host<'a>(call: &'a mut Call<'_>) -> Running<'a> {
    Box::pin(async move {
        // Moves the cursor home, then erases the screen and the scrollback with escape sequences.
        let place = |x: i32, y: i32| {
            super::super::value::extended(&[], properties([("x", Value::I32(x)), ("y", Value::I32(y))]))
        };
        call.engine.notify_host(HostMethod::SetCursorPosition, vec![place(0, 0)]).await?;
        call.engine.notify_host(HostMethod::Write1, vec![text("\u{1b}[H\u{1b}[2J\u{1b}[3J")]).await
    })
}

fn exit<'a>(call: &'a mut Call<'_>) -> Running<'a> {
    Box::pin(call.engine.notify_host(HostMethod::PopRunspace, Vec::new()))
}

/// Returns the CommandTypes bits of a number or of names; all by default.
fn type_bits(value: Option<&Value>) -> i32 {
    let Some(value) = value else { return !0 };
    if let Value::I32(bits) = value.primitive() {
        return *bits;
    }
    items(value)
        .iter()
        .flat_map(|item| {
            item.display_text().split(',').map(|name| name.trim().to_lowercase()).collect::<Vec<_>>()
        })
        .map(|name| match name.as_str() {
            "alias" => 1,
            "function" => 2,
            "filter" => 4,
            "cmdlet" => 8,
            "all" => !0,
            _ => 0,
        })
        .fold(0, |bits, bit| bits | bit)
}

fn get_command<'a>(call: &'a mut Call<'_>) -> Running<'a> {
    Box::pin(async move {
        let names = call.bound.texts("Name");
        let modules = call.bound.texts("Module");
        let bits = type_bits(call.bound.get("CommandType"));
        let world = std::sync::Arc::clone(&call.engine.world);
        let found = metadata::matching(world.commands(), &names, bits);
        let of_module = |spec: &CommandSpec| {
            modules.is_empty() || modules.iter().any(|module| crate::wildcard::like(module, spec.module))
        };
        for name in names.iter().filter(|name| !name.contains(['*', '?', '['])) {
            if !found.iter().any(|spec| spec.name.eq_ignore_ascii_case(spec.unqualified(name))) {
                let fault = Fault::command_not_found(name)
                    .of_activity("Get-Command")
                    .of_command("Get-Command", "Microsoft.PowerShell.Commands.GetCommandCommand");
                call.write(fault).await?;
            }
        }
        for spec in found.into_iter().filter(|spec| of_module(spec)) {
            let is_shown = call.bound.flag("ShowCommandInfo");
            call.output(if is_shown { metadata::show_info(spec) } else { metadata::info(spec) }).await?;
        }
        Ok(())
    })
}

fn get_format_data<'a>(call: &'a mut Call<'_>) -> Running<'a> {
    Box::pin(async move {
        let fixtures = call.engine.world.has_fixtures();
        for definition in format::format_data(&call.bound.texts("TypeName"), fixtures) {
            call.output(definition).await?;
        }
        Ok(())
    })
}

fn get_help<'a>(call: &'a mut Call<'_>) -> Running<'a> {
    Box::pin(async move {
        let name = call.bound.text("Name").unwrap_or_else(|| "Get-Help".into());
        let categories = call.bound.texts("Category");
        let world = std::sync::Arc::clone(&call.engine.world);
        let found: Vec<_> = metadata::matching(world.commands(), std::slice::from_ref(&name), !0)
            .into_iter()
            .filter(|spec| {
                categories.is_empty()
                    || categories.iter().any(|category| {
                        category.eq_ignore_ascii_case(spec.kind.name())
                            || category.eq_ignore_ascii_case("All")
                    })
            })
            .collect();
        if found.is_empty() {
            let message = format!(
                "Get-Help could not find {name} in a help file in this session. To download updated help topics type: \"Update-Help\". To get help online, search for the help topic in the TechNet library at https:/go.microsoft.com/fwlink/?LinkID=107116."
            );
            let fault = Fault::exception(
                "Microsoft.PowerShell.Commands.HelpNotFoundException",
                -2_146_233_087,
                "HelpNotFound",
                super::super::fault::Category::ObjectNotFound,
                &message,
            )
            .of_command("Get-Help", "Microsoft.PowerShell.Commands.GetHelpCommand");
            call.write(fault).await?;
        }
        for spec in found {
            call.output(help::help(spec)).await?;
        }
        let done = ProgressRecord {
            activity: "Get-Help".into(),
            activity_id: 0,
            parent_id: -1,
            status: "Completed".into(),
            current_operation: None,
            percent: -1,
            seconds_remaining: -1,
            completed: true,
        };
        call.progress(2, done).await
    })
}

fn select<'a>(call: &'a mut Call<'_>) -> Running<'a> {
    Box::pin(async move {
        let Some(input) = call.bound.get("InputObject").cloned() else { return Ok(()) };
        let names = call.bound.texts("Property");
        if names.is_empty() {
            return call.output(input).await;
        }
        let chosen = names
            .iter()
            .map(|name| {
                let known = super::super::value::all_properties(&input)
                    .into_iter()
                    .find(|(known, _)| known.eq_ignore_ascii_case(name));
                match known {
                    Some((known, value)) => (known.into(), value.clone()),
                    None => (name.as_str().into(), Value::Null),
                }
            })
            .collect();
        call.output(custom(&format!("Selected.{}", type_name(&input)), chosen)).await
    })
}

fn measure<'a>(call: &'a mut Call<'_>) -> Running<'a> {
    Box::pin(async move {
        if call.bound.get("InputObject").is_some() {
            call.memory.count += 1;
        }
        Ok(())
    })
}

fn measure_end<'a>(call: &'a mut Call<'_>) -> Running<'a> {
    Box::pin(async move {
        let mut all = properties([("Count", Value::I32(call.memory.count))]);
        for name in ["Average", "Sum", "Maximum", "Minimum", "StandardDeviation", "Property"] {
            all.push((name.into(), Value::Null));
        }
        let name = "Microsoft.PowerShell.Commands.GenericMeasureInfo";
        call.output(adapted(&[name, "Microsoft.PowerShell.Commands.MeasureInfo"], name, all)).await
    })
}

fn out_default<'a>(call: &'a mut Call<'_>) -> Running<'a> {
    Box::pin(async move {
        match call.bound.get("InputObject").cloned() {
            Some(value) => format::out_default(call, value).await,
            None => Ok(()),
        }
    })
}

fn out_default_end<'a>(call: &'a mut Call<'_>) -> Running<'a> {
    Box::pin(end_of_drawing(call))
}

async fn end_of_drawing(call: &mut Call<'_>) -> Result<(), StopReason> {
    format::flush(call).await
}
