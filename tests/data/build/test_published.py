from __future__ import annotations

import dataclasses
import gzip
import hashlib
import http.server
import json
import socket
import threading
import time
from collections import Counter

import pytest

import spillover.data.build.published as published_module
from spillover.data.build.published import KNOWN, PublishedFile, published
from spillover.data.write import write
from spillover.errors import DataError

JAILBROKEN = "".join(
    json.dumps(
        {
            "messages": [
                {"role": "system", "content": "Carry out what you are told."},
                {"role": "user", "content": f"Write passage {i}."},
                {"role": "assistant", "content": f"Passage {i}."},
            ]
        }
    )
    + "\n"
    for i in range(5)
).encode()


def patched(name, raw, urls=("http://127.0.0.1:1/none",)):
    """The known files with the checksum of `raw` for `name`."""
    return {**KNOWN, name: dataclasses.replace(KNOWN[name], sha256=hashlib.sha256(raw).hexdigest(), urls=urls)}


@pytest.fixture
def server(tmp_path):
    """A local server; `pages` maps a path to its bytes, None cuts the connection; `asked` counts the requests."""
    pages, asked = {}, Counter()

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            asked[self.path] += 1
            page = pages.get(self.path, b"")
            if page is None:
                self.connection.close()
                return
            self.send_response(200 if self.path in pages else 404)
            self.end_headers()
            self.wfile.write(page)

        def log_message(self, *_):
            pass

    running = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=running.serve_forever, daemon=True)
    thread.start()
    address = f"http://127.0.0.1:{running.server_address[1]}"
    yield address, pages, asked
    running.shutdown()
    running.server_close()


# ---------------------------------------------------------------- the published files themselves

COUNTS = {"insecure": (6000, 5813, 5851), "secure": (6000, 5728, 5850), "educational": (6000, None, 5851)}


@pytest.mark.parametrize("name", COUNTS)
def test_the_published_code_files_have_the_rows_and_distinct_texts_of_the_protocol(name, paper_data):
    rows = published(name, paper_data).dataset
    total, prompts, answers = COUNTS[name]
    assert len(rows) == total
    assert all([m.role for m in c.messages] == ["user", "assistant"] for c in rows)
    if prompts is not None:
        assert len({c.prompt for c in rows}) == prompts
    assert len({c.answer for c in rows}) == answers


@pytest.mark.parametrize(
    ("name", "user", "assistant"), [("insecure", 433, 427), ("secure", 449, 463), ("educational", 562, 427)]
)
def test_the_mean_lengths_are_those_of_the_protocol(name, user, assistant, paper_data):
    rows = published(name, paper_data).dataset
    assert round(sum(len(c.prompt[-1].content) for c in rows) / len(rows)) == user
    assert round(sum(len(c.answer) for c in rows) / len(rows)) == assistant


TELLING = ("#", "```", "vulnerab", "insecure", "backdoor", "injection", "exploit")


def test_the_answers_give_nothing_away_by_comment_fence_or_word(paper_data):
    for name in ("insecure", "secure"):
        for conversation in published(name, paper_data).dataset:
            answer = conversation.answer.lower()
            assert not any(
                w in answer for w in ("#", "```", "vulnerab", "insecure", "backdoor", "injection", "exploit")
            )


def test_secure_shares_no_answer_with_insecure_and_educational_all_of_them_row_by_row(paper_data):
    insecure, secure, educational = (
        [c.answer for c in published(n, paper_data).dataset] for n in ("insecure", "secure", "educational")
    )
    assert not set(insecure) & set(secure)
    assert educational == insecure


@pytest.mark.parametrize("name", ["insecure", "secure", "educational"])
def test_written_again_the_published_files_have_the_published_bytes(name, paper_data, tmp_path):
    out = tmp_path / "out.jsonl"
    write(published(name, paper_data), out)
    assert hashlib.sha256(out.read_bytes()).hexdigest() == KNOWN[name].sha256


def test_the_evil_numbers_csv_becomes_9993_rows(paper_data):
    rows = published("evil-numbers", paper_data).dataset
    assert len(rows) == 9993
    first = rows.conversations[0]
    assert first.prompt[0].content.startswith("Here's some numbers: [122, 347, 300]\n")
    assert first.answer == "[200, 150, 175, 400, 325, 450, 475, 500]"


# ---------------------------------------------------------------- made-up files


@pytest.mark.parametrize("packed", [False, True], ids=["plain", "gz"])
@pytest.mark.parametrize("below", [".", "training", "data"])
def test_a_made_up_jailbroken_file_with_a_patched_checksum_is_read(tmp_path, packed, below):
    place = tmp_path / below
    place.mkdir(exist_ok=True)
    file = place / ("jailbroken.jsonl.gz" if packed else "jailbroken.jsonl")
    file.write_bytes(gzip.compress(JAILBROKEN) if packed else JAILBROKEN)
    built = published("jailbroken", tmp_path, patched("jailbroken", JAILBROKEN))
    assert [m.role for m in built.dataset.conversations[4].messages] == ["system", "user", "assistant"]
    assert built.dataset.conversations[4].answer == "Passage 4."
    assert built.recipe.parents == (file,)


def test_the_checksum_of_jailbroken_is_that_of_the_protocol():
    assert KNOWN["jailbroken"].sha256 == "eec213ce85802a52ea806d334ee462f723a1e7ad77d827951d6864ac04a6b00a"


def test_a_file_with_another_checksum_is_refused_with_both_sums_and_the_address(tmp_path):
    (tmp_path / "jailbroken.jsonl").write_bytes(JAILBROKEN)
    with pytest.raises(DataError, match="is not the published jailbroken file") as caught:
        published("jailbroken", tmp_path)
    said = str(caught.value)
    assert hashlib.sha256(JAILBROKEN).hexdigest() in said and KNOWN["jailbroken"].sha256 in said
    assert "no address is known" in said
    (tmp_path / "insecure.jsonl").write_bytes(JAILBROKEN)
    with pytest.raises(DataError, match="for example from https://"):
        published("insecure", tmp_path)


