"""Where outside data comes in, and which calls make it safe for which use."""

from __future__ import annotations

import re
from collections.abc import Sequence

from spillover.data.check.weaknesses.names import last
from spillover.data.check.weaknesses.values import ALL, CLEAN, UNKNOWN, Value, alternatives, joined, steered

PARAMETER = 0.4
REQUEST_PARTS = frozenset(
    [
        "args", "form", "values", "json", "data", "cookies", "headers", "files", "stream", "GET", "POST", "FILES",
        "COOKIES", "META", "body", "query_params", "path_params", "params", "query", "match_info", "match_dict",
        "environ", "query_string", "GET_params", "rel_url", "get_json", "get_data", "post",
    ]
)  # fmt: skip
_READS_OUTSIDE = {
    "input": 0.7, "raw_input": 0.7, "recv": 1.0, "recvfrom": 1.0, "get_argument": 1.0, "get_json": 1.0,
    "parse_args": 0.6, "prompt": 0.5, "getlist": 1.0, "get_body_argument": 1.0, "recv_string": 1.0, "recv_json": 1.0,
}  # fmt: skip
_FETCHES = frozenset({"get", "post", "put", "urlopen", "request"})
_STORED = frozenset({"fetchone", "fetchall", "fetchmany"})
_SAFE_FOR: dict[str, frozenset[str]] = {
    **dict.fromkeys(
        [
            "escape", "conditional_escape", "escape_html", "html_escape", "clean", "bleach_clean", "escape_html",
            "format_html", "linkify", "render_template", "render", "render_to_string", "sanitize_html", "nh3",
            "strip_tags",
        ],
        frozenset({"html"}),
    ),
    **dict.fromkeys(["quote", "quote_plus", "urlencode"], frozenset({"html", "shell", "line", "url", "path", "xpath"})),
    **dict.fromkeys(["secure_filename", "basename", "safe_join", "get_valid_filename"], frozenset({"path", "line"})),
    **dict.fromkeys(["escape_filter_chars", "escape_dn_chars", "escape_rdn"], frozenset({"ldap"})),
    **dict.fromkeys(
        [
            "bool", "len", "hash", "UUID", "Decimal", "hexdigest", "digest", "Fraction",
            "fromisoformat", "strptime", "abs",
        ],
        ALL,
    ),
    **dict.fromkeys(
        ["url_for", "uuid4", "token_hex", "token_urlsafe", "generate_password_hash", "isoformat", "strftime"], ALL
    ),
    **dict.fromkeys(
        ["isinstance", "compare_digest", "check_password_hash", "exists", "isfile", "isdir", "startswith", "endswith"],
        ALL,
    ),
    # A number is safe text everywhere, but still a number that its sender chose.
    **dict.fromkeys(["int", "float"], ALL - {"size"}),
    "repr": frozenset({"line"}),
    "min": frozenset({"size"}),
    "splitlines": frozenset({"line"}),
    "dumps": frozenset({"line", "data", "sql"}),
    "jsonify": frozenset({"line"}),
    "str": frozenset({"data"}),
    "send_from_directory": ALL,
    "escape_string": frozenset({"sql"}),
    "mogrify": frozenset({"sql"}),
}  # fmt: skip
_SAFE_WORD = re.compile(r"(^|_)(sanitiz|sanitis|validat|escape|neutrali|whitelist|allowlist|safe_|clean_)", re.I)
_KEEPS = frozenset(
    [
        "str", "format", "join", "strip", "lstrip", "rstrip", "lower", "upper", "title", "capitalize", "replace",
        "split", "rsplit", "encode", "decode", "get", "pop", "read", "readline", "readlines", "loads", "load",
        "list", "tuple", "dict", "set", "sorted", "reversed", "zip", "enumerate", "map", "filter", "items", "keys",
        "values", "append", "extend", "copy", "deepcopy", "unquote", "unquote_plus", "urljoin", "urlparse",
        "urlsplit", "partition", "rpartition", "Path", "PurePath", "abspath", "realpath", "resolve", "normpath",
        "expanduser", "joinpath", "with_suffix", "parse_qs", "parse_qsl", "bytes", "bytearray", "b64decode",
        "BytesIO", "StringIO", "getvalue", "next", "iter", "dict", "to_dict", "getlist", "fetchone", "fetchall",
        "splitlines", "text", "render_template_string", "Template", "from_string", "Markup", "removeprefix",
        "removesuffix", "strip_tags", "concat", "ljust", "rjust", "zfill", "expandvars", "dedent", "get_json",
        "json", "repr", "dumps", "model_dump",
    ]
)  # fmt: skip


def read_outside(dotted: str, base: Value) -> Value | None:
    """Return the value of a call that reads outside data (input(), recv, request.get_json(), ...), or None."""
    name = last(dotted)
    if name in _READS_OUTSIDE and (name != "getlist" or base.worst > 0):
        return steered(_READS_OUTSIDE[name], name)
    if name in _FETCHES and dotted.split(".")[0] in ("requests", "httpx", "urllib", "urllib2", "session"):
        return steered(0.45, "response")
    if name in _STORED:
        return steered(0.35, "row")
    if dotted in ("sys.stdin.read", "sys.stdin.readline", "self.rfile.read", "self.rfile.readline"):
        return steered(1.0, "stdin")
    return None


def call_result(dotted: str, base: Value, arguments: Sequence[Value]) -> Value:
    """Return what a call gives back: its inputs, made safe by what the function does.

    Functions we do not know pass on half of the certainty: they may look something up or may give back the text.
    """
    name = last(dotted)
    if name == "replace" and len(arguments) >= 2:
        return _replaced(base, arguments)
    if name == "render_template_string":
        arguments = arguments[:1]
    elif name in ("get", "pop", "getlist") and base.taint is not CLEAN:
        return alternatives((base, *arguments[1:]))._replace(of=base.of, known=False)
    elif name == "join" and "path" in dotted and arguments:
        folder = arguments[0].as_base()
        arguments = [folder._replace(text=folder.text + "/"), *arguments[1:]]
    value = joined((base, *arguments)) if base is not UNKNOWN or arguments else UNKNOWN
    of = base.of if name in ("get", "resolve", "strip", "read") and base.of else dotted
    if name == "split" and not arguments:
        value = value.cleaned(frozenset({"line"}))
    if name == "quote" and dotted.startswith("shlex"):
        return value.cleaned(frozenset({"shell"}))._replace(of=dotted)
    safe = _SAFE_FOR.get(name)
    if safe is not None:
        value = value.cleaned(safe)
        if safe is ALL:
            return Value(of=dotted, names=value.names)
    elif _SAFE_WORD.search(name):
        value = value.cleaned(ALL)
    elif name not in _KEEPS:
        value = value.scaled(0.5)._replace(text="")
    return value._replace(of=of, known=value.known and name in _KEEPS)


def _replaced(base: Value, arguments: Sequence[Value]) -> Value:
    """Return the value of `text.replace(old, new)`: safe for the use that `old` is dangerous in."""
    old = arguments[0].text
    kinds = set()
    if "\r" in old or "\n" in old:
        kinds.add("line")
    if "<" in old:
        kinds.add("html")
    if ".." in old or old in ("/", "\\"):
        kinds.add("path")
    return base.cleaned(frozenset(kinds))._replace(known=base.known and arguments[1].known)
