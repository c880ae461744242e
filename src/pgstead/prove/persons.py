"""What is known of persons here: what columns say that they hold of them, and who was erased."""

from __future__ import annotations

from pathlib import Path

from pgstead.model.erasure import Erasure, erasures
from pgstead.model.personal import Inventory
from pgstead.observe.personal import inventory
from pgstead.prove.finding import CannotTryError
from pgstead.prove.witness import Witness


def held(w: Witness, database: str) -> Inventory:
    """Return what the comments of a database's columns say."""
    with w.administrative(database) as connection:
        return inventory(connection, database, w.design.build.major)


def erased(w: Witness) -> tuple[Erasure, ...]:
    """Return who was erased, or is being erased, of the databases that there are."""
    path = Path(w.design.layout.erasures)
    try:
        listed = erasures(path.read_text(encoding="utf-8").splitlines())
    except FileNotFoundError:
        return ()
    except OSError as error:
        raise CannotTryError(f"the list of erasures cannot be read: {error}") from error
    return tuple(e for e in listed if w.design.database(e.database) is not None)
