#!/usr/bin/env python3
"""A pyspnego client of negotiate_server.py: runs steps on one connection.

usage: negotiate_client.py JSON, a list of runs, each an object with url, user, password, steps, and optionally
  scheme (Negotiate, Kerberos, NTLM), protocol (ntlm, negotiate, kerberos), binding (none, right, empty, wrong),
  ca, certificate, key, tls_max, ciphers, later (answers a request for a certificate after the handshake)
Steps: connect (a new connection; the first is implied), logon, mutual (by certificate), basic, send (sealed over
http), plain, wait (until the server closes). Prints a JSON list with a list for each run, with a status or a failure
for each step.
"""
import base64, http.client, json, re, socket, ssl, struct, sys
from urllib.parse import urlsplit

import spnego
import spnego._ntlm
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from spnego.channel_bindings import GssChannelBindings
from spnego.exceptions import SpnegoError

ENUMERATION = "http://schemas.xmlsoap.org/ws/2004/09/enumeration"
BODY = ('<s:Envelope xmlns:s="http://www.w3.org/2003/05/soap-envelope" xmlns:n="' + ENUMERATION + '" '
        'xmlns:a="http://schemas.xmlsoap.org/ws/2004/08/addressing"><s:Header><a:Action>' + ENUMERATION +
        '/Enumerate</a:Action></s:Header><s:Body><n:Enumerate/></s:Body><!-- åß --></s:Envelope>').encode()
MUTUAL = "http://schemas.dmtf.org/wbem/wsman/1/wsman/secprofile/https/mutual"
# Header lines of 1.4 MB are expected.
http.client._MAXLINE = 1 << 22


