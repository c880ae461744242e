"""What the services themselves have measured since they started: their /metrics, asked once."""

from __future__ import annotations

import http.client
from collections.abc import Sequence

from prometheus_client.parser import text_string_to_metric_families

from pgstead.errors import NotRunningError
from pgstead.model.design import Service
from pgstead.model.performance import Counted

_PATIENCE = 5.0  # seconds
_WANTED = "db_client_"


def read(service: Service) -> Sequence[Counted]:
    """Return the samples of the client's instruments. Raises NotRunningError."""
    connection = http.client.HTTPConnection(service.here, service.port, timeout=_PATIENCE)
    try:
        connection.request("GET", "/metrics")
        answer = connection.getresponse()
        text = answer.read().decode("utf-8", "replace")
    except (OSError, http.client.HTTPException) as error:
        raise _silent(service, type(error).__name__) from error
    finally:
        connection.close()
    if answer.status != http.client.OK:
        raise _silent(service, f"HTTP {answer.status}")
    try:
        return [
            Counted(sample.name, dict(sample.labels), float(sample.value))
            for family in text_string_to_metric_families(text)
            if family.name.startswith(_WANTED)
            for sample in family.samples
        ]
    except ValueError as error:
        raise _silent(service, f"what it says is no exposition: {error}") from error


def _silent(service: Service, why: str) -> NotRunningError:
    return NotRunningError(
        f"the service of {service.database} does not tell its metrics: {why}",
        hint="`pgstead status` shows what runs",
    )
