"""Every alert has its fault: whoever adds a rule has it fired, told and ended by one."""

from __future__ import annotations

from collections import Counter

from pgstead.catalog.alert_rules import RULES
from tests.live.alerts.table import EVERY, How


def test_every_rule_is_fired_by_exactly_one_fault_of_the_table() -> None:
    counted = Counter(name for fault in EVERY for name in fault.rules)
    assert not counted.keys() ^ {rule.name for rule in RULES}
    assert {name for name, times in counted.items() if times > 1} == set()


def test_every_fault_is_done_to_a_running_stead() -> None:
    told = Counter(fault.how for fault in EVERY for _ in fault.rules)
    assert told == {How.REAL: len(RULES)}
