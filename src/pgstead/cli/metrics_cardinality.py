"""`pgstead metrics cardinality`: how many series the samples are, and can become."""

from __future__ import annotations

from dataclasses import asdict

import click

from pgstead.cli.command import command as new_command
from pgstead.cli.console import Console
from pgstead.cli.invocation import invocation_of
from pgstead.errors import UsageError


@new_command(
    "cardinality",
    ("pgstead metrics cardinality", "the metrics with the most series"),
    ("pgstead metrics cardinality --all", "every metric"),
    exit_0="printed",
)
@click.option("--all", "everything", is_flag=True, help="Metrics of a single series, too.")
def cardinality(everything: bool) -> None:
    """Show how many series each sampled metric has, and the bound that it cannot pass."""
    from pgstead.agent import cardinality as counting
    from pgstead.cli.wiring import wire

    invocation = invocation_of()
    console = Console(invocation)
    wired = wire(invocation.manifest, console, tolerant=True)
    plan, ports = wired.design.telemetry, wired.ports.telemetry
    if plan is None or ports is None:
        raise UsageError(
            "this stead is not watched", hint="set telemetry.enabled to true, then `pgstead up`"
        )
    found = counting.cardinality(wired.design, plan, wired.ports, ports)
    total, most = sum(c.series for c in found), sum(c.most for c in found)
    if invocation.json:
        metrics = [asdict(each) for each in found]
        console.data({"series": total, "most": most, "metrics": metrics})
        return
    console.table(
        [
            (c.metric, str(c.series), str(c.most), ", ".join(c.attributes))
            for c in found
            if everything or c.most > 1
        ],
        ("metric", "series", "at most", "by"),
    )
    console.line()
    console.line(f"{total} series in all, at most {most} with these databases")
