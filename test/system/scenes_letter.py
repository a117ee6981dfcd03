"""Scenes of the runbook: dead letters, and what is done with them."""
from console import Machine
from harness import Receiver
from scenes import QUICK, dead_trades, scene, trades


@scene("Dead letters pile up")
def pile_up(stage):
    with stage.machine(QUICK) as m, m.partner("acme", 503, events="trade.*"), m.partner("globex", 401, events="fill.*"), \
            m.partner("initech", 410, events="order.*"):
        dead_trades(m, 1, 8)
        dead_trades(m, 9, 11, type="fill.done")
        dead_trades(m, 12, 12, type="order.executed")
        stage.age()
        yield


@scene("Replay exactly the right ones, gently, and prove that they arrived")
def exactly(stage):
    with stage.machine(QUICK) as m, m.partner("acme", lambda request, n: 422 if int(request.id[4:]) > 24 else 503) as acme:
        dead_trades(m, 1, 24)
        dead_trades(m, 25, 27, type="trade.amended")
        acme.answer = 200
        acme.requests.clear()
        stage.age()
        yield
        yield
        assert not acme.requests
        yield
        assert sorted(acme.ids()) == sorted(f"TRD-{n}" for n in range(1, 25))
        yield
        m.dead(3)


@scene("Try the letters on another endpoint first")
def elsewhere(stage):
    with stage.machine(QUICK) as m, m.partner("acme", 503) as acme, Receiver(lambda request, n: 422 if request.id == "TRD-7" else 200) as staging:
        m.address(staging.url, "https://staging.ours.example/settle")
        dead_trades(m, 1, 12)
        before = len(acme.requests)
        stage.mask(r"(?<=acme\.to-)[0-9A-Z]+…?", "ID")
        stage.age()
        yield
        assert sorted(staging.ids()) == sorted(f"TRD-{n}" for n in range(1, 13))
        yield
        assert len(acme.requests) == before
        m.dead(12)


@scene("A replay stopped by itself, or must be slowed, paused or cancelled")
def tame(stage):
    with stage.machine(QUICK) as m, m.partner("acme", 503) as acme:
        trades(m, 1, 300)
        m.dead(300)
        acme.answer = 200
        stage.mask(r"^canary .*\n", "")  # it may be over before somebody presses ^C
        stage.mask(r"^(.* active +300 +)\d+", r"\1N")
        stage.mask(r"^(.* active +300 +\S+ +\d+ +)\d+", r"\1N")  # what is not sent yet
        stage.mask(r", \d+ on their way( \(they go on\))?", "")
        stage.mask(r"(Watch|Next|Go on):\n", r"\1: ")  # as long as there are some
        stage.mask(r"\d+(?= delivered\b| not sent)", "N")
        stage.age()
        yield
        yield
        acme.answer = 503
        stage.mask(r"\d+(?= dead again| not sent| of its letters are dead| that were not sent)|(?<=TRD-)\d+", "N")  # how many came so far
        yield


@scene("Purged by mistake")
def purged(stage):
    with stage.machine(QUICK) as m, m.partner("acme", 503), m.partner("globex", 401):
        dead_trades(m, 1, 4)
        stage.age()
        yield
        m.dead(4)
        yield
        m.dead(8)


@scene("Move dead letters to another machine")
def move(stage):
    with stage.machine(QUICK) as m, m.partner("acme", 503), Machine(QUICK) as other, other.partner("acme") as acme:
        dead_trades(m, 1, 3)
        stage.age()
        yield
        with open(f"{m.dir}/desk/dead.jsonl", encoding="utf-8") as here, open(f"{other.dir}/desk/dead.jsonl", "w", encoding="utf-8") as there:
            there.write(here.read())
        stage.on = other
        yield
        assert len(acme.requests) == 3
