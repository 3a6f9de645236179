#!/usr/bin/env python3
"""One side of a security context in pyspnego or gss-ntlmssp, with pypsrp's sealed bodies, on standard input and
output, one JSON object per line. Bytes are base64. The first line configures the side; an acceptor reads its accounts
from the file NTLM_USER_FILE. Every answer is {"error": TEXT} or contains the results.
"""
import base64, json, sys

import gssapi
import spnego
from spnego.channel_bindings import GssChannelBindings
from pypsrp.encryption import WinRMEncryption


# MS-NLMP as a mechanism of GSSAPI.
NTLMSSP = gssapi.OID.from_int_seq("1.3.6.1.4.1.311.2.2.10")
SIGNATURE = 16


class GssNtlm:
    """The server's side of NTLM by gss-ntlmssp, with the methods of a context of pyspnego."""

    def __init__(self, row):
        binding = row["binding"] and gssapi.raw.ChannelBindings(application_data=decode(row["binding"]))
        credentials = gssapi.Credentials(usage="accept", mechs=[NTLMSSP])
        self.context = gssapi.SecurityContext(creds=credentials, channel_bindings=binding, usage="accept")

    complete = property(lambda self: self.context.complete)
    client_principal = property(lambda self: str(self.context.initiator_name))

    def step(self, token=None):
        return self.context.step(token)

    def wrap_winrm(self, data):
        message = self.context.wrap(data, True).message
        return spnego.WinRMWrapResult(message[:SIGNATURE], message[SIGNATURE:], 0)

    def unwrap_winrm(self, header, data):
        return self.context.unwrap(header + data).message


def encode(data):
    return None if data is None else base64.b64encode(data).decode()


def decode(text):
    return None if text is None else base64.b64decode(text)


def configure(row):
    if row["protocol"] == "gss-ntlmssp":
        return GssNtlm(row)
    binding = decode(row["binding"])
    common = {
        "channel_bindings": binding and GssChannelBindings(application_data=binding),
        "protocol": row["protocol"],
        # Uses pyspnego's own SPNEGO and NTLM instead of the system's libraries.
        "options": spnego.NegotiateOptions.use_negotiate if row["protocol"] == "negotiate" else 0,
    }
    if row["role"] == "accept":
        return spnego.server(**common)
    return spnego.client(row["user"], row["password"], hostname="server.litware.example", service="HTTP", **common)


def answer(context, row):
    data = decode(row.get("data"))
    if row["call"] == "step":
        return {"token": encode(context.step(data)), "established": context.complete}
    if row["call"] == "wrap":
        sealed = context.wrap_winrm(data)
        return {"header": encode(sealed.header), "data": encode(sealed.data), "padding": sealed.padding_length}
    if row["call"] == "unwrap":
        return {"data": encode(context.unwrap_winrm(decode(row["header"]), data))}
    if row["call"] == "principal":
        return {"principal": context.client_principal}
    encryption = WinRMEncryption(context, WinRMEncryption.SPNEGO)
    if row["call"] == "seal":
        content_type, body = encryption.wrap_message(data)
        protocol = encryption.protocol
        return {"type": f'{content_type};protocol="{protocol}";boundary="Encrypted Boundary"', "data": encode(body)}
    if row["call"] == "unseal":
        return {"data": encode(encryption.unwrap_message(data, "Encrypted Boundary"))}
    raise ValueError(row["call"])


def main():
    context = configure(json.loads(sys.stdin.readline()))
    for line in sys.stdin:
        try:
            result = answer(context, json.loads(line))
        except Exception as error:
            result = {"error": f"{type(error).__name__}: {error}"}
        print(json.dumps(result), flush=True)


main()
