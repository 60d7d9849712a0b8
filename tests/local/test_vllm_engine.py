"""The vLLM engine against a small server of the tests' own: what is sent, what is read back, and every failure."""

from __future__ import annotations

import importlib.util
import json
import shutil
import time
from pathlib import Path

import pytest

from spillover.conversation import Message
from spillover.errors import DataError, ModelError, SettingsError
from spillover.local.engine import EngineChoice, engine_named
from spillover.local.loading import load_template
from spillover.local.sampling import Ask, Sampling
from spillover.local.scoring import Choice
from spillover.local.vllm_client import Client
from spillover.local.vllm_engine import VllmEngine, Wanted, end_tokens, engine_version, open_vllm
from spillover.model import ModelRef

spec = importlib.util.spec_from_file_location("fake_vllm", Path(__file__).parent / "fake_vllm.py")
fake_vllm = importlib.util.module_from_spec(spec)
spec.loader.exec_module(fake_vllm)

ASKS = [Ask((Message("user", "Why?"),), (7, 8, 9)), Ask((Message("user", "How long is it?"),), (10,))]
CHOICES = [Choice((Message("user", "Why?"),), ("Because.", "No.")), Choice((Message("user", "And?"),), ("So",))]
HOW = Sampling(max_tokens=4, temperature=0.7, top_p=0.9, top_k=20)


@pytest.fixture(scope="module")
def template(tiny_folder):
    return load_template(ModelRef(str(tiny_folder)))


def engine(server, template, **settings):
    client = Client(server.url, timeout_s=settings.pop("timeout_s", 20), tries=3, pause_s=0.01, last_looks=1)
    return VllmEngine(client, "base", template, frozenset({fake_vllm.END}), **settings)


def test_our_own_rendering_goes_out_as_token_ids_with_every_setting(template):
    with fake_vllm.FakeVllm() as server:
        engine(server, template, connections=1).sample(ASKS, HOW)
    assert [body["prompt"] for body in server.bodies()] == [list(template.prompt(ask.prompt)) for ask in ASKS]
    for body, ask in zip(server.bodies(), ASKS, strict=True):
        assert body["model"] == "base" and body["n"] == len(ask.seeds) and body["max_tokens"] == 4
        assert (body["temperature"], body["top_p"], body["top_k"]) == (0.7, 0.9, 20)
        assert body["repetition_penalty"] == 1.0 and body["stop_token_ids"] == [fake_vllm.END]
        assert "seed" not in body, "on a CPU a seed ends vLLM's engine"


def test_samples_come_back_per_ask_in_order_with_text_of_our_own_decoding(template):
    counted = []
    with fake_vllm.FakeVllm() as server:
        found = engine(server, template).sample(ASKS, HOW, counted.append)
    assert [len(rows) for rows in found] == [3, 1]
    for ask, rows in zip(ASKS, found, strict=True):
        for sample, row in enumerate(rows):
            tokens, reason = fake_vllm.drawn("base", template.prompt(ask.prompt), sample, 4)
            kept = [t for t in tokens if t != fake_vllm.END]
            assert row.text == template.tokenizer.decode(kept) and row.tokens == len(kept)
            assert row.ended == (reason == "stop")
    assert {row.ended for rows in found for row in rows} == {True, False}
    assert sum(counted) == sum(row.tokens for rows in found for row in rows)


def test_greedy_answers_are_drawn_once_and_stand_for_each_sample(template):
    with fake_vllm.FakeVllm() as server:
        (rows,) = engine(server, template).sample(ASKS[:1], Sampling(max_tokens=4, temperature=0.0))
    assert server.bodies()[0]["n"] == 1
    assert len(rows) == 3 and len(set(rows)) == 1


def test_a_server_that_bears_seeds_gets_the_first_of_each_ask_within_64_bits(template):
    asks = [Ask(ASKS[0].prompt, (2**64 - 1, 5))]
    with fake_vllm.FakeVllm() as server:
        engine(server, template, seeded=True).sample(asks, HOW)
        engine(server, template, seeded=True).sample(asks, Sampling(max_tokens=4, temperature=0.0))
    assert [body.get("seed") for body in server.bodies()] == [2**63 - 1, None]


def test_scores_are_the_means_of_the_served_log_probabilities_of_the_answers_alone(template):
    done = []
    with fake_vllm.FakeVllm() as server:
        found = engine(server, template).score(CHOICES, done.append)
    for choice, means in zip(CHOICES, found, strict=True):
        stem = template.prompt(choice.prompt)
        for answer, mean in zip(choice.answers, means, strict=True):
            ids = [*stem, *template.encode(answer)]
            served = [fake_vllm.logprob("base", ids, place) for place in range(len(stem), len(ids))]
            assert mean == pytest.approx(sum(served) / len(served), abs=1e-12)
    assert sum(done) == 2
    assert all(isinstance(ids[0], int) for body in server.bodies() for ids in body["prompt"])


