"""What people do with specgen, for `pgstead bench`: as somebody who is removed afterwards."""

from __future__ import annotations

import secrets
import uuid
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from pathlib import Path

from pgstead.app.load import Asking, Request, sending


@contextmanager
def requests(url: str, _connection: Path) -> Generator[Sequence[Request]]:
    """Yield requests of a person with a workspace."""
    name = f"bench-{uuid.uuid4().hex}"
    account = {"email": f"{name}@example.com", "password": secrets.token_urlsafe()}
    asking = Asking(url)
    asking("POST", "/users", account)
    token = asking("POST", "/sessions", account)["token"]
    headers = {"Authorization": f"Bearer {token}"}
    mine = Asking(url, headers)
    try:
        place = mine("POST", "/workspaces", {"name": name, "slug": name})["id"]
        try:
            yield (
                sending("GET", "/users/me", headers, what="/users/me"),
                sending("GET", "/workspaces", headers, what="/workspaces"),
                sending(
                    "GET", f"/workspaces/{place}", headers, what="/workspaces/{workspace_id}"
                ),
                sending(
                    "GET", f"/workspaces/{place}/projects", headers,
                    what="/workspaces/{workspace_id}/projects",
                ),
            )  # fmt: skip
        finally:
            mine("DELETE", f"/workspaces/{place}")
    finally:
        mine("DELETE", "/users/me")
