"""Weak handling of secrets: hashes, comparisons, random numbers, certificates, storage and logs."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Sequence

from spillover.data.check.weaknesses.names import Names, is_constant, keyword, last, text_of
from spillover.data.check.weaknesses.weakness import Weakness

_SECRET = re.compile(
    r"(?i)(^|_)(password|passwd|pwd|secret|token|api_?key|apikey|signature|digest|hmac|mac|otp|pin|csrf|nonce|checksum)(s?$|_)"
)
_CHOSEN = re.compile(
    r"(?i)password|passwd|pwd|secret|token|otp|pin|session_?id|salt|nonce|api_?key|reset|verification|captcha"
)
_LOGGED = re.compile(r"(?i)(^|_)(password|passwd|pwd|secret|token|card_?number|cvv|api_?key|pin|ssn|iban)(s?$|_)")
_HIDDEN = re.compile(
    r"(?i)hash|mask|redact|encrypt|len|digest|hint|prefix|last4|last_four|count|id$|expir|reset_url|name"
)
_RANDOM = frozenset(
    [
        "random.random", "random.randint", "random.choice", "random.choices", "random.sample", "random.randrange",
        "random.getrandbits",
    ]
)  # fmt: skip
_LEVELS = frozenset({"debug", "info", "warning", "error", "critical", "exception"})
_PASSWORD = re.compile(r"(?i)passw|pwd|confirm|pin$")
_PLAIN_PASSWORDS = frozenset({"password", "passwd", "new_password", "pwd", "plain_password", "secret"})
_FEW_ROUNDS = 100_000


def secret_shapes(nodes: Sequence[ast.AST], names: Names) -> Iterator[Weakness]:
    """Yield weak uses of hashes, ciphers, random numbers, certificates, passwords and keys."""
    for node in nodes:
        if isinstance(node, ast.Call):
            yield from _hashes(node, names)
            yield from _certificates(node, names)
            yield from _logs(node, names)
            yield from _stored(node, names)
        elif isinstance(node, ast.Compare):
            yield from _compared(node, names)
        elif isinstance(node, ast.Assign):
            yield from _assigned(node, names)
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and _CHOSEN.search(node.name):
            yield from _random(node, names, 0.7)


def _hashes(node: ast.Call, names: Names) -> Iterator[Weakness]:
    dotted = names.dotted(node.func)
    name = last(dotted)
    chosen = (text_of(node.args[0]) if node.args else None) or ""
    if dotted in ("hashlib.md5", "hashlib.sha1") or (
        dotted == "hashlib.new" and chosen.lower() in ("md5", "sha1", "md4")
    ):
        if not is_constant(keyword(node, "usedforsecurity"), False):
            yield Weakness(328, node.lineno, "a broken hash function", 0.85 if _any_secret(node) else 0.4)
    elif dotted in ("hashlib.sha256", "hashlib.sha512") and any(
        "password" in w.lower() for a in node.args for w in _names_below(a)
    ):
        yield Weakness(916, node.lineno, "a fast hash for a password", 0.5)
    elif name == "pbkdf2_hmac":
        rounds = _number(node.args[3] if len(node.args) > 3 else keyword(node, "iterations"))
        if rounds is not None and rounds < _FEW_ROUNDS:
            yield Weakness(916, node.lineno, "too few rounds for a password hash", 0.9)
    elif name == "gensalt":
        rounds = _number(node.args[0] if node.args else keyword(node, "rounds"))
        if rounds is not None and rounds < 10:
            yield Weakness(916, node.lineno, "too few rounds for a password hash", 0.9)
    elif name == "scrypt":
        cost = _number(keyword(node, "n"))
        if cost is not None and cost < 2**12:
            yield Weakness(916, node.lineno, "too little work for a password hash", 0.9)
    elif re.search(r"(?i)\b(DES3?|ARC4|ARC2|Blowfish|RC4|IDEA|TripleDES)(\.new)?$", dotted):
        yield Weakness(327, node.lineno, "a broken cipher", 0.8)
    for argument in (*node.args, *(k.value for k in node.keywords)):
        if names.dotted(argument).endswith(("MODE_ECB", "modes.ECB")):
            yield Weakness(327, node.lineno, "a cipher that shows repeated blocks", 0.85)
    if name == "ECB" and "modes" in dotted:
        yield Weakness(327, node.lineno, "a cipher that shows repeated blocks", 0.85)
    if name in ("generate_private_key", "generate"):
        bits = _number(keyword(node, "key_size") or (node.args[0] if node.args and "RSA" in dotted else None))
        if bits is not None and 512 <= bits < 2048:
            yield Weakness(326, node.lineno, "a key that is too short", 0.9)


def _certificates(node: ast.Call, names: Names) -> Iterator[Weakness]:
    dotted = names.dotted(node.func)
    if (is_constant(keyword(node, "verify"), False) and not dotted.startswith("jwt")) or dotted in (
        "ssl._create_unverified_context",
        "ssl._create_stdlib_context",
    ):
        yield Weakness(295, node.lineno, "a certificate is not checked", 0.9)
    elif last(dotted) == "set_missing_host_key_policy" and any(
        "AutoAddPolicy" in word or "WarningPolicy" in word for a in node.args for word in _names_below(a)
    ):
        yield Weakness(295, node.lineno, "an unknown host key is accepted", 0.9)
    elif dotted in ("tempfile.mktemp", "os.tempnam", "os.tmpnam"):
        yield Weakness(377, node.lineno, "another program may take the temporary name first", 0.8)
    elif any("stricthostkeychecking=no" in text.lower() for text in _texts(node)):
        yield Weakness(295, node.lineno, "an unknown host key is accepted", 0.8)


def _logs(node: ast.Call, names: Names) -> Iterator[Weakness]:
    dotted = names.dotted(node.func)
    logger = last(dotted) in _LEVELS and ("log" in dotted.lower() or dotted.split(".")[0] in names.loggers)
    if not logger and dotted != "print":
        return
    for argument in (*node.args, *(k.value for k in node.keywords)):
        if any(_LOGGED.search(word) and not _HIDDEN.search(word) for word in _shown(argument)):
            yield Weakness(532, node.lineno, "a secret is written to the log", 0.6 if logger else 0.25)
            return


def _stored(node: ast.Call, names: Names) -> Iterator[Weakness]:
    """Yield passwords that go into a table as they are."""
    name = last(names.dotted(node.func))
    if name in ("append", "insert_one", "update_one", "insert") and any(_holds_password(a) for a in node.args):
        yield Weakness(312, node.lineno, "a password is stored as it is", 0.4)
    statement = (text_of(node.args[0]) if node.args else None) or ""
    if name != "execute" or not re.match(r"(?i)\s*(insert|update|replace)\b", statement):
        return
    if "passw" not in statement.lower():
        return
    for argument in (*node.args[1:], *(k.value for k in node.keywords)):
        if any(word.lower() in _PLAIN_PASSWORDS for word in _shown(argument)):
            yield Weakness(312, node.lineno, "a password is stored as it is", 0.5)
            return


def _compared(node: ast.Compare, names: Names) -> Iterator[Weakness]:
    if len(node.ops) != 1 or not isinstance(node.ops[0], ast.Eq | ast.NotEq):
        return
    left, right = node.left, node.comparators[0]
    sides = (left, right)
    texts = [text_of(side) for side in sides]
    words = [
        {last(names.dotted(s.func)) if isinstance(s, ast.Call) else last(names.dotted(s)) or "", text_or_key(s)}
        for s in sides
    ]
    secret = [any(_SECRET.search(word) for word in group) for group in words]
    digest = [bool(group & {"hexdigest", "digest"}) for group in words]
    if any(text is not None for text in texts):
        plain = next(text for text in texts if text is not None)
        if (
            plain
            and any(secret)
            and any("password" in w.lower() or "token" in w.lower() or "key" in w.lower() for g in words for w in g)
        ):
            yield Weakness(798, node.lineno, "a secret is written into the program", 0.75)
        return
    if any(isinstance(side, ast.Constant) for side in sides):
        return
    if any(digest) or (any(secret) and not any(_PASSWORD.search(word) for group in words for word in group)):
        yield Weakness(208, node.lineno, "the time of a comparison gives away a secret", 0.5 if any(digest) else 0.35)


def _assigned(node: ast.Assign, names: Names) -> Iterator[Weakness]:
    target = node.targets[0]
    name = text_or_key(target) or last(names.dotted(target))
    text = text_of(node.value)
    if _CHOSEN.search(name):
        yield from _random(node.value, names, 0.8)
    if (
        text
        and len(text) >= 4
        and _SECRET.search(name)
        and " " not in text
        and not text.startswith(("http", "{", "<", "/", "%"))
    ):
        yield Weakness(798, node.lineno, "a secret is written into the program", 0.3)
    off = is_constant(node.value, False)
    if name == "check_hostname" and off:
        yield Weakness(295, node.lineno, "a certificate is not checked", 0.85)
    if name == "verify_mode" and names.dotted(node.value).endswith("CERT_NONE"):
        yield Weakness(295, node.lineno, "a certificate is not checked", 0.9)
    if isinstance(target, ast.Subscript | ast.Attribute) and isinstance(node.value, ast.Name):
        stored = node.value.id.lower()
        if stored in _PLAIN_PASSWORDS and not is_self_field(target):
            yield Weakness(312, node.lineno, "a password is stored as it is", 0.4)
    if isinstance(target, ast.Subscript) and _holds_password(node.value):
        yield Weakness(312, node.lineno, "a password is stored as it is", 0.5)


def is_self_field(target: ast.expr) -> bool:
    """Return whether the target is `self.name`: settings of an object, not a store of accounts."""
    return isinstance(target, ast.Attribute) and isinstance(target.value, ast.Name) and target.value.id == "self"


def text_or_key(node: ast.AST) -> str:
    """Return the key of `holder["key"]`, else an empty text."""
    return (text_of(node.slice) or "") if isinstance(node, ast.Subscript) else ""


def _random(node: ast.AST, names: Names, sure: float) -> Iterator[Weakness]:
    for part in ast.walk(node):
        if isinstance(part, ast.Call) and names.dotted(part.func) in _RANDOM:
            yield Weakness(338, part.lineno, "a secret from a predictable random source", sure)


def _holds_password(node: ast.AST) -> bool:
    """Return whether a dictionary literal holds a password as it is."""
    return isinstance(node, ast.Dict) and any(
        isinstance(value, ast.Name) and value.id in _PLAIN_PASSWORDS for value in node.values
    )


def _any_secret(node: ast.Call) -> bool:
    return any(_SECRET.search(word) for argument in node.args for word in _names_below(argument))


def _texts(node: ast.Call) -> Iterator[str]:
    """Yield the literal texts among the inputs of a call, one level of lists included."""
    for argument in node.args:
        parts = argument.elts if isinstance(argument, ast.List | ast.Tuple) else [argument]
        yield from (text for part in parts if (text := text_of(part)))


def _names_below(node: ast.AST) -> Iterator[str]:
    for part in ast.walk(node):
        if isinstance(part, ast.Name):
            yield part.id
        elif isinstance(part, ast.Attribute):
            yield part.attr


def _shown(node: ast.AST) -> Iterator[str]:
    """Yield the names whose value itself is shown: not those inside a call such as mask(password)."""
    if isinstance(node, ast.Call):
        return
    if isinstance(node, ast.Name):
        yield node.id
    elif isinstance(node, ast.Attribute):
        yield node.attr
    elif isinstance(node, ast.Subscript):
        yield text_or_key(node)
    else:
        for part in ast.iter_child_nodes(node):
            yield from _shown(part)


def _number(node: ast.AST | None) -> int | None:
    if isinstance(node, ast.Constant) and isinstance(node.value, int):
        return node.value
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Pow):
        base, power = _number(node.left), _number(node.right)
        if base is not None and power is not None and 0 <= base <= 16 and 0 <= power <= 40:
            return int(base**power)
    return None
