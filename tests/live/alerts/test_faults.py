"""Each rule by its fault: it fires, is told, and is over."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack

import pytest

from pgstead.model.alerts import Phase
from tests.live.alerts.conftest import MANIFEST, alerted_stead
from tests.live.alerts.driven import Driven, criticals, within
from tests.live.alerts.table import ALONE, COUNTED, TOGETHER, UNKNOWN, Fault


@pytest.fixture(scope="module")
def driven() -> Iterator[Driven]:
    """Give a stead that the test itself looks at."""
    with alerted_stead(**MANIFEST) as made:
        yield from _taken_over(Driven(made.stead, made.receiver))


@pytest.fixture(scope="module")
def backed_up() -> Iterator[Driven]:
    """Give one that has backups, too."""
    with alerted_stead(**{**MANIFEST, "backup": "true"}) as made:
        for words in (("backup", "now"), ("drill",)):  # what was never done has no age
            made.stead.run(*words)
        yield from _taken_over(Driven(made.stead, made.receiver))


def _taken_over(made: Driven) -> Iterator[Driven]:
    made.stead.wait_for_pooler()
    with made.agent_away():
        made.rule({})
        made.look()  # counters are reckoned from the second look on
        yield made


def tried(driven: Driven, faults: Sequence[Fault]) -> None:
    """Do faults: each rule fires, is told by its name; and undo them: each is over, and told so.

    Beside a critical alert the warning of its family is not told, so it has its turn before.
    """
    names = [name for fault in faults for name in fault.rules]
    later = criticals(names)
    first = [name for name in names if name not in later]
    driven.rule({})
    driven.until(lambda: driven.not_in(names, Phase.INACTIVE), "these fire before their fault")
    limits = {what: told for fault in faults for what, told in _limits(driven, fault).items()}
    heard, fired = len(driven.receiver.said), {n: driven.change(n, Phase.FIRING) for n in names}

    def untold(wanted: Sequence[str], word: str) -> list[str]:
        lines = [line for text in driven.receiver.said[heard:] for line in text.splitlines()]
        return [n for n in wanted if not any(_says(line, word, n) for line in lines)]

    with ExitStack() as stack:
        for fault in faults:
            stack.enter_context(fault.does(driven.stead))
        driven.rule(limits, without=later)
        driven.until(lambda: untold(first, ""), "these were not told")
        driven.rule(limits)
        driven.until(lambda: untold(names, ""), "these were not told")
    driven.until(lambda: untold(names, "RESOLVED"), "these were not told to be over")
    for name in names:
        begun, ended = (driven.change(name, p) for p in (Phase.FIRING, Phase.INACTIVE))
        assert fired[name] < begun < ended, name


def _says(line: str, word: str, name: str) -> bool:
    if word:
        return line.startswith(f"{word} {name},")
    return f" {name}: " in line and not line.startswith("RESOLVED")


def _limits(driven: Driven, fault: Fault) -> dict[str, tuple[float, float]]:
    found = dict(fault.limits)
    for what, rise in fault.rises.items():
        amount = rise(driven.stead) if callable(rise) else rise
        found[what] = within(driven.value(fault.rules[0]), amount)
    return found


def test_faults_side_by_side_fire_their_alerts_which_are_told_and_over(driven: Driven) -> None:
    tried(driven, TOGETHER)
    told = [len(text.splitlines()) for text in driven.receiver.said]
    assert max(told) > 3  # what changed at one time is one message
    assert len(told) < sum(told) / 2


def test_what_was_unknown_is_told_and_known_again_when_it_can_be_asked(driven: Driven) -> None:
    tried(driven, [UNKNOWN])


@pytest.mark.soak
@pytest.mark.timeout(600)
def test_what_happened_in_a_span_fires_its_alert_until_that_has_passed(driven: Driven) -> None:
    tried(driven, COUNTED)


@pytest.mark.soak
@pytest.mark.timeout(600)
@pytest.mark.parametrize("fault", ALONE, ids=lambda fault: fault.rules[0])
def test_a_fault_fires_its_alerts_which_are_told_and_over(backed_up: Driven, fault: Fault) -> None:
    tried(backed_up, [fault])
