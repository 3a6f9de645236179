#!/usr/bin/env python3
"""Windows authentication in front of a plain WSMan endpoint: NTLM, SPNEGO, Kerberos, Basic and client
certificates, with sealed bodies over http and channel binding over https, by pyspnego and MIT Kerberos.

A reverse proxy: psrpcore_server.py, the simulator or the front with a real PowerShell serves PSRP behind it. Without
--backend, it echoes a request's body, which suffices for tests of authentication and sealing.

Accounts: NTLM and Basic from the file NTLM_USER_FILE (lines DOMAIN:USER:PASSWORD), Kerberos from KRB5_KTNAME.
The backend's account: BACKEND_USER and BACKEND_PASSWORD in the environment.

The first line of standard output is {"url": ..., "port": ...}. Events follow, one JSON object per line, each
written before the answer is sent:
  connection  connection
  tls         connection, version, cipher, certificate (the client's), error
  logon       connection, scheme, protocol, ok, user, reason, binding (absent, empty, present, matched)
  request     connection, request (of the server), of_connection, method, path, scheme, user, protocol, sealed,
              operation, bytes, status (null: closed without an answer), fault, reason
  closed      connection
Lines on standard input: `fault SPEC` arms a fault, `no-faults` drops all faults, `close-idle` closes all idle
connections, `sync TEXT` is echoed as the event `sync`. The server ends with its standard input.

A fault is KIND[=VALUE][@WHEN]. WHEN selects the events to which KIND applies, counted from the time of arming: `N`
(the N-th), `all`, `connection:N` (the N-th of every connection), `OPERATION`, `OPERATION:N` or `OPERATION:all` as in
Receive:2.
For every request, before authentication (default: all):
  front=STATUS[,LOCATION]     407, 503, 302 and similar
  answer=STATUS|TYPE|BODY[|HEADER]   any answer, without a content type if TYPE is empty
For each token of a logon (default: all):
  locked                      401 without a token, although the password is right
  endless                     another challenge for every token
  truncated-token             half of the token
  not-ntlm                    a token of no mechanism
  absurd-challenge=WHERE      NTLM target info with an impossible length, offset or pair
  other-token                 the last token of an earlier logon: the AP-REP of another session
  big-token                   the token is 1 MB longer
  final=missing|wrong         the last token is omitted, or its last byte is changed
For each authenticated request with a body (default: the first):
  status=STATUS[,LOCATION]    413, 403, 503, 302
  fault=CODE|SUBCODE|TEXT     a WSMan fault, without f:WSManFault if CODE is empty; an empty fault if all are empty
  reauthenticate              401, and the connection must log on again
  context-gone                400 without a body, until the client logs on again
  close-unanswered[=reset]    closed before the backend has seen the request
  close-executed[=reset]      closed after the backend has answered
  close-after                 closed after the answer, without notice
  truncated                   closed in the middle of the answer
  unsealed                    a plain answer
  bad-signature, bad-sequence, bad-length, replay, other-context   of the sealed answer
"""
import argparse, base64, ctypes, datetime, http.client, ipaddress, itertools, json, os, re, select, socket, ssl
import struct, sys, threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

import spnego
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from spnego._negotiate import NegotiateProxy
from spnego._ntlm_raw.messages import Authenticate, AvId, NTClientChallengeV2
from spnego.channel_bindings import GssChannelBindings

MUTUAL = "http://schemas.dmtf.org/wbem/wsman/1/wsman/secprofile/https/mutual"
SEALED = {"kerberos": "application/HTTP-Kerberos-session-encrypted"}
SPNEGO_SEALED = "application/HTTP-SPNEGO-session-encrypted"
SOAP = "application/soap+xml;charset=UTF-8"
# GSS_C_CHANNEL_BOUND_FLAG of MIT krb5 1.19: the initiator sent the correct bindings.
CHANNEL_BOUND = 0x800
# The refusal of a malformed logon must not depend on NTLMv1 (LAN Manager authentication level 5).
os.environ["LM_COMPAT_LEVEL"] = "5"

FRONT = {"front", "answer"}
LOGON = {"locked", "endless", "truncated-token", "not-ntlm", "absurd-challenge", "other-token", "big-token", "final"}
REQUEST = {"status", "fault", "reauthenticate", "context-gone", "close-unanswered", "close-executed", "close-after",
           "truncated", "unsealed", "bad-signature", "bad-sequence", "bad-length", "replay", "other-context"}


