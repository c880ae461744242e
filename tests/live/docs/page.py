"""A page that is executed: its files are written, its commands typed, its output compared.

A block with a title in its first line (```` ```toml title="pgstead.toml" ````) is a file. In a
block of `console`, a line that begins with `$ ` is typed into one shell that lives as long as the
page; what follows is what it must print, where `...` stands for anything.
"""

from __future__ import annotations

import os
import pwd
import re
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

BLOCK = re.compile(r"^```(\w+)(?: title=\"([^\"]+)\")?\n(.*?)^```$", re.MULTILINE | re.DOTALL)
END = "=== end of a command"


@dataclass(frozen=True)
class Step:
    """A file to write, or a command to type."""

    line: int
    path: str = ""  # of a file
    text: str = ""  # of the file, or the command
    expected: str = ""


def steps(page: str) -> Iterator[Step]:
    """Yield what a page tells its reader to do, in order."""
    for block in BLOCK.finditer(page):
        language, title, body = block.groups()
        line = page.count("\n", 0, block.start()) + 2
        if title:
            yield Step(line, title, body)
        elif language == "console":
            for part in re.finditer(r"^\$ (.*)\n((?:(?!\$ ).*\n)*)", body, re.MULTILINE):
                above = body.count("\n", 0, part.start())
                yield Step(line + above, text=part.group(1), expected=part.group(2))


def matches(expected: str, said: str) -> bool:
    """Compare an output with the one of the page; a line of `...` stands for any lines."""
    form = "".join(
        r"(?:.*\n)*" if line == "..." else ".*".join(map(re.escape, line.split("..."))) + r"\n"
        for line in _lines(expected)
    )
    return re.fullmatch(form, "".join(f"{line}\n" for line in _lines(said))) is not None


def _lines(text: str) -> list[str]:
    return [line.rstrip() for line in text.strip("\n").splitlines()]


def with_ports(page: str, ports: Mapping[int, int]) -> str:
    """Return a page with other ports."""
    return re.sub(r"\b\d{4}\b", lambda m: str(ports.get(int(m[0]), m[0])), page)


@dataclass
class Reader:
    """Somebody who does what a page says, in a directory of their own."""

    directory: Path
    path: str = ""  # a directory of further programs
    user: str = ""  # who it is, where we are root
    more: Mapping[str, str] = field(default_factory=dict[str, str])  # of the environment
    shell: subprocess.Popen[str] = field(init=False)

    def __post_init__(self) -> None:
        programs = os.pathsep.join(p for p in (str(Path(sys.executable).parent), self.path) if p)
        other = pwd.getpwnam(self.user) if self.user and os.geteuid() == 0 else None
        self.shell = subprocess.Popen(
            ["bash", "--norc"],
            cwd=self.directory,
            env={
                "PATH": f"{programs}{os.pathsep}{os.environ['PATH']}",
                "HOME": str(self.directory),
                "LC_ALL": "C.UTF-8",
                **self.more,
            },
            user=other.pw_uid if other else None,
            group=other.pw_gid if other else None,
            extra_groups=[] if other else None,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )

    def follow(self, step: Step) -> None:
        """Do one step, and compare."""
        if step.path:
            (self.directory / step.path).write_text(step.text)
            return
        said = self.type(step.text)
        assert matches(step.expected, said), (
            f"line {step.line}: $ {step.text}\n--- the page\n{step.expected}\n--- said\n{said}"
        )

    def type(self, command: str) -> str:
        """Type a command, and return what it said."""
        assert self.shell.stdin is not None
        assert self.shell.stdout is not None
        self.shell.stdin.write(f"{command}\necho '{END}'\n")
        self.shell.stdin.flush()
        said: list[str] = []
        for line in self.shell.stdout:
            if line.endswith(f"{END}\n"):
                return "".join([*said, line.removesuffix(f"{END}\n")])
            said.append(line)
        raise AssertionError(f"the shell ended: {''.join(said)}")

    def leave(self) -> None:
        """End the shell and what it started."""
        self.type("pgstead -q destroy --yes")
        self.end()

    def end(self) -> None:
        """End the shell."""
        with suppress(ProcessLookupError):
            os.killpg(self.shell.pid, signal.SIGKILL)
        self.shell.communicate(timeout=120)
