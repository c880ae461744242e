"""Workspaces, who belongs to them, their projects and branches."""

from __future__ import annotations

import datetime as dt
import uuid
from typing import Any

from sqlalchemy import (
    CheckConstraint,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    String,
    Text,
    UniqueConstraint,
    text,
)
from sqlalchemy.orm import Mapped, mapped_column

from pgstead.app.models import one_of
from pgstead.app.personal import Classified
from pgstead.app.rows import Row
from pgstead.app.tenancy import USER, RowSecurity, Rule
from systems.specgen.models.rows import (
    OF_MEMBERS,
    Base,
    WorkspaceRow,
    flag,
    json_array,
    json_object,
    person,
    targets,
    within,
    word,
)
from systems.specgen.vocabulary import (
    BranchStatus,
    PlanTier,
    ProjectStatus,
    ProjectType,
    WorkspaceRole,
)


class Workspace(Row, Base):
    """Where people work together."""

    __tablename__ = "workspaces"
    __table_args__ = (
        one_of("plan_tier", PlanTier),
        CheckConstraint("slug ~ '^[a-z0-9]([a-z0-9-]{0,98}[a-z0-9])?$'", name="slug"),
        UniqueConstraint("id", "owner_id"),
        # who owns it is changed by nobody else: a trigger (workspaces_owner_id_kept)
        RowSecurity.by_user("owner_id").any_of(
            RowSecurity.by_lookup(
                *("id", "workspace_members"), key="workspace_id", user="user_id", flag="is_active"
            )
        ),
        Classified(internal="name slug description plan_tier settings is_active", owned="owner_id"),
        {"comment": "where people work together; seen by members and by the owner"},
    )

    name: Mapped[str] = mapped_column(String(255), comment="how it is shown")
    slug: Mapped[str] = mapped_column(String(100), unique=True, comment="its name in addresses")
    description: Mapped[str | None] = mapped_column(Text, comment="what it is for")
    owner_id: Mapped[uuid.UUID] = mapped_column(
        ForeignKey("users.id", ondelete="CASCADE"), comment="whose it is; goes with them"
    )
    plan_tier: Mapped[str] = word("free", "free, starter, professional, enterprise")
    settings: Mapped[Any] = json_object("preferences, free form")
    is_active: Mapped[bool] = flag("false: closed", default=True)


class WorkspaceMember(WorkspaceRow, Base):
    """A person in a workspace.

    `owner_id` repeats the workspace's, kept by a foreign key: so the owner sees all members by a
    column of the row itself, and policies of the two tables do not look into each other.
    """

    __tablename__ = "workspace_members"
    __table_args__ = (
        one_of("role", WorkspaceRole),
        UniqueConstraint("workspace_id", "user_id"),
        ForeignKeyConstraint(
            ["workspace_id", "owner_id"],
            ["workspaces.id", "workspaces.owner_id"],
            onupdate="CASCADE",
            ondelete="CASCADE",
        ),
        # written by the owner alone: nobody asks themselves in, nor promotes themselves
        RowSecurity.by_user("user_id")
        .any_of(RowSecurity.by_user("owner_id"))
        .writing(Rule("owner_id", USER)),
        Classified(internal="role is_active joined_at", owned="user_id"),
        {"comment": "who belongs to which workspace; seen by the person and by the owner"},
    )

    owner_id: Mapped[uuid.UUID] = mapped_column(comment="owner of the workspace, kept with it")
    user_id: Mapped[uuid.UUID] = mapped_column(
        ForeignKey("users.id", ondelete="CASCADE"), comment="the member"
    )
    invited_by: Mapped[uuid.UUID | None] = person("who asked them in")
    role: Mapped[str] = word("viewer", "viewer, editor, admin, owner")
    is_active: Mapped[bool] = flag("false: may not enter", default=True)
    joined_at: Mapped[dt.datetime] = mapped_column(
        server_default=text("now()"), comment="since when"
    )


class Project(WorkspaceRow, Base):
    """Something that is specified."""

    __tablename__ = "projects"
    __table_args__ = (
        one_of("project_type", ProjectType),
        one_of("status", ProjectStatus),
        targets(),
        OF_MEMBERS,
        Classified(
            internal="name description project_type status repository_url repository_provider"
            " default_branch settings",
        ),
        {"comment": "what is specified"},
    )

    created_by: Mapped[uuid.UUID | None] = person("who began it")
    name: Mapped[str] = mapped_column(String(255), comment="how it is shown")
    description: Mapped[str | None] = mapped_column(Text, comment="what it is")
    project_type: Mapped[str] = mapped_column(String(50), comment="greenfield, brownfield")
    status: Mapped[str] = word("draft", "draft, active, completed, archived")
    repository_url: Mapped[str | None] = mapped_column(String(512), comment="where its code is")
    repository_provider: Mapped[str | None] = mapped_column(String(50), comment="who hosts that")
    default_branch: Mapped[str] = word("main", "main branch of the code", 100)
    settings: Mapped[Any] = json_object("preferences, free form")


class Branch(WorkspaceRow, Base):
    """A line of decisions apart from the main one."""

    __tablename__ = "branches"
    __table_args__ = (
        one_of("status", BranchStatus),
        targets(),
        UniqueConstraint("workspace_id", "project_id", "name"),
        within("project_id", "projects"),
        within("parent_branch_id", "branches", "SET NULL"),
        CheckConstraint("parent_branch_id <> id", name="parent_branch_id"),
        OF_MEMBERS,
        Classified(
            internal="name description status is_protected mergeable merged_at merge_conflicts"
        ),
        {"comment": "lines of decisions apart from the main one"},
    )

    project_id: Mapped[uuid.UUID] = mapped_column(comment="goes with its project")
    parent_branch_id: Mapped[uuid.UUID | None] = mapped_column(comment="where it began")
    created_by: Mapped[uuid.UUID | None] = person("who began it")
    name: Mapped[str] = mapped_column(String(100), comment="unique in its project")
    description: Mapped[str | None] = mapped_column(Text, comment="what it is for")
    status: Mapped[str] = word("active", "active, merged, closed")
    is_protected: Mapped[bool] = flag("whether merging needs a review")
    mergeable: Mapped[bool] = flag("whether it can be merged", default=True)
    merged_at: Mapped[dt.datetime | None] = mapped_column(comment="when it was merged")
    merge_conflicts: Mapped[Any] = json_array("what is in the way of merging")


Index("ix_workspaces_owner_id", Workspace.owner_id)
Index("ix_workspace_members_user_id", WorkspaceMember.user_id, WorkspaceMember.workspace_id)
Index("ix_workspace_members_owner_id", WorkspaceMember.owner_id, WorkspaceMember.workspace_id)
Index("ix_workspace_members_invited_by", WorkspaceMember.invited_by)
Index("ix_projects_workspace_id", Project.workspace_id, Project.created_at.desc())
Index("ix_projects_status", Project.workspace_id, Project.status)
Index("ix_projects_created_by", Project.created_by)
Index("ix_branches_status", Branch.workspace_id, Branch.status)
Index("ix_branches_name", Branch.workspace_id, Branch.name)
Index("ix_branches_parent_branch_id", Branch.workspace_id, Branch.parent_branch_id)
Index("ix_branches_created_by", Branch.created_by)
