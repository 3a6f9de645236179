#!/usr/bin/env python3
"""A WSMan endpoint on loopback whose PowerShell side is psrpcore's server: an independent peer for
lyncsh's client. Prints its address as one line of JSON, and ends with its standard input.

  POST /wsman      the endpoint (Basic: kenmyer@litwareinc.com / P@ssw0rd-åß)
  GET  /state      open shells, received requests, number of bytes waiting for a Receive, as JSON

--manner winrm: an idle Receive ends with the fault w:TimedOut; an answer contains all queued fragments.
--manner omi:   an idle Receive ends empty; an answer contains one fragment and no CommandId; neither Delete nor
                Signal is answered while no Receive is pending.
--receive S     duration of an idle Receive.
--create S      duration of Create, which completes even if its client disconnects.
--most N        maximum number of shells; a further one gets the quota fault.
--hostile MODE  sends text that attacks a terminal: hostile.py.
"""
import argparse, base64, json, sys, threading, time, uuid
import xml.etree.ElementTree as ET
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from xml.sax.saxutils import escape

import psrpcore
from psrpcore.types import (
    ErrorCategory, ErrorCategoryInfo, HostMethodIdentifier, NETException, PSSecureString)

USER, PASSWORD = "kenmyer@litwareinc.com", "P@ssw0rd-åß"
NS = {
    "s": "http://www.w3.org/2003/05/soap-envelope",
    "a": "http://schemas.xmlsoap.org/ws/2004/08/addressing",
    "w": "http://schemas.dmtf.org/wbem/wsman/1/wsman.xsd",
    "rsp": "http://schemas.microsoft.com/wbem/wsman/1/windows/shell",
    "ps": "http://schemas.microsoft.com/powershell",
    "x": "http://schemas.xmlsoap.org/ws/2004/09/transfer",
    "n": "http://schemas.xmlsoap.org/ws/2004/09/enumeration",
}
SHELL = NS["rsp"]
MAX_ENVELOPE = 153600


class Fault(Exception):
    def __init__(self, code, subcode, text):
        super().__init__(text)
        self.code, self.subcode, self.text = code, subcode, text


def gone(what):
    return Fault(2150858843, "w:InvalidSelectors", f"{what} was not found on the server.")


