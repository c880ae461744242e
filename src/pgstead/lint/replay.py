"""Replay: what a statement does to the schema that is known so far."""

from __future__ import annotations

from pgstead.lint.column_types import SERIALS, type_of
from pgstead.lint.scene import Step
from pgstead.lint.schema import Column, Constraint, Index, Schema, Table
from pgstead.lint.tree import Node, dotted, listed, relation

_KINDS = {
    "CONSTR_CHECK": "check",
    "CONSTR_FOREIGN": "foreign",
    "CONSTR_UNIQUE": "unique",
    "CONSTR_PRIMARY": "primary",
    "CONSTR_EXCLUSION": "exclude",
    "CONSTR_NOTNULL": "not-null",
}


def apply(schema: Schema, step: Step, revision: str) -> None:
    """Change the schema as the statement would; what is not understood changes nothing."""
    line = step.statement.lines[0] if step.statement.lines else 0
    node = step.node
    match step.kind:
        case "CreateStmt":
            _create_table(schema, node, revision, line)
        case "CreateTableAsStmt":
            _create_as(schema, node, revision, line)
        case "AlterTableStmt":
            _alter(schema, step)
        case "IndexStmt":
            _create_index(schema, node)
        case "DropStmt":
            _drop(schema, node)
        case "RenameStmt":
            _rename(schema, node)
        case "CreatePolicyStmt":
            if table := schema.table(relation(node.one("table"))):
                table.policies[node.word("policy_name")] = node.flag("permissive")
        case _:
            if other := _other(node):
                schema.others.add(other)


# ------------------------------------------------------------------------------------- create


def _create_table(schema: Schema, node: Node, revision: str, line: int) -> None:
    name = relation(node.one("relation"))
    if name in schema.tables and node.flag("if_not_exists"):
        return
    kind = "partition" if node.one("partbound") else "table"
    kind = "partitioned" if node.one("partspec") else kind
    table = Table(name, revision, line, kind)
    for element in node.all("table_elts"):
        if element.kind == "ColumnDef":
            _add_column(table, element)
        elif element.kind == "Constraint":
            _add_constraint(schema, table, element)
    schema.tables[name] = table


def _create_as(schema: Schema, node: Node, revision: str, line: int) -> None:
    into = node.one("into")
    name = relation(into.one("rel")) if into else ""
    kind = "matview" if node.word("objtype") == "OBJECT_MATVIEW" else "table"
    schema.tables[name] = Table(name, revision, line, kind)


def _add_column(table: Table, node: Node) -> None:
    kind = type_of(node.one("type_name"))
    column = Column(node.word("colname"), kind, required=bool(kind and kind.name in SERIALS))
    table.columns[column.name] = column
    for constraint in node.all("constraints"):
        if constraint.word("contype") in {"CONSTR_NOTNULL", "CONSTR_PRIMARY"}:
            column.required = True
        if constraint.word("contype") != "CONSTR_NOTNULL":
            _keep_constraint(table, constraint, (column.name,))


def _add_constraint(schema: Schema, table: Table, node: Node) -> None:
    index = schema.indexes.get(node.word("indexname"))
    columns = index.columns if index else node.names("keys") or node.names("fk_attrs")
    _keep_constraint(table, node, columns)
    if index:
        schema.indexes.pop(index.name)
    if node.word("contype") == "CONSTR_PRIMARY":
        for column in columns:
            if found := table.columns.get(column):
                found.required = True


def _keep_constraint(table: Table, node: Node, columns: tuple[str, ...]) -> None:
    kind = _KINDS.get(node.word("contype"))
    if kind is None:
        return
    ending = {"primary": "pkey", "unique": "key", "foreign": "fkey"}.get(kind, kind)
    name = node.word("conname") or "_".join((table.name, *columns, ending))
    required = columns[0] if kind == "not-null" and columns else not_null_of(node)
    table.constraints[name] = Constraint(
        name=name,
        kind=kind,
        columns=columns,
        valid=not node.flag("skip_validation"),
        refers=relation(node.one("pktable")),
        required=required,
    )


def not_null_of(constraint: Node) -> str:
    """Return the column that a check demands to be NOT NULL, if it says that and no more."""
    test = constraint.one("raw_expr")
    if test is None or test.kind != "NullTest" or test.word("nulltesttype") != "IS_NOT_NULL":
        return ""
    argument = test.one("arg")
    return column_of(argument) if argument is not None else ""


def column_of(node: Node) -> str:
    """Return the column that a ColumnRef names; empty for everything else."""
    if node.kind != "ColumnRef":
        return ""
    names = node.names("fields")
    return names[-1] if names else ""


def _create_index(schema: Schema, node: Node) -> None:
    name = node.word("idxname")
    if name in schema.indexes and node.flag("if_not_exists"):
        return
    schema.indexes[name] = Index(
        name=name,
        table=relation(node.one("relation")),
        columns=index_columns(node),
        unique=node.flag("unique"),
        partial=node.one("where_clause") is not None,
        method=node.word("access_method") or "btree",
    )


def index_columns(node: Node) -> tuple[str, ...]:
    """Return the columns of an index in order; an expression is an empty name."""
    return tuple(each.word("name") for each in node.all("index_params"))


