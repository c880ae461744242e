"""Whose rows they are: policies, and the tables that need them."""

from __future__ import annotations

from collections.abc import Iterator

from pgstead.lint.finding import Level
from pgstead.lint.rule import Harm, Hit, Lock, Rule
from pgstead.lint.scene import Ending, Scene, Step
from pgstead.lint.schema import Table
from pgstead.lint.tree import Node, dotted, listed, relation

DISABLED = Rule(
    name="row-security-disabled",
    level=Level.ERROR,
    harm=Harm.SECURITY,
    message="row-level security of {table} is switched off",
    breaks="from the commit on every role sees and changes the rows of all tenants that its grants"
    " reach",
    safe="leave it on; a policy that is in the way is replaced in the same transaction",
    code="from pgstead.app.policy_operations import set_row_security\n"
    'set_row_security("{table}", enabled=True, forced=True)',
    lock=Lock.ACCESS_EXCLUSIVE,
)
NOT_FORCED = Rule(
    name="row-security-not-forced",
    level=Level.ERROR,
    harm=Harm.SECURITY,
    message="row-level security of {table} does not bind its owner",
    breaks="whatever runs as the owner (migrations, functions with SECURITY DEFINER, an application"
    " that logs in as the owner) sees the rows of all tenants",
    safe="force it, and give the owner a policy where it needs one",
    code="from pgstead.app.policy_operations import set_row_security\n"
    'set_row_security("{table}", enabled=True, forced=True)',
)
DROPPED = Rule(
    name="policy-dropped",
    level=Level.ERROR,
    harm=Harm.SECURITY,
    message="the policy {policy} of {table} is dropped and not made again",
    breaks="a permissive one: rows vanish for who needed it; a restrictive one: rows appear to who"
    " must not see them",
    safe="make its successor in the same transaction",
    code="from pgstead.app.policy_operations import create_policy, drop_policy\n"
    'drop_policy("{policy}", "{table}")\ncreate_policy("{policy}", "{table}", using="...")',
)
EVERYTHING = Rule(
    name="policy-true",
    level=Level.ERROR,
    harm=Harm.SECURITY,
    message="the policy {policy} of {table} lets {roles} see or write every row",
    breaks="permissive policies are joined by OR: one that is true undoes all the others",
    safe="say whose rows; only the administrator's role sees all of them",
    code='create_policy(\n    "{policy}", "{table}", roles=["app", "readonly"],\n'
    "    using=\"tenant_id = current_setting('app.current_tenant_id', true)\")",
)
TO_PUBLIC = Rule(
    name="policy-to-public",
    level=Level.WARNING,
    harm=Harm.SECURITY,
    message="the policy {policy} of {table} names no role",
    breaks="it counts for every role there is and every one to come, the migrator's included",
    safe="name the roles",
    code='create_policy("{policy}", "{table}", roles=["app", "readonly"], using="...")',
)
TENANTS_WITHOUT_POLICY = Rule(
    name="tenant-table-without-policy",
    level=Level.ERROR,
    harm=Harm.SECURITY,
    message="{table} has {column} and no row-level security when all revisions have run",
    breaks="every tenant sees and changes the rows of all others, unless each query of the"
    " application remembers its WHERE",
    safe="enable and force it with policies, in the revision that makes the table",
    code="from pgstead.app.revisions import secure\n"
    'secure("{table}", "{column} = current_setting(\'app.current_tenant_id\', true)")',
)
TENANTS_WITHOUT_INDEX = Rule(
    name="tenant-table-without-index",
    level=Level.WARNING,
    harm=Harm.UPKEEP,
    message="no index of {table} leads with {column}",
    breaks="the policy adds {column} = ... to every query, and each of them reads all of {table}",
    safe="an index that leads with it",
    code='op.create_index("ix_{table}_{column}", "{table}", ["{column}", "id"])',
)
WITHOUT = Rule(
    name="table-without-row-security",
    level=Level.WARNING,
    harm=Harm.SECURITY,
    message="{table} has no row-level security, which other tables of this database have",
    breaks="every role sees all of its rows that its grants reach",
    safe="secure it, or say in an ignore why its rows are nobody's",
    code='from pgstead.app.revisions import secure\nsecure("{table}", "...")',
)
NO_POLICY = Rule(
    name="row-security-without-policy",
    level=Level.WARNING,
    harm=Harm.CODE,
    message="{table} has row-level security and no permissive policy when all revisions have run",
    breaks="nobody but a superuser sees or writes a row: no row is found, INSERT fails (42501)",
    safe="make its policies in the same revision",
    code='create_policy("{table}_rows", "{table}", roles=["app"], using="...")',
)
UNIQUE = Rule(
    name="unique-across-tenants",
    level=Level.WARNING,
    harm=Harm.SECURITY,
    message="{name} of {table} is unique over all tenants ({columns})",
    breaks="a tenant learns from the error (23505) which values others have, and can take them",
    safe="lead with the tenant's column",
    code='sa.UniqueConstraint("{tenant}", {quoted}, name="{name}")',
)
FOREIGN = Rule(
    name="foreign-key-across-tenants",
    level=Level.WARNING,
    harm=Harm.SECURITY,
    message="{name} of {table} refers to {refers} without the tenant's column",
    breaks="foreign keys are checked past row-level security: a row may refer to another tenant's,"
    " and learns whether it exists",
    safe="refer to (tenant, key), unique in the other table",
    code='op.create_foreign_key("{name}", "{table}", "{refers}",\n'
    '    ["{tenant}", {quoted}], ["{tenant}", "id"])',
)
RULES = (
    *(DISABLED, NOT_FORCED, DROPPED, EVERYTHING, TO_PUBLIC, TENANTS_WITHOUT_POLICY),
    *(TENANTS_WITHOUT_INDEX, WITHOUT, NO_POLICY, UNIQUE, FOREIGN),
)

