"""Every command of the documentation is executed, or it is said here why it is not.

A block of `bash` is typed line by line into one shell, on one stead that the pages of the course
share; a line has to succeed, or to end with the status that its comment names (`# exit 3`). Blocks
of `console` are compared with what was said, too: by the tests of their pages, or of the commands.
And each command of `pgstead`, wherever it is shown or named, has to be one that there is.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.fix_stead import CHECKOUT, LiveStead, toolchain, workplace
from tests.free_ports import free_ports
from tests.live.docs import spelling
from tests.live.docs.page import Reader, with_ports

DOCS = CHECKOUT / "docs"
BLOCK = re.compile(r"^```(\w+)(?: title=\"([^\"]+)\")?\n(.*?)^```$", re.MULTILINE | re.DOTALL)
STATUS = re.compile(r"#.*\bexit (\d)\b")
SHELLS = ("bash", "console", "sh")
# In this order, on one stead that the first of them begins.
COURSE = (
    "how-to/write-a-migration.md",
    "how-to/size-pools.md",
    "how-to/find-the-cause.md",
    "how-to/reach-it-from-outside.md",
    "how-to/go-to-production.md",
    "how-to/report-security.md",
)
FIRST = "tutorials/your-first-stead.md"
TYPED = {*COURSE, FIRST}
# These are typed by `make test` too, on a stead that there is anyway; the others by `make soak`.
QUICK = ("how-to/size-pools.md", "how-to/reach-it-from-outside.md")
# Where the commands of other blocks are executed, or why nobody can.
ELSEWHERE: Mapping[str, str] = {
    "how-to/back-up-and-restore.md": "tests/live/docs/test_backup_pages.py; sh: asks, or by gpg",
    "how-to/be-told.md": "needs accounts at others; tests/live/alerts",
    "how-to/encrypt-columns.md": "tests/live/test_key_rings.py",
    "how-to/encrypt-the-disk.md": "needs a device of its own; tests/live/host/test_at_rest.py",
    "how-to/find-what-got-slower.md": "takes minutes, wants a quiet machine; tests/live/bench",
    "how-to/find-what-is-slow.md": "tests/live/inspect",
    "how-to/keep-backups-in-s3.md": "needs a bucket; tests/live/backup with a server of S3",
    "how-to/keep-data-fit.md": "tests/live/care, with damage that makes them say what they say",
    "how-to/keep-tables-fit.md": "tests/live/upkeep, with bloat that makes them say what they say",
    "how-to/look-after-personal-data.md": "tests/live/personal",
    "how-to/look-after-a-checkout.md": "needs a bare Debian: tools/clean-room is the test",
    "how-to/rotate-credentials.md": "tests/live/rotation, with clients that follow or do not",
    "how-to/run-in-containers.md": "needs Docker: the containers of tests/live",
    "how-to/migrate-safely.md": "tests/live/migrate, with data that makes them say what they say",
    "how-to/move-to-a-host.md": "tests/live/host/test_on_systemd.py",
    "how-to/reach-it-from-outside.md": "sh: tests/live/host, on a host that is booted for it",
    "how-to/restore-on-another-machine.md": "tests/live/docs/test_backup_pages.py",
    "how-to/run-on-a-host.md": "tests/live/host/test_on_systemd.py",
    "how-to/see-what-it-costs.md": "takes minutes, wants a quiet machine; tests/live/bench",
    "how-to/see-who-did-what.md": "tests/sabotage, by what was done and what was damaged",
    "how-to/test-your-application.md": "installs from a registry; tests/live/testing",
    "how-to/upgrade.md": "tests/live/upgrade",
    "how-to/watch-your-stead.md": "tests/live/telemetry",
    "tutorials/your-first-application.md": "tests/live/docs/test_tutorials.py",
    FIRST: "its own test below; sh: asks for the name",
}


@dataclass(frozen=True)
class Part:
    """A block of a page."""

    line: int
    language: str
    title: str
    body: str

    @property
    def lines(self) -> Iterator[str]:
        """Yield each line that is to be typed, as it stands there."""
        for text in self.body.splitlines():
            if self.language == "console":
                if text.startswith("$ "):
                    yield text[2:]
            elif text.strip() and not text.startswith("#"):
                yield text

    @property
    def commands(self) -> Iterator[tuple[str, int]]:
        """Yield each command, with the status it has to end with."""
        for text in self.lines:
            told = STATUS.search(text)
            yield text, int(told[1]) if told else 0


def parts(page: str) -> Iterator[Part]:
    """Yield the blocks of a page."""
    for found in BLOCK.finditer(page):
        line = page.count("\n", 0, found.start()) + 2
        yield Part(line, found[1], found[2] or "", found[3])


def follow(reader: Reader, page: str, text: str, ports: Mapping[int, int]) -> Iterator[str]:
    """Do what a page tells; yield what did not end as it says."""
    for part in parts(with_ports(text, ports)):
        if part.title:
            (reader.directory / part.title).write_text(part.body)
        elif part.language == "bash":
            for command, status in part.commands:
                said = reader.type(f"{command}\nstatus=$?")
                ended = reader.type("echo $status").strip()
                if ended != str(status):
                    wrong = f"{page}:{part.line}: $ {command}\n{said}exit {ended}, not {status}"
                    print(wrong, flush=True)  # also where time runs out before the end
                    yield wrong
                move(reader.directory / "pgstead.toml", ports)


def move(manifest: Path, ports: Mapping[int, int]) -> None:
    """Give a manifest ports that are free here."""
    if manifest.exists():
        manifest.write_text(with_ports(manifest.read_text(), ports))


def course(pages: tuple[str, ...]) -> None:
    """Follow pages in an empty directory that shares its binaries."""
    server, pooler, api = free_ports(3)
    ports = {5432: server, 6432: pooler, 8000: api}
    with workplace() as place:
        (place / ".pgstead").mkdir(mode=0o755)
        (place / ".pgstead/toolchain").symlink_to(toolchain(18))
        (place / "bin").mkdir()
        reader = Reader(place, path=str(place / "bin"))
        reader.type(f"cd {place}")
        try:
            wrong = [w for p in pages for w in follow(reader, p, (DOCS / p).read_text(), ports)]
        finally:
            reader.leave()
    assert not wrong, "\n\n".join(wrong)


@pytest.mark.parametrize("page", QUICK)
def test_what_a_page_tells_can_be_typed(stead: LiveStead, page: str) -> None:
    text = (DOCS / page).read_text().replace("pgstead-shop", "pgstead-test")
    reader = Reader(stead.directory)
    try:
        wrong = list(follow(reader, page, re.sub(r"\bshop\b", "jeex_idea", text), {}))
    finally:
        reader.end()
    assert not wrong, "\n\n".join(wrong)


@pytest.mark.soak
@pytest.mark.timeout(1200)
def test_what_every_page_tells_can_be_typed() -> None:
    course(COURSE)


@pytest.mark.soak
@pytest.mark.timeout(600)
def test_the_first_stead_is_what_its_page_says() -> None:
    course((FIRST,))


def test_no_command_is_left_out() -> None:
    untold: list[str] = []
    for path in sorted(DOCS.glob("[!ar]*/*.md")):
        page = str(path.relative_to(DOCS))
        kinds = {part.language for part in parts(path.read_text()) if part.language in SHELLS}
        typed = {"bash"} if page in TYPED else set[str]()
        if kinds - typed and page not in ELSEWHERE:
            untold.append(page)
    assert untold == []


def test_every_page_that_the_specifications_ask_for_is_there_and_executed() -> None:
    """DEP-5: the table at the end of docs/README.md; references have no commands."""
    _, _, table = (DOCS / "README.md").read_text().partition("(DEP-5)")
    named = set(re.findall(r"\]\(([\w./-]+\.md)", table))
    assert len(named) >= 15
    assert [name for name in sorted(named) if not (DOCS / name).exists()] == []
    pages = {name for name in named if name.startswith(("how-to", "tutorials"))}
    without = {page for page in pages if not any(kind(page))}
    assert sorted(pages - without - {*TYPED, *ELSEWHERE}) == []


def kind(page: str) -> Iterator[str]:
    """Yield the kinds of a page's blocks of commands."""
    yield from (p.language for p in parts((DOCS / page).read_text()) if p.language in SHELLS)


