#!/usr/bin/env python3
"""An independent PSRP client: psrpcore, in out-of-process framing on a Unix socket.

usage: psrpcore_client.py SOCKET STEP...

Opens a runspace pool, runs each step, closes the pool, and prints one line of JSON per step. Follows the rules of the
framing like PowerShell, and fails if the server violates them.
"""
import base64
import collections
import json
import re
import socket
import sys
import uuid

import psrpcore
from psrpcore.types import (
    HostInfo, PSInvocationState, PSSecureString, PSVersion, RunspacePoolState,
)

NIL = str(uuid.UUID(int=0))
LINE = re.compile(r"^<(\w+)(?: Stream='(\w+)')? PSGuid='([0-9a-f-]{36})'(?: />|>([^<]*)</Data>)$")
CUT = 32768


class Peer:
    """The framing: one element per line; waits for the acknowledgement of each Data."""

    def __init__(self, path):
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.socket.settimeout(60)
        self.socket.connect(path)
        self.lines = self.socket.makefile("r", encoding="utf-8", newline="\n")
        self.pool = psrpcore.ClientRunspacePool(host=HostInfo())
        self.events = collections.deque()
        self.seen = collections.Counter()

    def say(self, element, pipeline):
        self.socket.sendall(f"<{element} PSGuid='{pipeline}' />\n".encode())

    def read(self):
        """Reads one element; returns its name and id. The content of a Data becomes events."""
        line = self.lines.readline()
        assert line.endswith("\n"), "the server is gone"
        match = LINE.match(line[:-1])
        assert match, f"no element: {line[:100]!r}"
        name, stream, pipeline, text = match.groups()
        self.seen[name, pipeline] += 1
        if name == "Data":
            data = base64.b64decode(text, validate=True)
            length = int.from_bytes(data[17:21], "big")
            assert stream == "Default" and len(data) == 21 + length, "not one fragment in a Data"
            assert length <= 32747, "a fragment is too large"
            target = None if pipeline == NIL else uuid.UUID(pipeline)
            self.pool.receive_data(
                psrpcore.PSRPPayload(data, psrpcore.StreamType.default, target)
            )
            while (event := self.pool.next_event()) is not None:
                self.events.append(event)
        else:
            assert text is None
        return name, pipeline

    def wait_for(self, name, pipeline):
        count = self.seen[name, pipeline]
        while self.seen[name, pipeline] == count:
            self.read()

    def flush(self):
        """Sends psrpcore's queue in pieces that may split fragments, and waits for every acknowledgement."""
        parts = collections.OrderedDict()
        while (payload := self.pool.data_to_send()) is not None:
            stream = "PromptResponse" if payload.stream_type == psrpcore.StreamType.prompt_response else "Default"
            key = stream, str(payload.pipeline_id or NIL)
            parts[key] = parts.get(key, b"") + payload.data
        for (stream, pipeline), data in parts.items():
            for start in range(0, len(data), CUT):
                text = base64.b64encode(data[start : start + CUT]).decode()
                self.socket.sendall(f"<Data Stream='{stream}' PSGuid='{pipeline}'>{text}</Data>\n".encode())
                self.wait_for("DataAck", pipeline)

    def event(self, kind, pipeline=None):
        """Returns the next event of a kind; drops other events."""
        while True:
            while self.events:
                event = self.events.popleft()
                if isinstance(event, kind) and (pipeline is None or event.pipeline_id == pipeline):
                    return event
            self.read()

    def open(self):
        self.pool.open()
        self.flush()
        while self.pool.state != RunspacePoolState.Opened:
            self.read()
        return {
            "protocol": str(self.pool.their_capability.protocolversion),
            "private_data": sorted(self.pool.application_private_data),
        }

    def start(self, pipeline, *values):
        pipeline.start()
        target = str(pipeline.pipeline_id)
        self.say("Command", target)
        self.wait_for("CommandAck", target)
        self.flush()
        if values:
            for value in values:
                pipeline.send(value)
            pipeline.send_eof()
            self.flush()

    def finish(self, pipeline):
        output, errors, progress = [], [], []
        while True:
            while self.events:
                event = self.events.popleft()
                if event.pipeline_id != pipeline.pipeline_id:
                    continue
                if isinstance(event, psrpcore.PipelineOutputEvent):
                    output.append(event.data)
                elif isinstance(event, psrpcore.ErrorRecordEvent):
                    errors.append(str(event.record))
                elif isinstance(event, psrpcore.ProgressRecordEvent):
                    progress.append(str(event.record.Activity))
            if pipeline.state in (
                PSInvocationState.Completed, PSInvocationState.Failed, PSInvocationState.Stopped
            ):
                break
            self.read()
        target = str(pipeline.pipeline_id)
        self.say("Close", target)
        self.wait_for("CloseAck", target)
        state = pipeline.state.name
        pipeline.close()
        return {"state": state, "output": output, "errors": errors, "progress": progress}

    def run(self, *commands, values=()):
        """Runs commands, each a name with its parameters."""
        pipeline = psrpcore.ClientPowerShell(self.pool, no_input=not values)
        for name, parameters in commands:
            pipeline.add_command(name)
            for key, value in parameters.items():
                pipeline.add_parameter(key, value)
        self.start(pipeline, *values)
        return self.finish(pipeline)

    def close(self):
        self.pool.begin_close()
        self.say("Close", NIL)
        self.wait_for("CloseAck", NIL)
        self.pool.close()
        states = [e.state.name for e in self.events if isinstance(e, psrpcore.RunspacePoolStateEvent)]
        self.socket.close()
        return {"states": states}


