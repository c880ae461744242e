"""What a test expects of an answer over HTTP."""

from __future__ import annotations

from typing import Any

import httpx


def made(answer: httpx.Response, status: int = 201) -> dict[str, Any]:
    """Return the body of an answer that has to be a success."""
    assert answer.status_code == status, answer.text
    return answer.json()


def refused(answer: httpx.Response, status: int) -> dict[str, Any]:
    """Return the problem of an answer that has to be a refusal."""
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    problem = answer.json()
    assert problem["status"] == status
    assert problem["correlation_id"] == answer.headers["x-correlation-id"]
    return problem
