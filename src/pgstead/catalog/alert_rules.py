"""The rule table: Prometheus rules, the built-in evaluator and docs/reference/alerts.md come of it.

Each rule has the fault that makes it fire, and a test that does it: of the published rules several
never could (docs/adr/0027).
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from pgstead.catalog import alert_events, alert_levels
from pgstead.model.alerts import AlertRule

RULES: tuple[AlertRule, ...] = (*alert_events.RULES, *alert_levels.RULES)
BY_NAME: Mapping[str, AlertRule] = MappingProxyType({rule.name: rule for rule in RULES})
