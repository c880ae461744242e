"""What PgBouncer's log says of those whom it refuses."""

from __future__ import annotations

import re

from pgstead.model.audit import Event, Kind, Outcome, Place

# 2026-11-22 08:00:00.123 UTC [77] WARNING C-0x5581: db/role@10.0.0.7:51234 pooler error: ...
_REFUSED = re.compile(
    r"^(?P<day>\d{4}-\d\d-\d\d) (?P<time>[\d:.]+) UTC \[\d+\] \w+ C-0x[0-9a-f]+: "
    r"(?P<database>.*)/(?P<role>.*)@(?P<client>\S+:\d+) pooler error: (?P<said>.*)$"
)
_WAYS = re.compile(
    r"password|SASL|SCRAM|certificate|peer|PAM|ldap|login|auth|no such|not allowed|reject",
    re.IGNORECASE,
)


def refusal(line: str, source: Place) -> Event | None:
    """Return the event of a line, None where it tells of no refusal."""
    found = _REFUSED.match(line)
    if found is None or not _WAYS.search(found["said"]):
        return None
    return Event(
        at=f"{found['day']}T{found['time']}+00:00",
        kind=Kind.LOGIN,
        outcome=Outcome.DENIED,
        role=found["role"],
        database=found["database"],
        client=found["client"],
        what=found["said"],
        sqlstate="28000",
        detail={"door": "pooler"},
        source=source,
    )
