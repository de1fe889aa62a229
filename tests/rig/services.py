# SPDX-License-Identifier: GPL-2.0-only
"""What a cluster has beside its hosts: an etcd, and an NFSv4 server with the shared
store. Both on this machine's loopback, which the nodes reach as 10.0.2.2."""
import base64
import json
import os
import socket
import ssl
import subprocess
import time
import urllib.request


def free_ports(count):
    sockets = [socket.socket() for _ in range(count)]
    try:
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]
    finally:
        for one in sockets:
            one.close()


class Service:
    """A program in the foreground; lives from start() to stop(), with restarts."""

    def __init__(self, folder, name, command):
        self.name = name
        self.command = ["setpriv", "--pdeathsig", "KILL"] + command
        self.pid_file = os.path.join(folder, f"{name}.pid")
        self.log = open(os.path.join(folder, f"{name}.log"), "ab")  # pylint: disable=consider-using-with
        self.process = None

    def ready(self):
        raise NotImplementedError

    def start(self):
        self.process = subprocess.Popen(self.command, stdout=self.log, stderr=self.log,
                                        stdin=subprocess.DEVNULL)
        with open(self.pid_file, "w", encoding="utf-8") as stream:
            stream.write(f"{self.process.pid}\n")
        for _ in range(600):
            if self.ready():
                return
            time.sleep(0.1)
        raise RuntimeError(f"{self.name} did not come up, see its log")

    def stop(self):
        if self.process and self.process.poll() is None:
            self.process.kill()
            self.process.wait()


class Etcd(Service):
    """One member, one cluster."""

    def __init__(self, folder, scheme="http", options=()):
        self.port, peer = free_ports(2)
        self.url = f"{scheme}://127.0.0.1:{self.port}"
        peer_url = f"http://127.0.0.1:{peer}"
        super().__init__(folder, "etcd", [
            "etcd", f"--data-dir={folder}/etcd", f"--listen-client-urls={self.url}",
            f"--advertise-client-urls={self.url}", f"--listen-peer-urls={peer_url}",
            f"--initial-advertise-peer-urls={peer_url}", f"--initial-cluster=default={peer_url}",
            "--log-level=error", *options])
        self.trust = None  # how its clients know it

    def ready(self):
        try:
            with urllib.request.urlopen(self.url + "/health", timeout=1, context=self.trust) as answer:
                return b"true" in answer.read()
        except OSError:
            return False

    def call(self, path, request, token=None):
        """One request of the v3 JSON gateway; its answer."""
        http = urllib.request.Request(self.url + path, json.dumps(request).encode(),
                                      {"Authorization": token} if token else {})
        with urllib.request.urlopen(http, timeout=5, context=self.trust) as answer:
            return json.load(answer)


