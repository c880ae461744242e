"""Injection: what a caller sends to a service becomes no SQL, and its errors tell none."""

from __future__ import annotations

import http.client
import json
import re
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import cycle
from types import MappingProxyType
from typing import Any
from urllib.parse import quote, unquote_plus, urlencode

from pgstead.model.address import Capability
from pgstead.model.design import Service
from pgstead.prove.finding import Answer, CannotTryError, Finding, answer, timed
from pgstead.prove.promise import promise
from pgstead.prove.witness import Witness

_ATTACKS: Mapping[str, str] = MappingProxyType({
    "a string that ends": "' OR '1'='1",
    "a second statement": "1; SELECT pg_sleep(9) --",
    "an order with a query": "id, (SELECT rolpassword FROM pg_authid LIMIT 1)",
    "a path of JSON": "$.a' || (SELECT 1/0) || '",
    "a string of its own quotes": "$$||current_user||$$",
    "a template": "%s %(id)s {0} :id",
})  # fmt: skip
# what only a database, its driver or a traceback says
_TOLD = re.compile(
    r"syntax error at|unterminated quoted|sqlstate|psycopg|asyncpg|sqlalchemy|traceback"
    r"|pg_authid|division by zero|relation \"|column \"|\bSELECT\b.*\bFROM\b.*\bWHERE\b",
    re.IGNORECASE,
)
_PAPER = "/openapi.json"
_SLOW = 5.0  # seconds: pg_sleep(9) was done
_MOST = 60  # requests for each service that has fewer places than that


@dataclass(frozen=True, slots=True)
class Told:
    """What a service answered."""

    status: int
    body: str


@dataclass(frozen=True, slots=True)
class _Request:
    path: str
    headers: Mapping[str, str]
    sent: str  # the attack in it


@promise(
    "API-001",
    "what a caller sends in place of ids, words and orders becomes no SQL, and errors name no SQL",
    requirement="API-2",
    capability=Capability.DATABASES,
    needs=("service",),
    limit=90,
)
def nothing_becomes_sql(w: Witness) -> Iterator[Finding]:
    for service in w.design.services:
        requests = list(_requests(_described(w, service)))
        if not requests:
            raise CannotTryError(f"{service.name} describes no operation", could_try=False)
        for request in requests:
            told = _asked(service, request.path, request.headers)
            # what an answer repeats of what was sent is no leak
            leak = _TOLD.search(unquote_plus(told.value.body).replace(request.sent, ""))
            yield told.shows(
                holds=told.value.status != http.HTTPStatus.INTERNAL_SERVER_ERROR
                and leak is None
                and told.seconds < _SLOW,
                expected="a refusal or an empty answer, without words of a database",
                said=f"{told.text}: {leak[0]}" if leak else "",
                hint="bind what callers send; choose an order from a list",
            )


def _described(w: Witness, service: Service) -> Mapping[str, Any]:
    try:
        # what is just starting answers in a moment
        told = w.wait_until(lambda: _unless_away(service), 15) or _asked(service, _PAPER, {})
        found: dict[str, Any] = json.loads(told.value.body)
    except ValueError as error:
        raise CannotTryError(f"{service.name} does not say what it offers") from error
    return found


def _unless_away(service: Service) -> Answer[Told] | None:
    try:
        return _asked(service, _PAPER, {})
    except CannotTryError:
        return None


def _requests(described: Mapping[str, Any]) -> Iterator[_Request]:
    """Yield reads, each with an attack in one place, and what is well-formed in the others."""
    reads = [(p, o["get"]) for p, o in described.get("paths", {}).items() if "get" in o]
    places = [
        (path, told["parameters"], number)
        for path, told in reads
        for number in range(len(told.get("parameters", ())))
    ]
    attacks = cycle(_ATTACKS.values())
    rounds = max(1, _MOST // max(1, len(places)))
    for path, parameters, number in places * rounds:
        yield _filled(path, parameters, number, next(attacks))


def _filled(path: str, parameters: list[dict[str, Any]], attacked: int, sent: str) -> _Request:
    asked: dict[str, str] = {}
    headers: dict[str, str] = {}
    for number, parameter in enumerate(parameters):
        name = str(parameter["name"])
        value = sent if number == attacked else _well_formed(parameter.get("schema", {}))
        if number != attacked and not parameter.get("required") and parameter["in"] == "query":
            continue
        match parameter["in"]:
            case "path":
                path = path.replace(f"{{{name}}}", quote(value, safe=""))
            case "query":
                asked[name] = value
            case "header":
                headers[name] = value
            case _:
                continue
    return _Request(f"{path}?{urlencode(asked)}" if asked else path, headers, sent)


def _well_formed(schema: Mapping[str, Any]) -> str:
    """Return what gets past validation, so that what was sent beside it is looked at."""
    told = [schema, *schema.get("anyOf", ())]
    for each in told:
        if "enum" in each:
            return str(each["enum"][0])
        if each.get("type") in {"integer", "number"}:
            return "1"
    return str(uuid.uuid4())


def _asked(service: Service, path: str, headers: Mapping[str, str]) -> Answer[Told]:
    host = service.here
    tried = f"GET http://{host}:{service.port}{path} {dict(headers) or ''}".rstrip()
    with timed() as watch:
        asked = http.client.HTTPConnection(host, service.port, timeout=2 * _SLOW)
        try:
            asked.request("GET", path, headers=dict(headers))
            got = asked.getresponse()
            told = Told(got.status, got.read().decode(errors="replace"))
        except (OSError, http.client.HTTPException) as error:
            raise CannotTryError(f"{tried}: {error}") from error
        finally:
            asked.close()
    return answer(tried, f"{told.status}, {len(told.body)} characters", told, watch)


PROMISES = (nothing_becomes_sql,)
