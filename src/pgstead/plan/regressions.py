"""What got slower: rounds compared with the rounds of a baseline, each by its spread. Pure.

A target is slower when its quartiles lie above those of the baseline by more than half of their
own width, the medians differ by a share that people would notice, and the machine itself, which
does the same piece of work before each round, does not account for it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from pgstead.model.bench import Bench, Change, Compared, Kind, Measured, Spread

FLOOR = "the machine itself"
# The share of a median that a change has to be; the tail is noisier.
NOTICED: Mapping[str, float] = {"p50": 0.2, "p90": 0.5}
LEAST = 0.0002  # seconds: less is the scheduler's
_FAILURES = 3  # fewer are chance
_FAILING = 0.01


def compare(then: Bench, now: Bench) -> tuple[Compared, ...]:
    """Return every target of both, the machine left out."""
    machine = machine_ratio(then, now) or 1.0
    whats = [m.what for m in (*then.measured, *now.measured) if m.kind is not Kind.FLOOR]
    return tuple(
        _compared(what, then.of(what), now.of(what), machine) for what in dict.fromkeys(whats)
    )


def machine_ratio(then: Bench, now: Bench) -> float | None:
    """Return how much longer the machine takes for the same work; None where nobody knows."""
    before, after = then.of(FLOOR), now.of(FLOOR)
    spreads = (before and before.spread("p50"), after and after.spread("p50"))
    if spreads[0] is None or spreads[1] is None or spreads[0].median <= 0:
        return None
    return spreads[1].median / spreads[0].median


def confirmed(first: tuple[Compared, ...], again: tuple[Compared, ...]) -> tuple[Compared, ...]:
    """Return the second comparison; what only one of both calls worse is called the same."""
    before = {each.what: each for each in first}

    def settled(each: Compared) -> Compared:
        earlier = before.get(each.what)
        worse = (Change.SLOWER, Change.FAILING)
        if each.change not in worse or (earlier is not None and earlier.change in worse):
            return each
        return Compared(
            each.what, Change.SAME, each.figure, each.then, each.now, each.samples, each.failing
        )

    return tuple(settled(each) for each in again)


def worse(found: tuple[Compared, ...]) -> tuple[Compared, ...]:
    """Return what got slower or fails, the gravest first."""
    bad = [c for c in found if c.change in (Change.SLOWER, Change.FAILING)]
    return tuple(sorted(bad, key=lambda c: -(c.ratio or 0.0)))


def differences(then: Bench, now: Bench) -> Iterator[str]:
    """Yield what else differs between the two runs: version, machine, settings, the load."""
    if then.version != now.version:
        yield f"pgstead {then.version} then, {now.version} now"
    yield from _differences("", then.machine, now.machine)
    yield from _differences("setting ", then.settings, now.settings)
    if then.load != now.load:
        yield f"the load: {then.load} then, {now.load} now"


def _differences(what: str, then: Mapping[str, str], now: Mapping[str, str]) -> Iterator[str]:
    for name in sorted(then.keys() | now.keys()):
        before, after = then.get(name, "not there"), now.get(name, "not there")
        if before != after:
            yield f"{what}{name}: {before} then, {after} now"


def _compared(what: str, then: Measured | None, now: Measured | None, machine: float) -> Compared:
    samples = (then.samples if then else 0, now.samples if now else 0)
    failing = (then.failing if then else 0.0, now.failing if now else 0.0)
    if then is None or now is None:
        change = Change.NEW if then is None else Change.GONE
        return Compared(what, change, "p50", None, None, samples, failing)
    change, figure = _change(then, now, machine)
    explains = tuple(_explained(then, now)) if change in (Change.SLOWER, Change.FAILING) else ()
    return Compared(
        what, change, figure, then.spread(figure), now.spread(figure), samples, failing, explains
    )


def _change(then: Measured, now: Measured, machine: float) -> tuple[Change, str]:
    if now.failed >= _FAILURES and now.failing > then.failing + _FAILING:
        return Change.FAILING, "p50"
    seen = Change.UNKNOWN
    for figure, noticed in NOTICED.items():
        before, after = then.spread(figure), now.spread(figure)
        if before is None or after is None:
            continue
        if _beyond(before, after, 1 + noticed, max(1.0, machine)):
            return Change.SLOWER, figure
        if _beyond(after, before, 1 + noticed, max(1.0, 1 / machine)):
            return Change.FASTER, figure
        seen = Change.SAME
    return seen, "p50"


def _beyond(low: Spread, high: Spread, noticed: float, machine: float) -> bool:
    """Say whether one is above the other by more than the spread, and than the machine."""
    apart = high.lower - low.upper > max(low.width, high.width) / 2
    share = high.median > low.median * noticed * machine
    return apart and share and high.median - low.median > LEAST


def _explained(then: Measured, now: Measured) -> Iterator[str]:
    new = {reason: count for reason, count in now.reasons.items() if reason not in then.reasons}
    yield from (f"{count} times: {reason}" for reason, count in new.items())
    if then.plan and now.plan and then.plan != now.plan:
        yield "the planner does it in another way than then"
        yield from (f"then: {line}" for line in then.plan.splitlines())
        yield from (f"now:  {line}" for line in now.plan.splitlines())
