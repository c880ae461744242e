"""The rule table: Prometheus rules, the built-in evaluator and docs/reference/alerts.md come of it.

A rule whose limit is a threshold of `/health/db` takes that of the manifest. Each has the fault
that makes it fire; research/observability.md names the published rules that never could.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from pgstead.model.alerts import (
    AlertRule,
    AtLevel,
    Beyond,
    Every,
    Increase,
    Missing,
    Newest,
    Runbook,
    Severity,
    Some,
)
from pgstead.model.telemetry import Fold, Level

_W, _C = Severity.WARNING, Severity.CRITICAL

RULES: tuple[AlertRule, ...] = (
    AlertRule(
        "ServerDown",
        Some((Beyond(Newest("pg_up", fold=Fold.LOWEST), 0.0, falling=True), Missing("pg_up"))),
        30.0, _C, ("TEL-6", "TEL-3"),
        "the server does not answer the monitoring role",
        Runbook(
            "The server is stopped, hangs, or refuses pgstead_monitor.",
            "`pgstead status`, `pgstead logs postgres`; a full disk is the commonest cause.",
            "`pgstead up` starts it. Where it hangs, look at the machine before you kill it.",
        ),
        "stop the server",
    ),
    AlertRule(
        "IdleInTransaction", AtLevel("idle_in_transaction", Level.WARNING), 0.0, _W, ("TEL-3",),
        "an open transaction does nothing",
        Runbook(
            "It holds its locks and keeps vacuum from removing rows, for as long as it is open.",
            "`SELECT pid, usename, application_name, xact_start, query FROM pg_stat_activity"
            " WHERE state LIKE 'idle in transaction%' ORDER BY xact_start`.",
            "Mend the application (commit before waiting for others);"
            " `SELECT pg_terminate_backend(pid)` ends one.",
        ),
        "BEGIN, and do nothing", family="idle_in_transaction",
    ),
    AlertRule(
        "Deadlocks", Beyond(Increase("pg_stat_database_deadlocks_total", 600.0), 1.0), 0.0, _W,
        ("TEL-3",), "transactions have blocked each other crosswise",
        Runbook(
            "The server ended one of them with 40P01; a client that retries loses time only.",
            "`pgstead logs postgres` shows both statements of each deadlock.",
            "Lock rows in one order everywhere (ORDER BY in SELECT ... FOR UPDATE).",
        ),
        "update two rows crosswise",
    ),
)  # fmt: skip

BY_NAME: Mapping[str, AlertRule] = MappingProxyType({rule.name: rule for rule in RULES})
