"""Scenes of the runbook: trouble on a partner's side."""
from harness import wait_for
from scenes import QUICK, dead_trades, scene, trades


@scene("Deliveries to one partner fail")
def fails(stage):
    with stage.machine(QUICK) as m, m.partner("acme", (503, {}, b"upstream unavailable\n"), events="trade.*") as acme:
        dead_trades(m, 1, 12)
        stage.age()
        yield
        acme.answer = 200
        acme.requests.clear()
        yield
        m.dead(0)
        assert sorted(acme.ids()) == sorted(f"TRD-{n}" for n in range(1, 13)), acme.ids()


@scene("A partner refuses our signature or credentials (401, 403)")
def refuses(stage):
    with stage.machine(QUICK) as m, m.partner("globex", (401, {}, b'{"error":"signature mismatch"}'), events="fill.*") as globex:
        dead_trades(m, 1, 4, type="fill.done")
        stage.age()
        yield
        globex.answer = 200
        yield
        m.dead(0)


@scene("The endpoint is gone (410), the subscription is disabled")
def gone(stage):
    with stage.machine(QUICK) as m, m.partner("initech", 410) as initech:
        dead_trades(m, 1, 1)
        trades(m, 2, 3)
        wait_for(lambda: m.counts()["held"] == 2)
        stage.age()
        yield
        initech.answer = 200
        yield
        m.dead(0)
        wait_for(lambda: len(set(initech.ids())) == 3)


@scene("A partner was paused and forgotten")
def forgotten(stage):
    with stage.machine(QUICK) as m, m.partner("acme") as acme:
        m.ctl("sub", "pause", "acme", "--note", "INC-377: they asked us to wait")
        trades(m, 1, 5)
        wait_for(lambda: m.counts()["held"] == 5)
        stage.age()
        yield
        wait_for(lambda: len(acme.requests) == 5)
        yield
