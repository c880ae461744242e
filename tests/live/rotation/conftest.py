"""A stead whose credentials are rotated, with a table to work on."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.fix_stead import LiveStead, stead_in


@pytest.fixture(scope="module")
def rotating() -> Iterator[LiveStead]:
    """Give a stead of its own: what is rotated is everybody's."""
    with stead_in() as stead:
        stead.run("up")
        stead.wait_for_pooler()
        with stead.superuser("jeex_idea") as connection:
            connection.execute("CREATE TABLE public.rotation_work (client int, n int)")
            connection.execute("GRANT SELECT, INSERT ON public.rotation_work TO jeex_user")
        yield stead
