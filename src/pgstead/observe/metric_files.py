"""The queries of metrics: one per file, each with a header that declares what it measures.

    -- scope: cluster             cluster: asked once; database: asked in each database
    -- cadence: fast              fast: each interval; slow: what is dear
    -- attributes: datname        columns that tell series apart; may be missing
    -- most: 50                   rows that are taken, where attributes tell them apart
    -- needs: pg_read_all_stats   without this role the rows of others look empty; may be missing
    -- gauge NAME UNIT: what it is. Also `counter`.
    -- unknown NAME: why its column is NULL, where that means that it cannot be known
    -- absent NAME NAME           a NULL of these is no sample at all

`queries/metrics/<what>_<floor>.sql`: a metric is added by adding a file.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from importlib.resources import files
from typing import LiteralString, cast

from pgstead.model.telemetry import Cadence, Metric, MetricKind

_FILE = re.compile(r"^(?P<what>[a-z_]+)_(?P<floor>\d+)\.sql$")
_DECLARED = re.compile(
    r"^-- (?P<kind>counter|gauge) (?P<name>[a-z][a-z0-9_]*) (?P<unit>\S+): (?P<text>\S.*)$"
)
_SAID = re.compile(r"^-- (?P<key>scope|cadence|attributes|most|needs): (?P<value>\S.*)$")
_UNKNOWN = re.compile(r"^-- unknown (?P<name>\S+): (?P<why>\S.*)$")
_ABSENT = re.compile(r"^-- absent (?P<names>\S.*)$")
_SUFFIXES: Mapping[str, tuple[str, ...]] = {"s": ("_seconds",), "By": ("_bytes",)}


@dataclass(frozen=True, slots=True)
class MetricQuery:
    """One file."""

    what: str
    floor: int
    text: LiteralString
    per_database: bool
    cadence: Cadence
    attributes: tuple[str, ...]
    metrics: tuple[Metric, ...]
    most: int = 1
    unknown: Mapping[str, str] = field(default_factory=dict[str, str])
    absent: frozenset[str] = frozenset()
    needs: str = ""  # a role; who is not of it gets answers that are not true, and no error


def queries(major: int) -> tuple[MetricQuery, ...]:
    """Return what is asked of a version, one query for each subject that it has."""
    best: dict[str, MetricQuery] = {}
    for query in everything():
        newest = best.get(query.what)
        if query.floor <= major and (newest is None or newest.floor < query.floor):
            best[query.what] = query
    return tuple(best.values())


def too_new(major: int) -> tuple[MetricQuery, ...]:
    """Return the queries of subjects that a version does not have at all."""
    there = {query.what for query in queries(major)}
    floors: dict[str, MetricQuery] = {}
    for query in everything():
        if query.what not in there:
            floors.setdefault(query.what, query)
    return tuple(floors.values())


def everything() -> Iterator[MetricQuery]:
    """Yield every file, by subject and then by floor."""
    folder = files("pgstead.observe") / "queries" / "metrics"
    named = [(_FILE.match(entry.name), entry) for entry in folder.iterdir()]
    found = [(name["what"], int(name["floor"]), entry) for name, entry in named if name]
    for what, floor, entry in sorted(found, key=lambda f: f[:2]):
        yield parse(what, floor, entry.read_text(encoding="utf-8"))


def parse(what: str, floor: int, text: str) -> MetricQuery:
    """Read a file. Raises ValueError that names the line at fault."""
    said: dict[str, str] = {}
    declared: list[re.Match[str]] = []
    unknown: dict[str, str] = {}
    absent: set[str] = set()
    for line in _header(text):
        if found := _SAID.match(line):
            said[found["key"]] = found["value"]
        elif found := _DECLARED.match(line):
            declared.append(found)
        elif found := _UNKNOWN.match(line):
            unknown[found["name"]] = found["why"]
        elif found := _ABSENT.match(line):
            absent.update(found["names"].split())
    place = f"{what}_{floor}.sql"
    cadence = Cadence(_one_of(place, said, "cadence", ("fast", "slow")))
    scope = _one_of(place, said, "scope", ("cluster", "database"))
    attributes = tuple(a.strip() for a in said.get("attributes", "").split(",") if a.strip())
    own = ("datname", *attributes) if scope == "database" else attributes
    most = _most(place, said, attributes)
    made = (_metric(place, found, own, cadence) for found in declared)
    metrics = tuple(replace(m, most=most, each=scope == "database") for m in made)
    if not metrics:
        raise ValueError(f"{place} declares no metric: `-- gauge NAME UNIT: what it is`")
    names = {metric.name for metric in metrics}
    if strange := (unknown.keys() | absent) - names:
        raise ValueError(f"{place} speaks of metrics that it does not declare: {sorted(strange)}")
    return MetricQuery(
        what,
        floor,
        # the files ship with the package, so their text is as trusted as a literal
        cast("LiteralString", text),
        scope == "database",
        cadence,
        attributes,
        metrics,
        most,
        unknown,
        frozenset(absent),
        said.get("needs", ""),
    )


def _header(text: str) -> Iterator[str]:
    for line in text.splitlines():
        if not line.startswith("--"):
            return
        yield line


def _one_of(place: str, said: Mapping[str, str], key: str, allowed: tuple[str, ...]) -> str:
    value = said.get(key, "")
    if value not in allowed:
        raise ValueError(f"{place} needs a line `-- {key}: {' | '.join(allowed)}`")
    return value


def _most(place: str, said: Mapping[str, str], attributes: tuple[str, ...]) -> int:
    if not attributes:
        return 1
    if not said.get("most", "").isdigit():
        raise ValueError(f"{place} needs a line `-- most: N`: how many rows it can give")
    return int(said["most"])


def _metric(
    place: str, found: re.Match[str], attributes: tuple[str, ...], cadence: Cadence
) -> Metric:
    kind, name, unit = MetricKind(found["kind"]), found["name"], found["unit"]
    if (kind is MetricKind.COUNTER) != name.endswith("_total"):
        raise ValueError(f"{place}: a counter, and nothing else, ends in _total: {name}")
    bare = name.removesuffix("_total")
    if not bare.endswith(_SUFFIXES.get(unit, ("",))):
        raise ValueError(f"{place}: {name} is in {unit}, and its name does not say so")
    return Metric(name, kind, unit, found["text"], attributes, cadence)
