"""Pseudonyms: the same for the same, other ones for others, of the form that values have."""

from __future__ import annotations

import base64
import ipaddress
import json
import uuid

import pytest

from pgstead.plan.pseudonyms import Pseudonyms

MINE, OTHER = Pseudonyms(b"a" * 32), Pseudonyms(b"b" * 32)
VALUES = {
    "name": "Ada King-Noël 2nd",
    "text": "Called on 2026-11-22: ADA is unwell, call back.",
    "email": "ada@example.com",
    "url": "https://example.com/ada.png",
    "address": "192.0.2.17",
    "number": "-1234.50",
    "uuid": "0191b8f2-0000-7000-8000-000000000001",
    "document": json.dumps({"called": ["Ada", None, True, 1815], "born": {"in": "London"}}),
    "digest": "\\x" + "ab" * 32,
    "sealed": base64.b64encode(b"\x01\x01\x00\x00\x00\x07" + b"x" * 40).decode(),
    "argon2id": "$argon2id$v=19$m=65536,t=3,p=4$c2FsdHNhbHQ$aGFzaA",
}


@pytest.mark.parametrize("kind", VALUES)
def test_a_pseudonym_is_the_same_by_one_key_and_another_by_another(kind: str) -> None:
    value = VALUES[kind]
    made = MINE.of(kind, value)
    assert made == MINE.of(kind, value)
    assert made not in {value, OTHER.of(kind, value), MINE.of(kind, value, 1)}
    assert repr(MINE) == "Pseudonyms()"


def test_words_keep_their_length_their_case_and_what_is_between_them() -> None:
    made = MINE.of("name", VALUES["name"])
    assert len(made) == len(VALUES["name"])
    assert [c for c in made if not c.isalnum()] == [" ", "-", " "]
    assert made[0].isupper()
    assert made[1:3].islower()
    assert MINE.of("text", "Ada and ada").casefold().split()[0] == MINE.of("name", "ada")


def test_addresses_of_one_domain_stay_of_one_domain() -> None:
    one, two = MINE.of("email", "ada@example.com"), MINE.of("email", "bob@EXAMPLE.com")
    assert one.partition("@")[2] == two.partition("@")[2]
    assert one != two
    assert one.endswith(".invalid")


def test_each_form_is_kept_and_opens_nothing() -> None:
    assert ipaddress.ip_address(MINE.of("address", "192.0.2.17")).version == 4
    assert ipaddress.ip_address(MINE.of("address", "2001:db8::1")).version == 6
    assert uuid.UUID(MINE.of("uuid", VALUES["uuid"])).version == 4
    sealed = base64.b64decode(MINE.of("sealed", VALUES["sealed"]))
    assert sealed[:6] == b"\x01\x01\x00\x00\x00\x07"
    assert len(sealed) == 46
    assert len(MINE.of("digest", VALUES["digest"])) == len(VALUES["digest"])
    told = json.loads(MINE.of("document", VALUES["document"]))
    assert told["called"][1:3] == [None, True]
    assert 1000 <= told["called"][3] <= 9999
    assert "London" not in str(told)
    assert -365 <= MINE.days() < 0
