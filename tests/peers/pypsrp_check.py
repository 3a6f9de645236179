#!/usr/bin/env python3
"""An independent client against the simulator: opens pools, runs cmdlets, and removes everything.

usage: pypsrp_check.py JSON-LINE-OF-THE-ENDPOINT
Prints the observations as one line of JSON.
"""
import json
import sys
from urllib.parse import urlsplit

from pypsrp.complex_objects import PSInvocationState, RunspacePoolState
from pypsrp.exceptions import WSManFaultError
from pypsrp.powershell import PowerShell, RunspacePool
from pypsrp.wsman import WSMan

CONFIGURATION = "Microsoft.PowerShell"


def wsman(endpoint, password=None):
    where = urlsplit(endpoint["url"])
    return WSMan(
        where.hostname,
        port=where.port,
        path=where.path.lstrip("/"),
        ssl=where.scheme == "https",
        cert_validation=endpoint.get("ca", True),
        auth=endpoint.get("auth", "basic"),
        username=endpoint["user"],
        password=password or endpoint["password"],
        encryption=endpoint.get("encryption", "never"),
        negotiate_service="HTTP",
        no_proxy=True,
    )


def run(pool, commands, inputs=None):
    """`commands`: (name, parameters) for each command of the pipeline."""
    shell = PowerShell(pool)
    for name, parameters in commands:
        shell.add_cmdlet(name)
        shell.add_parameters(parameters)
    output = shell.invoke(inputs)
    return shell, output


def prop(value, name):
    everything = {**value.adapted_properties, **value.extended_properties}
    return everything[name]


def main(endpoint):
    seen = {}
    with wsman(endpoint) as server, RunspacePool(server, configuration_name=CONFIGURATION) as pool:
        _, tenants = run(pool, [("Get-CsTenant", {})])
        seen["tenant"] = prop(tenants[0], "DisplayName")
        _, users = run(pool, [("Get-CsOnlineUser", {"Identity": "kenmyer"})])
        seen["user"] = prop(users[0], "DisplayName")
        shell, _ = run(pool, [("Get-CsOnlineUser", {"Identity": "nobody"})])
        seen["error"] = str(shell.streams.error[0])
        shell = PowerShell(pool)
        shell.add_cmdlet("Get-CsNothing")
        shell.invoke()
        seen["unknown"] = [shell.state == PSInvocationState.FAILED, str(shell.streams.error[0])]
        shell, _ = run(pool, [("Test-CsStreams", {"Verbose": True, "Debug": True})])
        streams = shell.streams
        seen["streams"] = {
            "warning": len(streams.warning),
            "verbose": len(streams.verbose),
            "debug": len(streams.debug),
            "progress": len(streams.progress),
            "information": len(streams.information),
            "error": len(streams.error),
        }
        _, counted = run(pool, [("Get-Command", {}), ("Measure-Object", {})])
        seen["commands"] = prop(counted[0], "Count")
        pools = RunspacePool.get_runspace_pools(server)
        seen["pools"] = [len(pools), len(pools[0].pipelines)]
        slow = PowerShell(pool)
        slow.add_cmdlet("Wait-Cs").add_parameter("Seconds", 600)
        slow.begin_invoke()
        listed = RunspacePool.get_runspace_pools(server)[0].pipelines
        seen["running"] = [one.upper() for one in listed] == [slow.id.upper()]
        slow.stop()
        seen["stopped"] = slow.state == PSInvocationState.STOPPED
        # Disconnect and reconnect while a command is running.
        slow = PowerShell(pool)
        slow.add_cmdlet("Wait-Cs").add_parameter("Seconds", 1)
        slow.begin_invoke()
        pool.disconnect()
        seen["away"] = [one.state == RunspacePoolState.DISCONNECTED for one in RunspacePool.get_runspace_pools(server)]
        try:
            slow.poll_invoke()
            seen["refused"] = "accepted"
        except WSManFaultError as error:
            seen["refused"] = error.code
        pool.connect()
        slow.state = PSInvocationState.DISCONNECTED
        slow.connect()
        seen["back"] = slow.state == PSInvocationState.COMPLETED
        _, tenants = run(pool, [("Get-CsTenant", {})])
        seen["again"] = prop(tenants[0], "DisplayName")
        server.update_max_payload_size()
        seen["envelope"] = server.max_envelope_size
    try:
        with wsman(endpoint, "wrong") as server, RunspacePool(server, configuration_name=CONFIGURATION):
            seen["wrong"] = "accepted"
    except Exception as error:
        seen["wrong"] = type(error).__name__
    held = []
    try:
        for _ in range(4):
            pool = RunspacePool(wsman(endpoint), configuration_name=CONFIGURATION)
            pool.open()
            held.append(pool)
        seen["fourth"] = "accepted"
    except Exception as error:
        seen["fourth"] = str(error)
    for pool in held:
        pool.close()
    print(json.dumps(seen))


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
