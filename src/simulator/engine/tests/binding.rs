//! Tests of parameter binding.

use super::*;

/// Returns the message and id of the error of a line.
async fn refused(line: &str) -> (String, String) {
    let run = run(&world(true), line).await;
    let (message, id) = run.failure();
    (message.to_owned(), id.to_owned())
}

#[tokio::test]
async fn an_unknown_command_is_named() {
    let (message, id) = refused("Get-CsNothing").await;
    assert_eq!(
        message,
        "The term 'Get-CsNothing' is not recognized as the name of a cmdlet, function, script file, or operable program. Check the spelling of the name, or if a path was included, verify that the path is correct and try again."
    );
    assert_eq!(id, "CommandNotFoundException");
}

#[tokio::test]
async fn script_text_is_refused() {
    let mut script = pipeline("x");
    script.commands[0].name = "$x = 1".into();
    script.commands[0].is_script = true;
    let run = run_with(&world(true), script, Vec::new(), Vec::new(), host(80)).await;
    assert_eq!(
        run.failure(),
        (
            "The syntax is not supported by this runspace. This can occur if the runspace is in no-language mode.",
            "ScriptsNotAllowed"
        )
    );
}

#[tokio::test]
async fn wrong_arguments_fail_with_powershells_messages() {
    for (line, message, id) in [
        (
            "Get-CsOnlineUser -NoSuch 1",
            "A parameter cannot be found that matches parameter name 'NoSuch'.",
            "NamedParameterNotFound,Get-CsOnlineUser",
        ),
        (
            "Get-CsOnlineUser -ResultSize 0",
            "Cannot validate argument on parameter 'ResultSize'. The 0 argument is less than the minimum allowed range of 1. Supply an argument that is greater than or equal to 1 and then try the command again.",
            "ParameterArgumentValidationError,Get-CsOnlineUser",
        ),
        (
            "Get-CsOnlineUser | Select-Object -Property DisplayName",
            "Cannot validate argument on parameter 'Property'. The argument \"DisplayName\" does not belong to the set \"ModuleName,Namespace,OutputType,Count,HelpUri,Name,CommandType,ResolvedCommandName,DefaultParameterSet,CmdletBinding,Parameters\" specified by the ValidateSet attribute. Supply an argument that is in the set and then try the command again.",
            "ParameterArgumentValidationError,Select-Object",
        ),
        (
            "Get-CsOnlineUser -ResultSize many",
            "Cannot process argument transformation on parameter 'ResultSize'. Cannot convert value \"many\" to type \"System.Int32\". Error: \"The input string 'many' was not in a correct format.\"",
            "ParameterArgumentTransformationError,Get-CsOnlineUser",
        ),
        (
            "Get-CsOnlineUser -Error Stop",
            "Parameter cannot be processed because the parameter name 'Error' is ambiguous. Possible matches include: -ErrorAction -ErrorVariable.",
            "AmbiguousParameter,Get-CsOnlineUser",
        ),
        (
            "Get-CsOnlineUser kenmyer pilarackerman",
            "A positional parameter cannot be found that accepts argument 'pilarackerman'.",
            "PositionalParameterNotFound,Get-CsOnlineUser",
        ),
        (
            "Get-CsOnlineUser -Identity",
            "Missing an argument for parameter 'Identity'. Specify a parameter of type 'System.String' and try again.",
            "MissingArgument,Get-CsOnlineUser",
        ),
        (
            "Get-CsOnlineUser -Identity a -Id b",
            "Cannot bind parameter because parameter 'Identity' is specified more than once. To provide multiple values to parameters that can accept multiple values, use the array syntax. For example, \"-parameter value1,value2,value3\".",
            "ParameterAlreadyBound,Get-CsOnlineUser",
        ),
        (
            "Get-CsTenant -Identity a -Filter b",
            "Parameter set cannot be resolved using the specified named parameters. One or more parameters issued cannot be used together or an insufficient number of parameters were provided.",
            "AmbiguousParameterSet,Get-CsTenant",
        ),
        (
            "Set-CsUser kenmyer -EnterpriseVoiceEnabled maybe",
            "Cannot process argument transformation on parameter 'EnterpriseVoiceEnabled'. Cannot convert value \"System.String\" to type \"System.Boolean\". Boolean parameters accept only Boolean values and numbers, such as $True, $False, 1 or 0.",
            "ParameterArgumentTransformationError,Set-CsUser",
        ),
        (
            "Set-CsMeetingConfiguration -DesignateAsPresenter Somebody",
            "Cannot bind parameter 'DesignateAsPresenter'. Cannot convert value \"Somebody\" to type \"Microsoft.Rtc.Management.WritableConfig.Settings.WebConf.DesignateAsPresenter\". Error: \"Unable to match the identifier name Somebody to a valid enumerator name. Specify one of the following enumerator names and try again:\nNone, Company, Everyone\"",
            "CannotConvertArgumentNoMessage,Microsoft.Rtc.Management.Cmdlets.SetCsMeetingConfigurationCmdlet",
        ),
        (
            "Set-CsTenantPublicProvider Nobody",
            "Cannot validate argument on parameter 'Provider'. The argument \"Nobody\" does not belong to the set \",WindowsLive,AOL,Yahoo\" specified by the ValidateSet attribute. Supply an argument that is in the set and then try the command again.",
            "ParameterArgumentValidationError,Microsoft.Rtc.Management.Cmdlets.SetCsTenantPublicProviderCmdlet",
        ),
        (
            "Get-CsUserAcp $null",
            "Cannot bind argument to parameter 'Identity' because it is null.",
            "ParameterArgumentValidationErrorNullNotAllowed,Microsoft.Rtc.Management.Cmdlets.GetCsUserAcpCmdlet",
        ),
    ] {
        assert_eq!(refused(line).await, (message.to_owned(), id.to_owned()), "{line}");
    }
}

