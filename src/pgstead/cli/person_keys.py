"""Secrets of persons, as commands come to them: where applications make them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pgstead.app.encryption.persons import PersonKeys
    from pgstead.model.design import Design


@dataclass(frozen=True, slots=True)
class Secrets:
    """`ports.personal.PersonSecrets`, by what applications make secrets with."""

    store: PersonKeys

    @property
    def name(self) -> str:
        """Where they lie."""
        return self.store.name

    def destroy(self, table: str, key: str) -> bool:
        """End a person's secret for good; say whether it was there."""
        from pgstead.app.encryption.place import Owner

        return self.store.destroy(Owner(table, key))


def secrets_of(design: Design, database: str) -> Secrets:
    """Return the secrets of a database's persons: where its application has them."""
    from pgstead.app.encryption.persons import PersonFiles
    from pgstead.app.encryption.sources import persons_of
    from pgstead.app.environment import process_environment

    plan = design.database(database)
    found = persons_of(plan.prefix, process_environment()) if plan is not None else None
    return Secrets(found or PersonFiles(Path(design.layout.person_keys(database))))
