"""pg_hba.conf and pg_ident.conf. First match wins, so the order of the rules is kept."""

from __future__ import annotations

from pgstead.model.design import Design, HbaRule

_KEYWORDS = frozenset({"all", "replication", "sameuser", "samerole"})


def quoted(name: str) -> str:
    """Quote a name for pg_hba.conf; keywords stay bare, or they would be names."""
    return name if name in _KEYWORDS else '"' + name.replace('"', '""') + '"'


def _line(rule: HbaRule) -> str:
    users = ",".join(quoted(name) for name in (rule.user, rule.standin) if name)
    fields = [rule.type, quoted(rule.database), users]
    fields += [rule.address] if rule.address else []
    fields += [rule.method]
    fields += [rule.options] if rule.options else []
    line = "  ".join(fields)
    return f"# {rule.comment}\n{line}" if rule.comment else line


def text(design: Design) -> str:
    """Return pg_hba.conf."""
    head = f"# made by pgstead for {design.name!r}; edits are undone by `pgstead up`"
    return "\n".join([head, *map(_line, design.hba)]) + "\n"


def pooler_text(design: Design) -> str:
    """Return the pooler's own rules, for one that listens beyond loopback (auth_type hba)."""
    head = f"# made by pgstead for {design.name!r}; edits are undone by `pgstead up`"
    return "\n".join([head, *map(_line, design.pooler_hba)]) + "\n"


def ident(design: Design) -> str:
    """Return pg_ident.conf: which OS users may be which role on the administrative socket."""
    head = f"# made by pgstead for {design.name!r}"
    rows = [f"{quoted(m)}  {quoted(user)}  {quoted(role)}" for m, user, role in design.ident]
    return "\n".join([head, *rows]) + "\n"
