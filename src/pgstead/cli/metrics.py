"""`pgstead metrics`: files for those who collect, show and watch the metrics."""

from __future__ import annotations

from pgstead.cli.command import CommandGroup
from pgstead.cli.metrics_cardinality import cardinality
from pgstead.cli.metrics_files import collector, grafana, prometheus, rules

command = CommandGroup(
    "metrics",
    help="Print what Prometheus, Grafana and a collector need.",
    examples=(
        ("pgstead metrics prometheus > prometheus.yml", "scrape this stead"),
        ("pgstead metrics rules > pgstead.rules.yml", "alert by it"),
        ("pgstead metrics grafana > stead.json", "show it in Grafana"),
        ("pgstead metrics cardinality", "how many series there are, and can be"),
    ),
)
for _each in (grafana, prometheus, rules, collector, cardinality):
    command.add_command(_each)