# pg_database_owner: who owns the database, which is the role that owns its tables
_SEES_ALL = frozenset({"admin", "migrator", "owner", "pg_database_owner"})


def each(step: Step, scene: Scene) -> Iterator[Hit]:
    """Yield what a statement opens."""
    node = step.node
    match step.kind:
        case "CreatePolicyStmt":
            yield from _policy(node, relation(node.one("table")), scene)
        case "AlterPolicyStmt":
            table = relation(node.one("table"))
            if _is_true(node.one("qual")) or _is_true(node.one("with_check")):
                roles = _roles(node) or ("its roles",)
                yield EVERYTHING.hit(table, policy=node.word("policy_name"), roles=_told(roles))
        case "DropStmt" if node.word("remove_type") == "OBJECT_POLICY":
            yield from _dropped(step, scene)
        case "AlterTableStmt":
            yield from _switched(step, scene)
        case _:
            pass


def _policy(node: Node, table: str, scene: Scene) -> Iterator[Hit]:
    policy, roles = node.word("policy_name"), _roles(node)
    if node.flag("permissive") and not roles:
        yield TO_PUBLIC.hit(table, policy=policy)
    admins = bool(roles) and scene.around.purposes(roles) <= _SEES_ALL
    open_to_all = _is_true(node.one("qual")) or _is_true(node.one("with_check"))
    if node.flag("permissive") and open_to_all and not admins:
        yield EVERYTHING.hit(table, policy=policy, roles=_told(roles) or "everybody")


def _roles(node: Node) -> tuple[str, ...]:
    """Return the roles of a policy by name; none means PUBLIC."""
    specified = node.all("roles")
    if any(r.word("roletype") == "ROLESPEC_PUBLIC" for r in specified):
        return ()
    return tuple(
        r.word("rolename") or r.word("roletype").removeprefix("ROLESPEC_") for r in specified
    )


def _told(roles: tuple[str, ...]) -> str:
    return ", ".join(roles)


def _is_true(expression: Node | None) -> bool:
    """Say whether a condition is a constant that lets everything through: true, 1 = 1."""
    if expression is None:
        return False
    if expression.kind == "A_Const":
        value = expression.one("boolval")
        return value is not None and value.flag("boolval")
    if expression.kind == "BoolExpr":
        parts = [_is_true(part) for part in expression.all("args")]
        return any(parts) if expression.word("boolop") == "OR_EXPR" else all(parts)
    if expression.kind == "A_Expr" and expression.names("name") == ("=",):
        return not any(expression.find("ColumnRef", "FuncCall", "SubLink", "SQLValueFunction"))
    return False


def _dropped(step: Step, scene: Scene) -> Iterator[Hit]:
    for names in map(listed, step.node.all("objects")):
        table, policy = dotted(names[:-1]), names[-1]
        again = any(
            later.kind == "CreatePolicyStmt"
            and relation(later.node.one("table")) == table
            and later.block == step.block
            for later in scene.after(step)
        )
        if scene.old(table) and not again and not scene.dropped(table, step):
            yield DROPPED.hit(table, policy=policy)


def _switched(step: Step, scene: Scene) -> Iterator[Hit]:
    switches = {what for what, _ in step.alterations()}
    if not switches & {"AT_DisableRowSecurity", "AT_NoForceRowSecurity"}:
        return
    later = [w for s in scene.after(step) if s.table == step.table for w, _ in s.alterations()]
    if "AT_DisableRowSecurity" in switches and "AT_EnableRowSecurity" not in later:
        yield DISABLED.hit(step.table)
    if "AT_NoForceRowSecurity" in switches and "AT_ForceRowSecurity" not in later:
        yield NOT_FORCED.hit(step.table)


def final(ending: Ending) -> Iterator[tuple[Table, Hit]]:
    """Yield the tables that no revision has secured in the end."""
    used = ending.schema.uses_row_security
    for table in ending.tables():
        tenant = ending.is_tenants(table)
        if table.kind not in {"table", "partitioned"}:
            continue
        if tenant:
            yield from ((table, hit) for hit in _of_tenants(table, tenant, ending))
        elif used and not table.secured:
            yield table, WITHOUT.hit(table.name)
        if table.secured and not table.forced:
            yield table, NOT_FORCED.hit(table.name)
        if table.secured and not any(table.policies.values()):
            yield table, NO_POLICY.hit(table.name)


def _of_tenants(table: Table, tenant: str, ending: Ending) -> Iterator[Hit]:
    if not table.secured:
        yield TENANTS_WITHOUT_POLICY.hit(table.name, column=tenant)
    indexes = ending.schema.indexes_of(table.name)
    if not any(i.columns[:1] == (tenant,) for i in indexes):
        yield TENANTS_WITHOUT_INDEX.hit(table.name, column=tenant)
    for index in indexes:
        primary = any(
            c.kind == "primary" and c.name == index.name for c in table.constraints.values()
        )
        if index.unique and not primary and tenant not in index.columns:
            yield UNIQUE.hit(table.name, name=index.name, tenant=tenant, **_columns(index.columns))
    for constraint in table.constraints.values():
        other = ending.schema.table(constraint.refers)
        shared = constraint.kind == "foreign" and other is not None and tenant in other.columns
        if shared and tenant not in constraint.columns:
            told = {"name": constraint.name, "refers": constraint.refers, "tenant": tenant}
            yield FOREIGN.hit(table.name, **told, **_columns(constraint.columns))


def _columns(columns: tuple[str, ...]) -> dict[str, str]:
    return {"columns": ", ".join(columns), "quoted": ", ".join(f'"{c}"' for c in columns)}
