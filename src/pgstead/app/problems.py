"""Errors over HTTP: RFC 9457 problem documents that name what is wrong and what to do."""

from __future__ import annotations

import http
import logging
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException
from starlette.routing import BaseRoute, Match

from pgstead.app import correlation
from pgstead.app.errors import ConstraintError, DatabaseError
from pgstead.app.story import story

MEDIA_TYPE = "application/problem+json"
FAILURE = "pgstead.failure"  # where a request's scope says what its answer tells of

_log = logging.getLogger(__name__)

# Shown in the OpenAPI document for every route.
RESPONSES: dict[int | str, dict[str, Any]] = {
    status: {
        "description": text,
        "content": {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}},
    }
    for status, text in (
        (400, "The body cannot be read."),
        (401, "Nobody is known by what was sent."),
        (403, "Whoever it is, they may not do that."),
        (404, "There is no such thing."),
        (409, "Another row or another writer is in the way; the constraint is named."),
        (412, "The row was changed since it was read (If-Match)."),
        (422, "The request is not valid, or violates a constraint, which is named."),
        (503, "The database does not answer; Retry-After says when to try again."),
    )
}

SCHEMA: dict[str, Any] = {
    "title": "Problem",
    "description": "RFC 9457",
    "type": "object",
    "required": ["type", "title", "status"],
    "properties": {
        "type": {"type": "string"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string"},
        "hint": {"type": "string"},
        "instance": {"type": "string"},
        "correlation_id": {"type": "string"},
        "constraint": {"type": "string"},
        "table": {"type": "string"},
        "columns": {"type": "array", "items": {"type": "string"}},
        "sqlstate": {"type": "string"},
        "errors": {"type": "array", "items": {"type": "object"}},
    },
}


class Problem(HTTPException):
    """What a route raises: a status, a sentence, and what to do."""

    def __init__(self, status: int, detail: str, *, code: str = "", hint: str = "") -> None:
        """Keep a code for programs and a hint for people."""
        super().__init__(status, detail)
        self.code = code
        self.hint = hint


def install(app: FastAPI) -> None:
    """Answer every foreseen error of an application with a problem document."""
    app.add_exception_handler(DatabaseError, _database)
    app.add_exception_handler(HTTPException, _http)
    app.add_exception_handler(RequestValidationError, _validation)


def answer(
    request: Request,
    status: int,
    *,
    code: str = "",
    detail: str = "",
    hint: str = "",
    headers: dict[str, str] | None = None,
    extra: dict[str, Any] | None = None,
) -> JSONResponse:
    """Return a problem document."""
    identity = correlation.current()
    body: dict[str, Any] = {
        "type": f"urn:pgstead:problem:{code}" if code else "about:blank",
        "title": http.HTTPStatus(status).phrase,
        "status": status,
        "detail": detail,
        "hint": hint,
        "instance": request.url.path,
        "correlation_id": identity,
        **(extra or {}),
    }
    return JSONResponse(
        {key: value for key, value in body.items() if value not in ("", None)},
        status_code=status,
        headers=headers,
        media_type=MEDIA_TYPE,
    )


async def _database(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, DatabaseError)
    request.scope[FAILURE] = error
    extra: dict[str, Any] = {"sqlstate": error.sqlstate}
    if isinstance(error, ConstraintError):
        extra["constraint"] = error.violation.constraint
        extra["table"] = error.violation.table
        extra["columns"] = list(error.violation.columns)
    if error.status == 500:
        _log.error("%s %s failed:\n%s", request.method, request.url.path, "".join(story(error)))
    elif error.status > 500:
        _log.error("%s %s: %s", request.method, request.url.path, error.message)
    headers = {"Retry-After": str(error.retry_after)} if error.retry_after is not None else None
    return answer(
        request,
        error.status,
        code=error.code,
        detail=error.message,
        hint=error.hint,
        headers=headers,
        extra=extra,
    )


async def _http(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HTTPException)
    code, hint = (error.code, error.hint) if isinstance(error, Problem) else ("", "")
    headers = dict(error.headers) if error.headers else {}
    if error.status_code == 405:
        headers["Allow"] = ", ".join(sorted(_methods(request)))
    return answer(
        request,
        error.status_code,
        code=code,
        detail=str(error.detail),
        hint=hint,
        headers=headers,
    )


def _methods(request: Request) -> set[str]:
    """Return all methods of a path; Starlette tells those of the first route that has it.

    What `/{key}` takes is not what `/latest` takes, though it matches as well: of several paths
    the one that was declared first is meant, as in routing.
    """
    routes: list[BaseRoute] = request.app.routes
    fit = [route for route in routes if route.matches(request.scope)[0] is not Match.NONE]
    return {
        method
        for route in fit
        if getattr(route, "path", None) == getattr(fit[0], "path", None)
        for method in getattr(route, "methods", None) or ()
    }


async def _validation(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestValidationError)
    # without `input`: what was sent may be personal
    errors = [
        {"where": [str(part) for part in found["loc"]], "what": found["msg"]}
        for found in error.errors()
    ]
    return answer(
        request,
        422,
        code="invalid-request",
        detail="; ".join(f"{'.'.join(e['where'])}: {e['what']}" for e in errors),
        hint="the OpenAPI document (/docs) says what is allowed",
        extra={"errors": errors},
    )
