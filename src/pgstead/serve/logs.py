"""How the service logs: one line per event to standard error, in UTC, with the correlation id."""

from __future__ import annotations

import logging
import time
from typing import Any


class UtcFormatter(logging.Formatter):
    """ISO 8601 with the offset, whatever the zone of the process is."""

    converter = time.gmtime
    default_time_format = "%Y-%m-%dT%H:%M:%S"
    default_msec_format = "%s.%03d+00:00"


# uvicorn's access log names every query string, so also what people search for: off by default.
CONFIGURATION: dict[str, Any] = {
    "version": 1,
    "disable_existing_loggers": False,
    "filters": {"correlation": {"()": "pgstead.app.correlation.CorrelationFilter"}},
    "formatters": {
        "line": {
            "()": "pgstead.serve.logs.UtcFormatter",
            "format": "%(asctime)s %(levelname)s [%(correlation_id)s] %(name)s: %(message)s",
        }
    },
    "handlers": {
        "stderr": {
            "class": "logging.StreamHandler",
            "formatter": "line",
            "filters": ["correlation"],
        }
    },
    "root": {"level": "INFO", "handlers": ["stderr"]},
    "loggers": {"sqlalchemy.engine": {"level": "WARNING"}},
}
