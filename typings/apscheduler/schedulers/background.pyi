# What the agent uses of APScheduler 3, which has no types of its own.
from collections.abc import Callable, Mapping
from datetime import datetime, tzinfo

class Job:
    trigger: object
    def modify(self, *, next_run_time: datetime | None) -> object: ...

class BackgroundScheduler:
    def __init__(self, *, timezone: tzinfo, job_defaults: Mapping[str, object]) -> None: ...
    def add_job(
        self,
        func: Callable[[], object],
        trigger: object | None = None,
        *,
        id: str,  # noqa: A002 - its word
        next_run_time: datetime = ...,
    ) -> object: ...
    def get_jobs(self) -> list[Job]: ...
    def start(self) -> None: ...
    def shutdown(self, wait: bool = True) -> None: ...
