"""Judge: revisions in the order in which they run, to a report. Pure.

Every revision is replayed, so that a rule knows what was there before; only the wanted ones are
judged.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from pgstead.lint import replay, source, squawk
from pgstead.lint.answering import answered
from pgstead.lint.blocks import inside
from pgstead.lint.finding import Finding, Report
from pgstead.lint.registry import STAGED, SUBJECTS
from pgstead.lint.rule import Hit
from pgstead.lint.scene import Ending, Scene, Step, Surroundings
from pgstead.lint.schema import Schema
from pgstead.lint.subjects import downgrade, transactions
from pgstead.lint.tree import SyntaxProblem, parse, relation
from pgstead.lint.weighing import Place, finding, remarked
from pgstead.model.revision import Direction, Remark, RevisionScript

# What Alembic keeps of itself is no business of a revision's author.
_OF_ALEMBIC = "alembic_version"


@dataclass(frozen=True, slots=True)
class _Read:
    """A script as steps, and what could not be read of it."""

    steps: tuple[Step, ...]
    hits: tuple[Hit, ...]


def judge(
    revisions: Sequence[RevisionScript],
    wanted: frozenset[str],
    around: Surroundings,
    remarks: Sequence[Remark] | None = None,
) -> Report:
    """Return what the wanted revisions would hurt; `remarks` are squawk's, None: it did not run."""
    schema = Schema()
    found: list[Finding] = []
    judged = {r.name: r for r in revisions if r.name in wanted}
    for revision in revisions:
        read = _read(revision.upgrade, "upgrade")
        if revision.name not in judged:
            _replay(schema, read.steps, revision)
            continue
        scene = Scene(revision, read.steps, schema, around)
        found += (_found(hit, Place(revision, None), around) for hit in read.hits)
        found += _judge(scene)
    ending = Ending(schema, around, judged)
    found += _final(ending)
    if remarks is not None:
        found += _squawk(remarks, judged)
    return answered(judged, found, squawk_ran=remarks is not None)


def _read(script: Direction, direction: str) -> _Read:
    """Parse what a script executes; a text that cannot be parsed becomes a hit."""
    steps: list[Step] = []
    hits: list[Hit] = []
    block, before = 0, None
    for statement in script.statements:
        now = statement.transaction if statement.transactional else None
        if now is None or now != before:
            block += 1
        before = now
        try:
            parts = parse(statement.text)
        except SyntaxProblem as problem:
            line = statement.lines[0] if statement.lines else 0
            hits.append(transactions.SYNTAX.hit("", line, problem=problem))
            continue
        ours = [p for q in parts for p in (q, *inside(q)) if not _alembics(p.text)]
        for number, part in enumerate(ours, start=len(steps)):
            steps.append(Step(statement, part.text, part.node, block, number))
    if script.problem:
        told = {"direction": direction, "problem": script.problem}
        hits.append(transactions.UNWRITABLE.hit("", script.line, **told))
    return _Read(tuple(steps), tuple(hits))


def _alembics(text: str) -> bool:
    return f" {_OF_ALEMBIC} " in text and text.split(" ", 1)[0] in {"UPDATE", "INSERT", "DELETE"}


def _replay(schema: Schema, steps: Iterable[Step], revision: RevisionScript) -> None:
    for step in steps:
        replay.apply(schema, step, revision.name)


def _judge(scene: Scene) -> Iterator[Finding]:
    """Judge one revision, and leave the schema as it is behind it."""
    revision, schema = scene.revision, scene.schema
    touched = _touched(scene.steps)
    before = schema.part(touched)
    for step in scene.steps:
        place = Place(revision, step)
        for subject in SUBJECTS:
            hits = subject.each(step, scene) if subject.each else ()
            kept = (hit for hit in hits if not (step.staged and hit.rule.name in STAGED))
            yield from (_found(hit, place, scene.around) for hit in kept)
        replay.apply(schema, step, revision.name)
    place = Place(revision, None)
    for subject in SUBJECTS:
        hits = subject.whole(scene) if subject.whole else ()
        yield from (_found(hit, place, scene.around) for hit in hits)
    for hit in _way_back(scene, before, touched):
        yield _found(hit, place, scene.around)


def _way_back(scene: Scene, before: Schema, touched: frozenset[str]) -> Iterator[Hit]:
    revision = scene.revision
    text = source.read(revision.source)
    yield from downgrade.written(text, scene.steps)
    down = _read(revision.downgrade, "downgrade")
    way = text.downgrade
    if way is None or way.empty or way.raises:
        return
    yield from down.hits
    if revision.downgrade.problem:
        return
    after = scene.schema.part(touched)
    made = downgrade.names(after) - downgrade.names(before)
    _replay(after, down.steps, revision)
    yield from downgrade.leftovers(made, after, way.line)
    yield from downgrade.extensions(scene.steps, down.steps)


def _touched(steps: Iterable[Step]) -> frozenset[str]:
    """Return every relation that a revision names."""
    return frozenset(relation(r) for step in steps for r in step.node.find("RangeVar"))


def _final(ending: Ending) -> Iterator[Finding]:
    for subject in SUBJECTS:
        for table, hit in subject.final(ending) if subject.final else ():
            revision = ending.revisions[table.revision]
            yield _found(hit, Place(revision, None, table.line), ending.around)


def _found(hit: Hit, place: Place, around: Surroundings) -> Finding:
    return finding(hit, place, around)


def _squawk(remarks: Sequence[Remark], judged: Mapping[str, RevisionScript]) -> Iterator[Finding]:
    sheets = {s.name: (r, s) for r in judged.values() for s in [squawk.sheet(r)]}
    for remark in squawk.kept(remarks):
        if remark.file not in sheets:
            continue
        revision, sheet = sheets[remark.file]
        statement = sheet.at(remark.line)
        if statement is None or not statement.staged:  # it sees no stages, ours do
            yield remarked(remark, revision, statement)