def test_every_command_that_is_shown_is_one_of_ours() -> None:
    wrong: list[str] = []
    for path in [*sorted(DOCS.glob("[!a]*/*.md")), CHECKOUT / "README.md"]:
        text = path.read_text()
        blocks = [p for p in parts(text) if p.language in SHELLS]
        shown = [(line, True) for block in blocks for line in block.lines if "pgstead" in line]
        shown += [(found[1], False) for found in spelling.NAMED.finditer(text)]
        wrong += [
            f"{path.name}: {line}: {said}"
            for line, whole in shown
            for words in spelling.told(line)
            if not {"...", "refused:"} & {*words}  # left out; a word of a log
            if (said := spelling.objection(words, whole=whole))
        ]
    assert wrong == []


def test_every_program_of_the_checkout_that_is_shown_is_there() -> None:
    targets = set(re.findall(r"^([a-z-]+):", (CHECKOUT / "Makefile").read_text(), re.MULTILINE))
    gone: list[str] = []
    for path in [*sorted(DOCS.glob("[!ar]*/*.md")), CHECKOUT / "README.md"]:
        blocks = [part for part in parts(path.read_text()) if part.language in SHELLS]
        lines = [line for block in blocks for line in block.lines]
        named = [name for line in lines for name in re.findall(r"\b(?:bench|tools)/[\w./-]+", line)]
        gone += [f"{path.name}: {name}" for name in named if not (CHECKOUT / name).exists()]
        makes = [m for line in lines if (m := re.match(r"make(?: ([a-z-]+))?", line))]
        gone += [f"{path.name}: {m[0]}" for m in makes if m[1] and m[1] not in targets]
    assert gone == []


def test_what_is_said_to_be_elsewhere_is_there() -> None:
    gone = [
        f"{page}: {place}"
        for page, told in ELSEWHERE.items()
        for place in [*re.findall(r"(?:tests|tools)/[\w./-]+", told), f"docs/{page}"]
        if not Path(CHECKOUT / place.rstrip(".")).exists()
    ]
    assert gone == []
