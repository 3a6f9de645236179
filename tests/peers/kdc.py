#!/usr/bin/env python3
"""An MIT KDC on loopback, for one test: kdc.py FOLDER [USER=PASSWORD ...]

The realm is LITWAREINC.COM, the services are HTTP/localhost, WSMAN/localhost and host/localhost. One line of JSON
on standard output: realm, port, KRB5_CONFIG, KRB5_KTNAME (of the services), users. The KDC ends with standard input.

--enctypes NAMES      of all keys, as in kdc.conf; default aes256-cts:normal
--clockskew SECONDS   tolerated by clients and services
"""
import argparse, json, os, shutil, socket, subprocess, sys, time

REALM = "LITWAREINC.COM"
SERVICES = ["HTTP/localhost", "WSMAN/localhost", "host/localhost"]


def tool(name):
    return shutil.which(name) or shutil.which(name, path="/usr/sbin:/sbin:/usr/local/sbin") or sys.exit(
        f"{name} is missing: the Debian packages are krb5-kdc and krb5-admin-server")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("folder")
    parser.add_argument("users", nargs="*", default=["kenmyer=P@ssw0rd-åß"])
    parser.add_argument("--enctypes", default="aes256-cts:normal")
    parser.add_argument("--clockskew", default="300")
    given = parser.parse_args()
    at = lambda name: os.path.join(os.path.abspath(given.folder), name)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with open(at("krb5.conf"), "w") as file:
        file.write(f"""[libdefaults]
 default_realm = {REALM}
 dns_lookup_kdc = false
 dns_lookup_realm = false
 dns_canonicalize_hostname = false
 rdns = false
 udp_preference_limit = 1
 clockskew = {given.clockskew}
 allow_weak_crypto = true
 allow_rc4 = true
[realms]
 {REALM} = {{
  kdc = 127.0.0.1:{port}
 }}
[domain_realm]
 localhost = {REALM}
""")
    with open(at("kdc.conf"), "w") as file:
        file.write(f"""[kdcdefaults]
 kdc_listen = 127.0.0.1:{port}
 kdc_tcp_listen = 127.0.0.1:{port}
[realms]
 {REALM} = {{
  database_name = {at("principal")}
  key_stash_file = {at("stash")}
  acl_file = {at("acl")}
  supported_enctypes = {given.enctypes}
  max_life = 10h
 }}
[logging]
 kdc = FILE:{at("kdc.log")}
""")
    environment = {**os.environ, "KRB5_CONFIG": at("krb5.conf"), "KRB5_KDC_PROFILE": at("kdc.conf")}
    run = lambda *command: subprocess.run(
        command, env=environment, check=True, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT, text=True)
    try:
        run(tool("kdb5_util"), "create", "-s", "-r", REALM, "-P", "master")
        admin = tool("kadmin.local")
        for user in given.users:
            name, _, password = user.partition("=")
            # Active Directory requires preauthentication of every user; without it a wrong password is found by
            # the client alone.
            run(admin, "-r", REALM, "addprinc", "+requires_preauth", "-pw", password, name)
        for service in SERVICES:
            run(admin, "-r", REALM, "addprinc", "-randkey", service)
            run(admin, "-r", REALM, "ktadd", "-k", at("keytab"), service)
    except subprocess.CalledProcessError as error:
        sys.exit(f"{error.cmd}: {error.stdout}")
    # In the foreground, so that it ends with this process.
    kdc = subprocess.Popen([tool("krb5kdc"), "-n", "-r", REALM], env=environment, stdin=subprocess.DEVNULL,
                           stdout=subprocess.DEVNULL)
    try:
        for _ in range(200):
            try:
                socket.create_connection(("127.0.0.1", port), 1).close()
                break
            except OSError:
                if kdc.poll() is not None:
                    sys.exit("krb5kdc ended")
                time.sleep(0.05)
        print(json.dumps({"realm": REALM, "port": port, "KRB5_CONFIG": at("krb5.conf"),
                          "KRB5_KTNAME": "FILE:" + at("keytab"), "log": at("kdc.log"),
                          "users": [user.partition("=")[0] for user in given.users]}), flush=True)
        sys.stdin.read()
    finally:
        kdc.terminate()
        kdc.wait()


if __name__ == "__main__":
    main()
