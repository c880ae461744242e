"""Every route while the database is down: 503 that says when to come back, or a degraded 200.

With a service that was never asked anything, and with one that has answered before.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import httpx
import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis.specs.openapi import checks

from tests.live.ai_agents.keys import DIGEST
from tests.live.openapi.test_documents import CALLERS, Caller
from tests.live.service import (
    AI_AGENTS,
    JEEX_IDEA,
    SPECGEN,
    System,
    down,
    migrated,
    serving_system,
)

FEW, MANY = 1, 25  # cases for each operation
# alive, once ready, and what was measured: none of them asks the database
ALIVE = ("/health/live", "/health/startup", "/metrics")
WATCHED = "/dashboard"  # all of its pages, likewise
CONFORMANCE = [
    checks.status_code_conformance,
    checks.content_type_conformance,
    checks.response_schema_conformance,
]


@dataclass
class Rounds:
    """Calls to every operation of a service, and the kinds of answers that they got."""

    caller: Caller
    document: dict[str, Any]
    cases: int
    told: Counter[str] = field(default_factory=Counter[str])

    def operations(self) -> Iterator[Any]:
        """Yield each operation of the caller's."""
        schema = schemathesis.openapi.from_dict(self.document)
        found: Any
        for found in schema.get_all_operations():
            operation = found.ok()
            if self.is_theirs(operation.path):
                yield operation

    def is_theirs(self, path: str) -> bool:
        """Say whether a path is for this caller; who is refused (401) has no answers left."""
        kept_away = any(re.search(pattern, path) for pattern in self.caller.without)
        return not kept_away and re.search(self.caller.only, path) is not None

    def read_what_needs_no_key(self) -> dict[str, httpx.Response]:
        """Read what can be read without the key of a row; return the answers to marked reads."""
        found: dict[str, httpx.Response] = {}
        with httpx.Client(
            base_url=self.caller.url, headers=self.caller.headers, timeout=60
        ) as client:
            for path, methods in self.document["paths"].items():
                if "get" in methods and "{" not in path and self.is_theirs(path):
                    answer = client.get(path)
                    if is_marked(methods["get"]) and answer.status_code == 200:
                        found[path] = answer
        return found

    def call_all(self) -> None:
        """Call each operation with what it takes."""
        for operation in self.operations():
            self.call(operation)

    def call(self, operation: Any) -> None:
        marked = is_marked(operation.definition.raw)

        @settings(
            max_examples=self.cases,
            deadline=None,
            database=None,
            phases=[Phase.generate],
            suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
        )
        @given(case=operation.as_strategy())
        def once(case: Any) -> None:
            answer = case.call(base_url=self.caller.url, headers=self.caller.headers)
            case.validate_response(answer, checks=CONFORMANCE)
            self.told[kind(operation.path, answer, marked=marked)] += 1

        once()


def is_marked(operation: dict[str, Any]) -> bool:
    """Say whether the document tells that an answer may be degraded."""
    return "X-Degraded" in operation.get("description", "")


def kind(path: str, answer: Any, *, marked: bool) -> str:
    """Return what kind of answer it is; fail where it is none that is promised."""
    headers = {
        name.lower(): values if isinstance(values, str) else values[0]
        for name, values in answer.headers.items()
    }
    what = f"{path}: {answer.status_code} {headers} {answer.text[:300]}"
    if answer.status_code == 503:
        assert int(headers["retry-after"]) >= 1, what
        if not path.startswith("/health"):
            assert headers["content-type"] == "application/problem+json", what
        return "503"
    if answer.status_code == 200 and path not in ALIVE and not path.startswith(WATCHED):
        assert marked, what
        assert headers["x-degraded"] == "true", what
        return "degraded"
    # refused before the database is asked: what was sent cannot be right
    assert answer.status_code in (200, 401, 403, 404, 412, 422), what
    return "refused" if answer.status_code != 200 else "alive"


def check(system: System, cases: int) -> None:
    """Take a service's database away, and call all that it has."""
    more = {"AI_AGENTS_OPERATOR_KEY_SHA256": DIGEST} if system is AI_AGENTS else {}
    with (
        migrated(system) as scratch,
        serving_system(system, scratch, **more) as service,
        CALLERS[system.name](service.client) as callers,
    ):
        document = service.client.get("/openapi.json").json()
        rounds = [Rounds(caller, document, cases) for caller in callers]
        live = [each.read_what_needs_no_key() for each in rounds]
        with down(scratch):
            for each in rounds:
                each.call_all()
                print(system.name, dict(each.told))
                assert each.told["503"] > 5
            last = [each.read_what_needs_no_key() for each in rounds]
        marked = [path for told in last for path in told]
        assert marked == [path for told in live for path in told] != []
        for told in last:
            assert {kind(path, told[path], marked=True) for path in told} <= {"degraded"}
        assert "Traceback" not in service.log.read_text()


SYSTEMS = pytest.mark.parametrize("system", [JEEX_IDEA, AI_AGENTS, SPECGEN], ids=lambda s: s.name)


@pytest.mark.slow
@SYSTEMS
def test_every_route_says_when_to_come_back_or_answers_from_memory(system: System) -> None:
    check(system, FEW)


@pytest.mark.soak
@pytest.mark.timeout(3600)
@SYSTEMS
def test_many_cases_of_every_route_say_when_to_come_back(system: System) -> None:
    check(system, MANY)
