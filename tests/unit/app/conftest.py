"""Nothing lies upwards of these tests: a stead that runs in the checkout is not theirs."""

from pathlib import Path

import pytest


@pytest.fixture(autouse=True)
def nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Work where no connection file can be found."""
    monkeypatch.chdir(tmp_path)
