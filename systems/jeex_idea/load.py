"""What people do with jeex_idea, for `pgstead bench`: as somebody who is removed afterwards."""

from __future__ import annotations

import uuid
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from pathlib import Path

from pgstead.app.load import Asking, Request, sending
from systems.jeex_idea.routes.identity import HEADER


@contextmanager
def requests(url: str, _connection: Path) -> Generator[Sequence[Request]]:
    """Yield requests of a person with a project."""
    name = f"bench-{uuid.uuid4().hex}"
    person = Asking(url)("POST", "/users", {"email": f"{name}@example.com", "name": name})["id"]
    headers = {HEADER: person}
    asking = Asking(url, headers)
    try:
        wanted = {"name": name, "created_by": person}
        project = asking("POST", "/projects", wanted)["id"]
        try:
            yield (
            sending("GET", "/projects?limit=20", headers, what="/projects"),
            sending("GET", f"/projects/{project}", headers, what="/projects/{project_id}"),
            sending("GET", f"/users/{person}", headers, what="/users/{user_id}"),
            sending(
                "PATCH", f"/projects/{project}", headers, what="/projects/{project_id}",
                body={"name": name},
            ),
            )  # fmt: skip
        finally:
            asking("DELETE", f"/projects/{project}")
    finally:
        asking("DELETE", f"/users/{person}")
