"""What a witness is handed besides the design: programs to try with, and ports to look through."""

from __future__ import annotations

import shutil
from dataclasses import dataclass, field
from pathlib import Path

from pgstead.model.design import Design
from pgstead.observe.block_devices import Devices
from pgstead.ports import Ports


@dataclass(frozen=True)
class Access:
    """The stranger's bag."""

    ports: Ports
    psql: str | None
    openssl: str | None
    library_path: str = ""  # what psql needs as LD_LIBRARY_PATH, empty for none
    devices: Devices = field(default_factory=Devices)  # what lies under directories

    @classmethod
    def found(cls, design: Design, ports: Ports) -> Access:
        """Look for the programs: the stead's own psql first, then the system's."""
        own = Path(design.build.bindir) / "psql"
        if own.exists():
            return cls(ports, str(own), shutil.which("openssl"), design.build.library_path)
        return cls(ports, shutil.which("psql"), shutil.which("openssl"))