def metadata(peer):
    pipeline = psrpcore.ClientGetCommandMetadata(peer.pool, "*-Cs*")
    peer.start(pipeline)
    result = peer.finish(pipeline)
    count, *commands = result["output"]
    return {"state": result["state"], "count": count.Count, "names": [c.Name for c in commands]}


def format_data(peer):
    views = peer.run(("Get-FormatData", {"TypeName": "Microsoft.Rtc*", "PowerShellVersion": PSVersion("5.1")}))
    return {"state": views["state"], "count": len(views["output"]), "errors": views["errors"]}


def parameters(peer):
    result = peer.run(("Get-CsOnlineUser", {"Identity": "kenmyer"}))
    names = [user.DisplayName for user in result["output"]]
    return {"state": result["state"], "names": names, "errors": result["errors"]}


def values(peer):
    result = peer.run(("Measure-CsInput", {}), values=("y" * 100_000, 2, "end"))
    output = [str(line) for line in result["output"]]
    return {"state": result["state"], "lengths": [len(line) for line in output], "last": output[-1]}


def stop(peer):
    pipeline = psrpcore.ClientPowerShell(peer.pool)
    pipeline.add_command("Wait-Cs").add_parameter("Seconds", 600)
    peer.start(pipeline)
    peer.event(psrpcore.PipelineOutputEvent, pipeline.pipeline_id)
    target = str(pipeline.pipeline_id)
    peer.say("Signal", target)
    pipeline.begin_stop()
    peer.wait_for("SignalAck", target)
    return {"state": peer.finish(pipeline)["state"]}


def secret(peer):
    peer.pool.exchange_key()
    peer.flush()
    result = peer.run(("Set-CsSecret", {"Pin": PSSecureString("correct horse " + str(uuid.uuid4()))}))
    (answer,) = result["output"]
    return {"state": result["state"], "same": answer.Echo.decrypt() == answer.Pin, "pin": answer.Pin}


def runspaces(peer):
    """Sends the requests that a client of a shared pool may send."""
    pool, answers = peer.pool, []
    for ask in (pool.get_available_runspaces, lambda: pool.set_max_runspaces(5), pool.reset_runspace_state):
        call = ask()
        peer.flush()
        event = peer.event((psrpcore.GetRunspaceAvailabilityEvent, psrpcore.SetRunspaceAvailabilityEvent))
        assert event.ci == call, "the answer to another call"
        counts = isinstance(event, psrpcore.GetRunspaceAvailabilityEvent)
        answers.append(event.count if counts else bool(event.success))
    return {"available": answers[0], "grown": answers[1], "reset": answers[2]}


STEPS = {
    "metadata": metadata, "format": format_data, "parameters": parameters, "input": values,
    "stop": stop, "secret": secret, "runspaces": runspaces,
}


def main(path, *steps):
    peer = Peer(path)
    print(json.dumps({"step": "open", **peer.open()}), flush=True)
    for step in steps:
        print(json.dumps({"step": step, **STEPS[step](peer)}, default=str), flush=True)
    print(json.dumps({"step": "close", **peer.close()}), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