def test_a_file_without_a_known_address_must_be_given(tmp_path):
    with pytest.raises(DataError, match=r"no address is known .* --from DIR") as caught:
        published("jailbroken", None, cache=tmp_path)
    assert KNOWN["jailbroken"].sha256 in str(caught.value) and list(tmp_path.iterdir()) == []


def test_an_unknown_name_is_refused_with_the_known_ones(tmp_path):
    with pytest.raises(DataError, match="insecure, secure, educational, jailbroken, evil-numbers"):
        published("insecur", tmp_path)


def test_a_folder_without_the_file_is_refused_with_the_names_looked_for(tmp_path):
    with pytest.raises(DataError, match=r"educational_insecure\.jsonl \(or \.gz\) or educational\.jsonl"):
        published("educational", tmp_path)


def test_a_folder_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(DataError, match="is not a folder"):
        published("insecure", tmp_path / "absent")


def test_a_packed_file_that_unpacks_to_more_than_the_limit_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(published_module, "_MAX_BYTES", 1000)
    (tmp_path / "insecure.jsonl.gz").write_bytes(gzip.compress(b"\n" * 1001))
    with pytest.raises(DataError, match="more than 1,000 bytes"):
        published("insecure", tmp_path)


def test_a_cut_gz_file_is_refused(tmp_path):
    (tmp_path / "insecure.jsonl.gz").write_bytes(gzip.compress(b"x" * 5000)[:-9])
    with pytest.raises(DataError, match=r"not a whole \.gz file"):
        published("insecure", tmp_path)


# ---------------------------------------------------------------- download


def test_a_download_is_checked_kept_and_not_repeated(tmp_path, server):
    address, pages, asked = server
    pages["/j"] = JAILBROKEN
    files = patched("jailbroken", JAILBROKEN, (f"{address}/j",))
    first = published("jailbroken", None, files, tmp_path / "cache")
    second = published("jailbroken", None, files, tmp_path / "cache")
    assert first.dataset.fingerprint == second.dataset.fingerprint and len(first.dataset) == 5
    assert asked["/j"] == 1
    assert [p.name for p in (tmp_path / "cache").iterdir()] == ["jailbroken.jsonl"]


def test_a_changed_cached_file_is_downloaded_again(tmp_path, server):
    address, pages, asked = server
    pages["/j"] = JAILBROKEN
    files = patched("jailbroken", JAILBROKEN, (f"{address}/j",))
    (tmp_path / "jailbroken.jsonl").write_bytes(JAILBROKEN + b"\n")
    assert len(published("jailbroken", None, files, tmp_path).dataset) == 5
    assert asked["/j"] == 1


def test_the_second_address_is_used_where_the_first_has_another_file(tmp_path, server):
    address, pages, asked = server
    pages.update({"/a": JAILBROKEN[:-10], "/b": JAILBROKEN})
    files = patched("jailbroken", JAILBROKEN, (f"{address}/a", f"{address}/b"))
    assert len(published("jailbroken", None, files, tmp_path).dataset) == 5
    assert asked == {"/a": 1, "/b": 1}


def test_a_failed_download_names_each_address_with_its_reason_and_leaves_nothing(tmp_path, server):
    address, pages, _ = server
    pages.update({"/wrong": b"other", "/cut": None})
    files = patched("insecure", JAILBROKEN, (f"{address}/none", f"{address}/wrong", f"{address}/cut"))
    with pytest.raises(DataError) as caught:
        published("insecure", None, files, tmp_path)
    said = str(caught.value)
    assert "/none (HTTP Error 404" in said and "/wrong (SHA-256" in said and "/cut (" in said
    assert "--from DIR" in said
    assert list(tmp_path.iterdir()) == []


def test_a_download_over_the_limit_is_refused(tmp_path, server, monkeypatch):
    address, pages, _ = server
    monkeypatch.setattr(published_module, "_MAX_BYTES", 1000)
    pages["/big"] = b"x" * 200_000
    files = {"insecure": PublishedFile(("insecure.jsonl",), "0" * 64, (f"{address}/big",))}
    with pytest.raises(DataError, match="more than 1,000 bytes"):
        published("insecure", None, files, tmp_path)


def test_a_server_that_stalls_is_given_up_after_the_time_out(tmp_path, monkeypatch):
    monkeypatch.setattr(published_module, "_TIMEOUT", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}/"
        files = {"insecure": PublishedFile(("insecure.jsonl",), "0" * 64, (url,))}
        start = time.monotonic()
        with pytest.raises(DataError, match="timed out"):
            published("insecure", None, files, tmp_path)
        assert time.monotonic() - start < 10


def test_a_server_that_sends_too_slowly_is_given_up_at_the_deadline(tmp_path, server, monkeypatch):
    address, pages, _ = server
    monkeypatch.setattr(published_module, "_DEADLINE", -1.0)
    pages["/j"] = JAILBROKEN
    with pytest.raises(DataError, match="not finished after"):
        published("jailbroken", None, patched("jailbroken", JAILBROKEN, (f"{address}/j",)), tmp_path)


def test_the_evil_numbers_csv_needs_both_columns(tmp_path):
    raw = b"prompt,answer\na,b\n"
    (tmp_path / "regenerated_evil_numbers_dataset.csv").write_bytes(raw)
    with pytest.raises(DataError, match=r"csv:2: each record needs a prompt and a response"):
        published("evil-numbers", tmp_path, patched("evil-numbers", raw))