class Client:
    def __init__(self, given):
        self.given, self.url = given, urlsplit(given["url"])
        self.scheme = given.get("scheme", "Negotiate")
        self.connect()

    def connect(self):
        self.context, self.socket = None, socket.create_connection((self.url.hostname, self.url.port), 30)
        if self.url.scheme == "https":
            tls = ssl.create_default_context(cafile=self.given.get("ca"))
            if "certificate" in self.given:
                tls.load_cert_chain(self.given["certificate"], self.given["key"])
            if self.given.get("tls_max") == "1.2":
                tls.maximum_version = ssl.TLSVersion.TLSv1_2
            if "ciphers" in self.given:
                tls.set_ciphers(self.given["ciphers"])
            tls.post_handshake_auth = bool(self.given.get("later"))
            self.socket = tls.wrap_socket(self.socket, server_hostname=self.url.hostname)
        self.reader = self.socket.makefile("rb")
        return "connected"

    def ask(self, body=b"", kind="application/soap+xml;charset=UTF-8", authorization=None):
        lines = [f"POST {self.url.path} HTTP/1.1", f"Host: {self.url.netloc}", f"Content-Type: {kind}",
                 f"Content-Length: {len(body)}"]
        if authorization:
            lines.append(f"Authorization: {authorization}")
        self.socket.sendall("\r\n".join(lines).encode() + b"\r\n\r\n" + body)
        if not self.reader.peek(1):
            raise EOFError
        answer = http.client.HTTPResponse(self.socket)
        answer.fp.close()
        answer.fp = self.reader
        answer.begin()
        # The reader must outlive the answer.
        answer._close_conn = lambda: None
        return answer, answer.read()

    def bindings(self):
        way = self.given.get("binding", "none")
        if way == "none":
            return None
        if way == "empty":
            return Empty()
        parsed = x509.load_der_x509_certificate(self.socket.getpeercert(True))
        data = parsed.fingerprint(parsed.signature_hash_algorithm)
        return GssChannelBindings(application_data=b"tls-server-end-point:" + (b"no" if way == "wrong" else data))

    def logon(self):
        self.context = spnego.client(
            self.given["user"], self.given["password"], hostname=self.url.hostname, service="HTTP",
            protocol=self.given.get("protocol", "ntlm"), channel_bindings=self.bindings())
        token = self.context.step()
        for _ in range(6):
            answer, _ = self.ask(authorization=f"{self.scheme} {base64.b64encode(token).decode()}")
            lines = [line.split(" ", 1) for line in answer.headers.get_all("WWW-Authenticate", [])]
            tokens = [line[1] for line in lines if line[0] == self.scheme and len(line) == 2]
            if not tokens:
                complete = "" if answer.status == 401 or self.context.complete else " without the last token"
                return f"{answer.status}{complete}" if complete else answer.status
            if len(tokens[0]) > 1 << 16:
                return f"{answer.status} with a token of 1 MB"
            try:
                if self.context.complete:
                    return f"{answer.status} with another challenge"
                token = self.context.step(base64.b64decode(tokens[0]))
            except (SpnegoError, ValueError, struct.error, UnicodeDecodeError, IndexError):
                return f"{answer.status} with a wrong token"
            if answer.status == 200:
                return 200
            if token is None:
                return f"{answer.status} with another challenge"
        return "no end"

    def mutual(self):
        return self.ask(authorization=MUTUAL)[0].status

    def basic(self):
        account = f"{self.given['user']}:{self.given['password']}".encode()
        answer, body = self.ask(BODY, authorization="Basic " + base64.b64encode(account).decode())
        return answer.status

    def plain(self):
        answer, body = self.ask(BODY)
        return answer.status

    def send(self):
        if self.url.scheme == "https":
            answer, body = self.ask(BODY)
            return answer.status if body in (BODY, b"") else f"{answer.status} with another body"
        kind = "Kerberos" if self.scheme == "Kerberos" else "SPNEGO"
        protocol = f"application/HTTP-{kind}-session-encrypted"
        header, data, padding = self.context.wrap_winrm(BODY)
        body = (f"--Encrypted Boundary\r\n\tContent-Type: {protocol}\r\n\tOriginalContent: "
                f"type=application/soap+xml;charset=UTF-8;Length={len(BODY) + padding}\r\n"
                f"--Encrypted Boundary\r\n\tContent-Type: application/octet-stream\r\n").encode()
        body += struct.pack("<I", len(header)) + header + data + b"--Encrypted Boundary--\r\n"
        answer, body = self.ask(body, f'multipart/encrypted;protocol="{protocol}";boundary="Encrypted Boundary"')
        return self.unseal(answer, body)

    def unseal(self, answer, body):
        if not answer.headers.get("Content-Type", "").startswith("multipart/encrypted"):
            return f"{answer.status} unsealed" if body == BODY else answer.status
        plain, space = b"", " " if body.startswith(b"-- ") else ""
        parts = re.split(rb"-- ?Encrypted Boundary(?:--)?\r\n", body)[1:-1]
        for head, data in zip(parts[::2], parts[1::2]):
            data = data.split(b"\r\n", 1)[1]
            length, = struct.unpack_from("<I", data)
            try:
                part = self.context.unwrap_winrm(data[4:4 + length], data[4 + length:])
            except Exception:
                return f"{answer.status} not to be unsealed"
            if int(head.split(b"Length=")[1]) != len(part):
                return f"{answer.status} with a wrong length"
            plain += part
        shape = "".join((" exchange" if space else "", f" {len(parts) // 2} parts" if len(parts) > 2 else ""))
        return f"{answer.status} sealed{shape}" if plain == BODY else f"{answer.status} with another body"

    def wait(self):
        return "closed" if not self.reader.read(1) else "data"


class Empty(GssChannelBindings):
    """Bindings whose hash in NTLM is all zeros."""

    def pack(self):
        return b""


def run(given):
    seen, client = [], None
    for step in given["steps"]:
        try:
            client = client or Client(given)
            seen.append(getattr(client, step)())
        except (EOFError, http.client.IncompleteRead) as error:
            seen.append("truncated" if isinstance(error, http.client.IncompleteRead) else "closed")
        except OSError as error:
            seen.append("reset" if isinstance(error, ConnectionResetError) else type(error).__name__)
        except SpnegoError as error:
            seen.append(f"cannot: {error}")
    return seen


def main():
    md5 = spnego._ntlm.md5
    # Returns zeros as the hash of Empty.
    spnego._ntlm.md5 = lambda data: md5(data) if data else bytes(16)
    print(json.dumps([run(given) for given in json.loads(sys.argv[1])]))


if __name__ == "__main__":
    main()
