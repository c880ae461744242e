"""The key of the backups: it seals what comes, and opens what lies there."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

from pgstead.errors import SteadError
from pgstead.model.address import Capability
from pgstead.model.backup import BackupPlan
from pgstead.prove.backup_facts import plan_of, ports_of
from pgstead.prove.finding import CannotTryError, Finding, answer, timed
from pgstead.prove.promise import promise
from pgstead.prove.witness import Witness

# How a message to a public key begins (RFC 9580, 4.2 and 5.1), and how many bytes its length has.
_TAGS = {0x84: 1, 0x85: 2, 0xC1: 1}


@promise(
    "BAK-013",
    "the key of the backups opens what lies in the repository, and what is sealed to it now",
    requirement="BAK-4 ENC-3",
    capability=Capability.BACKUP,
    needs=("backup",),
    limit=120.0,
)
def the_key_opens(w: Witness) -> Iterator[Finding]:
    plan, vault = plan_of(w), ports_of(w).vault
    if not plan.encrypted:
        raise CannotTryError("a waiver lets these backups be plain", could_try=False)
    chosen = tuple(of_each_key(_stored(plan)))
    with timed() as watch:
        try:
            closed = [f"{name}: {why}" for name, why in vault.unopened(chosen).items()]
        except SteadError as error:
            closed = [error.message]
    text = f"a probe and {len(chosen)} stored files, oldest and newest of each key"
    told = answer(
        f"gpg --encrypt and --decrypt by the keys in {plan.key} and {plan.passphrase}",
        text,
        closed,
        watch,
    )
    yield told.shows(
        holds=not closed,
        expected="each of them opens",
        hint="put back the copy of the key or of the passphrase; a key that has expired:"
        " `pgstead backup key rotate`",
        said="; ".join(closed[:3]) or text,
    )


def _stored(plan: BackupPlan) -> Iterator[Path]:
    for place, pattern in ((plan.base, "*/data/*"), (plan.wals, "*/*"), (plan.exports, "*.gpg")):
        yield from Path(place).glob(pattern)


def of_each_key(files: Iterable[Path]) -> Iterator[Path]:
    """Yield, of the files that each key has sealed, the oldest and the newest."""
    found: dict[bytes, dict[float, Path]] = {}
    for path in files:
        try:
            if key := key_of(path):
                found.setdefault(key, {})[path.stat().st_mtime] = path
        except OSError:
            continue  # let go of while we looked
    for by_age in found.values():
        yield from dict.fromkeys((by_age[min(by_age)], by_age[max(by_age)]))


def key_of(path: Path) -> bytes:
    """Return the number of the key that a file is sealed to; nothing for one that is plain."""
    if not path.is_file():
        return b""
    with path.open("rb") as file:
        head = file.read(16)
    if not head or head[0] not in _TAGS:
        return b""
    begin = 1 + _TAGS[head[0]]
    return head[begin + 1 : begin + 9] if head[begin : begin + 1] == b"\x03" else b""


PROMISES = (the_key_opens,)
