"""What an encrypted value costs, against AES-GCM of `cryptography` alone in the same run.

    bench/encryption.py [ROUNDS]

The floor is what nobody can avoid: a random nonce, AESGCM and its associated data, made
beforehand. Ratios are of medians over rounds that alternate, so that both see the same machine.
"""

from __future__ import annotations

import os
import statistics
import sys
import tempfile
import time
import uuid
from collections.abc import Callable
from pathlib import Path

from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from pgstead.app.encryption import Encrypted, EnvironmentSource, Keys, PersonFiles, Place, keyfile
from pgstead.app.encryption.place import Owner

COUNT = 20_000  # values of one measurement
SIZES = (16, 64, 1024, 16_384)  # bytes


def seconds(work: Callable[[], object]) -> float:
    """Return seconds per call."""
    began = time.perf_counter()
    for _ in range(COUNT):
        work()
    return (time.perf_counter() - began) / COUNT


def compared(rounds: int, works: dict[str, Callable[[], object]]) -> dict[str, float]:
    """Return the median seconds per call of each; they take turns."""
    taken: dict[str, list[float]] = {name: [] for name in works}
    for _ in range(rounds):
        for name, work in works.items():
            taken[name].append(seconds(work))
    return {name: statistics.median(all_) for name, all_ in taken.items()}


def works(size: int, store: PersonFiles) -> dict[str, Callable[[], object]]:
    """Return what is compared for one size of value."""
    keys = Keys(EnvironmentSource("bench", keyfile.new()), persons=store)
    place = Place("tenant_configs.api_key", (str(uuid.uuid4()),), "acme")
    cipher, plain = AESGCM(AESGCM.generate_key(256)), os.urandom(size // 2).hex()
    raw, aad, nonce = plain.encode(), place.associated_data(b"\x01\x01\0\0\0\1"), os.urandom(12)
    body = cipher.encrypt(nonce, raw, aad)
    stored = keys.seal(raw, place)
    owner = Owner("public.users", place.key[0])
    theirs = Place(place.label, place.key, place.tenant, owner)
    owned = keys.seal(raw, theirs)
    ring, label, tenant = keys.ring, place.label, place.tenant

    def floor_seal() -> bytes:
        return cipher.encrypt(os.urandom(12), raw, aad)

    def floor_open() -> bytes:
        return cipher.decrypt(nonce, body, aad)

    def loaded() -> str:
        """Do what a read of a row does: wrap, bind to a place that is made anew, reveal."""
        here = Place("tenant_configs.api_key", place.key, "acme")
        return Encrypted.of_stored(stored, str).bind(here, keys).reveal()

    return {
        "floor: seal": floor_seal,
        "KeyRing.seal": lambda: keys.seal(raw, place),
        "Encrypted(...).at": lambda: Encrypted(plain).at(place, keys),
        "floor: open": floor_open,
        "KeyRing.open": lambda: keys.open(stored, place),
        "bind and reveal": loaded,
        "a person's: seal": lambda: keys.seal(raw, theirs),
        "a person's: open": lambda: keys.open(owned, theirs),
        "their secret read": lambda: store.secret(owner),
        "blind index": lambda: ring.index(plain, label, tenant, 1),
    }


def show(size: int, found: dict[str, float]) -> None:
    """Print a size's lines."""
    print(f"\n{size} bytes")
    floor = 1.0
    for name, taken in found.items():
        floor = taken if name.startswith("floor") else floor
        print(f"  {name:20} {taken * 1e6:8.2f}  {taken / floor:5.2f}")


def main() -> None:
    """Print a table."""
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 5
    print(f"microseconds per value, median of {rounds} rounds of {COUNT}; ratio to the floor")
    with tempfile.TemporaryDirectory() as place:
        for size in SIZES:
            show(size, compared(rounds, works(size, PersonFiles(Path(place)))))


if __name__ == "__main__":
    main()
