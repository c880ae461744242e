"""Functions that run with other people's rights."""

from __future__ import annotations

from collections.abc import Iterator

from pgstead.lint.finding import Level
from pgstead.lint.rule import Harm, Hit, Rule
from pgstead.lint.scene import Scene, Step
from pgstead.lint.tree import Node, dotted, truth

NO_PATH = Rule(
    name="definer-without-search-path",
    level=Level.ERROR,
    harm=Harm.SECURITY,
    message="{function} is SECURITY DEFINER and sets no search_path",
    breaks="whoever calls it puts a table or an operator of the same name in front, and it runs"
    " with the owner's rights",
    safe="SET search_path in the function, with pg_temp last, and qualify names",
    code='op.execute("ALTER FUNCTION {function} SET search_path = pg_catalog, public, pg_temp")',
)
OPEN_PATH = Rule(
    name="definer-with-open-search-path",
    level=Level.ERROR,
    harm=Harm.SECURITY,
    message="{function} is SECURITY DEFINER and its search_path does not end with pg_temp",
    breaks="pg_temp is searched first where it is not named: a temporary table of the caller's"
    " stands for the real one",
    safe="name pg_temp last",
    code='op.execute("ALTER FUNCTION {function} SET search_path = pg_catalog, public, pg_temp")',
)
FOR_ALL = Rule(
    name="definer-for-everybody",
    level=Level.WARNING,
    harm=Harm.SECURITY,
    message="{function} is SECURITY DEFINER, and PUBLIC may execute it",
    breaks="functions are executable by everybody from the start: every role of the server runs it"
    " with the owner's rights",
    safe="revoke it from PUBLIC in the same revision, and grant it to who needs it",
    code='op.execute("REVOKE EXECUTE ON FUNCTION {function} FROM PUBLIC")\n'
    'op.execute("GRANT EXECUTE ON FUNCTION {function} TO ...")',
)
RULES = (NO_PATH, OPEN_PATH, FOR_ALL)


def each(step: Step, scene: Scene) -> Iterator[Hit]:
    """Yield the functions that a stranger could turn against their owner."""
    if step.kind == "CreateFunctionStmt":
        name, settings = dotted(step.node.names("funcname")), step.node.all("options")
    elif step.kind == "AlterFunctionStmt":
        function = step.node.one("func")
        name = dotted(function.names("objname")) if function else ""
        settings = step.node.all("actions")
    else:
        return
    if not _definer(settings):
        return
    path = _path(settings) or _path_of_later(name, step, scene)
    if path is None:
        yield NO_PATH.hit(function=name)
    elif path and path[-1] != "pg_temp":
        yield OPEN_PATH.hit(function=name)
    if step.kind == "CreateFunctionStmt" and _for_all(name, step, scene):
        yield FOR_ALL.hit(function=name)


def _definer(settings: tuple[Node, ...]) -> bool:
    return any(s.word("defname") == "security" and truth(s.one("arg")) for s in settings)


def _path(settings: tuple[Node, ...]) -> tuple[str, ...] | None:
    """Return the schemas of SET search_path; empty where it is set to nothing."""
    for setting in settings:
        argument = setting.one("arg") if setting.word("defname") == "set" else None
        if argument is not None and argument.word("name") == "search_path":
            texts = (c.one("sval") for c in argument.all("args"))
            return tuple(t.word("sval") for t in texts if t is not None and t.word("sval"))
    return None


def _path_of_later(name: str, step: Step, scene: Scene) -> tuple[str, ...] | None:
    for later in scene.after(step):
        function = later.node.one("func") if later.kind == "AlterFunctionStmt" else None
        if function is not None and dotted(function.names("objname")) == name:
            return _path(later.node.all("actions"))
    return None


def _for_all(name: str, step: Step, scene: Scene) -> bool:
    """Say whether PUBLIC may execute it; one that is replaced keeps its privileges."""
    if step.node.flag("replace") or _is_trigger(step.node):
        return False
    return not _revoked(name, step, scene)


def _revoked(name: str, step: Step, scene: Scene) -> bool:
    for later in scene.after(step):
        node = later.node
        if later.kind != "GrantStmt" or node.flag("is_grant"):
            continue
        public = any(g.word("roletype") == "ROLESPEC_PUBLIC" for g in node.all("grantees"))
        named = {
            dotted(o.names("objname")) for o in node.all("objects") if o.kind == "ObjectWithArgs"
        }
        if public and name in named:
            return True
    return False


def _is_trigger(node: Node) -> bool:
    returned = node.one("return_type")
    return returned is not None and dotted(returned.names("names")) == "trigger"
