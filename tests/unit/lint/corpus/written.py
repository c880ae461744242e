"""The corpus as an Alembic folder, and what the lint says of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from pgstead.host.revisions import AlembicRevisions
from pgstead.lint.finding import Report
from pgstead.lint.scene import Surroundings
from pgstead.model.revision import RevisionScript
from pgstead.ports import SquawkProgram
from pgstead.workflows.lint import lint
from tests.unit.lint.corpus import of_people, of_tables
from tests.unit.lint.corpus.case import BEFORE, Case, revision

CASES: tuple[Case, ...] = (*of_tables.CASES, *of_people.CASES)
ROLES = {
    "app": "shop_app",
    "admin": "shop_admin",
    "readonly": "shop_readonly",
    "migrator": "shop_migrator",
    "owner": "shop_owner",
}
ENV = """\
from alembic import context
context.configure(dialect_name="postgresql", literal_binds=True, transaction_per_migration=True)
with context.begin_transaction():
    context.run_migrations()
"""


def folder(place: Path, revisions: Mapping[str, str]) -> Path:
    """Make an Alembic folder of revisions by name."""
    versions = place / "migrations" / "versions"
    versions.mkdir(parents=True)
    (place / "alembic.ini").write_text("[alembic]\nscript_location = migrations\n")
    (place / "migrations" / "env.py").write_text(ENV)
    (place / "migrations" / "script.py.mako").write_text("")
    for name, text in revisions.items():
        (versions / f"{name}.py").write_text(text)
    return place


def corpus(place: Path) -> dict[str, RevisionScript]:
    """Write the corpus as revisions, three for each case, and read them back."""
    texts: dict[str, str] = {"start": revision("start", None, BEFORE)}
    for number, case in enumerate(CASES):
        texts[f"before_{number}"] = revision(f"before_{number}", "start", case.before)
        for kind, body, down in (
            ("caught", case.caught, case.caught_down),
            ("near", case.near, case.near_down),
        ):
            name = f"{kind}_{number}"
            texts[name] = revision(name, f"before_{number}", body, down)
    written = AlembicRevisions(folder(place, texts)).written(".", ROLES)
    return {r.name: r for r in written}


def judged(
    revisions: Mapping[str, RevisionScript],
    number: int,
    kind: str,
    squawk: SquawkProgram | None = None,
) -> Report:
    """Return what is found in the caught or the near one of a case."""
    name = f"{kind}_{number}"
    chain: Sequence[RevisionScript] = [revisions[n] for n in ("start", f"before_{number}", name)]
    case = CASES[number]
    around = Surroundings(roles=ROLES, mapped=case.mapped, major=case.major)
    return lint(chain, frozenset({name}), around, squawk)
