#!/usr/bin/env python3
"""Sizes of a runspace pool, statements, and prompts without a host.

usage: pypsrp_pools.py JSON-LINE-OF-THE-ENDPOINT simulator|PowerShell
Prints one line of JSON, which is the same for both endpoints. The second argument selects the commands, which differ
between the endpoints.
"""
import json
import sys

from pypsrp.exceptions import InvalidPSRPOperation, WSManFaultError
from pypsrp.powershell import PowerShell, RunspacePool

from pypsrp_check import CONFIGURATION, wsman

COMMANDS = {
    # One object; a terminating error; a prompt; a slow command.
    "simulator": ("Get-CsTenant", "Get-CsNothing", "Read-CsInput", ("Wait-Cs", {"Seconds": 60})),
    "PowerShell": ("Get-Date", "Get-CsNothing", "Read-Host", ("Start-Sleep", {"Seconds": 60})),
}


def main(endpoint, kind):
    good, bad, asks, slow = COMMANDS[kind]
    seen = {}

    def connection():
        connection = wsman(endpoint)
        connection.operation_timeout = 3
        return connection

    def pool(**sizes):
        return RunspacePool(connection(), configuration_name=CONFIGURATION, **sizes)

    def size(of, name, number):
        try:
            setattr(of, name, number)
            return [number, of.get_available_runspaces()]
        except InvalidPSRPOperation:
            return [number, "refused"]

    def reset(of):
        try:
            of.reset_runspace_state()
            return "done"
        except InvalidPSRPOperation:
            return "refused"

    with pool(max_runspaces=2) as of:
        seen["max"] = [size(of, "max_runspaces", number) for number in (4, 4, 1, 0, -1, 10, 3)]
        seen["min"] = [size(of, "min_runspaces", number) for number in (2, 3, 4, 0, 1)]
        resets = [reset(of)]
    with pool() as of:
        resets.append(reset(of))
        shell = PowerShell(of)
        shell.add_cmdlet(slow[0]).add_parameters(slow[1])
        shell.begin_invoke()
        while of.get_available_runspaces() > 0:
            pass
        resets.append("busy " + reset(of))
        shell.stop()
        seen["reset"] = resets

        def statements(*names):
            shell = PowerShell(of)
            for index, name in enumerate(names):
                if index:
                    shell.add_statement()
                shell.add_cmdlet(name)
            return [len(shell.invoke()), shell.state, len(shell.streams.error)]

        seen["statements"] = [
            statements(good, good),
            statements(bad, good),
            statements(good, bad, good),
            statements(bad, bad),
        ]
        shell = PowerShell(of)
        shell.add_cmdlet(asks)
        shell.invoke()
        error = shell.streams.error[0]
        seen["no host"] = [[shell.state, error.fq_error.split(",")[0], error.reason]]
    with pool(max_runspaces=10) as of:
        seen["ten"] = of.get_available_runspaces()
    seen["sizes"] = []
    for low, high in ((5, 2), (0, 1), (1, 0)):
        of = pool(min_runspaces=low, max_runspaces=high)
        try:
            of.open()
            seen["sizes"].append("accepted")
            of.close()
        except (WSManFaultError, InvalidPSRPOperation):
            seen["sizes"].append("refused")
    print(json.dumps(seen))


if __name__ == "__main__":
    main(json.loads(sys.argv[1]), sys.argv[2])
