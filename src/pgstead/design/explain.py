"""`pgstead explain`: why a derived value is what it is."""

from __future__ import annotations

from pgstead.catalog.lookup import close_to
from pgstead.errors import UsageError
from pgstead.model.design import Design, Reason


def explain(design: Design, name: str) -> Reason:
    """Return the reason of a value: "server.work_mem", or "work_mem" where that is clear."""
    found = design.reasons.get(name)
    if found is not None:
        return found
    folded = name.lower()
    endings = [
        key
        for key in design.reasons
        if key.lower() == folded or key.lower().split(".", 1)[-1] == folded
    ]
    if len(endings) == 1:
        return design.reasons[endings[0]]
    if endings:
        raise UsageError(
            f'"{name}" is there more than once', hint=f"say which: {', '.join(sorted(endings))}"
        )
    bare = {key.split(".", 1)[-1]: key for key in design.reasons}
    close = close_to(name, [*design.reasons, *bare])
    raise UsageError(
        f'pgstead derives no "{name}"', hint=close or "`pgstead explain` alone lists the names"
    )
