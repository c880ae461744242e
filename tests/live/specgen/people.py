"""People of the tests, signed in."""

from __future__ import annotations

import uuid
from dataclasses import dataclass, field
from typing import Any

import httpx

from tests.live.answers import made

PASSWORD = "correct horse battery staple"


@dataclass
class Somebody:
    """A person with a client of their own, and perhaps a workspace."""

    client: httpx.Client
    email: str
    id: str
    workspace: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def signed_in(cls, api: httpx.Client, email: str, **more: Any) -> Somebody:
        """Sign in."""
        body = {"email": email, "password": PASSWORD, **more}
        session = made(api.post("/sessions", json=body))
        return cls.of_token(api, email, session["user_id"], session["token"])

    @classmethod
    def of_token(cls, api: httpx.Client, email: str, key: str, token: str) -> Somebody:
        """Be who has a token."""
        headers = {"Authorization": f"Bearer {token}"}
        return cls(httpx.Client(base_url=api.base_url, headers=headers, timeout=30), email, key)

    def make_workspace(self) -> dict[str, Any]:
        """Make a workspace."""
        body = {"name": "W", "slug": f"w-{uuid.uuid4().hex}"}
        self.workspace = made(self.client.post("/workspaces", json=body))
        return self.workspace

    def path(self, rest: str) -> str:
        """Return a path in the workspace."""
        return f"/workspaces/{self.workspace['id']}/{rest}"

    def make(self, resource: str, **body: Any) -> dict[str, Any]:
        """Make something in the workspace."""
        return made(self.client.post(self.path(resource), json=body))

    def invite(self, other: Somebody, role: str) -> dict[str, Any]:
        """Ask somebody in."""
        member = self.make("members", user_id=other.id, role=role)
        other.workspace = self.workspace
        return member


def contents(ada: Somebody) -> dict[str, dict[str, Any]]:
    """Return what creates a row of each resource of a workspace; what it needs is made."""
    project = ada.make("projects", name="P", project_type="greenfield")["id"]
    decisions = [
        ada.make("decisions", project_id=project, question_text=q)["id"] for q in ("A?", "B?")
    ]
    artifact = ada.make("artifacts", project_id=project, artifact_type="prd", title="T")["id"]
    analysis = ada.make("codebase-analyses", project_id=project)["id"]
    return {
        "projects": {"name": "Q", "project_type": "brownfield"},
        "branches": {"project_id": project, "name": "b"},
        "decisions": {"project_id": project, "question_text": "C?", "metadata": {"a": [1]}},
        "decision-dependencies": {
            "source_decision_id": decisions[0],
            "target_decision_id": decisions[1],
        },
        "conversation-turns": {"decision_id": decisions[0], "role": "user", "content": "Hm"},
        "artifacts": {"project_id": project, "artifact_type": "openapi", "title": "API"},
        "artifact-versions": {"artifact_id": artifact, "content": {"x": 1}},
        "decision-artifacts": {"decision_id": decisions[0], "artifact_id": artifact},
        "comments": {"project_id": project, "content": "Nice", "decision_id": decisions[1]},
        "codebase-analyses": {"project_id": project, "languages": ["python"]},
        "impact-analyses": {
            "project_id": project,
            "codebase_analysis_id": analysis,
            "change_description": "All of it",
        },
        "templates": {"name": "T", "tags": ["a"]},
        "audit-logs": {"action": "data_export", "project_id": project},
    }


CHANGES: dict[str, dict[str, Any]] = {
    "projects": {"status": "active"},
    "branches": {"status": "merged"},
    "decisions": {"status": "answered", "answer_text": "Yes"},
    "decision-dependencies": {"dependency_type": "blocks"},
    "conversation-turns": {"content": "Well"},
    "artifacts": {"status": "completed", "file_size": 10},
    "artifact-versions": {"changelog": "new"},
    "comments": {"status": "resolved"},
    "codebase-analyses": {"status": "completed", "total_loc": 5},
    "impact-analyses": {"risk_level": "high"},
    "templates": {"rating": 5},
}
RESOURCES = (
    *("projects", "branches", "decisions", "decision-dependencies", "conversation-turns"),
    *("artifacts", "artifact-versions", "decision-artifacts", "comments"),
    *("codebase-analyses", "impact-analyses", "templates", "audit-logs"),
)