#[tokio::test]
async fn parameter_names_bind_by_prefix_alias_and_any_case() {
    let world = world(true);
    for line in [
        "get-csonlineuser -ident kenmyer",
        "Get-CsOnlineUser -IDENTITY: kenmyer",
        "Get-CsOnlineUser -Identity:kenmyer",
        "Get-CsOnlineUser kenmyer",
        "Get-CsOnlineUser kenmyer -ea Stop -vb:$false",
        "Get-CsOnlineUser -r 1",
    ] {
        let line = line.replace(": kenmyer", ":kenmyer");
        assert_eq!(run(&world, &line).await.all("DisplayName"), ["Ken Myer"], "{line}");
    }
}

#[tokio::test]
async fn false_clears_a_switch() {
    let world = world(false);
    let changed = run(&world, "Set-CsUser kenmyer -Enabled $false -WhatIf:$false -PassThru:$true").await;
    assert_eq!(changed.all("Enabled"), ["False"]);
}

#[tokio::test]
async fn pipeline_objects_bind_by_value_and_by_property() {
    let world = world(true);
    let mut line = pipeline("Get-CsOnlineUser");
    line.no_input = false;
    let run_of = |input: Vec<Value>| run_with(&world, line.clone(), input, Vec::new(), host(80));
    let both = run_of(vec![text("kenmyer"), text("nobody")]).await;
    assert_eq!(both.all("DisplayName"), ["Ken Myer"]);
    assert_eq!(
        both.errors(),
        [(
            "Management object not found for identity \"nobody\".",
            "ManagementObjectNotFound,Get-CsOnlineUser"
        )]
    );
    let user = both.output()[0].clone();
    assert_eq!(run_of(vec![user]).await.all("DisplayName"), ["Ken Myer"]);
}

#[tokio::test]
async fn an_unbindable_input_object_is_an_error() {
    let world = world(false);
    let run = run(&world, "Get-CsTenant | Get-CsHost").await;
    assert_eq!(run.failure().1, "CommandNotFoundException");
    let world = super::world(true);
    let run = super::run(&world, "Get-CsOneBig 3 | Get-CsHost").await;
    assert_eq!(
        run.errors(),
        [(
            "The input object cannot be bound to any parameters for the command either because the command does not take pipeline input or the input and its properties do not match any of the parameters that take pipeline input.",
            "InputObjectNotBound,Get-CsHost"
        )]
    );
    assert!(matches!(run.outcome, Outcome::Completed));
}

#[tokio::test]
async fn missing_mandatory_parameters_are_prompted_for() {
    use crate::simulator::engine::value::dictionary;
    let world = world(false);
    let answers = dictionary(&["System.Collections.Hashtable"], vec![(text("Identity"), text("kenmyer"))]);
    let run =
        run_with(&world, pipeline("Get-CsUserAcp"), Vec::new(), vec![Ok(Some(answers))], host(80)).await;
    let (method, asked) = run.host_calls().remove(0);
    assert_eq!(method, HostMethod::Prompt);
    assert!(asked.starts_with(
        "cmdlet Get-CsUserAcp at command pipeline position 1|Supply values for the following parameters:|"
    ));
    assert_eq!(run.all("Identity"), ["kenmyer@litwareinc.com"]);

    let alone = HostInfo { is_null: true, ..host(80) };
    let run = run_with(&world, pipeline("Get-CsUserAcp"), Vec::new(), Vec::new(), alone).await;
    assert_eq!(
        run.failure(),
        (
            "Cannot process command because of one or more missing mandatory parameters: Identity.",
            "MissingMandatoryParameter,Microsoft.Rtc.Management.Cmdlets.GetCsUserAcpCmdlet"
        )
    );
}
