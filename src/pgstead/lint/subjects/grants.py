"""Privileges."""

from __future__ import annotations

from collections.abc import Iterator

from pgstead.lint.finding import Level
from pgstead.lint.rule import Harm, Hit, Rule
from pgstead.lint.scene import Scene, Step
from pgstead.lint.tree import Node, dotted, listed, options, relation, truth

PUBLIC = Rule(
    name="grant-to-public",
    level=Level.ERROR,
    harm=Harm.SECURITY,
    message="{privileges} on {what} is granted to PUBLIC",
    breaks="every role of the server has it, those to come and the monitoring too",
    safe="grant it to the role that needs it; `up` grants what applications need by default"
    " privileges",
    code='op.execute("GRANT {privileges} ON {what} TO ...")',
)
PAST_ROWS = Rule(
    name="grant-past-row-security",
    level=Level.ERROR,
    harm=Harm.SECURITY,
    message="{privileges} on {what} is granted to {roles}",
    breaks="TRUNCATE empties the rows of all tenants and REFERENCES tells which keys exist:"
    " row-level security stops neither; TRIGGER runs code as whoever writes",
    safe="grant SELECT, INSERT, UPDATE, DELETE; the rest stays with the owner",
    code='op.execute("GRANT SELECT, INSERT, UPDATE, DELETE ON {what} TO {roles}")',
)
PASSED_ON = Rule(
    name="grant-option",
    level=Level.WARNING,
    harm=Harm.SECURITY,
    message="{roles} may pass {privileges} on {what} on to others",
    breaks="who has what is no longer decided by the manifest, and REVOKE needs CASCADE",
    safe="leave WITH GRANT OPTION out",
    code='op.execute("GRANT {privileges} ON {what} TO {roles}")',
)
BYPASS = Rule(
    name="role-past-row-security",
    level=Level.ERROR,
    harm=Harm.SECURITY,
    message="{role} becomes {attribute}",
    breaks="no policy binds it: it sees and changes the rows of all tenants",
    safe="roles and their attributes are the manifest's; who must see all rows gets a policy",
    code='create_policy("...", "...", roles=["admin"], using="true", check="true")',
)
OWNER = Rule(
    name="owner-change",
    level=Level.WARNING,
    harm=Harm.SECURITY,
    message="{table} gets another owner",
    breaks="default privileges, the migrator's rights and row-level security go by the owner",
    safe="make it as the owner of the database, as migrations do",
)
RULES = (PUBLIC, PAST_ROWS, PASSED_ON, BYPASS, OWNER)

_PAST = frozenset({"truncate", "references", "trigger"})


def each(step: Step, scene: Scene) -> Iterator[Hit]:
    """Yield the privileges that a statement gives too freely."""
    node = step.node
    match step.kind:
        case "GrantStmt" if node.flag("is_grant"):
            yield from _granted(node, _what(node), scene)
        case "AlterDefaultPrivilegesStmt":
            grant = node.one("action")
            if grant is not None and grant.flag("is_grant"):
                yield from _granted(grant, "all that is made later", scene)
        case "CreateRoleStmt" | "AlterRoleStmt":
            yield from _attributes(node)
        case "AlterTableStmt" if scene.old(step.table):
            if any(what == "AT_ChangeOwner" for what, _ in step.alterations()):
                yield OWNER.hit(step.table)
        case _:
            pass


def _what(node: Node) -> str:
    if node.word("targtype") == "ACL_TARGET_ALL_IN_SCHEMA":
        return f"ALL TABLES IN SCHEMA {', '.join(node.names('objects'))}"
    named = (
        relation(o) if o.kind == "RangeVar" else dotted(listed(o)) for o in node.all("objects")
    )
    return ", ".join(named)


def _granted(node: Node, what: str, scene: Scene) -> Iterator[Hit]:
    privileges = [p.word("priv_name").lower() for p in node.all("privileges")]
    grantees = node.all("grantees")
    told = {
        "privileges": ", ".join(p.upper() for p in privileges) or "ALL",
        "what": what,
        "roles": ", ".join(g.word("rolename") or "PUBLIC" for g in grantees),
    }
    public = any(g.word("roletype") == "ROLESPEC_PUBLIC" for g in grantees)
    if public:
        yield PUBLIC.hit(**told)
    names = tuple(g.word("rolename") for g in grantees)
    ours = scene.around.purposes(names) <= {"admin", "migrator", "owner"}
    past = not privileges or _PAST & set(privileges)
    if node.word("objtype") == "OBJECT_TABLE" and past and not ours and not public:
        yield PAST_ROWS.hit(**told)
    if node.flag("grant_option"):
        yield PASSED_ON.hit(**told)


def _attributes(node: Node) -> Iterator[Hit]:
    role = node.one("role") if node.kind == "AlterRoleStmt" else None
    name = (
        role.word("rolename")
        if role
        else node.word("role")
        if node.kind == "CreateRoleStmt"
        else ""
    )
    found = options(node, "options")
    for option, attribute in (("bypassrls", "BYPASSRLS"), ("superuser", "SUPERUSER")):
        if option in found and truth(found[option]):
            yield BYPASS.hit(role=name, attribute=attribute)
