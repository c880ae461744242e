"""Plan: observe and compare."""

from __future__ import annotations

from pgstead.model.design import Design
from pgstead.model.operation import Plan
from pgstead.observe import snapshot
from pgstead.plan.diff import diff
from pgstead.ports import Ports


def plan(design: Design, ports: Ports) -> Plan:
    """Return what `up` would do now; with the server down, what it would do first."""
    return diff(design.stead, snapshot.take(design, ports))
