"""Who is logged in, as far as it matters to a rotation."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class LoginSession:
    """A client's session: at the server itself, or at the pooler."""

    role: str
    door: str  # "direct" or "pooler"
    application: str
    client: str
    began: datetime
    used: datetime  # when it was last asked for something
    busy: bool  # it has a transaction or a statement now

    @property
    def who(self) -> str:
        """The words for it in messages."""
        name = self.application or "a client without a name"
        return f"{name} from {self.client or 'this machine'} by {self.door}"
