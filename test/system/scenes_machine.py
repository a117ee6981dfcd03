"""Scenes of the runbook: trouble of our own: producers, configuration, disk, the daemon itself."""
from console import CONF
from harness import wait_for
from scenes import QUICK, scene, trades


@scene("Rows were rejected")
def rejected(stage):
    with stage.machine() as m, m.partner("acme") as acme:
        m.emit("order.executed", event_id="ORD-1", partner="acme-emea")
        m.insert(dict(type="order.executed", event_id="ORD-2", payload='{"qty": 1'))
        wait_for(lambda: len(m.json("outbox", "rejects", "list")["items"]) == 2)
        stage.age()
        yield
        assert not acme.requests


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
        with stage.machine(replace=CONF) as other:
            other.name(m.dir, other.dir)
            stage.on = m
            m.write_conf(CONF.replace("{dir}/store", f"{other.dir}/store").replace("{dir}/key", f"{other.dir}/key"))
            m.name(f"{other.dir}/store", "/var/lib/webhookd")
            yield


@scene("The daemon does not answer")
def does_not_answer(stage):
    with stage.machine() as m, m.partner("acme"):
        trades(m, 1, 2)
        m.stop()
        yield
        m.start()


@scene("A configuration change did not take")
def did_not_take(stage):
    with stage.machine() as m:
        m.write_conf(CONF.replace("listen:", "lisen:"))
        yield
        m.write_conf(CONF + "delivery: {timeout: 20s}\n")
        yield


@scene("Who changed what")
def who(stage):
    with stage.machine(QUICK) as m, m.partner("acme"):
        m.ctl("sub", "pause", "acme", "--for", "2h", "--note", "INC-377: they asked us to wait")
        m.ctl("sub", "resume", "acme", "--note", "INC-377 is over")
        m.ctl("sub", "rotate-secret", "acme")
        stage.age()
        yield
