"""An HTTP proxy for CONNECT that authenticates connections with pyspnego. Prints a line of JSON with its port, then one
for each request and logon. Ends with its standard input. NTLM_USER_FILE names the accounts, KRB5_KTNAME the keytab.

  --offer SCHEME        offered in Proxy-Authenticate; may be repeated
  --mechanisms NAMES    of Negotiate: kerberos,ntlm
  --to HOST:PORT        connects to this address, regardless of the requested target
  --certificate FILE    TLS with this certificate and its key, both in PEM
"""
import argparse, base64, itertools, socket, ssl, sys, threading

from negotiate_server import Acceptor, Shared, accounts, acceptor


class Connection:
    numbers = itertools.count(1)

    def __init__(self, stream):
        self.stream, self.number, self.context = stream, next(self.numbers), None
        self.input = stream.makefile("rb")

    def run(self):
        try:
            while self.request():
                pass
        except OSError:
            pass
        finally:
            self.stream.close()

    def request(self):
        line = self.input.readline().decode("latin-1").split()
        if len(line) != 3:
            return False
        fields = {}
        while (header := self.input.readline().decode("latin-1").strip()):
            name, _, value = header.partition(":")
            fields[name.lower()] = value.strip()
        method, target, _ = line
        scheme, _, given_value = fields.get("proxy-authorization", "").partition(" ")
        Shared.log("request", connection=self.number, method=method, target=target, scheme=scheme)
        if method != "CONNECT":
            return self.answer("405 Method Not Allowed")
        if not given.offer or self.authenticate(scheme, given_value.strip()):
            return self.relay(target)
        return True

    def authenticate(self, scheme, value):
        """Returns whether the logon is complete; otherwise answers."""
        token = None
        try:
            if scheme not in given.offer:
                pass
            elif scheme == "Basic":
                user, _, password = base64.b64decode(value).decode().partition(":")
                if accounts().get(user.lower()) == password:
                    return self.logon(user)
                Shared.log("refused", user=user)
            else:
                self.context = self.context or acceptor(scheme)
                token = self.context.step(base64.b64decode(value))
                if self.context.complete:
                    return self.logon(str(self.context.client_principal), self.context.negotiated_protocol)
        except Exception as error:
            Shared.log("refused", error=f"{type(error).__name__}: {error}")
            self.context, token = None, None
        offers = [f"Proxy-Authenticate: {scheme} {base64.b64encode(token).decode()}"] if token else [
            "Proxy-Authenticate: " + ('Basic realm="proxy"' if one == "Basic" else one) for one in given.offer]
        self.answer("407 Proxy Authentication Required", offers)
        return False

    def logon(self, user, protocol=None):
        Shared.log("logon", connection=self.number, user=user, protocol=protocol)
        return True

    def answer(self, status, fields=()):
        page = f"<html><head><title>{status}</title></head></html>"
        head = [f"HTTP/1.1 {status}", *fields, "Content-Type: text/html", f"Content-Length: {len(page)}", "", page]
        self.stream.sendall("\r\n".join(head).encode())
        return True

    def relay(self, target):
        host, _, port = (given.to or target).rpartition(":")
        try:
            server = socket.create_connection((host.strip("[]"), int(port)))
        except OSError as error:
            Shared.log("unreachable", error=str(error))
            return self.answer("502 Bad Gateway")
        self.stream.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
        back = threading.Thread(target=copy, args=(server, self.stream), daemon=True)
        back.start()
        copy(self.stream, server)
        back.join()
        server.close()
        return False


def copy(source, sink):
    try:
        while (data := source.recv(65536)):
            sink.sendall(data)
        if not given.certificate:
            sink.shutdown(socket.SHUT_WR)
    except OSError:
        pass


def main():
    Acceptor.mechanisms = given.mechanisms.split(",")
    listener = socket.create_server(("127.0.0.1", 0))
    Shared.log("ready", port=listener.getsockname()[1])

    tls = None
    if given.certificate:
        tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        tls.load_cert_chain(given.certificate)

    def accept():
        while True:
            stream, _ = listener.accept()
            try:
                stream = tls.wrap_socket(stream, server_side=True) if tls else stream
            except OSError:
                continue
            threading.Thread(target=Connection(stream).run, daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    sys.stdin.read()


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--offer", action="append", default=[])
    parser.add_argument("--mechanisms", default="kerberos,ntlm")
    parser.add_argument("--to")
    parser.add_argument("--certificate")
    given = parser.parse_args()
    main()
