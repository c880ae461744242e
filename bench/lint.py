"""The lint against squawk alone and another public linter, and how long 200 revisions take.

The corpus is that of the tests: for each rule a migration that must be caught, and a near miss that
must not. Every linter sees the same revisions; squawk sees what they execute. A near miss that
breaks another rule rightly is left out for all. It was written for our rules, so that it says what
the others do not look at, not how they fare on what they were made for: the last lines count only
the hazards that each of them has a rule for.

    python bench/lint.py [--revisions 200] [--without-others]

The other linter is fetched into an environment of its own, for the time of the run.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
import venv
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from pgstead.host.revisions import AlembicRevisions
from pgstead.host.squawk import Squawk
from pgstead.lint import squawk
from pgstead.lint.finding import Level
from pgstead.lint.scene import Surroundings
from pgstead.model.revision import RevisionScript
from pgstead.workflows.lint import lint
from tests.unit.lint.corpus.case import UNDONE, revision
from tests.unit.lint.corpus.written import CASES, ROLES, corpus, folder, judged

GUARD = "alembic-guard==0.1.1"
# Noise on every file under a runner that sets time-outs, and matters of taste: not held against it.
NOISE = {rule for rule, ours in squawk.OURS.items() if ours is None}
LIMIT = 3.0  # seconds for 200 revisions (issue 4)

Reported = Callable[[int, str], set[str]]
"""What a linter reports of the caught or the near one of a case."""


@dataclass(frozen=True)
class Score:
    """How a linter fared."""

    caught: int
    missed: int
    false: int
    left: int

    @property
    def recall(self) -> float:
        """Of what must be caught, how much was."""
        return self.caught / max(self.caught + self.missed, 1)

    @property
    def precision(self) -> float:
        """Of what was reported, how much had to be."""
        return self.caught / max(self.caught + self.false, 1)


def score(reported: Reported, *, rules: set[str] | None = None) -> Score:
    """Count over the corpus, or over the cases of some rules."""
    chosen = [n for n, case in enumerate(CASES) if rules is None or case.rule in rules]
    clean = [n for n in chosen if not CASES[n].near_has]
    caught = sum(bool(reported(n, "caught")) for n in chosen)
    false = sum(bool(reported(n, "near")) for n in clean)
    return Score(caught, len(chosen) - caught, false, len(clean) - false)


def ours(revisions: Mapping[str, RevisionScript], program: Squawk | None) -> Reported:
    """Return what we report: for a catch the very rule, for a near miss anything."""

    def reported(number: int, kind: str) -> set[str]:
        case = CASES[number]
        found = judged(revisions, number, kind, program).findings
        if kind == "caught":
            return {f.rule for f in found if f.rule == case.rule}
        told = {f.rule for f in found if f.level is not Level.NOTE or f.rule == case.rule}
        return told - ({"downgrade-leaves"} if case.near_down == UNDONE else set())

    return reported


def squawk_alone(revisions: Mapping[str, RevisionScript]) -> Reported:
    """Return what squawk reports of what a revision executes."""
    program = Squawk()
    found: dict[str, set[str]] = {}
    sheets = [squawk.sheet(r) for r in revisions.values() if r.upgrade.statements]
    for inside in (True, False):
        texts = {s.name: s.text for s in sheets if s.transactional is inside}
        for remark in program.remarks(texts, major=18, transactional=inside):
            graver = squawk.level_of(remark.rule) is not Level.NOTE
            if remark.rule not in NOISE and graver:
                found.setdefault(remark.file.removesuffix(".sql"), set()).add(remark.rule)
    return lambda number, kind: found.get(f"{kind}_{number}", set())


def guard(place: Path, environment: Path) -> Reported:
    """Return what alembic-guard reports of the files."""
    venv.create(environment, with_pip=True)
    python = environment / "bin" / "python"
    install = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", GUARD]
    subprocess.run(install, check=True, stderr=subprocess.DEVNULL)
    program = environment / "bin" / "alembic-guard"
    done = subprocess.run(
        [program, "--format", "json", place / "migrations" / "versions"],
        capture_output=True,
        text=True,
        check=False,
    )
    found: dict[str, set[str]] = {}
    for each in json.loads(done.stdout):
        found.setdefault(Path(each["path"]).stem, set()).add(each["rule"])
    return lambda number, kind: found.get(f"{kind}_{number}", set())


def show(name: str, result: Score) -> None:
    """Print one line."""
    print(
        f"{name:34} caught {result.caught:3} missed {result.missed:3}"
        f"   near misses: left alone {result.left:3} reported {result.false:3}"
        f"   recall {result.recall:5.1%} precision {result.precision:5.1%}"
    )


def compare(place: Path, *, others: bool) -> bool:
    """Print precision and recall of each; say whether ours are whole."""
    corpus_place = place / "corpus"
    corpus_place.mkdir()
    revisions = corpus(corpus_place)
    rules = {case.rule for case in CASES}
    print(f"corpus: {len(CASES)} cases for {len(rules)} rules; a catch and a near miss each")
    mine = score(ours(revisions, Squawk()))
    show("pgstead", mine)
    show("pgstead without squawk", score(ours(revisions, None)))
    alone = squawk_alone(revisions)
    show("squawk alone", score(alone))
    known = {name for names in squawk.OURS.values() if names for name in names}
    if others:
        other = guard(corpus_place, place / "guard")
        show(GUARD, score(other))
        show(f"{GUARD}, rules it caught", score(other, rules=caught_by(other)))
    show("squawk alone, rules it has", score(alone, rules=known))
    return mine.missed == 0 and mine.false == 0


def caught_by(reported: Reported) -> set[str]:
    """Return the rules of which a linter caught at least one case."""
    return {case.rule for n, case in enumerate(CASES) if reported(n, "caught")}


def history(count: int) -> dict[str, str]:
    """Make up a history: tables, columns, indexes, keys, as a project of some years has them."""
    texts: dict[str, str] = {}
    parent: str | None = None
    for number in range(count):
        name, table = f"r{number:04}", f"t{number - number % 5}"
        bodies = (
            (
                (
                    f'op.create_table("{table}", sa.Column("n", sa.Integer()), sa.Column("id",'
                    ' sa.BigInteger(), primary_key=True), sa.Column("name", sa.String(50)))'
                ),
                f'op.create_index("ix_{table}", "{table}", ["name"])',
            ),
            (f'op.add_column("{table}", sa.Column("more", sa.Text()))',),
            (f'op.create_check_constraint("ck", "{table}", "n > 0")',),
            (f'op.alter_column("{table}", "name", type_=sa.String(80))',),
            (f"UPDATE {table} SET n = 1", f'op.drop_column("{table}", "more")'),
        )
        texts[name] = revision(name, parent, bodies[number % 5])
        parent = name
    return texts


def timed(place: Path, count: int) -> float:
    """Return the seconds for a history: written out, judged, squawk beside, Alembic's import."""
    history_place = place / "history"
    history_place.mkdir()
    folder(history_place, history(count))
    began, worked = time.perf_counter(), time.process_time()
    revisions = AlembicRevisions(history_place).written(".", ROLES)
    written = time.perf_counter()
    wanted = frozenset(r.name for r in revisions)
    report = lint(revisions, wanted, Surroundings(roles=ROLES), Squawk())
    ended = time.perf_counter()
    print(
        f"{count} revisions: {ended - began:.2f} s (written out {written - began:.2f},"
        f" judged {ended - written:.2f}), {time.process_time() - worked:.2f} s of them this"
        f" process at work, {len(report.findings)} findings"
    )
    return ended - began


def main() -> int:
    """Print it all; 1 where ours is not whole or too slow."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--revisions", type=int, default=200)
    parser.add_argument("--without-others", action="store_true")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        place = Path(scratch)
        seconds = timed(place, asked.revisions)
        whole = compare(place, others=not asked.without_others)
    return int(not whole or seconds > LIMIT * asked.revisions / 200)


if __name__ == "__main__":
    sys.exit(main())
