"""Whether the trail is whole: its chain, followed in one pass from the first line to the last.

A year has millions of lines. Most are looked at as text: what a record's hash is over is its line
without the hash. Only where that does not add up, or where more has to be known, it is read.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from hashlib import sha256

from pgstead.model.audit import GENESIS, Flaw, Head, Kind, Record, Verified, parsed

# Keys are sorted, and a quote within a text has a backslash before it: what is found from the
# right is the record's own, and no word of a statement or of its detail.
_HASH, _SEQ = '"hash":"', '"seq":'
_DIGITS = 64
_LET_GO = f'"kind":"{Kind.EXPIRED}"'


def followed(lines: Iterable[tuple[str, str]], anchors: Iterable[Head]) -> Verified:
    """Return how many records there are, the last one, and what is not as it was written.

    Anchors are heads that were noted elsewhere; all are read before the first line: what is
    written meanwhile must not look as if it were missing.
    """
    noted: dict[int, set[str]] = {}
    for anchor in anchors:
        noted.setdefault(anchor.seq, set()).add(anchor.hash)
    chain = _Chain(noted)
    for where, line in lines:
        chain.take(where, line)
    return chain.verified()


@dataclass
class _Chain:
    """How far it was followed."""

    noted: dict[int, set[str]]
    head: Head = field(default_factory=Head)
    start: Head | None = None
    count: int = 0
    flaws: list[Flaw] = field(default_factory=list[Flaw])
    let_go: dict[int, str] = field(default_factory=lambda: {0: GENESIS})  # by retention

    def take(self, where: str, line: str) -> None:
        """Follow it to the next line."""
        head = _linked(line, self.head) if self.start is not None else None
        if head is None or head.seq in self.noted or _LET_GO in line:
            self._read(where, line)
        else:
            self.count, self.head = self.count + 1, head

    def verified(self) -> Verified:
        """Return what it came to."""
        start = self.start or Head()
        if self.let_go.get(start.seq) != start.hash:
            gone = f"records before {start.seq + 1} are gone unexplained"
            self.flaws.append(Flaw("the beginning", gone))
        for seq in sorted(s for s in self.noted if s > start.seq):
            self.flaws.append(
                Flaw("the end", f"record {seq} was written, the last one is {self.head.seq}")
            )
        return Verified(self.count, self.head, tuple(self.flaws))

    def _read(self, where: str, line: str) -> None:
        try:
            record = parsed(line)
        except ValueError:
            self.flaws.append(Flaw(where, "a line cannot be read"))
            return
        self.count += 1
        if self.start is None:
            self.start = self.head = _before(record)
        self._compare(where, line, record)
        self.head = Head(record.seq, record.hash)
        before = let_go_of(record)
        if before is not None:
            self.let_go[before.seq] = before.hash

    def _compare(self, where: str, line: str, record: Record) -> None:
        expected = Record.after(self.head, record.body)
        if record.seq != expected.seq:
            missing = record.seq - expected.seq
            said = f"{missing} records are missing" if missing > 0 else "a number comes twice"
            self.flaws.append(Flaw(where, f"{said} before number {record.seq}"))
        elif expected.line() != line.rstrip("\n"):
            # to the letter: a word spelled otherwise means the same, and is not found by it
            self.flaws.append(Flaw(where, f"record {record.seq} is not what was written"))
        if self.noted.pop(record.seq, {record.hash}) != {record.hash}:
            another = "it is another one than was noted when written"
            self.flaws.append(Flaw(f"record {record.seq}", another))


def let_go_of(record: Record) -> Head | None:
    """Return the last record that retention took from the trail, if that is what it tells.

    What was taken from a change history is told by the same kind, and is no part of the chain.
    """
    detail = record.body.get("detail")
    if record.body.get("kind") != Kind.EXPIRED or not isinstance(detail, dict):
        return None
    seq, digest = detail.get("seq"), detail.get("hash")  # pyright: ignore[reportUnknownVariableType, reportUnknownMemberType]
    return Head(seq, digest) if isinstance(seq, int) and isinstance(digest, str) else None


def _before(record: Record) -> Head:
    """Return the head before the oldest record: each file begins by naming it."""
    if record.body.get("kind") != Kind.OPENED:
        return Head()
    return Head(record.seq - 1, str(record.body.get("previous", GENESIS)))


def _linked(line: str, head: Head) -> Head | None:
    """Return the head that a line is, where its text adds up to the hash that it names."""
    at = line.rfind(_HASH)
    begin, end = at + len(_HASH), at + len(_HASH) + _DIGITS
    found = line[begin:end]
    if at < 0 or line[end : end + 2] != '",':
        return None
    text = line[:at] + line[end + 2 :].rstrip("\n")
    if sha256(f"{head.hash}\n{text}".encode(errors="surrogatepass")).hexdigest() != found:
        return None
    number = text[text.rfind(_SEQ) + len(_SEQ) :].partition(",")[0].rstrip("}")
    return Head(head.seq + 1, found) if number == str(head.seq + 1) else None