class Shell:
    """One runspace pool. `out` contains the unfetched fragments by pipeline (None: the pool)."""

    def __init__(self, shell_id, data):
        self.id = shell_id
        self.lock = threading.Condition()
        self.pool = psrpcore.ServerRunspacePool()
        self.out = {None: []}
        self.pending = {}
        self.pipelines = {}
        self.done = set()
        self.deleted = False
        self.feed(data, None, "default")

    def feed(self, data, command, stream):
        with self.lock:
            kind = psrpcore.StreamType.prompt_response if stream == "pr" else psrpcore.StreamType.default
            self.pool.receive_data(psrpcore.PSRPPayload(data, kind, command))
            while (event := self.pool.next_event()) is not None:
                run = self.pipelines.get(event.pipeline_id)
                if isinstance(event, (psrpcore.CreatePipelineEvent, psrpcore.GetCommandMetadataEvent)):
                    threading.Thread(target=run.main, daemon=True).start()
                elif run is not None:
                    run.events.append(event)
            self.pump()

    def pump(self):
        while (payload := self.pool.data_to_send(32768)) is not None:
            self.out.setdefault(payload.pipeline_id, []).append(bytes(payload.data))
        self.lock.notify_all()

    def command(self, command, data):
        with self.lock:
            if self.pool.state != psrpcore.types.RunspacePoolState.Opened:
                # Like real servers, hangs the session.
                self.lock.wait_for(lambda: False, 3600)
            pipeline = psrpcore.ServerPipeline(self.pool, command)
            self.out[command] = []
            self.pipelines[command] = Run(self, pipeline)
        self.feed(data, command, "default")

    def receive(self, command, seconds, one):
        with self.lock:
            if command is not None and command not in self.out:
                raise gone("The command")
            self.pending[command] = self.pending.get(command, 0) + 1
            self.lock.notify_all()
            try:
                ready = lambda: (
                    self.deleted or self.out.get(command) or command not in self.out or command in self.done)
                self.lock.wait_for(ready, seconds)
                waiting = self.out.get(command) or []
                if waiting:
                    size, taken = 0, 0
                    while taken < len(waiting) and (taken == 0 or not one and size < MAX_ENVELOPE // 3):
                        size += len(waiting[taken])
                        taken += 1
                    data, self.out[command] = waiting[:taken], waiting[taken:]
                    return data, "Running"
                if self.deleted or command not in self.out or command in self.done:
                    return [], "Done"
                return None, "Running"
            finally:
                self.pending[command] -= 1
                self.lock.notify_all()

    def wait_for_receive(self, command):
        with self.lock:
            if not self.lock.wait_for(lambda: self.pending.get(command) or self.pending.get(None), 3600):
                raise Fault(2150858793, "w:TimedOut", "No Receive is pending.")

    def signal(self, command, code):
        with self.lock:
            run = self.pipelines.get(command)
            if run is None or command in self.done:
                raise gone("The command")
            if code == "powershell/signal/crtl_c":
                run.stopped = True
                if run.pipeline.state == psrpcore.types.PSInvocationState.Running:
                    run.pipeline.stop()
                self.pump()
            else:
                run.stopped = True
                self.done.add(command)
                self.lock.notify_all()

    def delete(self):
        with self.lock:
            self.deleted = True
            self.lock.notify_all()


class Run:
    """One pipeline, with the commands of this peer; each uses the protocol differently."""

    def __init__(self, shell, pipeline):
        self.shell, self.pipeline = shell, pipeline
        self.events, self.stopped = [], False

    def do(self, action, *arguments, **named):
        with self.shell.lock:
            if self.stopped:
                raise InterruptedError
            result = action(*arguments, **named)
            self.shell.pump()
            return result

    def wait(self, kind, seconds=60):
        lock = self.shell.lock
        with lock:
            found = lambda: self.stopped or any(isinstance(e, kind) for e in self.events)
            if not lock.wait_for(found, seconds) or self.stopped:
                raise InterruptedError
            event = next(e for e in self.events if isinstance(e, kind))
            self.events.remove(event)
            return event

    def main(self):
        p = self.pipeline
        try:
            self.do(p.start)
            if isinstance(p.metadata, psrpcore.GetMetadata):
                self.do(p.write_output, len(p.metadata.name))
            else:
                first = p.metadata.commands[0]
                # PowerShell's console names a parameter `-Name:`, others `Name`.
                name, given = first.command_text, {k.strip("-: "): v for k, v in first.parameters}
                getattr(self, name.lower().replace("-", "_"))(given)
            self.do(p.complete)
        except InterruptedError:
            pass
        except Exception as error:
            self.do(p.write_error, NETException(Message=f"the peer failed: {error!r}"))
            self.do(p.complete)

    def write_all(self, given):
        p = self.pipeline
        self.do(p.write_output, "some output")
        self.do(p.write_output, 42)
        self.do(p.write_error, NETException(Message="some error"),
                category_info=ErrorCategoryInfo(Category=ErrorCategory.ObjectNotFound),
                fully_qualified_error_id="SomeError")
        self.do(p.write_warning, "some warning")
        self.do(p.write_verbose, "some verbose")
        self.do(p.write_debug, "some debug")
        self.do(p.write_progress, "some activity", 1, "some status", percent_complete=50)
        self.do(p.write_information, "some information", "peer")

    def measure_input(self, given):
        count, length = 0, 0
        while True:
            event = self.wait((psrpcore.PipelineInputEvent, psrpcore.EndOfPipelineInputEvent))
            if isinstance(event, psrpcore.EndOfPipelineInputEvent):
                break
            count, length = count + 1, length + len(str(event.data))
        self.do(self.pipeline.write_output, count)
        self.do(self.pipeline.write_output, length)

    def get_big(self, given):
        for _ in range(int(given.get("Count", 1))):
            self.do(self.pipeline.write_output, "x" * int(given["Size"]))

    def get_length(self, given):
        self.do(self.pipeline.write_output, len(given["Text"]))

    def read_line(self, given):
        self.do(self.pipeline.host_call, HostMethodIdentifier.ReadLine)
        answer = self.wait(psrpcore.PipelineHostResponseEvent)
        self.do(self.pipeline.write_output, f"You said {answer.result}")

    def test_secret(self, given):
        secret = given["Secret"].decrypt()
        self.do(self.pipeline.write_output, len(secret))
        self.do(self.pipeline.write_output, PSSecureString(secret[::-1]))

    def wait_forever(self, given):
        self.do(self.pipeline.write_output, "waiting")
        self.wait((), 3600)


class Endpoint(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    shells, log, connections = {}, [], 0
    lock = threading.Lock()

    def setup(self):
        super().setup()
        with Endpoint.lock:
            Endpoint.connections += 1

    def log_message(self, *_):
        pass

    def answer(self, status, body, media="application/soap+xml;charset=UTF-8", headers=()):
        body = body.encode()
        self.send_response(status)
        self.send_header("Content-Type", media)
        self.send_header("Content-Length", str(len(body)))
        for name, value in headers:
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self):
        with Endpoint.lock:
            waiting = sum(len(part) for shell in self.shells.values() for parts in shell.out.values()
                          for part in parts)
            state = {"shells": list(self.shells), "log": self.log, "connections": self.connections,
                     "waiting": waiting}
        self.answer(200, json.dumps(state), "application/json")

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        expected = "Basic " + base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
        if self.headers["Authorization"] != expected:
            return self.answer(401, "", headers=[("WWW-Authenticate", "Negotiate"),
                                                 ("WWW-Authenticate", 'Basic realm="peer"')])
        root = ET.fromstring(body)
        text = lambda path: (root.findtext(path, "", NS) or "").strip()
        action, message_id = text("s:Header/a:Action"), text("s:Header/a:MessageID")
        name = action.rsplit("/", 1)[1]
        with Endpoint.lock:
            self.log.append([name, len(body)])
        try:
            if len(body) > MAX_ENVELOPE:
                raise Fault(2150858999, "w:EncodingLimit", "The envelope is too large.")
            content = getattr(self, "on_" + name.lower())(root)
            if content is None:
                # The shell was removed while its Receive was pending, for example.
                raise gone("The shell")
            status, response = 200, action + "Response"
        except Fault as fault:
            status, content = 500, self.fault(fault)
            response = "http://schemas.dmtf.org/wbem/wsman/1/wsman/fault"
            if self.server.manner == "omi":
                response = "http://schemas.xmlsoap.org/ws/2004/08/addressing/fault"
        spaces = " ".join(f'xmlns:{p}="{u}"' for p, u in NS.items())
        try:
            self.answer(status, f"<s:Envelope {spaces}><s:Header><a:Action>{response}</a:Action>"
                        f"<a:MessageID>uuid:{uuid.uuid4()}</a:MessageID><a:RelatesTo>{message_id}</a:RelatesTo>"
                        f"</s:Header><s:Body>{content}</s:Body></s:Envelope>")
        except OSError:
            self.close_connection = True

    def fault(self, fault):
        detail = f'<w:FaultDetail/><f:WSManFault xmlns:f="http://schemas.microsoft.com/wbem/wsman/1/wsmanfault" ' \
                 f'Code="{fault.code}" Machine="peer"><f:Message>{escape(fault.text)}</f:Message></f:WSManFault>'
        if self.server.manner == "omi":
            detail = ""
            fault.subcode = "a:DestinationUnreachable"
        return (f"<s:Fault><s:Code><s:Value>s:Sender</s:Value><s:Subcode><s:Value>{fault.subcode}</s:Value>"
                f"</s:Subcode></s:Code><s:Reason><s:Text xml:lang='en-US'>{escape(fault.text)}</s:Text></s:Reason>"
                f"<s:Detail>{detail}</s:Detail></s:Fault>")

    def shell(self, root):
        shell = self.shells.get(root.findtext("s:Header/w:SelectorSet/w:Selector", "", NS))
        if shell is None:
            raise gone("The shell")
        return shell

    @staticmethod
    def command_id(element):
        given = element.get("CommandId")
        return uuid.UUID(given) if given else None

    def on_create(self, root):
        shell = root.find("s:Body/rsp:Shell", NS)
        if self.server.manner == "omi" and not shell.get("Name"):
            raise Fault(2150858843, "w:InvalidParameter", "A shell needs a Name.")
        shell_id = shell.get("ShellId")
        data = base64.b64decode(shell.findtext("ps:creationXml", "", NS))
        if len(self.shells) >= self.server.most:
            raise Fault(2150859173, "w:QuotaLimit", "The maximum number of concurrent shells for this user "
                        "has been exceeded. Close existing shells or raise the quota for this user.")
        time.sleep(self.server.create)
        self.shells[shell_id] = Shell(shell_id, data)
        return (f'<x:ResourceCreated><a:Address>x</a:Address><a:ReferenceParameters><w:SelectorSet>'
                f'<w:Selector Name="ShellId">{shell_id}</w:Selector></w:SelectorSet></a:ReferenceParameters>'
                f'</x:ResourceCreated>')

    def on_command(self, root):
        line = root.find("s:Body/rsp:CommandLine", NS)
        command = self.command_id(line)
        with Endpoint.lock:
            self.log.append(["name", line.findtext("rsp:Command", "", NS)])
        self.shell(root).command(command, base64.b64decode(line.findtext("rsp:Arguments", "", NS)))
        return f"<rsp:CommandResponse><rsp:CommandId>{str(command).upper()}</rsp:CommandId></rsp:CommandResponse>"

    def on_send(self, root):
        shell = self.shell(root)
        for stream in root.findall("s:Body/rsp:Send/rsp:Stream", NS):
            shell.feed(base64.b64decode(stream.text), self.command_id(stream), stream.get("Name"))
        return "<rsp:SendResponse/>"

    def on_receive(self, root):
        omi = self.server.manner == "omi"
        command = self.command_id(root.find("s:Body/rsp:Receive/rsp:DesiredStream", NS))
        data, state = self.shell(root).receive(command, self.server.receive, omi)
        if data is None and not omi:
            raise Fault(2150858793, "w:TimedOut", "The operation did not complete in time.")
        which = f' CommandId="{str(command).upper()}"' if command and not omi else ""
        streams = "".join(f'<rsp:Stream Name="stdout"{which}>{base64.b64encode(part).decode()}</rsp:Stream>'
                          for part in data or [])
        return (f'<rsp:ReceiveResponse>{streams}<rsp:CommandState{which} State="{SHELL}/CommandState/{state}"/>'
                f'</rsp:ReceiveResponse>')

    def on_signal(self, root):
        shell, signal = self.shell(root), root.find("s:Body/rsp:Signal", NS)
        command, code = self.command_id(signal), signal.findtext("rsp:Code", "", NS)
        with Endpoint.lock:
            self.log.append(["code", code])
        if self.server.manner == "omi":
            shell.wait_for_receive(command)
        shell.signal(command, code)
        return "<rsp:SignalResponse/>"

    def on_delete(self, root):
        shell = self.shell(root)
        if self.server.manner == "omi":
            shell.wait_for_receive(None)
        shell.delete()
        self.shells.pop(shell.id, None)
        return ""

    def on_enumerate(self, root):
        """Returns one shell in the answer if the client allows it; Pull returns the others."""
        optimised = root.find("s:Body/n:Enumerate/w:OptimizeEnumeration", NS) is not None
        shells = [self.describe(shell) for shell in self.shells]
        first, rest = (shells[:1], shells[1:]) if optimised else ([], shells)
        self.server.listed = rest
        end = "" if rest else "<w:EndOfSequence/>"
        items = "<w:Items>" + "".join(first) + "</w:Items>" if optimised else ""
        return (f"<n:EnumerateResponse><n:EnumerationContext>{'c1' if rest else ''}</n:EnumerationContext>"
                f"{items}{end}</n:EnumerateResponse>")

    def on_pull(self, root):
        first, self.server.listed = self.server.listed[:1], self.server.listed[1:]
        end = "<n:EnumerationContext>c2</n:EnumerationContext>" if self.server.listed else ""
        over = "" if end else "<n:EndOfSequence/>"
        return f"<n:PullResponse>{end}<n:Items>{''.join(first)}</n:Items>{over}</n:PullResponse>"

    @staticmethod
    def describe(shell_id):
        return (f"<rsp:Shell><rsp:ShellId>{shell_id}</rsp:ShellId><rsp:Name>lyncsh</rsp:Name>"
                f"<rsp:Owner>{USER}</rsp:Owner><rsp:ClientIP>127.0.0.1</rsp:ClientIP>"
                f"<rsp:ShellRunTime>P0DT0H1M3S</rsp:ShellRunTime>"
                f"<rsp:ShellInactivity>P0DT0H0M7S</rsp:ShellInactivity></rsp:Shell>")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--manner", choices=["winrm", "omi"], default="winrm")
    parser.add_argument("--receive", type=float, default=1.0)
    parser.add_argument("--create", type=float, default=0.0)
    parser.add_argument("--most", type=int, default=1000)
    parser.add_argument("--hostile")
    given = parser.parse_args()
    handler = Endpoint
    if given.hostile:
        import hostile
        global Run
        Run, handler = hostile.commands(Run), hostile.endpoint(Endpoint, Fault, given.hostile)
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    server.manner, server.receive, server.listed = given.manner, given.receive, []
    server.create, server.most = given.create, given.most
    threading.Thread(target=server.serve_forever, daemon=True).start()
    ready = {"url": f"http://127.0.0.1:{server.server_port}/wsman", "user": USER, "password": PASSWORD}
    print(json.dumps(ready), flush=True)
    sys.stdin.read()


if __name__ == "__main__":
    main()
