"""Where a copy of the backups may go."""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import Any

import pytest
from pydantic import ValidationError

from pgstead.design import mirror
from pgstead.errors import ManifestError
from pgstead.manifest.document import Manifest
from pgstead.model.layout import Layout

LAYOUT = Layout(PurePosixPath("/state"), PurePosixPath("/home"))


def manifest(**s3: Any) -> Manifest:
    backup = {"encryption": s3.pop("encryption", True), "s3": {"bucket": "kept", **s3}}
    told = {"version": 1, "name": "shop", "databases": [{"name": "shop"}], "backup": backup}
    return Manifest.model_validate(told)


def test_files_are_beside_the_manifest_and_the_prefix_is_the_name() -> None:
    plan = mirror.plan(manifest(access_key_file="a", secret_key_file="/b"), LAYOUT)
    assert plan is not None
    assert (plan.access_key, plan.secret_key, str(plan)) == (
        str(LAYOUT.manifest_directory / "a"),
        "/b",
        "s3://kept/shop",
    )


def test_nothing_plain_leaves_the_machine_whatever_is_waived() -> None:
    with pytest.raises(ManifestError, match="ENC-3"):
        mirror.plan(manifest(encryption=False), LAYOUT)


@pytest.mark.parametrize("endpoint", ["http://s3.example.net", "http://192.0.2.1:9000"])
def test_plain_http_is_for_this_machine_alone(endpoint: str) -> None:
    with pytest.raises(ManifestError, match="shows"):
        mirror.plan(manifest(endpoint=endpoint), LAYOUT)
    assert mirror.plan(manifest(endpoint="http://127.0.0.1:9000"), LAYOUT) is not None


@pytest.mark.parametrize(
    "told",
    [
        {"bucket": "No_Such"},
        {"prefix": "../other"},
        {"prefix": "/a"},
        {"endpoint": "s3.example.net"},
        {"endpoint": "https://key:secret@s3.example.net"},
        {"access_key_file": "a"},
    ],
)
def test_what_no_store_can_mean_is_refused(told: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        manifest(**told)
