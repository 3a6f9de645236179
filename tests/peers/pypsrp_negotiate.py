#!/usr/bin/env python3
"""pypsrp with Windows authentication: parallel pools, each of which runs one command.

usage: pypsrp_negotiate.py JSON, an object with url, user, password, auth (ntlm, negotiate, kerberos), pools, and
optionally ca (a file), cmdlet and parameters, or script. Prints, for each pool, the output or the error; with
`timed`, the seconds that they took.
"""
import json, sys, time
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import urlsplit

from pypsrp.powershell import PowerShell, RunspacePool
from pypsrp.wsman import WSMan


def run(given):
    where = urlsplit(given["url"])
    wsman = WSMan(where.hostname, port=where.port, path=where.path.lstrip("/"), ssl=where.scheme == "https",
                  auth=given["auth"], username=given["user"], password=given["password"], negotiate_service="HTTP",
                  encryption="never" if given["auth"] == "basic" else "auto",
                  cert_validation=given.get("ca", True), no_proxy=True)
    try:
        with wsman as server, RunspacePool(server) as pool:
            shell = PowerShell(pool)
            if "script" in given:
                shell.add_script(given["script"])
            else:
                shell.add_cmdlet(given["cmdlet"]).add_parameters(given["parameters"])
            return [str(line) for line in shell.invoke()]
    except Exception as error:
        return f"{type(error).__name__}: {error}"


def main():
    given = json.loads(sys.argv[1])
    begun = time.monotonic()
    with ThreadPoolExecutor(given["pools"]) as threads:
        results = list(threads.map(run, [given] * given["pools"]))
    if not given.get("timed"):
        print(json.dumps(results))
    elif all(isinstance(result, list) and result for result in results):
        print(time.monotonic() - begun)
    else:
        sys.exit(str(results))


if __name__ == "__main__":
    main()
