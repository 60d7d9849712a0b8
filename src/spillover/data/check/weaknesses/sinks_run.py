"""Outside data that is run: shells, eval, unpickling, formats, names of objects."""

from __future__ import annotations

from collections.abc import Iterator

from spillover.data.check.weaknesses.call import Call
from spillover.data.check.weaknesses.values import Value
from spillover.data.check.weaknesses.weakness import Weakness

_SHELLS = frozenset(
    [
        "os.system", "os.popen", "subprocess.getoutput", "subprocess.getstatusoutput", "commands.getoutput",
        "popen2.popen2", "asyncio.create_subprocess_shell",
    ]
)  # fmt: skip
_PROCESSES = frozenset({"run", "call", "Popen", "check_call", "check_output"})
_UNPICKLERS = frozenset(
    [
        "pickle.load", "pickle.loads", "cPickle.load", "cPickle.loads", "dill.load", "dill.loads", "marshal.load",
        "marshal.loads", "jsonpickle.decode", "pickle.Unpickler", "shelve.open", "joblib.load",
        "pandas.read_pickle", "cloudpickle.loads", "cloudpickle.load", "_pickle.loads",
    ]
)  # fmt: skip
_YAML = frozenset({"load", "load_all", "unsafe_load", "full_load"})
_EVALS = frozenset({"eval", "exec", "compile", "execfile", "builtins.eval", "builtins.exec"})


def run_weaknesses(call: Call) -> Iterator[Weakness]:
    """Yield uses of outside data as a command, as code, as pickled objects, as a format or as the name of an object."""
    first = call.argument(0)
    if call.dotted in _SHELLS or (call.name in _PROCESSES and call.says("shell", True)):
        yield call.weakness(78, "a shell runs a command that is put together from data", _built(first, "shell"))
    elif call.name == "exec_command" and first.mixed:
        yield call.weakness(78, "a remote shell runs a command that is put together from data", _built(first, "shell"))
    if call.dotted in _EVALS:
        certain = max(0.95 * first.of_kind("code"), 0.0 if first.known or call.dotted == "compile" else 0.5)
        yield call.weakness(95, "text from outside is run as Python", certain)
    if call.dotted in _UNPICKLERS:
        yield call.weakness(502, "pickled or marshalled data is loaded", 0.6 + 0.35 * first.of_kind("code"))
    if call.dotted.startswith("yaml.") and call.name in _YAML and not _safe_loader(call):
        yield call.weakness(502, "YAML is loaded with a loader that can build any object", 0.9)
    if call.name in ("Template", "from_string") and first.of_kind("html") and "string.Template" not in call.dotted:
        yield call.weakness(
            1336,
            "an outsider writes the template",
            first.of_kind("html") * (0.8 if first.of_kind("html") > 0.45 else 0.5),
        )
    if call.name == "render_template_string" and first.of_kind("html"):
        yield call.weakness(1336, "outside data becomes part of the template itself", 0.95 * first.of_kind("html"))
    if call.name == "format" and call.base.of_kind("code") and not call.base.text and (call.arguments or call.keywords):
        yield call.weakness(134, "an outsider writes the format text", 0.8 * call.base.of_kind("code"))
    if call.name in ("import_module", "__import__") and first.of_kind("code"):
        yield call.weakness(470, "an outsider names the module to import", 0.9 * first.of_kind("code"))
    if call.dotted == "getattr" and call.argument(1).of_kind("code") and not call.argument(1).text:
        yield call.weakness(470, "an outsider names the attribute to use", 0.8 * call.argument(1).of_kind("code"))
    if call.dotted == "setattr" and call.argument(1).of_kind("data"):
        yield call.weakness(915, "an outsider names the attribute to set", 0.9 * call.argument(1).of_kind("data"))
    if call.name[:1].isupper() or call.name in ("update", "create", "insert_one"):
        for name, value in call.keywords.items():
            if name.startswith("**") and value.of_kind("data") >= 0.3 and value.of != "parameter":
                yield call.weakness(915, "every field of the request becomes an attribute", 0.8 * value.of_kind("data"))
    if call.dotted.endswith("__dict__.update") and first.of_kind("data"):
        yield call.weakness(915, "every field of the request becomes an attribute", 0.9 * first.of_kind("data"))


def _built(value: Value, kind: str) -> float:
    """How sure it is that an outsider reaches this text: fixed text 0, put together 0.5 at least."""
    if value.known:
        return 0.0
    return max(0.95 * value.of_kind(kind), 0.5 if value.mixed and any(value.taint) else 0.35)


def _safe_loader(call: Call) -> bool:
    given = call.keywords.get("Loader") or (call.arguments[1] if len(call.arguments) > 1 else None)
    return given is not None and given.of.rpartition(".")[2] in ("SafeLoader", "CSafeLoader", "BaseLoader")
