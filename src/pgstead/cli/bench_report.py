"""How a load and a comparison are printed, with a sample count beside every figure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from itertools import islice

from pgstead.cli.console import aligned, shortened
from pgstead.model.bench import ENOUGH, Bench, Change, Compared, Kind, Measured, Spread
from pgstead.plan.regressions import differences, machine_ratio, worse

# PERF-001 and PERF-002 of the specification, APP-7 here.
P95, P99, FAILED = 0.1, 0.5, 0.05
_WHAT = 34
_SETTINGS = 8  # differences that are told


def run_lines(run: Bench) -> Iterator[str]:
    """Yield what a load took."""
    load = run.load
    yield (
        f"{load.rounds} rounds of {load.seconds:g} s, {load.users} users,"
        f" {load.rate:g} arrivals a second"
    )
    yield ""
    heads = ("target", "samples", "p50 (quartiles)", "p95", "p99", "failed")
    yield from aligned([heads, *(_row(m) for m in run.measured)])
    yield ""
    yield f"arrivals that waited for a free user: p95 {_ms(run.late)}"
    yield from (f"{text}" for text, *_ in _limits(run))


def _row(found: Measured) -> Sequence[str]:
    spread = found.spread("p50")
    failed = f"{found.failed} ({found.failing:.1%})" if found.failed else "0"
    return (
        shortened(found.what, _WHAT), str(found.samples), _spread(spread),
        _ms(found.p95), _ms(found.p99), failed,
    )  # fmt: skip


def _limits(run: Bench) -> Iterator[tuple[str, str, float | None, int, float, bool | None]]:
    """Yield the limits of the specification: words, name, value, samples, limit, met."""
    queries = [m for m in run.measured if m.kind is Kind.DATABASE]
    connects = [m for m in run.measured if m.kind is Kind.CONNECT]
    for name, share, limit in (("p95", 0.95, P95), ("p99", 0.99, P99)):
        known = [(m.p95 if share == 0.95 else m.p99, m.samples) for m in queries]
        values = [(value, count) for value, count in known if value is not None]
        worst, count = max(values, default=(None, sum(n for _, n in known)))
        label = f"{name} of the slowest statement"
        yield _limit(label, worst, count, limit, f"{ENOUGH[share]} of one statement are needed")
    tried = sum(m.samples + m.failed for m in connects)
    share = sum(m.failed for m in connects) / tried if tried else None
    yield _limit("connections that failed", share, tried, FAILED, "none was made", ratio=True)


def _limit(
    name: str, value: float | None, samples: int, limit: float, why: str, *, ratio: bool = False
) -> tuple[str, str, float | None, int, float, bool | None]:
    bound = f"{limit:.0%}" if ratio else _ms(limit)
    if value is None:
        words = f"{name}: not known ({samples} samples; {why}); at most {bound}"
        return words, name, None, samples, limit, None
    shown = f"{value:.1%}" if ratio else _ms(value)
    met = value <= limit
    verdict = "met" if met else "NOT met"
    words = f"{name}: {shown} of {samples} samples, at most {bound}: {verdict}"
    return words, name, value, samples, limit, met


def compared_lines(then: Bench, now: Bench, found: tuple[Compared, ...]) -> Iterator[str]:
    """Yield what became of each target, the worst first."""
    bad = worse(found)
    yield f"compared with the baseline of {then.at}"
    for each in bad:
        yield ""
        yield f"{each.change.value}: {each.what}"
        yield f"  {_changed(each)}"
        yield from (f"  {line}" for line in each.explains)
    if bad:
        yield ""
        yield from islice((f"differs: {line}" for line in differences(then, now)), _SETTINGS)
    ratio = machine_ratio(then, now)
    told = "not known" if ratio is None else f"{ratio:.2f} of then"
    yield f"the same work of this machine alone takes {told}"
    rest = [c for c in found if c not in bad and c.change is not Change.SAME]
    yield from (
        f"{c.change.value}: {c.what}{'' if c.ratio is None else f' ({c.ratio:.2f} of then)'}"
        for c in rest
    )
    same = sum(c.change is Change.SAME for c in found)
    yield f"{len(bad)} slower or failing, {same} within the spread, of {len(found)} targets"


def _changed(each: Compared) -> str:
    if each.change is Change.FAILING:
        before, after = each.failing
        return f"{after:.1%} of {each.samples[1]} fail; {before:.1%} of {each.samples[0]} then"
    return (
        f"{each.figure} {_spread(each.now)} of {each.samples[1]} samples;"
        f" {_spread(each.then)} of {each.samples[0]} then"
        f"{'' if each.ratio is None else f': {each.ratio:.1f} times'}"
    )


def _spread(spread: Spread | None) -> str:
    if spread is None:
        return "-"
    return f"{_ms(spread.median)} ({spread.lower * 1000:.2f}-{spread.upper * 1000:.2f})"


def _ms(seconds: float | None) -> str:
    return "-" if seconds is None else f"{seconds * 1000:.2f} ms"


def run_as_json(run: Bench) -> Mapping[str, object]:
    """Return it for programs."""
    names = ("name", "value", "samples", "limit", "met")
    limits = [dict(zip(names, rest, strict=True)) for _, *rest in _limits(run)]
    targets = [{**asdict(m), "kind": m.kind.value, "spread": _spreads(m)} for m in run.measured]
    return {**asdict(run), "measured": targets, "limits": limits}


def _spreads(found: Measured) -> Mapping[str, object]:
    known = {figure: found.spread(figure) for figure in ("p50", "p90")}
    return {figure: spread and asdict(spread) for figure, spread in known.items()}


def compared_as_json(then: Bench, now: Bench, found: tuple[Compared, ...]) -> Mapping[str, object]:
    """Return it for programs."""
    return {
        "then": then.at,
        "now": now.at,
        "machine": machine_ratio(then, now),
        "slower": [each.what for each in worse(found)],
        "targets": [{**asdict(c), "ratio": c.ratio} for c in found],
        "differences": [*differences(then, now)],
        "run": run_as_json(now),
    }
