#!/usr/bin/env python3
"""pyspnego as the acceptor of a Kerberos context, on standard input and output, one JSON object per line: `accept`
creates the context; `step`, `wrap` and `unwrap` are its calls. Uses python-gssapi.
"""
import base64, json, sys

import gssapi
import spnego
from spnego.channel_bindings import GssChannelBindings

# Raises an error immediately, not after sending the token to the peer.
gssapi.SecurityContext.__DEFER_STEP_ERRORS__ = False


def encode(data):
    return base64.b64encode(data).decode()


def run(context, row):
    what = row["do"]
    if what == "accept":
        binding = row.get("binding")
        if binding:
            binding = GssChannelBindings(application_data=base64.b64decode(binding))
        return spnego.server(
            protocol=row["mechanism"], service="HTTP", hostname="localhost", channel_bindings=binding or None
        ), {}
    if what == "step":
        token = context.step(base64.b64decode(row["token"]))
        peer = context.client_principal if context.complete else None
        return context, {"token": encode(token) if token else None, "established": context.complete, "peer": peer}
    if what == "wrap":
        sealed = context.wrap_winrm(base64.b64decode(row["data"]))
        return context, {
            "header": encode(sealed.header), "data": encode(sealed.data), "padding": sealed.padding_length
        }
    if what == "unwrap":
        message = context.unwrap_winrm(base64.b64decode(row["header"]), base64.b64decode(row["data"]))
        return context, {"data": encode(message)}
    raise ValueError(what)


def main():
    context = None
    for line in sys.stdin:
        try:
            context, answer = run(context, json.loads(line))
        except Exception as error:
            answer = {"error": {"problem": type(error).__name__, "code": 0, "text": str(error)}}
        print(json.dumps(answer), flush=True)


main()
