"""What was found out about existing code, and what a change would mean for it."""

from __future__ import annotations

import datetime as dt
import uuid
from typing import Any

from sqlalchemy import CheckConstraint, Index, String, Text
from sqlalchemy.orm import Mapped, mapped_column

from pgstead.app.models import one_of
from pgstead.app.personal import Classified
from systems.specgen.models.rows import (
    OF_MEMBERS,
    Base,
    WorkspaceRow,
    json_array,
    json_object,
    targets,
    texts,
    within,
    word,
)
from systems.specgen.vocabulary import AnalysisStatus, Level


class CodebaseAnalysis(WorkspaceRow, Base):
    """What was found out about a project's code."""

    __tablename__ = "codebase_analyses"
    __table_args__ = (
        one_of("status", AnalysisStatus),
        CheckConstraint("commit_sha ~ '^[0-9a-f]{7,40}$'", name="commit_sha"),
        CheckConstraint("total_loc >= 0", name="total_loc"),
        CheckConstraint("file_count >= 0", name="file_count"),
        targets(),
        within("project_id", "projects"),
        OF_MEMBERS,
        Classified(
            internal="status repository_url commit_sha branch_name languages language_stats"
            " total_loc file_count architecture_summary component_inventory dependency_graph"
            " detected_patterns file_metrics findings completed_at error_message",
        ),
        {"comment": "what was found out about projects' code"},
    )

    project_id: Mapped[uuid.UUID] = mapped_column(comment="goes with its project")
    status: Mapped[str] = word("pending", "pending, in_progress, completed, failed")
    repository_url: Mapped[str | None] = mapped_column(String(512), comment="where the code is")
    commit_sha: Mapped[str | None] = mapped_column(String(40), comment="which commit")
    branch_name: Mapped[str | None] = mapped_column(String(100), comment="which branch")
    languages: Mapped[list[str]] = texts(50, "what it is written in")
    language_stats: Mapped[Any] = json_object("share of each language")
    total_loc: Mapped[int | None] = mapped_column(comment="lines of code")
    file_count: Mapped[int | None] = mapped_column(comment="files")
    architecture_summary: Mapped[str | None] = mapped_column(Text, comment="in words")
    component_inventory: Mapped[Any] = json_array("parts")
    dependency_graph: Mapped[Any] = json_object("who uses whom")
    detected_patterns: Mapped[Any] = json_array("patterns")
    file_metrics: Mapped[Any] = json_array("figures per file")
    findings: Mapped[Any] = json_array("what stands out")
    completed_at: Mapped[dt.datetime | None] = mapped_column(comment="when it ended")
    error_message: Mapped[str | None] = mapped_column(Text, comment="why it failed")


class ImpactAnalysis(WorkspaceRow, Base):
    """What a change would mean."""

    __tablename__ = "impact_analyses"
    __table_args__ = (
        one_of("risk_level", Level),
        one_of("rollback_risk", Level),
        within("codebase_analysis_id", "codebase_analyses"),
        within("project_id", "projects"),
        OF_MEMBERS,
        Classified(
            internal="change_description affected_files affected_components risk_level"
            " risk_factors breaking_changes api_changes schema_changes downstream_dependencies"
            " upstream_dependencies test_impact new_tests_needed rollback_procedure"
            " rollback_risk change_plan",
        ),
        {"comment": "what changes would mean"},
    )

    codebase_analysis_id: Mapped[uuid.UUID] = mapped_column(comment="goes with its analysis")
    project_id: Mapped[uuid.UUID] = mapped_column(comment="goes with its project")
    change_description: Mapped[str] = mapped_column(Text, comment="what would be changed")
    affected_files: Mapped[list[str]] = texts(512, "files that it touches")
    affected_components: Mapped[list[str]] = texts(255, "parts that it touches")
    risk_level: Mapped[str] = word("medium", "low, medium, high, critical")
    risk_factors: Mapped[Any] = json_array("what makes it risky")
    breaking_changes: Mapped[Any] = json_array("what would break")
    api_changes: Mapped[Any] = json_array("of interfaces")
    schema_changes: Mapped[Any] = json_array("of the database")
    downstream_dependencies: Mapped[Any] = json_array("who uses it")
    upstream_dependencies: Mapped[Any] = json_array("what it uses")
    test_impact: Mapped[Any] = json_object("what tests must change")
    new_tests_needed: Mapped[Any] = json_array("tests to write")
    rollback_procedure: Mapped[str | None] = mapped_column(Text, comment="the way back")
    rollback_risk: Mapped[str | None] = mapped_column(
        String(50), comment="low, medium, high, critical"
    )
    change_plan: Mapped[Any] = json_array("steps")


Index("ix_codebase_analyses_project_id", CodebaseAnalysis.workspace_id, CodebaseAnalysis.project_id)
Index("ix_codebase_analyses_status", CodebaseAnalysis.workspace_id, CodebaseAnalysis.status)
Index(
    "ix_impact_analyses_codebase_analysis_id",
    ImpactAnalysis.workspace_id,
    ImpactAnalysis.codebase_analysis_id,
)
Index("ix_impact_analyses_project_id", ImpactAnalysis.workspace_id, ImpactAnalysis.project_id)
Index("ix_impact_analyses_risk_level", ImpactAnalysis.workspace_id, ImpactAnalysis.risk_level)
