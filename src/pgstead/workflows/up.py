"""up: plan, apply, observe again, until nothing differs."""

from __future__ import annotations

import time
from dataclasses import dataclass

from pgstead.apply import local
from pgstead.apply.run import execute
from pgstead.errors import InitializationError, NotAllowedError, NotRunningError, SteadError
from pgstead.model.address import Kind
from pgstead.model.design import Design
from pgstead.model.operation import Impact, Operation, Plan
from pgstead.ports import Gate, Ports
from pgstead.workflows.planning import plan as make_plan

# Files and processes, then roles and databases, then what databases hold, then revisions and
# their grants. One more round than that means that something is undone behind our back.
_ROUNDS = 8
_PATIENCE = 120  # seconds for crash recovery; checkpoints every few minutes keep it far shorter


@dataclass(frozen=True, slots=True)
class UpResult:
    """What `up` did."""

    operations: tuple[Operation, ...]
    initialized: bool

    @property
    def changed(self) -> bool:
        """Say whether anything had to be done."""
        return bool(self.operations)


def up(
    design: Design, ports: Ports, *, allow: Impact = Impact.RELOAD, gate: Gate | None = None
) -> UpResult:
    """Bring the stead to what the design says; a second run finds nothing to change.

    `allow` is the gravest impact that may happen without asking; `gate` says what must hold
    before revisions run. Raises NotAllowedError, GateError or KeysLostError before anything of a
    round is done; InitializationError when the first start fails.
    """
    done: list[Operation] = []
    fresh = ports.cluster.inspect() is None
    previous: Plan | None = None
    for _ in range(_ROUNDS):
        plan = make_plan(design, ports)
        if plan.empty:
            return UpResult(tuple(done), fresh)
        if not plan.operations:
            _wait_for_answers(plan, ports)
            continue
        _refuse_repetition(plan, previous)
        _refuse_loss(plan, design)
        refuse_impact(plan, allow)
        if gate is not None and (pending := _to_migrate(plan)):
            gate.refuse(pending)
        try:
            execute(plan, design, ports)
        except InitializationError:
            raise
        except SteadError as error:
            if fresh and not ports.sql.answers():
                raise InitializationError(error.message, hint=error.hint) from error
            raise
        done += plan.operations
        previous = plan
    raise _unsettled(make_plan(design, ports))


def _wait_for_answers(plan: Plan, ports: Ports) -> None:
    """Wait while a server that was killed recovers: all is as wanted, but not all answers yet."""
    pooled = any(what == Kind.POOLER_SETTING for what, _ in plan.unknown)
    end = time.monotonic() + _PATIENCE
    while time.monotonic() < end:
        if ports.sql.answers() and (not pooled or ports.console.answers()):
            return
        time.sleep(0.1)
    raise NotRunningError(
        f"everything runs, but after {_PATIENCE} s there is still no answer: {plan.unknown[0][1]}",
        hint="`pgstead logs postgres` and `pgstead logs pgbouncer` show what they are doing",
    )


def refuse_impact(plan: Plan, allow: Impact) -> None:
    """Raise NotAllowedError where a plan holds a graver operation than that."""
    grave = [operation for operation in plan.operations if operation.impact > allow]
    if not grave:
        return
    word = plan.worst.word
    told = ", ".join(str(operation.address) for operation in grave[:5])
    raise NotAllowedError(
        f"the plan holds {len(grave)} operation(s) of impact {word}: {told}",
        hint=f"look at `pgstead plan`, then `pgstead up --allow {word}`",
    )


def _to_migrate(plan: Plan) -> list[str]:
    """Return the databases that are there and whose revisions a round runs."""
    made = {
        operation.address.key
        for operation in plan.operations
        if operation.address.kind is Kind.DATABASE and operation.before is None
    }
    addresses = [operation.address for operation in plan.operations]
    return [a.key for a in addresses if a.kind is Kind.REVISION and a.key not in made]


def _refuse_loss(plan: Plan, design: Design) -> None:
    for operation in plan.operations:
        local.refuse_loss(operation, design)


def _refuse_repetition(plan: Plan, previous: Plan | None) -> None:
    if previous is not None and plan == previous:
        raise _unsettled(plan)


def _unsettled(plan: Plan) -> SteadError:
    told = [str(operation.address) for operation in plan.operations] or [w for w, _ in plan.unknown]
    return SteadError(
        f"it does not settle: still to change after being changed: {', '.join(told[:5])}",
        hint="`pgstead plan` shows the difference, `pgstead logs postgres` the server's words",
    )
