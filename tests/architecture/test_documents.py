"""Documents that a test can keep true."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

from pgstead.cli.main import SECTIONS
from tests.architecture.tracked import CHECKOUT, name_of, text_of, tracked
from tools import reference

RECORDS = sorted((CHECKOUT / "docs/adr").glob("[0-9]*.md"))
PARTS_OF_A_RECORD = ["Context", "Decision", "Consequences", "Status"]
WORDS_OF_A_PAGE = 600
FRAGMENTS = ("security", "removed", "changed", "added", "fixed")


@pytest.mark.parametrize("record", RECORDS, ids=lambda p: p.stem)
def test_a_decision_record_has_its_sections_and_fits_a_page(record: Path) -> None:
    text = record.read_text()
    assert re.findall(r"^## (.+)$", text, re.MULTILINE) == PARTS_OF_A_RECORD
    assert text.startswith(f"# {record.stem[:4]}. ")
    assert len(text.split()) <= WORDS_OF_A_PAGE


def test_decision_records_are_numbered_without_a_gap() -> None:
    assert [int(r.stem[:4]) for r in RECORDS] == list(range(1, len(RECORDS) + 1))


def test_the_reference_is_what_the_code_says() -> None:
    """`make reference` writes it anew."""
    stale = [
        name
        for name, text in reference.pages().items()
        if (reference.REFERENCE / name).read_text() != text
    ]
    assert stale == []


def test_the_readme_starts_as_a_clean_room_does() -> None:
    """What a new user is told to type is what is tried on a bare system, and in CI."""
    readme = (CHECKOUT / "README.md").read_text()
    told = re.findall(r"^(make .+)$", readme.split("```sh\n")[1].split("```")[0], re.MULTILINE)
    tried = (CHECKOUT / "tools/clean-room").read_text() + (CHECKOUT / ".ci/run").read_text()
    assert told == ["make up", "make test"]
    assert all(command in tried for command in told)


def test_the_readme_lists_every_command() -> None:
    readme = (CHECKOUT / "README.md").read_text()
    commands = [name for section in SECTIONS.values() for name in section]
    assert sorted(re.findall(r"^\| `([a-z-]+)` \|", readme, re.MULTILINE)) == sorted(commands)


def test_every_link_between_documents_leads_somewhere() -> None:
    broken = [
        f"{name_of(path)} -> {target}"
        for path in tracked()
        if path.suffix == ".md"
        for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", text_of(path))
        if not (path.parent / target).exists()
    ]
    assert broken == []


def test_the_index_lists_every_page() -> None:
    docs = CHECKOUT / "docs"
    listed = re.findall(r"\]\(([a-z-]+/[^)]+\.md)\)", (docs / "README.md").read_text())
    pages = [str(page.relative_to(docs)) for page in docs.glob("[!a]*/*.md")]
    # pages may be named again, where the specifications ask for them
    assert sorted(set(listed)) == sorted(pages)


def test_the_example_of_the_readme_is_part_of_one_that_is_executed() -> None:
    readme = (CHECKOUT / "README.md").read_text()
    (example,) = re.findall(r"```python\n(.+?)```", readme, re.DOTALL)
    tutorial = (CHECKOUT / "docs/tutorials/your-first-application.md").read_text()
    parts = [part.strip("\n") for part in example.split("\n\n\n")]
    assert [part for part in parts if part not in tutorial] == []


def test_the_architecture_names_every_package() -> None:
    packages = [
        p.name for p in (CHECKOUT / "src/pgstead").iterdir() if (p / "__init__.py").exists()
    ]
    architecture = (CHECKOUT / "ARCHITECTURE.md").read_text()
    assert [p for p in sorted(packages) if f"`{p}/`" not in architecture] == []


def test_the_places_that_the_architecture_names_exist() -> None:
    architecture = (CHECKOUT / "ARCHITECTURE.md").read_text()
    paths = re.findall(
        r"`((?:src|tests|docs|tools|systems|bench|changes)/[^`*<{ ]*)`", architecture
    )
    assert paths
    assert [p for p in paths if not (CHECKOUT / p).exists()] == []


def test_every_dependency_stands_in_its_decision_record() -> None:
    project = tomllib.loads((CHECKOUT / "pyproject.toml").read_text())["project"]
    record = (CHECKOUT / "docs/adr/0012-take-a-library-and-say-why.md").read_text()
    names = [re.split(r"[\[<>=~! ]", line)[0] for line in project["dependencies"]]
    assert [n for n in names if f"| {n} |" not in record] == []


def test_every_dependency_has_both_bounds() -> None:
    document = tomllib.loads((CHECKOUT / "pyproject.toml").read_text())
    lines = [
        *document["build-system"]["requires"],
        *document["project"]["dependencies"],
        *(line for group in document["dependency-groups"].values() for line in group),
    ]
    unbound = [line for line in lines if "==" not in line and not ("<" in line and ">=" in line)]
    assert unbound == []


def test_every_target_of_make_is_explained() -> None:
    makefile = (CHECKOUT / "Makefile").read_text()
    targets = re.findall(r"^([a-z-]+):(.*)$", makefile, re.MULTILINE)
    silent = [name for name, rest in targets if "## " not in rest]
    assert silent == ["runtime", "dev"]


def test_a_change_fragment_says_its_kind() -> None:
    wrong = [
        p.name
        for p in (CHECKOUT / "changes").iterdir()
        if p.name != "README.md"
        and not re.fullmatch(rf"[a-z0-9-]+\.({'|'.join(FRAGMENTS)})\.md", p.name)
    ]
    assert wrong == []
