"""An HTTPS server with chosen certificates, cipher suites and versions of TLS.

Argument: a JSON object with `certificate` and `key` (PEM files), and optionally `ciphers`, `minimum`,
`maximum` (names of ssl.TLSVersion), `clients` (PEM file of the issuer of client certificates, which are then
required), `dh` (PEM file of parameters) and `cut` (end the connection after the request). Prints the port,
then a JSON object for each request or failed handshake. Answers 404.
"""

import json
import socket
import ssl
import sys
import threading

options = json.loads(sys.argv[1])
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
# The system's security level would forbid the cipher suites of old servers.
context.set_ciphers(options.get("ciphers", "DEFAULT") + ":@SECLEVEL=0")
context.minimum_version = getattr(ssl.TLSVersion, options.get("minimum", "TLSv1_2"))
context.maximum_version = getattr(ssl.TLSVersion, options.get("maximum", "TLSv1_3"))
context.load_cert_chain(options["certificate"], options["key"])
if "clients" in options:
    context.load_verify_locations(options["clients"])
    context.verify_mode = ssl.CERT_REQUIRED
if "dh" in options:
    context.load_dh_params(options["dh"])


def report(**facts):
    print(json.dumps(facts), flush=True)


def subject(certificate):
    parts = dict(part[0] for part in certificate["subject"]) if certificate else {}
    return parts.get("commonName")


def serve(connection):
    connection.settimeout(30)
    # Keeps the connection open after a failed handshake, so that the client can read the alert.
    kept = connection.dup()
    kept.settimeout(30)
    try:
        with context.wrap_socket(connection, server_side=True) as tls:
            data = b""
            while b"\r\n\r\n" not in data:
                more = tls.recv(65536)
                if not more:
                    return
                data += more
            head, _, body = data.partition(b"\r\n\r\n")
            lines = [line.split(": ", 1) for line in head.decode().split("\r\n")[1:]]
            headers = {name.lower(): value for name, value in lines}
            while len(body) < int(headers.get("content-length", 0)):
                body += tls.recv(65536)
            report(
                authorization=headers.get("authorization"),
                client=subject(tls.getpeercert()),
                cipher=tls.cipher()[0],
                version=tls.version(),
            )
            if not options.get("cut"):
                tls.sendall(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
                # The client ends the connection, so that it reads the answer before any alert.
                tls.recv(65536)
    except OSError as error:
        report(failed=str(error))
        try:
            while kept.recv(65536):
                pass
        except OSError:
            pass
    finally:
        kept.close()


listener = socket.create_server(("127.0.0.1", 0))
print(listener.getsockname()[1], flush=True)
threading.Thread(target=lambda: (sys.stdin.read(), listener.close()), daemon=True).start()
while True:
    try:
        accepted, _ = listener.accept()
    except OSError:
        break
    threading.Thread(target=serve, args=(accepted,), daemon=True).start()
