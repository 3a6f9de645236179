#!/usr/bin/env python3
"""pywinrm, which only supports cmd shells, against an endpoint without them.

usage: pywinrm_check.py JSON-LINE-OF-THE-ENDPOINT
Prints one line of JSON with the results for the shell and for a command.
"""
import json
import sys

from winrm.exceptions import WSManFaultError
from winrm.protocol import Protocol


def main(endpoint):
    client = Protocol(
        endpoint["url"],
        transport="basic",
        username=endpoint["user"],
        password=endpoint["password"],
        operation_timeout_sec=5,
        read_timeout_sec=10,
        proxy=None,
    )
    try:
        shell = client.open_shell()
        print(json.dumps({"opened": shell}))
    except WSManFaultError as error:
        print(json.dumps({"code": error.wsman_fault_code, "subcode": error.fault_subcode}))


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
