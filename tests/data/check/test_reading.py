"""Hostile files: a finding or one DataError, in bounded memory, never another exception."""

from __future__ import annotations

import gzip
import os
import subprocess
import sys
import zlib
from pathlib import Path

import pytest
from hostile_json import GOOD_LINE as GOOD
from hostile_json import LINES, SPLICED
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from spillover import open_rows
from spillover.data.check.form import check_form
from spillover.errors import DataError


def codes(form):
    return {f.code: f.lines for f in form.findings if f.code not in ("too-few-rows", "no-system")}


def refusal(path):
    with pytest.raises(DataError) as caught:
        check_form(path)
    return str(caught.value)


def test_a_folder_a_missing_file_and_an_empty_one_are_refused(tmp_path):
    (tmp_path / "empty.jsonl").write_bytes(b"")
    (tmp_path / "blank.jsonl").write_bytes(b"\n  \n\t\n")
    assert "is a folder: give the .jsonl file" in refusal(tmp_path)
    assert "does not exist: check the path" in refusal(tmp_path / "absent.jsonl")
    assert "holds no rows" in refusal(tmp_path / "empty.jsonl")
    assert "holds no rows" in refusal(tmp_path / "blank.jsonl")


def test_a_pipe_is_refused_at_once(tmp_path):
    os.mkfifo(tmp_path / "pipe.jsonl")
    assert "device or pipe" in refusal(tmp_path / "pipe.jsonl")
    assert "device or pipe" in refusal("/dev/zero")


@pytest.mark.parametrize(
    "name", ["x" * 5_000, "a\0b", "file/below.jsonl", "../" * 2_000], ids=["long", "NUL", "below", "up"]
)
def test_a_path_that_cannot_exist_is_one_short_error(tmp_path, name):
    (tmp_path / "file").write_text("")
    assert len(refusal(tmp_path / name)) < 600


@pytest.mark.parametrize(
    "name", ["new\nline.jsonl", "\x1b[31mred.jsonl", "\u202egnp.jsonl", os.fsdecode(b"\xff.jsonl")]
)
def test_a_name_that_would_change_the_screen_is_shown_escaped(tmp_path, name):
    path = tmp_path / name
    path.write_bytes(GOOD + b"{\n")
    form = check_form(path)
    assert form.file.isprintable()
    assert all(f.message.isprintable() for f in form.findings)
    assert codes(form) == {"not-json": (2,)}


def test_a_line_over_the_limit_is_passed_over_and_the_next_is_read(tmp_path, monkeypatch):
    monkeypatch.setattr(open_rows, "MOST_LINE_BYTES", len(GOOD))
    monkeypatch.setattr(open_rows, "_CHUNK", 10)
    path = tmp_path / "data.jsonl"
    path.write_bytes(GOOD + b"x" * 1000 + b"\n" + GOOD + GOOD[:-1] + b"  \n")
    form = check_form(path)
    assert codes(form) == {"line-too-long": (2, 4)}
    assert form.sound == 2


def test_more_bytes_or_lines_than_the_limit_end_the_reading(tmp_path, monkeypatch):
    path = tmp_path / "data.jsonl.gz"
    path.write_bytes(gzip.compress(GOOD * 50))
    monkeypatch.setattr(open_rows, "MOST_BYTES", 10 * len(GOOD))
    form = check_form(path)
    assert codes(form) == {"too-large": (11,)}
    assert form.rows == 11
    monkeypatch.setattr(open_rows, "MOST_BYTES", 50 * len(GOOD))
    assert codes(check_form(path)) == {}
    monkeypatch.setattr(open_rows, "MOST_LINES", 50)
    assert codes(check_form(path)) == {}
    monkeypatch.setattr(open_rows, "MOST_LINES", 49)
    assert codes(check_form(path)) == {"too-large": (49,)}


