"""The register of promises: what each has, and that each has a sabotage."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from pgstead.errors import UsageError
from pgstead.prove.promise import Promise
from pgstead.prove.registry import promises, selected
from tests.sabotage.register import sabotages

RETIRED = Path(__file__).parents[2] / "sabotage" / "retired.txt"
REQUIREMENTS = {
    "SRV": 14, "ROL": 7, "TLS": 3, "ENC": 6, "AUD": 2, "POL": 10, "APP": 10, "TEN": 7, "MIG": 13,
    "API": 7, "TEL": 8, "BAK": 5, "OPS": 8, "REL": 5, "DEP": 12, "PRF": 3,
}  # fmt: skip


@pytest.mark.parametrize("promise", promises(), ids=lambda p: p.code)
class TestEachPromise:
    """What holds for each of them."""

    def test_has_a_sabotage_that_aims_at_it(self, promise: Promise) -> None:
        assert any(promise.code in s.aims_at for s in sabotages())

    def test_is_a_sentence_in_lower_case_without_a_full_stop(self, promise: Promise) -> None:
        assert re.match(r"^[a-z]", promise.text) or promise.text.startswith(("PUBLIC", "PgBouncer"))
        assert not promise.text.endswith(".")

    def test_names_requirements_that_exist(self, promise: Promise) -> None:
        for requirement in promise.requirements:
            area, _, number = requirement.partition("-")
            assert 1 <= int(number) <= REQUIREMENTS[area], requirement

    def test_has_a_code_that_was_never_another_ones(self, promise: Promise) -> None:
        assert promise.code not in RETIRED.read_text().split()


def test_codes_are_unique_and_in_order_within_a_capability() -> None:
    codes = [p.code for p in promises()]
    assert len(codes) == len(set(codes))
    for place in {(p.capability, p.code[:3]) for p in promises()}:
        mine = [p.code for p in promises() if (p.capability, p.code[:3]) == place]
        assert mine == sorted(mine)


def test_sentences_are_unique() -> None:
    sentences = [p.text for p in promises()]
    assert len(sentences) == len(set(sentences))


def test_sabotages_name_promises_that_exist() -> None:
    known = {p.code for p in promises()}
    for sabotage in sabotages():
        assert sabotage.breaks <= known, sabotage.name
        assert set(sabotage.blinds) - {"*"} <= known, sabotage.name
        assert sabotage.text, sabotage.name


@pytest.mark.parametrize("word", ["tls", "TLS-001", "tls-001", "TLS-1", "roles", "REL-1"])
def test_a_selection_takes_capabilities_codes_and_requirements(word: str) -> None:
    assert selected((word,))


def test_a_selection_of_nothing_is_everything() -> None:
    assert selected(()) == promises()


def test_a_word_that_selects_nothing_is_refused_with_the_words_that_do() -> None:
    with pytest.raises(UsageError) as refused:
        selected(("tls", "tsl"))
    assert "'tsl'" in refused.value.message
    assert "tls" in refused.value.hint
