"""Outside data in a query language: SQL, LDAP, XPath, MongoDB, and in lines of a log or a mail."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

from spillover.data.check.weaknesses.call import Call
from spillover.data.check.weaknesses.values import Value
from spillover.data.check.weaknesses.weakness import Weakness

_EXECUTES = frozenset({"execute", "executemany", "executescript", "raw", "read_sql", "read_sql_query", "text", "extra"})
_SQL = re.compile(r"\b(select|insert|update|delete|drop|create|alter|replace|where|order by|set|values)\b", re.I)
_MONGO = frozenset(
    {"find", "find_one", "delete_many", "delete_one", "update_one", "update_many", "count_documents", "aggregate"}
)
_LOGGERS = frozenset({"logger", "logging", "log", "LOGGER", "LOG", "audit_log", "_logger"})
_LEVELS = frozenset({"debug", "info", "warning", "warn", "error", "critical", "exception", "log"})


def query_weaknesses(call: Call) -> Iterator[Weakness]:
    """Yield uses of outside data as part of a query or of a line-based record."""
    first = call.argument(0)
    if call.name in _EXECUTES and _SQL.search(first.text):
        yield call.weakness(89, "an SQL statement is put together from data", _built_sql(first))
    if call.name in ("search_s", "search_ext_s", "search", "search_st", "search_ext"):
        for value in (*call.arguments[1:], *call.keywords.values()):
            if "(" in value.text and "=" in value.text and value.of_kind("ldap"):
                yield call.weakness(
                    90, "an LDAP filter is put together from data", 0.9 * max(0.5, value.of_kind("ldap"))
                )
    if call.name in ("xpath", "findall", "find", "iterfind", "XPath") and re.search(r"//|\[|/\w", first.text):
        yield call.weakness(643, "an XPath is put together from data", 0.9 * first.of_kind("xpath"))
    if call.name in _MONGO:
        if _has_where(call.node) and first.of_kind("data"):
            yield call.weakness(943, "outside data in a $where of MongoDB", 0.9)
        elif not first.text and _whole_object(call, first):
            yield call.weakness(943, "an outsider writes the whole MongoDB filter", 0.7 * first.of_kind("data"))
    if call.name == "sendmail" or call.name == "send_message":
        text = call.argument(2, "msg")
        if re.search(r"(?i)subject:|from:|to:", text.text):
            yield call.weakness(93, "outside data in the headers of a mail", 0.9 * text.of_kind("line"))
    if is_log(call):
        worst = max((v.of_kind("line") for v in (*call.arguments, *call.keywords.values())), default=0.0)
        reprs = "%r" in first.text and "%s" not in first.text
        yield call.weakness(117, "outside data in a log record, line ends and all", 0.0 if reprs else 0.35 * worst)
    if call.name in ("writerow", "writerows") and first.of_kind("cell"):
        yield call.weakness(1236, "cells of a table may begin with a formula", 0.45 * first.of_kind("cell"))


def is_log(call: Call) -> bool:
    """Return whether the call writes a log record."""
    if call.name not in _LEVELS or not isinstance(call.node.func, ast.Attribute):
        return False
    holder = call.node.func.value
    name = holder.attr if isinstance(holder, ast.Attribute) else getattr(holder, "id", "")
    return name in _LOGGERS or call.base.of.endswith("getLogger") or name.lower().endswith(("logger", "log"))


def _built_sql(value: Value) -> float:
    if value.known or not value.mixed:
        return 0.0
    taint = value.of_kind("sql")
    return max(0.95 * taint, 0.75 if taint >= 0.3 else 0.0, 0.45 if not any(value.taint) else 0.0)


def _has_where(node: ast.Call) -> bool:
    return any(isinstance(part, ast.Constant) and part.value == "$where" for part in ast.walk(node))


def _whole_object(call: Call, first: Value) -> bool:
    """Return whether the filter itself came from outside, not a literal with outside values in it."""
    return bool(call.node.args) and not isinstance(call.node.args[0], ast.Dict) and first.of_kind("data") >= 0.3
