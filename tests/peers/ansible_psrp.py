#!/usr/bin/env python3
"""Ansible's psrp connection plugin against an endpoint.

usage: ansible_psrp.py JSON-LINE-OF-THE-ENDPOINT COMMAND...
Runs each command as the plugin does for Ansible's raw module, and prints one line of JSON: exit code, standard
output and standard error of each.
"""
import json
import os
import sys
import tempfile
from urllib.parse import urlsplit

os.environ.setdefault("ANSIBLE_LOCAL_TEMP", tempfile.mkdtemp(prefix="lyncsh-ansible-"))
os.environ["ANSIBLE_LOCALHOST_WARNING"] = "0"

from ansible.playbook.play_context import PlayContext
from ansible.plugins.loader import connection_loader, init_plugin_loader


def main(endpoint, commands):
    init_plugin_loader()
    where = urlsplit(endpoint["url"])
    context = PlayContext()
    context.remote_addr = where.hostname
    connection = connection_loader.get("psrp", context, os.devnull)
    variables = {
        "ansible_host": where.hostname,
        "ansible_port": where.port,
        "ansible_user": endpoint["user"],
        "ansible_password": endpoint["password"],
        "ansible_psrp_protocol": where.scheme,
        "ansible_psrp_path": where.path.lstrip("/"),
        "ansible_psrp_auth": "basic",
        "ansible_psrp_message_encryption": "never",
        "ansible_psrp_ignore_proxy": True,
    }
    connection.set_options(var_options=variables)
    seen = []
    try:
        for command in commands:
            code, out, err = connection.exec_command(command, sudoable=False)
            seen.append([code, out.decode(), err.decode()])
    finally:
        connection.close()
    print(json.dumps(seen))


if __name__ == "__main__":
    main(json.loads(sys.argv[1]), sys.argv[2:])
