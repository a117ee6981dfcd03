"""What the runbook's scenes share (console.py says what a scene is). The scenes: scenes_partner.py, trouble on a partner's side;
scenes_letter.py, dead letters and what is done with them; scenes_machine.py, trouble of our own."""
from console import QUICK, Scenes
from harness import wait_for

RUNBOOK = Scenes("docs/runbook.md", every_section=True)
scene = RUNBOOK.of


def trades(m, first, last, type="trade.settled"):
    """Events TRD-first to TRD-last, committed together."""
    m.insert(*[dict(type=type, event_id=f"TRD-{n}", payload={"trade_id": f"TRD-{n}", "qty": 100 * n}) for n in range(first, last + 1)])


def dead_trades(m, first, last, type="trade.settled"):
    """They die one after the other, for everybody who wants them, so that lists of them are the same every time."""
    dead = m.counts()["dead"]
    for n in range(first, last + 1):
        trades(m, n, n, type)
        wait_for(lambda: m.counts()["dead"] > dead and m.unsettled() == 0, what=f"TRD-{n} is dead")
        dead = m.counts()["dead"]


__all__ = ["QUICK", "RUNBOOK", "dead_trades", "scene", "trades"]
