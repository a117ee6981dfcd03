"""Scenes of the runbook: trouble of our own: producers, configuration, disk, the daemon itself."""
import contextlib
import os
import shutil
import signal
import sqlite3

from console import CONF
from harness import wait_for
from scenes import QUICK, scene, trades
from test_clock import ahead


@scene("Rows stay in the outbox")
def rows_stay(stage):
    with stage.machine(start=False) as m:
        trades_db = f"{m.dir}/outbox/outbox.db"
        m.ctl("outbox", "init", trades_db, "--wal")
        m.become_nobody()
        m.start()
        with m.partner("acme") as acme:
            trades(m, 1, 2)
            wait_for(lambda: len(acme.requests) == 2)
            wait_for(lambda: m.counts()["delivered"] == 2)
            shutil.copy(trades_db, f"{trades_db}.copy")  # somebody puts a copy back, as root
            with contextlib.closing(sqlite3.connect(f"{trades_db}.copy")) as db:
                db.execute("INSERT INTO outbox(type, payload, event_id) VALUES ('trade.settled', '{}', 'TRD-3')")
                db.commit()
            os.chmod(f"{trades_db}.copy", 0o600 if os.geteuid() == 0 else 0)
            for more in ("-wal", "-shm"):
                with contextlib.suppress(FileNotFoundError):
                    os.unlink(trades_db + more)
            os.rename(f"{trades_db}.copy", trades_db)
            wait_for(lambda: "event=outbox_failed" in m.log())
            stage.age()
            yield
            if os.geteuid() == 0:
                os.chown(trades_db, 65534, 65534)
            os.chmod(trades_db, 0o660)
            wait_for(lambda: "event=outbox_recovered" in m.log() and m.counts()["delivered"] == 3)
            yield


@scene("Rows were rejected")
def rejected(stage):
    with stage.machine() as m, m.partner("acme") as acme:
        m.emit("order.executed", event_id="ORD-1", partner="acme-emea")
        m.insert(dict(type="order.executed", event_id="ORD-2", payload='{"qty": 1'))
        wait_for(lambda: len(m.json("outbox", "rejects", "list")["items"]) == 2)
        stage.age()
        yield
        yield
        assert m.json("outbox", "rejects", "list")["items"] == []


@scene("An event matched nobody")
def nobody(stage):
    with stage.machine() as m, m.partner("acme", events="trade.*"):
        m.emit("order.executed", event_id="ORD-1")
        wait_for(lambda: "event=event_unrouted" in m.log())
        stage.age()
        yield


@scene("The daemon does not start")
def does_not_start(stage):
    with stage.machine(start=False) as m:
        m.write_conf(CONF + "delivery:\n  timout: 10s\nretry:\n  default: {max_retries: many}\n")
        yield
        m.write_conf(CONF)
        m.start()
        first = m.process
        yield
        m.process = first
        m.stop()
        os.rename(f"{m.dir}/key", f"{m.dir}/key.old")
        yield
        os.rename(f"{m.dir}/key.old", f"{m.dir}/key")
        with contextlib.closing(sqlite3.connect(f"{m.dir}/store/webhookd.db")) as db:
            db.execute("PRAGMA user_version = 9")
        yield


@scene("The daemon does not answer")
def does_not_answer(stage):
    with stage.machine() as m, m.partner("acme"):
        m.stop()
        yield
        yield
        m.process.send_signal(signal.SIGSTOP)
        yield


@scene("The disk is full")
def disk_full(stage):
    with stage.machine() as m, m.partner("acme") as acme:
        m.write_conf(CONF.replace("store: {", "store: {low_disk: 1024GiB, "))
        m.service("reload")
        trades(m, 1, 2)
        wait_for(lambda: "event=outbox_disk_low" in m.log())
        stage.age()
        yield
        m.write_conf(CONF)  # as if there were room
        m.service("reload")
        wait_for(lambda: "event=outbox_disk_ok" in m.log() and m.counts()["delivered"] == 2)
        yield
        assert len(acme.requests) == 2


@scene("Take and restore a backup")
def backup(stage):
    with stage.machine(QUICK) as m, m.partner("acme", 503), m.partner("globex"):
        trades(m, 1, 20)
        wait_for(lambda: (m.counts()["dead"], m.counts()["delivered"]) == (20, 20))
        m.tool("install", """args=; while [ $# -gt 0 ]; do case $1 in -o|-g) shift ;; *) args="$args $1" ;; esac; shift; done
exec /usr/bin/install $args""")  # there is no user of that name here
        stage.age()
        yield
        yield


@scene("The clock was wrong")
def clock(stage):
    with stage.machine("retry: {default: {initial_delay: 1h, jitter: 0}}\n") as m, m.partner("acme", 503) as acme:
        trades(m, 1, 2)
        wait_for(lambda: m.counts()["retrying"] == 2)
        m.stop()
        ahead(m)
        acme.answer = 200
        yield
        wait_for(lambda: m.counts()["delivered"] == 2)
        stage.age()
        yield


@scene("Stop all sending")
def stop_all(stage):
    with stage.machine() as m, m.partner("acme") as acme, m.partner("globex"):
        yield
        trades(m, 1, 3)
        wait_for(lambda: m.counts()["pending"] == 6)
        stage.age()
        yield
        wait_for(lambda: m.counts()["delivered"] == 6)
        assert len(acme.requests) == 3
        yield


@scene("What happened to one event")
def one_event(stage):
    with stage.machine(QUICK) as m, m.partner("acme", 503) as acme:
        trades(m, 1, 1)
        m.dead(1)
        acme.answer = 200
        m.ctl("dlq", "replay", "-s", "acme", "--yes", "--note", "INC-381: acme is back")
        stage.age()
        yield


@scene("A configuration change did not take")
def did_not_take(stage):
    with stage.machine() as m:
        m.write_conf(CONF + "delivery: {timeout: 20s}\nretyr: {default: {max_retries: 8}}\n")
        yield
        m.write_conf(CONF + "delivery: {timeout: 20s}\nretry: {default: {max_retries: 8}}\n")
        yield


@scene("Who changed what")
def who(stage):
    with stage.machine(QUICK) as m, m.partner("acme"):
        m.ctl("sub", "pause", "acme", "--for", "2h", "--note", "INC-377: they asked us to wait")
        m.ctl("sub", "resume", "acme", "--note", "INC-377 is over")
        m.ctl("sub", "rotate-secret", "acme")
        stage.age()
        yield


@scene("Alerts")
def alerts(stage):
    with stage.machine():
        yield
