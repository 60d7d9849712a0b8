"""Outside data as a path or as the content of an archive, and permissions given to everyone."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from spillover.data.check.weaknesses.call import Call
from spillover.data.check.weaknesses.names import keyword
from spillover.data.check.weaknesses.values import Value
from spillover.data.check.weaknesses.weakness import Weakness

_OPENS = frozenset(
    [
        "open", "io.open", "os.remove", "os.unlink", "os.rename", "os.listdir", "os.rmdir", "os.makedirs",
        "shutil.rmtree", "shutil.copy", "shutil.move", "shutil.copyfile", "send_file", "flask.send_file",
        "FileResponse", "fastapi.responses.FileResponse", "starlette.responses.FileResponse", "codecs.open",
        "aiofiles.open", "os.open",
    ]
)  # fmt: skip
_PATH_METHODS = frozenset(
    ["open", "read_text", "read_bytes", "write_text", "write_bytes", "unlink", "rename", "rmdir", "iterdir", "touch"]
)
_MODES = {
    "os.chmod": 1,
    "os.fchmod": 1,
    "os.lchmod": 1,
    "chmod": 1,
    "os.makedirs": 1,
    "os.mkdir": 1,
    "os.open": 2,
    "os.mkfifo": 1,
}
_BODIES = frozenset({"self.rfile.read", "request.stream.read", "request.body", "request.get_data"})
_UP = ("../", "..\\", "/..")


def file_weaknesses(call: Call) -> Iterator[Weakness]:
    """Yield paths an outsider can lead astray, archives unpacked on trust, and loose permissions."""
    yield from _paths(call)
    yield from _archives(call)
    yield from _permissions(call)


def _paths(call: Call) -> Iterator[Weakness]:
    if call.dotted in _OPENS:
        yield call.weakness(22, "an outsider chooses part of a path", _path_certainty(call.argument(0)))
    elif call.name in _PATH_METHODS and isinstance(call.node.func, ast.Attribute):
        yield call.weakness(22, "an outsider chooses part of a path", _path_certainty(call.base))
    elif call.name == "save" and ("files" in call.base.of or call.base.of == "request.files"):
        yield call.weakness(
            22, "an uploaded file is stored under the name its sender chose", _path_certainty(call.argument(0))
        )
    elif (
        call.name == "join"
        and "path" in call.dotted
        and any(v.text.strip("/") == ".." or _goes_up(v) for v in call.arguments)
    ):
        worst = max(v.of_kind("path") for v in call.arguments)
        yield call.weakness(22, "a path goes up out of its folder", 0.3 + 0.6 * worst)


def _path_certainty(value: Value) -> float:
    """Literal text with a name from outside is the shape we look for; a bare path parameter is mostly a path."""
    taint = value.of_kind("path")
    if taint < 0.9 and not value.text:
        return 0.0
    return taint * (0.9 if taint >= 0.45 else 0.6)


def _archives(call: Call) -> Iterator[Weakness]:
    if call.name == "extractall" or (call.name == "extract" and "tarfile" in call.dotted):
        zipped = "zip" in call.dotted.lower()
        path = call.argument(0, "path")
        up = _goes_up(path) or _goes_up(call.base) or any(_goes_up(v) for v in call.keywords.values())
        if up or ".." in (path.text, path.text.strip("/")):
            yield call.weakness(22, "an archive is unpacked above its folder", 0.95)
        elif not zipped and "filter" not in call.keywords:
            safe = _filtered_members(call)
            yield call.weakness(22, "an archive may write outside its folder", 0.15 if safe else 0.75)
        if zipped and (call.base.of_kind("size") or call.base.of.startswith("zipfile")) and not _size_checked(call):
            yield call.weakness(409, "an archive is unpacked without a look at its size", 0.35)
    if call.dotted == "shutil.unpack_archive":
        yield call.weakness(22, "an archive may write outside its folder", 0.5)
    if call.dotted in ("zlib.decompress", "gzip.decompress", "bz2.decompress", "lzma.decompress"):
        yield call.weakness(409, "data is unpacked without a limit", 0.2 + 0.5 * call.argument(0).of_kind("size"))
    if call.name in ("read", "body", "get_data") and _reads_all_of_request(call):
        yield call.weakness(770, "a request body is read without a limit", 0.35)


def _filtered_members(call: Call) -> bool:
    """Return whether `members` is a checked list, not simply all of them."""
    members = keyword(call.node, "members")
    if members is None:
        return False
    if isinstance(members, ast.Call):
        return not (isinstance(members.func, ast.Attribute) and members.func.attr in ("getmembers", "getnames"))
    return isinstance(members, ast.ListComp | ast.Name)


def _size_checked(call: Call) -> bool:
    return call.base.of_kind("size") == 0 and bool(call.base.names) and any(call.base.taint)


def _reads_all_of_request(call: Call) -> bool:
    """Return whether a whole request body is read: no length, or the length its sender gave, not compared first."""
    if call.dotted not in _BODIES and not (call.base.of == "request.files" and not call.node.args):
        return False
    return not call.arguments or call.arguments[0].of_kind("size") > 0


def _permissions(call: Call) -> Iterator[Weakness]:
    position = _MODES.get(call.dotted)
    if position is None and call.name in ("chmod", "mkdir", "touch"):
        position = 0
    if position is not None:
        bits = call.argument(position, "mode").number
        if bits is not None and bits & 0o002:
            everyone = 0.95 if "chmod" in call.name or bits & 0o111 else 0.8
            yield call.weakness(732, "everyone may write", everyone)
        elif bits is not None and bits & 0o020:
            yield call.weakness(732, "the whole group may write", 0.4)
    if call.dotted == "os.umask" and call.argument(0).number is not None and not (call.argument(0).number or 0) & 0o002:
        yield call.weakness(276, "new files may be written by everyone", 0.9)
    if call.name in ("run", "call", "check_call", "Popen", "check_output", "system"):
        words = " ".join(v.text for v in call.arguments)
        if "chmod" in words and any(mode in words for mode in ("777", "666", "a+w", "o+w", "a+rwx")):
            yield call.weakness(732, "everyone may write", 0.95)


def _goes_up(value: Value) -> bool:
    return any(mark in value.text for mark in _UP) or value.text == ".."
