"""What webhookd sends, byte for byte, so that the clients beside which it is measured send the same (request.h)."""
import contextlib
import re
import socket
import threading

import harness
import measure as kit

BY_THE_LIBRARY = ("Host", "Accept", "Content-Length")


class Recorder:
    """Answers 200 and keeps (head, body) of each request."""

    def __init__(self):
        self.requests, self.listener = [], socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self.listener.getsockname()[1]}/hook"
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        with contextlib.suppress(OSError):
            while True:
                threading.Thread(target=self.talk, args=(self.listener.accept()[0],), daemon=True).start()

    def talk(self, connection):
        data = b""
        with contextlib.suppress(OSError), connection:
            while more := connection.recv(1 << 16):
                data += more
                head, end, body = data.partition(b"\r\n\r\n")
                n = int(re.search(rb"Content-Length: (\d+)", head).group(1)) if end else 0
                if end and len(body) >= n:
                    self.requests.append((head.decode(), body[:n].decode()))
                    data = body[n:]
                    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.listener.close()


def sent_by_webhookd(payload):
    """(head, body) of the delivery of one event, profile bondx."""
    with Recorder() as r, harness.Daemon(replace=kit.CONF) as d:
        d.subscribe(r.url)
        d.emit("order.executed", payload)
        harness.wait_for(lambda: r.requests, what="webhookd delivers")
        return r.requests[0]


def write(path, head, body):
    lines = [line for line in head.split("\r\n")[1:] if line.split(":")[0] not in BY_THE_LIBRARY]
    with open(path, "w") as f:
        f.write("\n".join([*lines, "", body]))
