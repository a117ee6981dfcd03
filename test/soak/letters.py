"""Many dead letters, cheaply: an export is written from the one line of a real letter, and imported. They are whole: sealed payloads, attempts."""
import json
import time

from harness import wait_for

DIGITS = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"


def id_text(prefix, num):
    return f"{prefix}_" + "".join(DIGITS[num >> 5 * i & 31] for i in reversed(range(13)))


def stamp(ms):
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(ms // 1000)) + f".{ms % 1000:03}Z"


class Letters:
    """Those of one subscription, acme, whose endpoint is `dead`."""

    def __init__(self, d, dead):
        self.d = d
        d.subscribe(dead.url, "--name", "acme", events="trade.*")
        d.emit("trade.settled", {"n": 0}, event_id="E-first")
        wait_for(lambda: d.counts()["dead"] == 1)
        self.line = json.loads(d.ctl("dlq", "export"))
        d.ctl("dlq", "purge", "--all", "--confirm=1")

    def file(self, n, size=200):
        """n letters that died in the last day; their payloads have up to `size` bytes more."""
        path, line = f"{self.d.dir}/letters", json.loads(json.dumps(self.line))
        now, day = int(time.time() * 1000), 86_400_000
        with open(path, "w") as f:
            for i in range(n):
                ms = now - day + i * day // n
                line["delivery"] = id_text("dlv", (ms << 21) + 2 * (i % 1000) + 1)
                line["event"].update(id=f"E-{i}", seq=i + 1, created_at=stamp(ms), accepted_at=stamp(ms), payload=json.dumps({"n": i, "x": "x" * (i % size)}))
                line.update(created_at=stamp(ms), died_at=stamp(ms + 1000))
                line["attempts"][0]["started_at"] = stamp(ms)
                f.write(json.dumps(line, separators=(",", ":")) + "\n")
        return path
