"""A name server of our own, and a daemon that asks only that: it gets a resolv.conf and a hosts file in a mount namespace (root only)."""
import os
import random
import socket
import struct
import subprocess
import threading

from harness import Daemon


def possible():
    return os.geteuid() == 0 and subprocess.run(["unshare", "-m", "true"], capture_output=True).returncode == 0


class Names:
    """Answers by table: name -> list of addresses (or a function of the number of the question); None: silence; [] : NXDOMAIN."""

    def __init__(self, table, ttl=0):
        self.table, self.ttl, self.asked = table, ttl, {}
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.server = f"127.{random.randrange(1, 255)}.{random.randrange(256)}.53"  # suites may run side by side
        self.socket.bind((self.server, 53))
        self.thread = threading.Thread(target=self.serve, daemon=True)
        self.thread.start()

    def serve(self):
        while True:
            query, peer = self.socket.recvfrom(2048)
            if not query:
                return
            answer = self.answer(query)
            if answer:
                self.socket.sendto(answer, peer)

    def answer(self, query):
        labels, at = [], 12
        while query[at]:
            labels.append(query[at + 1:at + 1 + query[at]].decode())
            at += query[at] + 1
        kind, = struct.unpack("!H", query[at + 1:at + 3])
        name = ".".join(labels).lower()
        n = self.asked[name, kind] = self.asked.get((name, kind), 0) + 1
        found = self.table.get(name.removesuffix(".fixture.example"), [])
        found = found(n) if callable(found) else found
        if found is None:
            return None
        owner, records, count = b"\xc0\x0c", b"", 0
        for address in found:
            if address.startswith("@"):  # a CNAME
                target = b"".join(bytes([len(x)]) + x.encode() for x in address[1:].split(".")) + b"\0"
                records += owner + struct.pack("!HHIH", 5, 1, self.ttl, len(target)) + target
                owner = target
                count += 1
                continue
            family = socket.AF_INET6 if ":" in address else socket.AF_INET
            if kind == (28 if family == socket.AF_INET6 else 1):
                data = socket.inet_pton(family, address)
                records += owner + struct.pack("!HHIH", kind, 1, self.ttl, len(data)) + data
                count += 1
        code = 0 if found else 3
        return query[:2] + struct.pack("!HHHHH", 0x8180 | code, 1, count, 0, 0) + query[12:at + 5] + records

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        self.socket.sendto(b"", (self.server, 53))
        self.thread.join()
        self.socket.close()


def asking(names, folder):
    """What makes a program ask only names (Daemon.wrap): the files that say so, in folder, stand where it looks for them."""
    with open(f"{folder}/resolv.conf", "w", encoding="utf-8") as f:
        f.write(f"nameserver {names.server}\n")
    with open(f"{folder}/hosts", "w", encoding="utf-8") as f:
        f.write("127.0.0.1 localhost\n10.0.0.9 hosts-file.fixture.example\n")
    script = ('mount --make-rprivate / 2>/dev/null; mount --bind "$0/resolv.conf" /etc/resolv.conf && mount --bind "$0/hosts" /etc/hosts'
              ' && exec "$@"')
    return ["unshare", "-m", "sh", "-c", script, folder]


class NamedDaemon(Daemon):
    """A daemon that asks only names."""

    def __init__(self, names, conf="", replace=None):
        super().__init__(conf, replace=replace, start=False)
        self.wrap = asking(names, self.dir)
        try:
            self.start()
        except BaseException:
            self.kill()
            raise