class Fault:
    def __init__(self, spec):
        what, _, when = spec.partition("@")
        self.kind, _, self.value = what.partition("=")
        self.phase = next((p for p in (FRONT, LOGON, REQUEST) if self.kind in p), None)
        if self.phase is None:
            raise SystemExit(f"unknown fault: {spec}")
        self.seen, self.operation, self.of_connection, self.number = 0, None, False, 1
        if when == "all" or not when and self.phase is not REQUEST:
            self.number = None
        elif when.isdigit():
            self.number = int(when)
        elif when:
            name, _, number = when.partition(":")
            self.number = None if number == "all" else int(number or 1)
            self.of_connection = name == "connection"
            self.operation = None if self.of_connection else name

    def applies(self, phase, operation, of_connection):
        if phase is not self.phase or self.operation not in (None, operation):
            return False
        self.seen += 1
        return self.number in (None, of_connection if self.of_connection else self.seen)


class Shared:
    """State shared by the connections, guarded by `lock`."""
    lock = threading.Lock()
    faults, idle, finals, sealed = [], set(), {}, {}
    connections, requests = itertools.count(1), itertools.count(1)

    @classmethod
    def log(cls, event, **fields):
        with cls.lock:
            print(json.dumps({"event": event, **fields}), flush=True)

    @classmethod
    def fault(cls, phase, operation=None, of_connection=0):
        with cls.lock:
            hits = [f for f in cls.faults if f.applies(phase, operation, of_connection)]
        return hits[0] if hits else None


class Acceptor(NegotiateProxy):
    """SPNEGO with the mechanisms of --mechanisms. Ignores the optimistic token if another mechanism was chosen
    (RFC 4178, 4.2.1)."""
    mechanisms = ["kerberos", "ntlm"]

    @classmethod
    def available_protocols(cls, options=None):
        return [p for p in super().available_protocols(options) if p in ("negotiate", *cls.mechanisms)]

    def _step_spnego_input(self, *arguments, **named):
        first = not self._mech_list
        token, mic, is_spnego = super()._step_spnego_input(*arguments, **named)
        if first and self._mech_list and not self._is_same_mech(self._chosen_mech, self._mech_list[0]):
            token = None
        return token, mic, is_spnego


class Refused(Exception):
    pass


class Gone(Exception):
    """Ends the connection without an answer."""


class Login:
    """The authentication of one connection."""

    def __init__(self):
        self.context = self.user = self.scheme = self.first = None
        self.gone = False

    @property
    def protocol(self):
        return self.context and self.context.negotiated_protocol

    def reset(self):
        self.context = self.user = self.scheme = None


def acceptor(scheme):
    if scheme == "Negotiate":
        return Acceptor(usage="accept")
    return spnego.server(protocol=scheme.lower())


def accounts():
    """Returns the passwords by account name."""
    known = {}
    with open(os.environ["NTLM_USER_FILE"], encoding="utf-8") as file:
        for line in file.read().splitlines():
            if line.count(":") == 2:
                domain, user, password = line.split(":")
                known[(f"{domain}\\{user}" if domain else user).lower()] = password
    return known


def bindings_of(certificate):
    """Returns tls-server-end-point (RFC 5929, 4.1)."""
    with open(certificate, "rb") as file:
        parsed = x509.load_pem_x509_certificate(file.read())
    algorithm = parsed.signature_hash_algorithm
    if algorithm is None or algorithm.name in ("md5", "sha1"):
        algorithm = hashes.SHA256()
    return GssChannelBindings(application_data=b"tls-server-end-point:" + parsed.fingerprint(algorithm))


def ntlm_binding(token):
    """Returns the state of the binding in an AUTHENTICATE message, raw or in SPNEGO: absent, empty (all zero), present."""
    at = token.find(b"NTLMSSP\0\3\0\0\0")
    if at < 0:
        return None
    response = Authenticate.unpack(token[at:]).nt_challenge_response or b""
    if len(response) <= 24:
        return "absent"
    value = NTClientChallengeV2.unpack(response[16:]).av_pairs.get(AvId.channel_bindings)
    return "absent" if value is None else "present" if any(value) else "empty"