class SecureEtcd(Etcd):
    """TLS with certificates for both sides, and a user who may touch /tlckpt/ alone.

    What the nodes need lies in the folder's etcd-client: ca.pem, cert.pem, key.pem, password."""

    USER, PASSWORD = "tlckpt", "of the rig"

    def __init__(self, folder):
        self.client = os.path.join(folder, "etcd-client")
        server = os.path.join(folder, "etcd-server")
        for end in (self.client, server):
            os.makedirs(end)
        ca = os.path.join(folder, "ca")
        self._openssl("-subj", "/CN=ca", "-keyout", ca + ".key", "-out", ca + ".pem")
        for end in (self.client, server):
            # Both roles, as its gateway is its client; no common name, which it refuses beside users.
            self._openssl("-CA", ca + ".pem", "-CAkey", ca + ".key", "-subj", "/O=" + os.path.basename(end),
                          "-addext", "subjectAltName=IP:127.0.0.1,IP:10.0.2.2",
                          "-addext", "basicConstraints=critical,CA:FALSE",
                          "-addext", "extendedKeyUsage=serverAuth,clientAuth",
                          "-keyout", end + "/key.pem", "-out", end + "/cert.pem")
        with open(ca + ".pem", encoding="utf-8") as source:
            authority = source.read()
        for name, text in (("ca.pem", authority), ("password", self.PASSWORD + "\n")):
            with open(os.path.join(self.client, name), "w", encoding="utf-8") as stream:
                stream.write(text)
        token = os.path.join(folder, "token")
        subprocess.run(["openssl", "genrsa", "-out", token + ".key", "2048"], check=True, stderr=subprocess.DEVNULL)
        subprocess.run(["openssl", "rsa", "-in", token + ".key", "-pubout", "-out", token + ".pem"],
                       check=True, stderr=subprocess.DEVNULL)
        super().__init__(folder, "https", [
            f"--auth-token=jwt,pub-key={token}.pem,priv-key={token}.key,sign-method=RS256,ttl=30s",
            f"--cert-file={server}/cert.pem", f"--key-file={server}/key.pem",
            "--client-cert-auth", f"--trusted-ca-file={ca}.pem"])
        self.trust = ssl.create_default_context(cafile=ca + ".pem")
        self.trust.load_cert_chain(self.client + "/cert.pem", self.client + "/key.pem")
        self.has_users = False

    @staticmethod
    def _openssl(*arguments):
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1",
                        "-nodes", "-days", "30", *arguments], check=True, stderr=subprocess.DEVNULL)

    def administer(self, path, request):
        token = self.call("/v3/auth/authenticate", {"name": "root", "password": self.PASSWORD})["token"]
        return self.call(path, request, token)

    def start(self):
        super().start()
        if self.has_users:
            return
        self.has_users = True
        for user in ("root", self.USER):
            self.call("/v3/auth/user/add", {"name": user, "password": self.PASSWORD})
            self.call("/v3/auth/role/add", {"name": user})
            self.call("/v3/auth/user/grant", {"user": user, "role": user})
        first, end = (base64.b64encode(key).decode() for key in (b"/tlckpt/", b"/tlckpt0"))
        self.call("/v3/auth/role/grant",
                  {"name": self.USER, "perm": {"permType": "READWRITE", "key": first, "range_end": end}})
        self.call("/v3/auth/enable", {})


class Nfs(Service):
    """The folder's `shared`, by NFSv4 alone: no portmapper, nothing outside the folder."""

    CONFIG = """
NFS_CORE_PARAM {{
	Protocols = 4; NFS_Port = {port}; Bind_addr = 127.0.0.1;
	Enable_NLM = false; Enable_RQUOTA = false; Enable_UDP = false; mount_path_pseudo = true;
}}
NFSv4 {{ Graceless = true; Lease_Lifetime = 15; Minor_Versions = 1, 2; RecoveryBackend = fs; RecoveryRoot = {folder}/nfs-clients; }}
NFS_KRB5 {{ Active_krb5 = false; }}
EXPORT {{
	Export_Id = 1; Path = {folder}/shared; Pseudo = /tlckpt; Access_Type = RW; Squash = No_Root_Squash;
	SecType = sys; Protocols = 4; Transports = TCP; FSAL {{ Name = VFS; }}
}}
"""

    def __init__(self, folder):
        self.port, = free_ports(1)
        for name in ("shared", "nfs-clients"):
            os.makedirs(os.path.join(folder, name))
        config = os.path.join(folder, "nfs.conf")
        with open(config, "w", encoding="utf-8") as stream:
            stream.write(self.CONFIG.format(port=self.port, folder=folder))
        os.makedirs("/run/ganesha", exist_ok=True)
        super().__init__(folder, "nfs", ["ganesha.nfsd", "-F", "-f", config, "-L", f"{folder}/nfs.messages",
                                         "-p", f"{folder}/nfs.lock"])

    def ready(self):
        try:
            with socket.create_connection(("127.0.0.1", self.port), timeout=1):
                return True
        except OSError:
            return False
