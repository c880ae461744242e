"""Injection: what a caller sends to a service becomes no SQL, and its errors tell none."""

from __future__ import annotations

import http.client
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any
from urllib.parse import quote, urlencode

from pgstead.model.address import Capability
from pgstead.model.design import Service
from pgstead.prove.finding import Answer, CannotTryError, Finding, answer, timed
from pgstead.prove.promise import promise
from pgstead.prove.witness import Witness, reachable

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
_SLOW = 5.0  # seconds: pg_sleep(9) was done
_MOST = 40  # requests for each service


@dataclass(frozen=True, slots=True)
class Told:
    """What a service answered."""

    status: int
    body: str


@promise(
    "API-001",
    "what a caller sends in place of ids, words and orders becomes no SQL, and errors name no SQL",
    requirement="API-5",
    capability=Capability.DATABASES,
    needs=("service",),
    limit=90,
)
def nothing_becomes_sql(w: Witness) -> Iterator[Finding]:
    for service in w.design.services:
        requests = list(_requests(_described(service)))
        if not requests:
            raise CannotTryError(f"{service.name} describes no operation", could_try=False)
        for path, headers, sent in requests[:_MOST]:
            told = _asked(service, path, headers)
            leak = _TOLD.search(told.value.body.replace(sent, ""))
            yield told.shows(
                holds=told.value.status != http.HTTPStatus.INTERNAL_SERVER_ERROR
                and leak is None
                and told.seconds < _SLOW,
                expected="a refusal or an empty answer, without words of a database",
                said=f"{told.text}: {leak[0]}" if leak else "",
                hint="bind what callers send; choose an order from a list",
            )


def _described(service: Service) -> Mapping[str, Any]:
    told = _asked(service, "/openapi.json", {})
    try:
        found: dict[str, Any] = json.loads(told.value.body)
    except ValueError as error:
        raise CannotTryError(f"{service.name} does not say what it offers") from error
    return found


def _requests(described: Mapping[str, Any]) -> Iterator[tuple[str, dict[str, str], str]]:
    """Yield a read of each operation with each attack by turns: path, headers, what was sent."""
    attacks = list(_ATTACKS.values())
    reads = [(p, o["get"]) for p, o in described.get("paths", {}).items() if "get" in o]
    places = [(path, told) for path, told in reads if told.get("parameters")]
    for number in range(len(attacks)):
        for offset, (path, told) in enumerate(places):
            sent = attacks[(number + offset) % len(attacks)]
            yield _filled(path, told["parameters"], sent)


def _filled(
    path: str, parameters: list[dict[str, Any]], sent: str
) -> tuple[str, dict[str, str], str]:
    asked: dict[str, str] = {}
    headers: dict[str, str] = {}
    for parameter in parameters:
        name = str(parameter["name"])
        match parameter["in"]:
            case "path":
                path = path.replace(f"{{{name}}}", quote(sent, safe=""))
            case "query":
                asked[name] = sent
            case "header":
                headers[name] = sent
            case _:
                continue
    return (f"{path}?{urlencode(asked)}" if asked else path), headers, sent


def _asked(service: Service, path: str, headers: Mapping[str, str]) -> Answer[Told]:
    host = reachable(service.host)
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