_DROPPED = {
    "OBJECT_VIEW": "view",
    "OBJECT_FUNCTION": "function",
    "OBJECT_PROCEDURE": "function",
    "OBJECT_ROUTINE": "function",
    "OBJECT_TYPE": "type",
    "OBJECT_DOMAIN": "type",
    "OBJECT_SEQUENCE": "sequence",
    "OBJECT_EXTENSION": "extension",
    "OBJECT_SCHEMA": "schema",
    "OBJECT_TRIGGER": "trigger",
}


def _other(node: Node) -> tuple[str, str] | None:
    """Return what a statement makes beside tables and indexes."""
    match node.kind:
        case "ViewStmt":
            return "view", relation(node.one("view"))
        case "CreateFunctionStmt":
            return "function", dotted(node.names("funcname"))
        case "CreateEnumStmt" | "CreateRangeStmt":
            return "type", dotted(node.names("type_name"))
        case "CompositeTypeStmt":
            return "type", relation(node.one("typevar"))
        case "CreateDomainStmt":
            return "type", dotted(node.names("domainname"))
        case "CreateSeqStmt":
            return "sequence", relation(node.one("sequence"))
        case "CreateExtensionStmt":
            return "extension", node.word("extname")
        case "CreateSchemaStmt":
            return "schema", node.word("schemaname")
        case "CreateTrigStmt":
            return "trigger", f"{relation(node.one('relation'))}.{node.word('trigname')}"
        case _:
            return None


# -------------------------------------------------------------------------------------- alter


def _alter(schema: Schema, step: Step) -> None:
    table = schema.table(step.table)
    if table is None:
        return
    for what, part in step.alterations():
        definition = part.one("def")
        match what:
            case "AT_AddColumn" if definition is not None:
                _add_column(table, definition)
            case "AT_AddConstraint" if definition is not None:
                _add_constraint(schema, table, definition)
            case "AT_DropColumn":
                _drop_column(schema, table, part.word("name"))
            case "AT_DropConstraint":
                table.constraints.pop(part.word("name"), None)
            case "AT_AlterColumnType" if definition is not None:
                if column := table.columns.get(part.word("name")):
                    column.type = type_of(definition.one("type_name"))
            case _:
                _switch(table, what, part.word("name"))


def _switch(table: Table, what: str, name: str) -> None:
    column = table.columns.get(name)
    match what:
        case "AT_ValidateConstraint":
            if constraint := table.constraints.get(name):
                constraint.valid = True
                needed = table.columns.get(constraint.required)
                if needed and constraint.kind == "not-null":
                    needed.required = True
        case "AT_SetNotNull" if column:
            column.required = True
        case "AT_DropNotNull" if column:
            column.required = False
        case "AT_EnableRowSecurity" | "AT_DisableRowSecurity":
            table.secured = what == "AT_EnableRowSecurity"
        case "AT_ForceRowSecurity" | "AT_NoForceRowSecurity":
            table.forced = what == "AT_ForceRowSecurity"
        case _:
            pass


def _rename(schema: Schema, node: Node) -> None:
    old, new = relation(node.one("relation")), node.word("newname")
    table = schema.table(old)
    match node.word("rename_type"):
        case "OBJECT_TABLE" if table is not None:
            table.name = new
            schema.tables[new] = schema.tables.pop(old)
            for index in schema.indexes.values():
                index.table = new if index.table == old else index.table
        case "OBJECT_COLUMN" if table is not None:
            if column := table.columns.pop(node.word("subname"), None):
                column.name = new
                table.columns[new] = column
        case "OBJECT_INDEX" if old in schema.indexes:
            schema.indexes[new] = schema.indexes.pop(old)
            schema.indexes[new].name = new
        case "OBJECT_TABCONSTRAINT" if table is not None:
            if constraint := table.constraints.pop(node.word("subname"), None):
                constraint.name = new
                table.constraints[new] = constraint
        case _:
            pass


# --------------------------------------------------------------------------------------- drop


def _drop(schema: Schema, node: Node) -> None:
    for names in map(listed, node.all("objects")):
        name = dotted(names)
        match node.word("remove_type"):
            case "OBJECT_TABLE" | "OBJECT_MATVIEW":
                _drop_table(schema, name)
            case "OBJECT_INDEX":
                schema.indexes.pop(name, None)
            case "OBJECT_POLICY":
                if table := schema.table(dotted(names[:-1])):
                    table.policies.pop(names[-1], None)
            case what:
                schema.others.discard((_DROPPED.get(what, ""), name))


def _drop_table(schema: Schema, name: str) -> None:
    schema.tables.pop(name, None)
    for index in [i.name for i in schema.indexes.values() if i.table == name]:
        schema.indexes.pop(index)
    triggers = {o for o in schema.others if o[0] == "trigger" and o[1].startswith(f"{name}.")}
    schema.others -= triggers


def _drop_column(schema: Schema, table: Table, column: str) -> None:
    table.columns.pop(column, None)
    for name, constraint in [*table.constraints.items()]:
        if column in constraint.columns:
            table.constraints.pop(name)
    for index in [*schema.indexes.values()]:
        if index.table == table.name and column in index.columns:
            schema.indexes.pop(index.name)
