"""A bucket, through the program beside us that speaks S3 (`s3_program.py`)."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, cast

from pgstead.errors import MirrorError
from pgstead.host import programs
from pgstead.model.host import BackupTools
from pgstead.model.mirror import MirrorPlan
from pgstead.ports import Progress
from pgstead.ports.mirror import Listed, Transfer

_PROGRAM = Path(__file__).with_name("s3_program.py")
_LAUNCH = (
    "import runpy, sys; sys.path[:] = [p for p in sys.path if not p.endswith('site-packages')];"
    " sys.path.insert(0, sys.argv.pop(1)); runpy.run_path(sys.argv[1], run_name='__main__')"
)
_TOLD = 64 * 2**20  # bytes between two words about progress
# What finds credentials where the manifest names none (boto3's own order).
_KEPT = ("AWS_", "HOME")
_HINTS = {
    "altered": "what lies in the bucket is not to be trusted: `pgstead backup verify --remote`"
    " says what is wrong, `pgstead backup mirror` puts it right",
    "bucket": "make the bucket, or name another: backup.s3.bucket",
    "refused": "backup.s3.access_key_file and secret_key_file hold the keys; the account needs"
    " to list, get, put and delete below the prefix, and to abort uploads",
    "gone": "somebody removed it: `pgstead backup mirror` puts it back",
    "certificate": "backup.s3.ca_file names the certificates that the endpoint is verified with",
    "unreachable": "check the network and backup.s3.endpoint; the backups on this machine go on,"
    " and the copy catches up by itself",
    "full": "make room on this machine's disk",
    "file": "backup.s3.access_key_file, secret_key_file and ca_file name files that can be read",
    "store": "the words are the store's own",
}


class S3Store:
    """`ports.ObjectStore` by boto3, in a process of its own for each request."""

    def __init__(self, plan: MirrorPlan, tools: BackupTools, progress: Progress) -> None:
        """Keep what it is called with; nothing is asked yet."""
        self._plan = plan
        self._tools = tools
        self._progress = progress

    # -- what is asked ----------------------------------------------------------------------------

    def put(self, transfers: Sequence[Transfer]) -> Mapping[str, str]:
        """Store files; return the ETag of each by its key. What arrived is compared."""
        return {line["key"]: line["etag"] for line in self._moved("put", "copying", transfers)}

    def get(self, transfers: Sequence[Transfer]) -> None:
        """Fetch objects into files that are there when they are whole, and not before."""
        for _ in self._moved("get", "fetching", transfers):
            pass

    def altered(self, transfers: Sequence[Transfer]) -> Mapping[str, str]:
        """Read objects through; return what is wrong by the key of those that are not whole."""
        told = self._moved("check", "reading", transfers)
        return {line["key"]: line["wrong"] for line in told if "wrong" in line}

    def _moved(
        self, do: str, word: str, transfers: Sequence[Transfer]
    ) -> Iterator[Mapping[str, Any]]:
        if not transfers:
            return
        sizes = {t.key: t.size for t in transfers}
        whole, done, said = sum(sizes.values()), 0, 0
        objects = [
            {"key": t.key, "path": t.path, "size": t.size, "sha256": t.sha256} for t in transfers
        ]
        for line in self._asked(do, objects):
            done += sizes[line["key"]]
            if done - said > _TOLD:
                said = done
                self._progress.step(f"{word}: {done // 2**20} of {whole // 2**20} MB")
            yield line

    def listing(self) -> Mapping[str, Listed]:
        """Return all objects by their keys."""
        told = self._asked("listing", ())
        return {line["key"]: Listed(line["size"], line["etag"]) for line in told}

    def read(self, key: str) -> str | None:
        """Return a small object, None where there is none."""
        (line,) = self._asked("read", [{"key": key}])
        return cast("str | None", line["text"])

    def write(self, key: str, text: str) -> None:
        """Store a small object in the place of what is there."""
        list(self._asked("write", [{"key": key, "text": text}]))

    def delete(self, keys: Iterable[str]) -> None:
        """Remove objects; one that is gone already is no error."""
        if objects := [{"key": key} for key in keys]:
            list(self._asked("delete", objects))

    def abort(self) -> int:
        """End uploads that killed runs have begun; return how many."""
        return len(list(self._asked("abort", ())))

    # -- asking it --------------------------------------------------------------------------------

    def _asked(
        self, do: str, objects: Sequence[Mapping[str, object]]
    ) -> Iterator[Mapping[str, Any]]:
        """Yield what is answered, line by line. Raises MirrorError."""
        self._look_at_secret()
        process = self._started()
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stderr is not None
        ended = False
        try:
            try:
                process.stdin.write(json.dumps(self._request(do, objects)))
                process.stdin.close()
            except BrokenPipeError:
                pass  # it could not start; what it said is told below
            for text in process.stdout:
                line = cast("dict[str, Any]", json.loads(text))
                if "failed" in line:
                    raise self._error(line["failed"], line["words"])
                ended = ended or line.get("done") is True
                if "key" in line:
                    yield line
            if not ended:
                words = " ".join(process.stderr.read().split())[-500:]
                raise self._error("store", words or "the program that speaks S3 was killed")
        finally:
            _end(process)

    def _started(self) -> subprocess.Popen[str]:
        command = [self._tools.python, "-I", "-c", _LAUNCH, self._tools.s3, str(_PROGRAM)]
        if (setpriv := shutil.which("setpriv", path="/usr/bin:/bin")) is not None:
            # it ends with us: uploads in parts are aborted then, not left
            command = [setpriv, "--pdeathsig", "INT", "--", *command]
        kept = {n: v for n, v in os.environ.items() if n.startswith(_KEPT)}
        return subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd="/",
            umask=0o077,
            env=programs.plain_environment(kept),
        )

    def _request(self, do: str, objects: Sequence[Mapping[str, object]]) -> dict[str, object]:
        plan = self._plan
        return {
            "do": do,
            "objects": list(objects),
            "bucket": plan.bucket,
            "prefix": plan.prefix,
            "endpoint": plan.endpoint,
            "region": plan.region,
            "access_key": plan.access_key,
            "secret_key": plan.secret_key,
            "ca": plan.ca,
        }

    def _look_at_secret(self) -> None:
        """Raise MirrorError where others may read the secret key."""
        secret = self._plan.secret_key
        try:
            open_to_others = bool(secret) and bool(Path(secret).stat().st_mode & 0o077)
        except OSError as error:
            raise self._error("file", f"{secret}: {error.strerror}") from error
        if open_to_others:
            raise MirrorError(
                f"others may read the secret key of the bucket: {secret}",
                hint=f"`chmod 600 {secret}`; if they did, make another key",
            )

    def _error(self, kind: str, words: str) -> MirrorError:
        return MirrorError(f"{self._plan}: {words}", hint=_HINTS.get(kind, _HINTS["store"]))


def _end(process: subprocess.Popen[str]) -> None:
    """End it where it still runs, and give it time to abort what it has begun."""
    for stream in (process.stdin, process.stdout, process.stderr):
        if stream is not None:
            stream.close()
    if process.poll() is None:
        process.send_signal(2)
    try:
        process.wait(20)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
