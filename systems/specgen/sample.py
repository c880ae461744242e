"""Sample data for specgen: `load()` twice is `load()` once, `remove()` takes exactly it away.

Its person cannot sign in: the hash is of a password that nobody kept.
"""

from __future__ import annotations

import datetime as dt
import secrets
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from argon2 import PasswordHasher
from sqlalchemy.ext.asyncio import AsyncSession

from pgstead.app import samples
from pgstead.app.rows import Row
from pgstead.app.scope import Scope
from systems.specgen.models import (
    Artifact,
    ArtifactVersion,
    Base,
    Branch,
    CodebaseAnalysis,
    Comment,
    ConversationTurn,
    Decision,
    DecisionArtifact,
    DecisionDependency,
    ImpactAnalysis,
    Project,
    Template,
    User,
    Workspace,
    WorkspaceMember,
)

_THEN: Final = dt.datetime(2025, 11, 3, 9, 0, tzinfo=dt.UTC)


def load(connection: Path | None = None) -> Mapping[str, int]:
    """Insert what is not there yet; return how many rows of each table that was."""
    return _run(samples.add_missing, connection)


def remove(connection: Path | None = None) -> Mapping[str, int]:
    """Delete the sample rows."""
    return _run(samples.remove_present, connection)


def _run(what: samples.Change, connection: Path | None) -> Mapping[str, int]:
    async def work(session: AsyncSession) -> Mapping[str, int]:
        return await what(session, rows())

    return samples.run_scoped(
        [(Scope(user=key("user")), work)],
        Base.metadata,
        database="specgen",
        prefix="SPECGEN_",
        connection=connection,
    )


def key(*name: object) -> uuid.UUID:
    """Return the same key for the same name, every time."""
    return samples.sample_key("specgen", *name, then=_THEN)


def rows() -> list[Row]:
    """Return the sample, in the order in which it can be inserted."""
    ada, place, project = key("user"), key("workspace"), key("project")
    return [
        User(
            id=ada,
            email="ada@specgen.example.com",
            full_name="Ada",
            password_hash=PasswordHasher().hash(secrets.token_urlsafe()),
        ),
        Workspace(id=place, owner_id=ada, name="Sample", slug="sample"),
        WorkspaceMember(
            id=key("member"), workspace_id=place, owner_id=ada, user_id=ada, role="owner"
        ),
        Project(
            id=project,
            workspace_id=place,
            created_by=ada,
            name="A shop",
            project_type="greenfield",
            status="active",
        ),
        *_contents(ada, place, project),
    ]


def _contents(ada: uuid.UUID, place: uuid.UUID, project: uuid.UUID) -> list[Row]:
    database, api, artifact = key("decision", 1), key("decision", 2), key("artifact")
    inside = {"workspace_id": place, "project_id": project}
    return [
        Branch(id=key("branch"), name="cheaper", created_by=ada, **inside),
        Decision(
            id=database,
            asked_by=ada,
            answered_by=ada,
            question_text="Which database?",
            answer_text="PostgreSQL",
            category="database",
            status="answered",
            answered_at=_THEN,
            **inside,
        ),
        Decision(id=api, asked_by=ada, question_text="REST or GraphQL?", category="api", **inside),
        DecisionDependency(
            id=key("dependency"),
            workspace_id=place,
            source_decision_id=api,
            target_decision_id=database,
        ),
        ConversationTurn(
            id=key("turn"),
            workspace_id=place,
            decision_id=database,
            turn_number=1,
            role="user",
            content="One that we know.",
        ),
        Artifact(
            id=artifact,
            artifact_type="prd",
            title="Requirements",
            content={"text": "A shop."},
            **inside,
        ),
        ArtifactVersion(
            id=key("version"),
            workspace_id=place,
            artifact_id=artifact,
            created_by=ada,
            version=1,
            content={"text": "A shop."},
        ),
        DecisionArtifact(
            id=key("link"), workspace_id=place, decision_id=database, artifact_id=artifact
        ),
        Comment(
            id=key("comment"), artifact_id=artifact, author_id=ada, content="Of what?", **inside
        ),
        CodebaseAnalysis(id=key("analysis"), languages=["python"], total_loc=1200, **inside),
        ImpactAnalysis(
            id=key("impact"),
            codebase_analysis_id=key("analysis"),
            change_description="Another currency",
            risk_level="low",
            **inside,
        ),
        Template(
            id=key("template"), workspace_id=place, created_by=ada, name="Shop", tags=["sample"]
        ),
    ]
