"""schemathesis over the OpenAPI document of each system: no 5xx, nothing that is not documented.

A few cases for each operation by default; `make soak` runs thousands.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import pytest

from tests.live.ai_agents.keys import DIGEST, OPERATOR, tenant_body
from tests.live.answers import made
from tests.live.service import AI_AGENTS, JEEX_IDEA, SPECGEN, System, migrated, serving_system
from tests.live.specgen.people import PASSWORD, Somebody, contents

FEW, MANY = 1, 60  # cases for each operation and phase


@dataclass
class Caller:
    """Who calls, and what they leave alone because it would end their own session."""

    url: str
    headers: dict[str, str] = field(default_factory=dict)
    only: str = ""
    without: tuple[str, ...] = ()


@contextmanager
def jeex_idea(base: httpx.Client) -> Iterator[list[Caller]]:
    """Call as a person."""
    body = {"email": f"{uuid.uuid4()}@example.com", "name": "A"}
    user = made(base.post("/users", json=body))
    yield [Caller(str(base.base_url), {"X-User-ID": user["id"]})]


@contextmanager
def ai_agents(base: httpx.Client) -> Iterator[list[Caller]]:
    """Call as a tenant, and as the operator."""
    operator = {"Authorization": f"Bearer {OPERATOR}"}
    tenant = made(base.post("/operator/tenants", json=tenant_body("acme"), headers=operator))
    path = f"/operator/tenants/{tenant['id']}/keys"
    key = made(base.post(path, json={"name": "k"}, headers=operator))["key"]
    own = {"Authorization": f"Bearer {key}"}
    made(base.post("/tickets", json={"ticket_id": "1", "description": "disk"}, headers=own))
    yield [
        Caller(str(base.base_url), own, without=("^/operator",)),
        Caller(str(base.base_url), operator, only="^/operator"),
    ]


@contextmanager
def specgen(base: httpx.Client) -> Iterator[list[Caller]]:
    """Call as the owner of a workspace with something in it."""
    email = f"{uuid.uuid4().hex}@example.com"
    made(base.post("/users", json={"email": email, "password": PASSWORD}))
    ada = Somebody.signed_in(base, email)
    ada.make_workspace()
    contents(ada)
    headers = {"Authorization": ada.client.headers["authorization"]}
    ada.client.close()
    yield [Caller(str(base.base_url), headers, without=("^/users/me$", "^/sessions/current$"))]


CALLERS = {"jeex_idea": jeex_idea, "ai_agents": ai_agents, "specgen": specgen}


def run(caller: Caller, cases: int, folder: Path) -> tuple[int, str]:
    """Run schemathesis in a folder, where it keeps notes; return how it ended and what it said."""
    chosen = [*(("--include-path-regex", caller.only) if caller.only else ())]
    for path in caller.without:
        chosen += ["--exclude-path-regex", path]
    headers = [x for name, value in caller.headers.items() for x in ("-H", f"{name}: {value}")]
    done = subprocess.run(
        [
            *(sys.executable, "-m", "schemathesis.cli"),
            *("--config-file", str(Path(__file__).with_name("schemathesis.toml")), "run"),
            f"{caller.url.rstrip('/')}/openapi.json",
            *("--phases", "examples,coverage,fuzzing", "--max-examples", str(cases)),
            # `unsupported_method` wants the same problem for TRACE, which uvicorn answers itself;
            # `positive_data_acceptance` cannot know of constraints that only the database has.
            *("--exclude-checks", "unsupported_method,positive_data_acceptance"),
            *("--seed", "1", "--no-color", "--continue-on-failure", "--warnings", "off"),
            *("--generation-database", "none", "--request-timeout", "60"),
            *chosen,
            *headers,
        ],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": ""},
        capture_output=True,
        text=True,
        timeout=3600,
        check=False,
    )
    return done.returncode, done.stdout + done.stderr


def check(system: System, cases: int) -> None:
    """Run schemathesis over a system's document; nothing may be found."""
    more = {"AI_AGENTS_OPERATOR_KEY_SHA256": DIGEST} if system is AI_AGENTS else {}
    with (
        migrated(system) as scratch,
        serving_system(system, scratch, **more) as service,
        CALLERS[system.name](service.client) as callers,
    ):
        for caller in callers:
            status, said = run(caller, cases, scratch.folder)
            generated = re.search(r"(\d[\d,]*) generated", said)
            print(system.name, generated.group() if generated else "", file=sys.stderr)
            assert status == 0, f"{said[-12000:]}\n{service.log.read_text()[-4000:]}"


@pytest.mark.slow
@pytest.mark.parametrize("system", [JEEX_IDEA, AI_AGENTS, SPECGEN], ids=lambda s: s.name)
def test_a_few_cases_of_every_operation_find_nothing(system: System) -> None:
    check(system, FEW)


@pytest.mark.soak
@pytest.mark.timeout(7200)
@pytest.mark.parametrize("system", [JEEX_IDEA, AI_AGENTS, SPECGEN], ids=lambda s: s.name)
def test_thousands_of_cases_find_nothing(system: System) -> None:
    check(system, MANY)