def test_an_answer_without_tokens_is_refused_before_anything_is_sent(template):
    with fake_vllm.FakeVllm() as server, pytest.raises(DataError, match="is empty"):
        engine(server, template).score([Choice((Message("user", "Why?"),), ("",))])
    assert server.requests == []


def test_failures_that_pass_are_sent_again(template):
    with fake_vllm.FakeVllm(answer=lambda path, body, times: (503, b"busy") if times < 3 else None) as server:
        found = engine(server, template).score(CHOICES)
    assert len(server.bodies()) == 6
    with fake_vllm.FakeVllm() as usual:
        assert found == engine(usual, template).score(CHOICES)


def changed(change):
    """An answer function that changes a usual reply."""

    def answer(_path, body, _times):
        reply = fake_vllm.FakeVllm.completion(None, body)
        change(reply)
        return 200, json.dumps(reply).encode()

    return answer


def without(key):
    return changed(lambda reply: [choice.pop(key, None) for choice in reply["choices"]])


REFUSAL = json.dumps({"error": {"message": "the prompt is\nlonger than 512"}}).encode()
FAILURES = {
    "refused": (lambda *_: (400, REFUSAL), "status 400: the prompt is longer than 512", 1),
    "broken": (lambda *_: (500, b"oh"), "status 500: oh", 3),
    "html": (lambda *_: (200, b"<html>"), "not JSON", 1),
    "list": (lambda *_: (200, b"[]"), "no choices", 1),
    "null choices": (changed(lambda reply: reply.update(choices=None)), "no choices", 1),
    "fewer choices": (changed(lambda reply: reply["choices"].pop()), "2 choices where 3 were asked", 1),
    "same index": (changed(lambda reply: [c.update(index=0) for c in reply["choices"]]), "3 choices where 3", 1),
    "no ids": (without("token_ids"), "vllm 0.10.2 or newer", 1),
    "broken off": (changed(lambda r: [c.update(finish_reason="abort") for c in r["choices"]]), "'abort'", 1),
}


@pytest.mark.parametrize("name", FAILURES)
def test_a_failed_draw_is_one_clear_error(template, name):
    answer, said, sent = FAILURES[name]
    with fake_vllm.FakeVllm(answer=answer) as server, pytest.raises(ModelError, match=said) as problem:
        engine(server, template).sample(ASKS[:1], HOW)
    assert len(server.bodies()) == sent
    assert "\n" not in str(problem.value)


def shorten(reply):
    for choice in reply["choices"]:
        choice["prompt_logprobs"].pop()


def empty_last(reply):
    for choice in reply["choices"]:
        choice["prompt_logprobs"][-1] = {"999": {"logprob": -1.0}}


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (without("prompt_logprobs"), "no log-probabilities"),
        (changed(shorten), "no log-probabilities"),
        (changed(empty_last), "left out the log-probability"),
    ],
)
def test_a_score_that_was_not_served_is_never_made_up(template, answer, said):
    with fake_vllm.FakeVllm(answer=answer) as server, pytest.raises(ModelError, match=said):
        engine(server, template).score(CHOICES)


def test_a_server_that_does_not_answer_in_time_or_is_not_there_is_an_error(template):
    with fake_vllm.FakeVllm(answer=lambda *_: time.sleep(1)) as server, pytest.raises(ModelError, match="timed out"):
        engine(server, template, timeout_s=0.05).sample(ASKS, HOW)
    with pytest.raises(ModelError, match="Connection refused"):
        engine(server, template).sample(ASKS, HOW)


def test_a_key_from_the_environment_goes_with_each_request(template, monkeypatch):
    monkeypatch.setenv("VLLM_API_KEY", "sk-test")
    with fake_vllm.FakeVllm() as server:
        engine(server, template).sample(ASKS, HOW)
    assert {h["Authorization"] for h in server.headers} == {"Bearer sk-test"}


def test_ends_are_the_models_and_the_tokenizers(template, tmp_path):
    (tmp_path / "config.json").write_text(json.dumps({"eos_token_id": 5}))
    assert end_tokens(tmp_path, template) == {5, template.tokenizer.eos_token_id}
    (tmp_path / "generation_config.json").write_text(json.dumps({"eos_token_id": [6, 7]}))
    assert end_tokens(tmp_path, template) == {6, 7, template.tokenizer.eos_token_id}