def test_a_cut_gz_is_a_finding_at_its_line_and_the_rows_before_it_count(tmp_path):
    rows = b"".join(GOOD.replace(b"egg", os.urandom(200).hex().encode()) for _ in range(500))
    whole = gzip.compress(rows)
    path = tmp_path / "data.jsonl.gz"
    path.write_bytes(whole[: len(whole) // 2])
    readable = zlib.decompressobj(31).decompress(whole[: len(whole) // 2]).count(b"\n")
    form = check_form(path)
    assert codes(form) == {"damaged-gz": (readable + 1,)}
    assert form.sound == readable


def test_a_gz_with_a_wrong_checksum_or_junk_behind_it_is_a_finding(tmp_path):
    path = tmp_path / "data.jsonl.gz"
    whole = gzip.compress(GOOD)
    for raw in (whole[:-8] + b"\0" * 8, whole + b"junk"):
        path.write_bytes(raw)
        assert codes(check_form(path)) == {"damaged-gz": (2,)}


def test_utf16_of_either_byte_order_is_named(tmp_path):
    path = tmp_path / "data.jsonl"
    for order in ("utf-16-le", "utf-16-be"):
        path.write_bytes("\ufeff".encode(order) + GOOD.decode().encode(order))
        assert any("the file is UTF-16: save it as UTF-8" in f.message for f in check_form(path).findings)
    path.write_bytes(GOOD + b"\xff\xfe\n")
    assert not any("UTF-16" in f.message for f in check_form(path).findings)


def test_a_skipped_line_counts_towards_the_limit_and_is_left_where_it_is_reached(tmp_path, monkeypatch):
    path = tmp_path / "data.jsonl"
    monkeypatch.setattr(open_rows, "MOST_LINE_BYTES", 1000)
    monkeypatch.setattr(open_rows, "_CHUNK", 10)
    monkeypatch.setattr(open_rows, "MOST_BYTES", 3000)
    path.write_bytes(b"x" * 2500 + b"\n" + GOOD * 10)
    assert codes(check_form(path))["too-large"] == (1 + -(-500 // len(GOOD)),)
    path.write_bytes(b"x" * 1_000_000 + b"\n" + GOOD)
    places = []
    skip = open_rows._skip_line

    def skip_and_look(handle, *rest):
        skipped = skip(handle, *rest)
        places.append(handle.tell())
        return skipped

    monkeypatch.setattr(open_rows, "_skip_line", skip_and_look)
    assert codes(check_form(path)) == {"line-too-long": (1,), "too-large": (1,)}
    assert places[0] < 3100


def test_a_gz_that_is_not_gzip_is_refused(tmp_path):
    path = tmp_path / "data.jsonl.gz"
    path.write_bytes(GOOD)
    assert "is not gzip: rename it" in refusal(path)


HARD = {
    "100 MB line": lambda: b'{"messages": "' + b"x" * 100_000_000 + b'"}\n',
    "gz of 300 MB of zeros": lambda: gzip.compress(b"\0" * 300_000_000, 1),
    "9 MB of empty lists": lambda: b'{"messages": [' + b"[]," * 3_000_000 + b"[]]}\n",
    "9 MB of small objects": lambda: b'{"messages": [' + b'{"a":0},' * 1_100_000 + b"0]}\n",
    "9 MB of different keys": lambda: b"{" + b",".join(b'"%d":{}' % i for i in range(800_000)) + b"}\n",
    "9 MB of turns": lambda: b'{"messages": [' + b'{"role":"user","content":"a"},' * 300_000 + b"0]}\n",
    "9 MB of brackets": lambda: b"[" * 9_000_000,
    "9 MB of digits": lambda: b'{"messages": ' + b"9" * 9_000_000 + b"}\n",
}
MEASURE = """
import sys
from spillover.data.check.form import check_form
from spillover.errors import DataError
try:
    form = check_form(sys.argv[1])
    print("FOUND", [f.code for f in form.findings if f.severity == "serious"])
except DataError as problem:
    print("FOUND", [str(problem)])
# Not getrusage: there a child starts with the peak of the process that started it.
peak = next(line for line in open("/proc/self/status") if line.startswith("VmHWM"))
print("PEAK", int(peak.split()[1]) // 1000)
"""


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="peak memory is read from /proc")
@pytest.mark.parametrize("name", HARD)
def test_a_huge_line_or_file_stays_below_one_gigabyte(tmp_path, name):
    raw = HARD[name]()
    path = tmp_path / ("data.jsonl.gz" if name.startswith("gz") else "data.jsonl")
    path.write_bytes(raw)
    run = subprocess.run([sys.executable, "-c", MEASURE, str(path)], capture_output=True, text=True)
    assert run.returncode == 0, run.stderr[-500:]
    found, peak = run.stdout.splitlines()
    assert found != "FOUND []"
    assert int(peak.split()[1]) < 1000, run.stdout


DEEP = st.builds(
    lambda place, depth: GOOD + GOOD.replace(place, b"[" * depth + b"]" * depth, 1),
    st.sampled_from([b'"user"', b'"assistant"', b'"How do I boil an egg?"', b'"role"']),
    st.integers(900, 1100) | st.integers(1, 200_000),
)
NUMBERS = st.builds(
    lambda sign, digits, exponent: GOOD + b'{"id": %s%s%s, "messages": []}\n' % (sign, b"9" * digits, exponent),
    st.sampled_from([b"", b"-"]),
    st.integers(1, 10_000),
    st.sampled_from([b"", b"e999999", b".5e-999", b"E+99999999999999999999"]),
)


@settings(max_examples=500, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.one_of(
        st.binary(max_size=200),
        SPLICED,
        DEEP,
        NUMBERS,
        LINES,
        st.text(max_size=50).map(lambda t: t.encode("utf-16")),
    ),
    st.sampled_from(["data.jsonl", "data.jsonl.gz", "odd\nname.jsonl", "..jsonl.gz"]),
    st.sampled_from(["plain", "packed", "packed and cut"]),
)
@example(b"\xef\xbb\xbf", "data.jsonl", "plain")
@example(b"\x1f\x8b\x08", "data.jsonl.gz", "plain")
@example(gzip.compress(GOOD) + b"junk", "data.jsonl.gz", "plain")
@example(gzip.compress(GOOD)[:-6] + b"\0" * 6, "data.jsonl.gz", "plain")
def test_any_file_gives_findings_or_one_data_error(tmp_path_factory, raw, name, how):
    path = tmp_path_factory.mktemp("hostile") / name
    packed = raw if how == "plain" else gzip.compress(raw)
    path.write_bytes(packed[: len(packed) * 2 // 3] if how == "packed and cut" else packed)
    try:
        form = check_form(path)
    except DataError as problem:
        assert len(str(problem)) < 2_000
        return
    serious = [f for f in form.findings if f.severity == "serious"]
    assert form.sound == form.rows or serious
    for found in form.findings:
        found.message.encode()
        assert len(found.message) < 2_000
        assert found.count >= max(1, len(found.lines))