def absurd(token, where):
    """Returns a CHALLENGE_MESSAGE with invalid target info (MS-NLMP 2.2.1.2: fields at 40)."""
    at = token.find(b"NTLMSSP\0\2\0\0\0")
    if at < 0:
        return token
    token = bytearray(token)
    length, _, offset = struct.unpack_from("<HHI", token, at + 40)
    if where == "pair":
        struct.pack_into("<H", token, at + offset + 2, 0xFFF0)
    elif where == "offset":
        struct.pack_into("<HHI", token, at + 40, length, length, 0xFFFFFFF0)
    else:
        struct.pack_into("<HHI", token, at + 40, 0xFFF0, 0xFFF0, offset)
    return bytes(token)


def make_certificates(folder, signature):
    """Writes PEM files: ca, and server (localhost) and client (kenmyer@litwareinc.com) with their keys."""
    now, algorithm = datetime.datetime.now(datetime.timezone.utc), getattr(hashes, signature.upper())()

    def make(name, issuer, signer, extensions):
        key = rsa.generate_private_key(65537, 2048)
        subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
        builder = (x509.CertificateBuilder().subject_name(subject).issuer_name(issuer or subject)
                   .public_key(key.public_key()).serial_number(x509.random_serial_number())
                   .not_valid_before(now - datetime.timedelta(days=1))
                   .not_valid_after(now + datetime.timedelta(days=30)))
        for extension, critical in extensions:
            builder = builder.add_extension(extension, critical)
        return key, builder.sign(signer or key, algorithm)

    def write(file, certificate, key=None):
        pem = serialization.Encoding.PEM
        with open(os.path.join(folder, file + ".pem"), "wb") as out:
            out.write(certificate.public_bytes(pem))
        if key:
            plain = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
            with open(os.path.join(folder, file + ".key"), "wb") as out:
                out.write(plain)

    ca_key, ca = make("Litware Test CA", None, None, [(x509.BasicConstraints(True, None), True)])
    names = [x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
    usage = x509.oid.ExtendedKeyUsageOID
    leaf = (x509.BasicConstraints(False, None), True)
    server_key, server = make("localhost", ca.subject, ca_key, [
        leaf, (x509.SubjectAlternativeName(names), False), (x509.ExtendedKeyUsage([usage.SERVER_AUTH]), False)])
    client_key, client = make("kenmyer@litwareinc.com", ca.subject, ca_key, [
        leaf, (x509.ExtendedKeyUsage([usage.CLIENT_AUTH]), False)])
    write("ca", ca)
    write("server", server, server_key)
    write("client", client, client_key)


def wsman_fault(value):
    """Returns a fault as WinRM writes it."""
    code, subcode, text = value.split("|")
    detail = ('<f:WSManFault xmlns:f="http://schemas.microsoft.com/wbem/wsman/1/wsmanfault" '
              f'Code="{code}" Machine="peer"><f:Message>{text}</f:Message></f:WSManFault>') if code else ""
    fault = (f"<s:Fault><s:Code><s:Value>s:Sender</s:Value><s:Subcode><s:Value>{subcode}</s:Value></s:Subcode>"
             f"</s:Code><s:Reason><s:Text xml:lang='en-US'>{text}</s:Text></s:Reason><s:Detail>{detail}</s:Detail>"
             "</s:Fault>") if subcode else ""
    envelope = ("<s:Envelope xmlns:s='http://www.w3.org/2003/05/soap-envelope' "
                "xmlns:a='http://schemas.xmlsoap.org/ws/2004/08/addressing' "
                "xmlns:w='http://schemas.dmtf.org/wbem/wsman/1/wsman.xsd'><s:Header>"
                "<a:Action>http://schemas.dmtf.org/wbem/wsman/1/wsman/fault</a:Action>"
                "<a:MessageID>uuid:11111111-1111-1111-1111-111111111111</a:MessageID></s:Header>"
                f"<s:Body>{fault}</s:Body></s:Envelope>")
    return 500, SOAP, envelope.encode()


def flipped(data, at):
    data = bytearray(data)
    data[at] ^= 1
    return bytes(data)


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    # --- the connection ---------------------------------------------------------------------------------

    def setup(self):
        self.number = next(Shared.connections)
        self.of_connection = self.operations = 0
        self.logins = [Login() for _ in range(2 if given.balance else 1)]
        self.certificate = None
        Shared.log("connection", connection=self.number)
        if self.server.tls:
            self.request.settimeout(60)
            try:
                self.request = self.server.tls.wrap_socket(self.request, server_side=True)
            except OSError as error:
                Shared.log("tls", connection=self.number, error=str(error))
                raise
            self.look_at_certificate()
            Shared.log("tls", connection=self.number, version=self.request.version(),
                       cipher=self.request.cipher()[0], certificate=self.certificate)
        self.request.settimeout(given.idle)
        super().setup()

    def finish(self):
        try:
            super().finish()
        except OSError:
            pass
        Shared.log("closed", connection=self.number)
        self.request.close()

    def look_at_certificate(self):
        der = self.request.getpeercert(True)
        if der:
            parsed = x509.load_der_x509_certificate(der)
            names = parsed.subject.get_attributes_for_oid(x509.NameOID.COMMON_NAME)
            self.certificate = names[0].value if names else parsed.subject.rfc4514_string()

    def ask_for_certificate(self):
        """Like IIS with SslNegotiateCert, renegotiates in TLS 1.2, and requests it after the handshake in TLS 1.3."""
        # Python's ssl cannot renegotiate, so the SSL* is read from its object, after the head and the socket.
        connection = ctypes.c_void_p.from_address(id(self.request._sslobj) + 24)
        library = ctypes.CDLL(sys.modules["_ssl"].__file__)
        try:
            self.request.settimeout(None)
            if self.request.version() == "TLSv1.3":
                self.request.verify_client_post_handshake()
            else:
                library.SSL_set_verify(connection, 1, None)
                if library.SSL_renegotiate(connection) != 1:
                    raise OSError("the client cannot renegotiate")
            self.request.do_handshake()
            # Peeking processes the client's handshake messages, as in Apache's mod_ssl. With SSL_MODE_AUTO_RETRY (4;
            # cleared with SSL_CTRL_CLEAR_MODE, set with SSL_CTRL_MODE) it would wait for the next request.
            library.SSL_ctrl(connection, 78, ctypes.c_long(4), None)
            library.SSL_peek(connection, ctypes.create_string_buffer(1), 0)
            library.SSL_ctrl(connection, 33, ctypes.c_long(4), None)
            self.look_at_certificate()
            Shared.log("tls", connection=self.number, version=self.request.version(),
                       cipher=self.request.cipher()[0], certificate=self.certificate)
        except OSError as error:
            Shared.log("tls", connection=self.number, error=str(error))
            raise Gone from error

    def handle_one_request(self):
        with Shared.lock:
            Shared.idle.add(self.request)
        try:
            super().handle_one_request()
        except (Gone, OSError):
            self.close_connection = True
        finally:
            with Shared.lock:
                Shared.idle.discard(self.request)

    def reset_connection(self):
        # With a linger time of 0, closing sends a reset.
        self.request.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

    def log_message(self, *_):
        pass

    # --- a request --------------------------------------------------------------------------------------

    def do_POST(self):
        with Shared.lock:
            Shared.idle.discard(self.request)
        self.of_connection += 1
        self.row = {"connection": self.number, "request": next(Shared.requests),
                    "of_connection": self.of_connection, "method": self.command, "path": self.path,
                    "scheme": None, "user": None, "protocol": None, "sealed": False, "operation": None,
                    "bytes": 0, "status": None, "fault": None, "reason": None}
        self.login = self.logins[self.of_connection % len(self.logins)]
        self.token = None
        if "Content-Length" not in self.headers:
            return self.answer(411, reason="no Content-Length")
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.row["bytes"] = len(body)
        if given.client_certificate == "later" and self.of_connection == 1:
            self.ask_for_certificate()
        if fault := Shared.fault(FRONT, None, self.of_connection):
            return self.refuse(fault) if fault.kind == "front" else self.answer_as(fault)
        if self.headers["Authorization"]:
            if not self.authorize(self.headers["Authorization"]):
                return
        elif self.login.user is None:
            return self.answer(401, offers=True, reason="not authenticated")
        self.row["user"], self.row["protocol"] = self.login.user, self.login.protocol
        self.serve(body)
        if given.each_request:
            self.login.reset()

    do_GET = do_PUT = do_POST

    def serve(self, body):
        kind = self.headers.get("Content-Type", "")
        self.row["sealed"] = kind.lower().startswith("multipart/encrypted")
        if self.login.gone:
            return self.answer(400, reason="the context is gone")
        if not body:
            return self.answer(200) if self.token is not None else self.answer(400, reason="no body")
        if self.row["sealed"]:
            try:
                body = self.unseal(kind, body)
            except Exception as error:
                return self.answer(400, reason=f"cannot unseal: {error}")
        elif self.login.context and not self.server.tls and given.unsealed != "accept":
            return self.answer(int(given.unsealed), offers=given.unsealed == "401", reason="not sealed")
        found = re.search(rb"<(?:\w+:)?Action\b[^>]*>\s*([^<\s]+)", body)
        operation = self.row["operation"] = found and found[1].decode().rsplit("/", 1)[-1]
        self.operations += 1
        fault = Shared.fault(REQUEST, operation, self.operations)
        self.row["fault"] = kind = fault and fault.kind
        if kind == "status":
            return self.refuse(fault)
        if kind == "reauthenticate":
            self.login.reset()
            return self.answer(401, offers=True, reason="logs on again")
        if kind == "context-gone":
            self.login.gone = True
            return self.answer(400, reason="the context is gone")
        if kind == "close-unanswered":
            return self.close(fault)
        try:
            status, media, answer = wsman_fault(fault.value) if kind == "fault" else self.forward(body)
        except (OSError, http.client.HTTPException) as error:
            return self.answer(502, reason=f"backend: {type(error).__name__}: {error}")
        if kind == "close-executed":
            return self.close(fault)
        if self.row["sealed"] and answer and kind != "unsealed":
            media, answer = self.seal(answer, kind)
        self.answer(status, answer, media, half=kind == "truncated")
        if kind == "close-after":
            self.close_connection = True

    def refuse(self, fault):
        status, _, location = fault.value.partition(",")
        headers = [("Location", location)] if location else []
        if status == "407":
            headers.append(("Proxy-Authenticate", 'Basic realm="proxy"'))
        self.row["fault"] = fault.kind
        text = f"<HTML><BODY><h2>{http.client.responses.get(int(status))}</h2></BODY></HTML>".encode()
        self.answer(int(status), text, "text/html; charset=us-ascii", headers, server=given.server)

    def answer_as(self, fault):
        status, media, body, *header = fault.value.split("|")
        self.row["fault"] = fault.kind
        headers = [tuple(one.split(": ", 1)) for one in header]
        self.answer(int(status), body.encode(), media or None, headers, server=given.server)

    def close(self, fault):
        Shared.log("request", **self.row)
        if fault.value == "reset":
            self.reset_connection()
        raise Gone

    def answer(self, status, body=b"", media=SOAP, headers=(), offers=False, reason=None, half=False, server=None):
        self.row["status"], self.row["reason"] = status, self.row["reason"] or reason
        lines = [f"HTTP/1.1 {status} {http.client.responses.get(status, '')}"]
        if body and media:
            lines.append(f"Content-Type: {media}")
        lines.append(f"Server: {server or 'Microsoft-HTTPAPI/2.0'}")
        if self.token:
            lines.append(f"WWW-Authenticate: {self.row['scheme']} {base64.b64encode(self.token).decode()}")
        elif offers:
            for offer in given.offer:
                lines.append("WWW-Authenticate: " + ('Basic realm="WSMAN"' if offer == "Basic" else offer))
        lines += [f"{name}: {value}" for name, value in headers]
        lines.append(f"Content-Length: {len(body)}")
        if half:
            body = body[:len(body) // 2]
            self.close_connection = True
        Shared.log("request", **self.row)
        with Shared.lock:
            Shared.idle.add(self.request)
        self.wfile.write("\r\n".join(lines).encode() + b"\r\n\r\n" + body)

    # --- authentication ---------------------------------------------------------------------------------

    def authorize(self, value):
        """Returns whether the request is authorized; answers it if not."""
        scheme, _, rest = value.partition(" ")
        self.row["scheme"] = "Certificate" if value == MUTUAL else scheme
        fault = Shared.fault(LOGON, None, self.of_connection)
        self.row["fault"] = fault and fault.kind
        binding = None
        try:
            if value == MUTUAL:
                self.by_certificate()
                done = True
            elif scheme not in given.offer:
                raise Refused("not offered")
            elif scheme == "Basic":
                user, _, password = base64.b64decode(rest).decode().partition(":")
                if accounts().get(user.lower()) != password:
                    raise Refused("wrong user or password")
                self.login.reset()
                self.login.user, done = user, True
            else:
                token = base64.b64decode(rest, validate=True)
                binding = ntlm_binding(token)
                done, binding = self.step(scheme, token, binding, fault)
            if done and fault and fault.kind == "locked":
                raise Refused("locked")
        except Exception as error:
            self.login.reset()
            self.token = None
            reason = str(error) if isinstance(error, Refused) else f"{type(error).__name__}: {error}"
            self.logon(False, binding, reason)
            self.answer(401, offers=True, reason="the logon was refused")
            return False
        if self.token and fault:
            self.change_token(fault, done)
        if not done:
            self.answer(401, reason="a step of the logon")
            return False
        if self.login.protocol and self.token:
            with Shared.lock:
                Shared.finals[self.login.protocol] = self.token
        self.login.scheme, self.login.gone = self.row["scheme"], False
        self.logon(True, binding, None)
        # An empty token: this request has logged on.
        self.token = self.token or b""
        return True

    def logon(self, ok, binding, reason):
        Shared.log("logon", connection=self.number, scheme=self.row["scheme"], ok=ok, user=self.login.user,
                   protocol=self.login.protocol, reason=reason, binding=binding)

    def by_certificate(self):
        self.login.reset()
        if not given.client_ca or not self.server.tls:
            raise Refused("not offered")
        if self.certificate is None:
            raise Refused("no client certificate")
        if given.client_user and self.certificate != given.client_user:
            raise Refused("the certificate is mapped to no user")
        self.login.user = self.certificate

    def step(self, scheme, token, binding, fault):
        login = self.login
        if given.forms == "spnego" and token.startswith(b"NTLMSSP\0"):
            raise Refused("NTLM without SPNEGO")
        if token[:1] == b"\x60" or token.startswith(b"NTLMSSP\0\1"):
            login.reset()
            login.context, login.first = acceptor(scheme), token
        elif fault and fault.kind == "endless":
            login.context = acceptor(scheme)
            self.token = login.context.step(login.first)
            return False, binding
        elif login.context is None or login.context.complete:
            raise Refused("a token without its handshake")
        bindings = self.server.bindings
        if bindings and binding:
            # http.sys with Relaxed accepts an absent binding, but no wrong or empty one.
            if binding == "empty" or binding == "absent" and given.cbt == "strict":
                raise Refused(f"channel binding is {binding}")
            if binding == "absent":
                bindings = None
        self.token = login.context.step(token, channel_bindings=bindings)
        if not login.context.complete or fault and fault.kind == "endless":
            return False, binding
        if login.protocol == "kerberos" and bindings:
            inner = getattr(login.context, "_context", None)
            inner = inner if isinstance(inner, spnego.ContextProxy) else login.context
            binding = "matched" if inner._context_attr & CHANNEL_BOUND else "absent"
            if given.cbt == "strict" and binding == "absent":
                raise Refused("channel binding is absent")
        elif binding == "present" and bindings:
            binding = "matched"
        login.user = login.context.client_principal
        return True, binding

    def change_token(self, fault, done):
        if fault.kind == "truncated-token":
            self.token = self.token[:len(self.token) // 2]
        elif fault.kind == "not-ntlm":
            self.token = b"no token of NTLM"
        elif fault.kind == "absurd-challenge":
            self.token = absurd(self.token, fault.value)
        elif fault.kind == "big-token":
            self.token += bytes(1 << 20)
        elif done and fault.kind == "other-token":
            with Shared.lock:
                self.token = Shared.finals.get(self.login.protocol, self.token)
        elif done and fault.kind == "final":
            self.token = b"" if fault.value == "missing" else flipped(self.token, -1)

    # --- sealing: MS-WSMV 2.2.9.1 -----------------------------------------------------------------------

    def media(self):
        return SEALED.get(self.login.scheme.lower(), SPNEGO_SEALED)

    def unseal(self, kind, body):
        parameters = dict(re.findall(r';\s*(\w+)="([^"]*)"', kind))
        if parameters.get("protocol") != self.media():
            raise ValueError(f"protocol {parameters.get('protocol')}, expected {self.media()}")
        if self.login.context is None:
            raise ValueError("this logon has no keys")
        boundary = b"--" + parameters["boundary"].encode()
        shape = re.compile(
            re.escape(boundary) + rb"\r\n\s*Content-Type: (\S+)\r\n"
            rb"\s*OriginalContent: type=application/soap\+xml;charset=(?i:utf-8);Length=(\d+)\r\n"
            + re.escape(boundary) + rb"\r\n\s*Content-Type: application/octet-stream\r\n", re.ASCII)
        head, end = shape.match(body), boundary + b"--\r\n"
        if head is None or head[1].decode() != self.media() or not body.endswith(end):
            raise ValueError("not the shape of a sealed body")
        data = body[head.end():-len(end)]
        length, = struct.unpack_from("<I", data)
        plain = self.login.context.unwrap_winrm(data[4:4 + length], data[4 + length:])
        if len(plain) != int(head[2]):
            raise ValueError(f"Length={int(head[2])}, but it is {len(plain)}")
        return plain

    def seal(self, body, fault):
        space = " " if given.boundary == "exchange" else ""
        boundary, message = f"--{space}Encrypted Boundary", b""
        size = -(-len(body) // given.parts)
        for at in range(0, len(body), size):
            part = body[at:at + size]
            sealer = self.stranger() if fault == "other-context" else self.login.context
            ntlm = self.login.protocol == "ntlm"
            if fault == "bad-sequence" and not ntlm:
                sealer.wrap_winrm(b"dropped")
            header, data, padding = sealer.wrap_winrm(part)
            if fault == "bad-sequence" and ntlm:
                # Changes only the number: omitting a message would also shift the key stream.
                header = flipped(header, 12)
            if fault == "bad-signature":
                header = flipped(header, 5 if ntlm else -1)
            length = len(part) + padding + (fault == "bad-length")
            message += (f"{boundary}\r\n\tContent-Type: {self.media()}\r\n"
                        f"\tOriginalContent: type={SOAP};Length={length}\r\n"
                        f"{boundary}\r\n\tContent-Type: application/octet-stream\r\n").encode()
            message += struct.pack("<I", len(header)) + header + data
        message += f"{boundary}--\r\n".encode()
        with Shared.lock:
            last = Shared.sealed.get(self.number)
            others = [sealed for number, sealed in Shared.sealed.items() if number != self.number]
            Shared.sealed[self.number] = message
        if fault == "replay" and last:
            message = last
        if fault == "other-context" and self.login.protocol == "kerberos":
            if not others:
                raise RuntimeError("other-context needs an answer on another connection first")
            message = others[-1]
        return f'multipart/encrypted;protocol="{self.media()}";boundary="Encrypted Boundary"', message

    def stranger(self):
        """Returns an NTLM context with another client."""
        if self.login.protocol != "ntlm":
            return self.login.context
        user, password = next(iter(accounts().items()))
        client, server = spnego.client(user, password, protocol="ntlm"), spnego.server(protocol="ntlm")
        server.step(client.step(server.step(client.step())))
        return server

    # --- the backend ------------------------------------------------------------------------------------

    def forward(self, body):
        if not given.backend:
            return 200, SOAP, body
        way = self.of_connection if given.balance else self.number
        url = urlsplit(given.backend[way % len(given.backend)])
        backend = http.client.HTTPConnection(url.hostname, url.port)
        account = f"{os.environ['BACKEND_USER']}:{os.environ['BACKEND_PASSWORD']}".encode()
        headers = {"Authorization": "Basic " + base64.b64encode(account).decode(), "Content-Type": SOAP}
        query = urlsplit(self.path).query
        backend.request("POST", url.path + (f"?{query}" if query else ""), body, headers)
        try:
            self.wait_for(backend)
            answer = backend.getresponse()
            return answer.status, answer.headers.get("Content-Type", SOAP), answer.read()
        finally:
            backend.close()

    def wait_for(self, backend):
        """Waits for the backend. Like http.sys, drops the request if the client disconnects."""
        watched = [backend.sock, self.request]
        while backend.sock not in select.select(watched, [], [])[0]:
            # In TLS 1.3, a record announces the end.
            if self.server.tls or not socket.socket.recv(self.request, 1, socket.MSG_PEEK):
                self.row["reason"] = "the client has gone"
                Shared.log("request", **self.row)
                raise Gone
            watched = [backend.sock]


class Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 64

    def shutdown_request(self, request):
        # The handler has closed the connection; with TLS, this object no longer owns it.
        request.close()

    def handle_error(self, request, address):
        kind, error, _ = sys.exc_info()
        if not issubclass(kind, OSError):
            Shared.log("error", error=f"{kind.__name__}: {error}")


def tls(arguments):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(arguments.certificate, arguments.key)
    if arguments.ciphers:
        context.set_ciphers(arguments.ciphers)
    if arguments.tls_max == "1.2":
        context.maximum_version = ssl.TLSVersion.TLSv1_2
    if arguments.client_ca:
        context.load_verify_locations(arguments.client_ca)
        if arguments.client_certificate == "handshake":
            context.verify_mode = ssl.CERT_OPTIONAL
        elif arguments.tls_max != "1.2":
            context.post_handshake_auth = True
            context.verify_mode = ssl.CERT_OPTIONAL
        # SSL_OP_NO_SESSION_RESUMPTION_ON_RENEGOTIATION: a resumed session requests no certificate.
        context.options |= 1 << 16
    return context


def options():
    parser = argparse.ArgumentParser(description="Windows' authentication in front of a WSMan endpoint")
    add = parser.add_argument
    add("--backend", action="append", help="URL of a plain endpoint; of several each connection has its own")
    add("--balance", action="store_true",
        help="requests of one connection go to two servers in turn, each with its own logons")
    add("--each-request", action="store_true",
        help="a logon is valid for one request, as in IIS without authPersistNonNTLM")
    add("--offer", action="append", help="Negotiate, Kerberos, NTLM, Basic or another word; none; default: the "
        "first two")
    add("--mechanisms", default="kerberos,ntlm", help="of Negotiate")
    add("--forms", choices=["all", "spnego"], default="all", help="spnego: NTLM only in SPNEGO")
    add("--unsealed", choices=["500", "401", "accept"], default="500",
        help="answer to a plain body over http after a logon that has keys")
    add("--boundary", choices=["wsman", "exchange"], default="wsman", help="exchange: a space after `--`")
    add("--parts", type=int, default=1, help="sealed parts of an answer")
    add("--idle", type=float, help="seconds after which an idle connection is closed")
    add("--server", default="Microsoft-HTTPAPI/2.0", help="the Server header of the faults front and status")
    add("--certificate", help="PEM file; makes it https")
    add("--key", help="PEM file")
    add("--certificates", metavar="FOLDER", help="https, with certificates made in the folder: ca.pem, "
        "server.pem, client.pem and their .key files; client certificates need --client-ca FOLDER/ca.pem")
    add("--signature", choices=["sha256", "sha384", "sha512"], default="sha256", help="of these certificates")
    add("--cbt", choices=["none", "relaxed", "strict"], default="relaxed", help="CbtHardeningLevel")
    add("--cbt-certificate", help="PEM file of the certificate that the bindings are of, behind a TLS proxy")
    add("--ciphers", help="OpenSSL's names, for TLS 1.2")
    add("--tls-max", choices=["1.2", "1.3"], default="1.3")
    add("--client-ca", help="PEM file: client certificates of this CA log on")
    add("--client-certificate", choices=["handshake", "later"], default="handshake",
        help="later: after a connection's first request; renegotiates with --tls-max 1.2")
    add("--client-user", help="the common name that is mapped to a user; default: any")
    add("--fault", action="append", default=[])
    arguments = parser.parse_args()
    arguments.offer = arguments.offer or ["Negotiate", "Kerberos"]
    if arguments.offer == ["none"]:
        arguments.offer = []
    if arguments.certificates:
        make_certificates(arguments.certificates, arguments.signature)
        arguments.certificate = os.path.join(arguments.certificates, "server.pem")
        arguments.key = os.path.join(arguments.certificates, "server.key")
    return arguments


def main():
    Acceptor.mechanisms = given.mechanisms.split(",")
    Shared.faults = [Fault(spec) for spec in given.fault]
    server = Server(("127.0.0.1", 0), Handler)
    server.tls = tls(given) if given.certificate else None
    server.bindings = None
    if server.tls and given.cbt != "none":
        server.bindings = bindings_of(given.cbt_certificate or given.certificate)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    scheme = "https" if server.tls else "http"
    print(json.dumps({"url": f"{scheme}://localhost:{server.server_port}/wsman", "port": server.server_port}),
          flush=True)
    for line in sys.stdin:
        order, _, rest = line.rstrip("\n").partition(" ")
        if order == "fault":
            with Shared.lock:
                Shared.faults.append(Fault(rest))
        elif order == "no-faults":
            with Shared.lock:
                Shared.faults.clear()
        elif order == "close-idle":
            with Shared.lock:
                for idle in Shared.idle:
                    socket.socket.shutdown(idle, socket.SHUT_RDWR)
        Shared.log("sync", text=rest)


if __name__ == "__main__":
    given = options()
    main()