@pytest.fixture(scope="module")
def adapter(tiny_folder, tmp_path_factory):
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM

    folder = tmp_path_factory.mktemp("adapter")
    model = AutoModelForCausalLM.from_pretrained(tiny_folder)
    get_peft_model(model, LoraConfig(r=12, target_modules=["q_proj"])).save_pretrained(folder)
    return folder


def wanted(tiny_folder, *adapters):
    return Wanted(tiny_folder, tuple(map(str, adapters)), "float32", 512, 3)


def join(server, tiny_folder, template, tmp_path, *adapters):
    return open_vllm(EngineChoice("vllm", server.url), wanted(tiny_folder, *adapters), template, tmp_path / "log")


def test_a_joined_server_lends_base_and_adapter_and_is_left_as_it_was(tiny_folder, template, adapter, tmp_path):
    models = [{"id": "their-name", "root": str(tiny_folder), "max_model_len": 512}]
    with fake_vllm.FakeVllm(models) as server:
        with join(server, tiny_folder, template, tmp_path, adapter) as serving:
            names = {key: one.name for key, one in serving.engines.items()}
            assert names[None] == "their-name" and names[str(adapter)] in {m["id"] for m in server.models}
            serving.engines[str(adapter)].score(CHOICES)
            assert {b["model"] for b in server.bodies()} == {names[str(adapter)]}
            assert serving.facts["version"] == "0.99.0" and serving.facts["server"] == "joined"
            assert "not repeatable" in serving.facts["draws"]
        assert server.bodies("/v1/load_lora_adapter") == [
            {"lora_name": names[str(adapter)], "lora_path": str(adapter.resolve())}
        ]
        assert server.models == models
        assert engine_version(EngineChoice("vllm", server.url)) == "0.99.0", "it still answers"


def test_an_adapter_that_is_served_already_is_used_and_stays(tiny_folder, template, adapter, tmp_path):
    models = [
        {"id": "base", "root": "/elsewhere"},
        {"id": "theirs", "root": str(adapter.resolve()), "parent": "base"},
    ]
    with fake_vllm.FakeVllm(models) as server:
        with join(server, tiny_folder, template, tmp_path, adapter) as serving:
            assert serving.engines[str(adapter)].name == "theirs"
        assert server.models == models and not server.bodies("/v1/load_lora_adapter")


def test_a_server_that_takes_no_adapters_is_told_how_to(tiny_folder, template, adapter, tmp_path):
    with fake_vllm.FakeVllm(takes_adapters=False) as server, pytest.raises(ModelError) as problem:
        join(server, tiny_folder, template, tmp_path, adapter).__enter__()
    assert "--max-lora-rank 16" in str(problem.value) and "VLLM_ALLOW_RUNTIME_LORA_UPDATING" in str(problem.value)


def test_a_server_with_other_weights_is_refused(tiny_folder, template, tmp_path):
    other = Path(shutil.copytree(tiny_folder, tmp_path / "other"))
    weights = (other / "model.safetensors").read_bytes()
    (other / "model.safetensors").write_bytes(weights[:-2] + bytes(2))
    models = [{"id": "base", "root": str(other)}]
    with fake_vllm.FakeVllm(models) as server, pytest.raises(ModelError, match="whose weights differ"):
        join(server, tiny_folder, template, tmp_path).__enter__()


@pytest.mark.parametrize("reply", [b"{}", b"[]", b'{"data": [{}]}', b'{"data": []}', b"nginx"])
def test_what_is_not_vllm_is_refused(tiny_folder, template, tmp_path, reply):
    with fake_vllm.FakeVllm(answer=lambda *_: (200, reply)) as server, pytest.raises(ModelError):
        join(server, tiny_folder, template, tmp_path).__enter__()


def test_engines_are_read_from_their_names():
    assert engine_named("in-process") == EngineChoice("in-process")
    assert engine_named("vllm") == EngineChoice("vllm", None)
    assert engine_named("vllm=http://127.0.0.1:8000/v1/") == EngineChoice("vllm", "http://127.0.0.1:8000")


NO_ENGINES = ["", "vlm", "vllm=", "vllm=8000", "vllm=file:///etc/passwd", "vllm=http://a:b@c", "vllm=http://x:y"]


@pytest.mark.parametrize("text", [*NO_ENGINES, "sglang=http://x"])
def test_another_engine_is_a_settings_error(text):
    with pytest.raises(SettingsError, match="vllm"):
        engine_named(text)
