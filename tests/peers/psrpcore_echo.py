#!/usr/bin/env python3
"""psrpcore's client on standard input and output, one JSON object per line: {"pipeline": ID or null,
"data": base64 of fragments}. Opens a runspace pool, exchanges the session key, starts one pipeline with a secret as
parameter, and sends every output object back as input, read and written by an independent implementation. The
string "that was all" ends the input.
"""
import base64, json, sys, uuid

import psrpcore
from psrpcore.types import PSInvocationState, PSSecureString, RunspacePoolState

SECRET = "correct horse \U0001f40e"


def main():
    pool = psrpcore.ClientRunspacePool()
    pool.open()
    shell = None
    flush(pool)
    for line in sys.stdin:
        row = json.loads(line)
        pipeline = uuid.UUID(row["pipeline"]) if row["pipeline"] else None
        data = base64.b64decode(row["data"])
        pool.receive_data(psrpcore.PSRPPayload(data, psrpcore.StreamType.default, pipeline))
        while (event := pool.next_event()) is not None:
            if isinstance(event, psrpcore.RunspacePoolStateEvent) and event.state == RunspacePoolState.Opened:
                pool.exchange_key()
            elif isinstance(event, psrpcore.EncryptedSessionKeyEvent):
                shell = psrpcore.ClientPowerShell(pool, no_input=False)
                shell.add_command("Read-Back").add_parameter("Secret", PSSecureString(SECRET))
                shell.start()
            elif isinstance(event, psrpcore.PipelineOutputEvent):
                if isinstance(event.data, str) and str(event.data) == "that was all":
                    shell.send_eof()
                else:
                    shell.send(event.data)
            elif isinstance(event, psrpcore.PipelineStateEvent):
                return 0 if event.state == PSInvocationState.Completed else 1
        flush(pool)
    return 2


def flush(pool):
    while (payload := pool.data_to_send(1000)) is not None:
        pipeline = str(payload.pipeline_id) if payload.pipeline_id else None
        data = base64.b64encode(payload.data).decode()
        print(json.dumps({"pipeline": pipeline, "data": data}), flush=True)


sys.exit(main())
