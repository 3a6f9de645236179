"""Text with which an endpoint can attack its client's terminal: `psrpcore_server.py --hostile MODE`.

session: each command below shows hostile text in a different way.
fault, bearer, redirect, page, text: the answer to every Create.
"""
import psrpcore
from psrpcore.types import (
    ChoiceDescription, ConsoleColor, FieldDescription, HostMethodIdentifier as Call, NETException, PSCustomObject)

# psrpcore does not know -1, the value of a Unix host for unknown colours.
ConsoleColor._missing_ = classmethod(lambda cls, _: cls.White)

# Writes the clipboard, sets the title, clears the screen, queries the terminal, reverses the text.
EVIL = ("\x1b]52;c;aGk=\x07\x1b]0;owned\x1b\\\x1b[2J\x1b[5n\x1bP$qm\x1b\\\x1b_apc\x1b\\\x1bc\x9b2J\x9d0;c1\x9c"
        "\u202egpj\u2066\u200f")
COLOUR = "\x1b[35m"


def evil(tag):
    """Returns hostile text between two words for a test, with an unterminated colour."""
    return f"{tag}-begin{EVIL}{COLOUR}{tag}-end"


def commands(base):
    class Run(base):
        def say(self, method, *parameters):
            self.do(self.pipeline.host_call, method, list(parameters))

        def ask(self, method, *parameters):
            self.say(method, *parameters)
            answer = self.wait(psrpcore.PipelineHostResponseEvent)
            self.do(self.pipeline.write_output, f"answered {answer.result}")

        def get_command(self, given):
            names = [name.replace("_", "-") for name in vars(Run) if name.startswith(("show_", "ask_"))]
            for name in [*names, evil("Show-Name")]:
                self.do(self.pipeline.write_output, PSCustomObject(Name=name))

        def show_string(self, given):
            self.do(self.pipeline.write_output, evil("string"))
            self.do(self.pipeline.write_output, "after the string")

        def show_table(self, given):
            rows = {evil("property"): evil("cell"), "Second": "x"}
            self.do(self.pipeline.write_output, PSCustomObject(PSTypeName=evil("type"), **rows))

        def show_list(self, given):
            rows = {evil(f"item{n}"): [evil(f"value{n}"), 1] for n in range(6)}
            self.do(self.pipeline.write_output, PSCustomObject(**rows))

        def show_streams(self, given):
            p = self.pipeline
            self.do(p.write_error, NETException(Message=evil("error")), fully_qualified_error_id=evil("id"))
            self.do(p.write_warning, evil("warning"))
            self.do(p.write_verbose, evil("verbose"))
            self.do(p.write_debug, evil("debug"))
            self.do(p.write_information, evil("information"), "peer")
            self.say(Call.WriteWarningLine, evil("warning"))
            self.say(Call.WriteVerboseLine, evil("verbose"))
            self.say(Call.WriteDebugLine, evil("debug"))
            self.say(Call.WriteErrorLine, evil("errorline"))

        def show_host(self, given):
            red, blue = ConsoleColor.Red, ConsoleColor.Blue
            self.say(Call.SetWindowTitle, evil("title"))
            self.say(Call.Write1, evil("write1"))
            self.say(Call.Write2, red, blue, evil("write2"))
            self.say(Call.WriteLine1)
            self.say(Call.WriteLine2, evil("line2"))
            self.say(Call.WriteLine3, red, blue, evil("line3"))
            self.say(Call.Write1, "split \x1b")
            self.say(Call.Write1, "]52;c;aGk=")
            self.say(Call.WriteLine2, "\x07 split-end")

        def show_progress(self, given):
            self.do(self.pipeline.write_progress, evil("activity"), 1, evil("status"),
                    current_operation=evil("operation"), percent_complete=50)
            self.ask(Call.ReadLine)

        def ask_choice(self, given):
            choices = [ChoiceDescription(Label="&Yes" + evil("label"), HelpMessage=evil("help")),
                       ChoiceDescription(Label="&No", HelpMessage="no")]
            self.ask(Call.PromptForChoice, evil("caption"), evil("message"), choices, 0)

        def ask_fields(self, given):
            field = FieldDescription(Name="Field", Label=evil("field"), ParameterTypeName="String",
                                     ParameterTypeFullName="System.String")
            self.ask(Call.Prompt, evil("caption"), evil("message"), [field])

        def ask_credential(self, given):
            self.say(Call.PromptForCredential1, evil("caption"), evil("message"), evil("user"), "")
            self.wait(psrpcore.PipelineHostResponseEvent)
            self.do(self.pipeline.write_output, "answered")

    return Run


def endpoint(base, refusal, mode):
    class Endpoint(base):
        def send_response(self, status, message=None):
            # ISO 8859-1: C1 control characters of one byte.
            super().send_response(status, message or ("Reason\x9b2J\x9d0;x\x9c" if status >= 400 else None))

        def on_create(self, root):
            if mode == "fault":
                raise refusal(2150858999, "w:InternalError", evil("fault"))
            return super().on_create(root)

        def do_POST(self):
            body = evil("page")
            if mode == "bearer":
                challenge = f'Bearer client_id="x\x9b2J", authorization_uri="{{}}", error="challenge\x9b2J"'
                return self.answer(401, body, headers=[("WWW-Authenticate", challenge),
                                                       ("WWW-Authenticate", "Negotiate\x9b2J")])
            if mode == "redirect":
                return self.answer(302, body, headers=[("Location", "http://example.com/\x9b2J%1b]0;x%07")])
            if mode == "page":
                return self.answer(503, f"<html><head><title>{evil('heading')}</title></head><body>{body}</body>",
                                   "text/html", [("Server", "proxy\x9b2J"), ("Via", "1.1 via\x9b2J")])
            if mode == "text":
                return self.answer(400, body, "text/plain")
            return super().do_POST()

        def fault(self, fault):
            return super().fault(fault).replace("\x1b", "&#x1B;").replace("\x07", "&#x7;")

        @staticmethod
        def describe(shell_id):
            known = base.describe(shell_id)
            escaped = evil("owner").replace("\x1b", "&#x1B;").replace("\x07", "&#x7;")
            known = known.replace("<rsp:ClientIP>127.0.0.1", f"<rsp:ClientIP>{escaped.replace('owner', 'client')}")
            # Another user's shell beside the user's own.
            other = known.replace(shell_id, "99999999-1111-4222-8333-444455556666")
            start, rest = other.split("<rsp:Owner>", 1)
            return known + start + "<rsp:Owner>" + escaped + "</rsp:Owner>" + rest.split("</rsp:Owner>", 1)[1]

    return Endpoint
