"""What Barman asks file(1) for: whether a file is sealed.

Where it says no, `barman get-wal` hands a sealed segment out as it lies there. file 5.44 of
Debian 12 calls what gpg seals for a key on a curve "data", and many machines have no file(1) at
all. So Barman finds one in its PATH that answers this one question: by the first byte of a message
to a public key (RFC 9580, 4.2 and 5.1), which no segment of WAL and nothing compressed begins with.
"""

from __future__ import annotations

from pathlib import Path

_PROGRAM = """\
#!/bin/sh
case $(od -An -tx1 -N1 -- "$2") in
  *84 | *85 | *c1) echo 'PGP message, encrypted' ;;
  *) echo data ;;
esac
"""


def program(home: Path) -> Path:
    """Put that program into a directory of a moment; return what to begin PATH with."""
    folder = home / "programs"
    path = folder / "file"
    if not path.exists():
        folder.mkdir(mode=0o700, exist_ok=True)
        fresh = folder / "file.new"
        fresh.write_text(_PROGRAM, encoding="ascii")
        fresh.chmod(0o700)
        fresh.rename(path)
    return folder
