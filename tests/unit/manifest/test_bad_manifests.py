"""Bad manifests: each is refused with the key path, what was found, and what is allowed."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

import pytest

from pgstead.errors import ExitStatus, ManifestError
from pgstead.manifest.load import parse

TODAY = date(2026, 11, 21)
HEAD = 'version = 1\nname = "shop"\n'
BODY = '[[databases]]\nname = "shop"\n'
PRODUCTION = HEAD + 'environment = "production"\n' + BODY


@dataclass(frozen=True)
class Bad:
    """A manifest and what must be said about it."""

    name: str
    text: str
    key: str
    words: tuple[str, ...]


TABLE = [
    Bad("a misspelt key", HEAD + BODY + "[server]\nprot = 1\n", "server.prot",
        ("no key that pgstead knows", 'did you mean "port"?')),
    Bad("a key of another table", HEAD + "major = 17\n" + BODY, "major",
        ("no key that pgstead knows", "it belongs to server.major")),
    Bad("a key like no other", HEAD + BODY + "[pooler]\nqqq = 1\n", "pooler.qqq",
        ("allowed here: enabled, port, binary, settings",)),
    Bad("a misspelt table", HEAD + BODY + "[servr]\nport = 1\n", "servr",
        ('did you mean "server"?',)),
    Bad("a quoted number", HEAD + BODY + '[server]\nport = "5432"\n', "server.port",
        ('"5432" is not allowed', "a whole number, without quotes")),
    Bad("a number for a switch", HEAD + BODY + "[pooler]\nenabled = 1\n", "pooler.enabled",
        ("1 is not allowed", "true or false")),
    Bad("a port that cannot be", HEAD + BODY + "[server]\nport = 70000\n", "server.port",
        ("70000 is out of range", "at most 65535")),
    Bad("a version too new", HEAD + BODY + "[server]\nmajor = 19\n", "server.major",
        ("19 is out of range", "at most 18")),
    Bad("an unknown environment", HEAD + 'environment = "prodution"\n' + BODY, "environment",
        ('did you mean "production"?', '"staging"')),
    Bad("a size without unit", HEAD + BODY + "[server]\nmemory = 8\n", "server.memory",
        ('a text like "8GB"',)),
    Bad("a size with a wrong unit", HEAD + BODY + '[server]\nmemory = "8gb"\n', "server.memory",
        ('did you mean "GB"?',)),
    Bad("a duration without unit", HEAD + BODY + "[databases.pool]\ntimeout = 5\n",
        "databases[0].pool.timeout", ('a text like "30s"',)),
    Bad("no name", "version = 1\n" + BODY, "name", ("is missing", "Name of the stead")),
    Bad("another format", 'version = 2\nname = "x"\n' + BODY, "version", ("2 is not allowed",)),
    Bad("no database", HEAD, "databases", ("is missing",)),
    Bad("an empty list of databases", HEAD + "databases = []\n", "databases", ("is empty",)),
    Bad("a slash in a name", HEAD + '[[databases]]\nname = "a/b"\n', "databases[0].name",
        ('cannot hold "/"',)),
    Bad("a name that is too long", HEAD + f'[[databases]]\nname = "{"é" * 32}"\n',
        "databases[0].name", ("at most 63 bytes; this one has 64",)),
    Bad("a line break in a name", HEAD + '[[databases]]\nname = "a\\nb"\n', "databases[0].name",
        ("control characters",)),
    Bad("the superuser's name", HEAD + BODY + 'app = "postgres"\n', "databases[0].app",
        ('"postgres" is reserved',)),
    Bad("a keyword of pg_hba.conf", HEAD + '[[databases]]\nname = "replication"\n',
        "databases[0].name", ("reserved",)),
    Bad("a name of ours", HEAD + BODY + 'app = "pgstead_x"\n', "databases[0].app",
        ("pg_ or pgstead_ are reserved",)),
    Bad("a role used twice", HEAD + BODY + '[[databases]]\nname = "b"\napp = "shop_app"\n',
        "databases[1].app", ("is used already by databases[0].app",)),
    Bad("a database named twice", HEAD + BODY + BODY, "databases[1].name",
        ('"shop" is used already by databases[0].name',)),
    Bad("one port for two", HEAD + BODY + "[pooler]\nport = 5432\n", "pooler.port",
        ("5432 is used already by server.port",)),
    Bad("a port of two, one of who watches", HEAD + BODY + 'service = { application = "a:b",'
        ' port = 9090 }\n[containers]\nprofiles = ["monitoring"]\n', "containers.ports.prometheus",
        ("9090 is used already by databases[0].service.port",)),
    Bad("an unknown setting", HEAD + BODY + "[server.settings]\nwrok_mem = 1\n",
        "server.settings.wrok_mem", ('no setting "wrok_mem"', 'did you mean "work_mem"?')),
    Bad("a setting of another major", HEAD + BODY
        + '[server]\nmajor = 17\n[server.settings]\nio_method = "worker"\n',
        "server.settings.io_method", ("PostgreSQL 17 has no setting", "it exists in 18")),
    Bad("a value that a setting cannot have", HEAD + BODY
        + '[server.settings]\nwork_mem = "16mb"\n', "server.settings.work_mem",
        ('did you mean "MB"?',)),
    Bad("fsync off", HEAD + BODY + "[server.settings]\nfsync = false\n", "server.settings.fsync",
        ('"off" is forbidden', "corrupt")),
    Bad("a setting that pgstead decides", HEAD + BODY + "[server.settings]\nPort = 1\n",
        "server.settings.Port", ("pgstead decides it", "set server.port")),
    Bad("a setting that cannot be set", HEAD + BODY + "[server.settings]\nblock_size = 8192\n",
        "server.settings.block_size", ("cannot be set",)),
    Bad("a setting given twice", HEAD + BODY
        + '[server.settings]\nwork_mem = "8MB"\nWork_Mem = "9MB"\n',
        "server.settings.Work_Mem", ("is the same setting as work_mem",)),
    Bad("an unknown option of the pooler", HEAD + BODY
        + "[pooler.settings]\ndefault_pool_sise = 3\n", "pooler.settings.default_pool_sise",
        ('did you mean "default_pool_size"?',)),
    Bad("an option that pgstead decides", HEAD + BODY + '[pooler.settings]\nauth_type = "md5"\n',
        "pooler.settings.auth_type", ("pgstead decides it", "SCRAM")),
    Bad("a list for a setting", HEAD + BODY + "[server.settings]\nwork_mem = [1]\n",
        "server.settings.work_mem", ("a list is not allowed",)),
    Bad("a certificate without its key", HEAD + BODY + '[tls]\ncertificate = "a.crt"\n', "tls.ca",
        ("is missing beside tls.certificate",)),
    Bad("a network that is none", HEAD + BODY + '[networks]\nallow = ["10.0.0.1/8"]\n',
        "networks.allow[0]", ("has host bits set", "10.0.0.0/8")),
    Bad("a network beside loopback and no address", HEAD + BODY
        + '[networks]\nallow = ["10.0.0.0/8"]\n', "networks.listen", ("is missing", "10.0.0.0/8")),
    Bad("everyone", HEAD + BODY + '[networks]\nallow = ["0.0.0.0/0"]\nlisten = ["0.0.0.0"]\n',
        "networks.allow", ("0.0.0.0/0 is everyone", "open-network")),
    Bad("a name to listen on", HEAD + BODY + '[networks]\nlisten = ["localhost"]\n',
        "networks.listen[0]", ("an IP address",)),
    Bad("an expired waiver", HEAD + BODY
        + '[[waive]]\nwhat = "x"\nreason = "y"\nexpires = 2026-11-20\n', "waive[0].expires",
        ("expired on 2026-11-20",)),
    Bad("a waiver without reason", HEAD + BODY + '[[waive]]\nwhat = "x"\nreason = ""\n',
        "waive[0].reason", ("is empty",)),
    Bad("a waiver without end in production", PRODUCTION + '[[waive]]\nwhat = "x"\nreason = "y"\n',
        "waive[0].expires", ("production needs a day",)),
    Bad("an override without reason in production", PRODUCTION
        + '[server.settings]\nwork_mem = "8MB"\n', "server.settings.work_mem",
        ("production needs a reason", 'reason = "..."')),
]  # fmt: skip


@pytest.mark.parametrize("bad", TABLE, ids=lambda bad: bad.name.replace(" ", "-"))
def test_what_is_wrong_is_named_by_its_key_with_what_is_allowed(bad: Bad) -> None:
    with pytest.raises(ManifestError) as caught:
        parse(bad.text, "shop.toml", today=TODAY)
    error = caught.value
    assert error.key == bad.key
    assert error.exit_status is ExitStatus.USAGE
    assert len(error.problems) == 1, error.problems
    for word in bad.words:
        assert word in error.problems[0]
    assert error.message.startswith("shop.toml: ")
    assert "pydantic" not in str(error)


def test_every_problem_is_listed_at_once() -> None:
    text = HEAD + "[server]\nprot = 1\nmajor = 3\n[[databases]]\nname = 5\n"
    with pytest.raises(ManifestError) as caught:
        parse(text)
    assert [problem.split(":")[0] for problem in caught.value.problems] == [
        "server.major",
        "server.prot",
        "databases[0].name",
    ]
    assert all(problem in caught.value.message for problem in caught.value.problems)


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("version = \n", "x.toml:1:11: "),
        ('version = 1\nname = "a\nb = 2\n', "x.toml:2:10: "),
        ('name = "a', "x.toml: unterminated string at the end"),
        ("a = 1\na = 2\n", "x.toml:2:6: cannot overwrite a value"),
    ],
)
def test_a_mistake_of_syntax_is_placed_by_line_and_column(text: str, place: str) -> None:
    with pytest.raises(ManifestError) as caught:
        parse(text, "x.toml")
    assert caught.value.message.startswith(place)
    assert "not valid TOML" in caught.value.hint
