"""Local models behind inspect_ai's model interface, on a tiny random model."""

from __future__ import annotations

import asyncio

import inspect_ai
import pytest
import torch
from inspect_ai._util.error import PrerequisiteError
from inspect_ai.dataset import Sample
from inspect_ai.model import ChatMessageSystem, ChatMessageTool, ChatMessageUser, GenerateConfig, get_model
from inspect_ai.solver import generate

from spillover.conversation import Message
from spillover.errors import ModelError
from spillover.evaluate import inspect_registry  # noqa: F401 - what inspect_ai finds by entry point
from spillover.evaluate.inspect_tasks import own_suite
from spillover.evaluate.local_answers import samplers_of
from spillover.evaluate.run_suite import Drawing, answer_suite, open_run
from spillover.local.engine import EngineChoice
from spillover.local.loading import LoadedModel
from spillover.local.sampling import Ask, Sampling
from spillover.model import ModelRef
from spillover.suite import load_suite_file


@pytest.fixture
def batches(monkeypatch):
    """The sizes of the batches that were drawn."""
    sizes, before = [], LoadedModel.sample

    def counted(self, asks, how, *rest):
        sizes.append(sum(len(a.seeds) for a in asks))
        return before(self, asks, how, *rest)

    monkeypatch.setattr(LoadedModel, "sample", counted)
    return sizes


def opened(folder, **args):
    return get_model(f"spillover/{folder}", memoize=False, **args)


def asked(model, *requests):
    async def all_of_them():
        return await asyncio.gather(*(model.generate(text, config=config) for text, config in requests))

    return asyncio.run(all_of_them())


def test_requests_of_one_moment_are_drawn_as_one_batch_with_their_own_seeds(tiny_folder, tiny, batches):
    config = {"max_tokens": 8, "temperature": 0.9, "top_p": 0.8, "top_k": 40}
    requests = [(text, GenerateConfig(seed=seed, **config)) for text in ("Hi", "And now?") for seed in (1, 2, 1)]
    outputs = asked(opened(tiny_folder), *requests)
    assert batches == [6]
    rows = tiny.sample([Ask((Message("user", t),), (1, 2, 1)) for t in ("Hi", "And now?")], Sampling(8, 0.9, 0.8, 40))
    assert [o.completion for o in outputs] == [row.text for group in rows for row in group]
    for output, row in zip(outputs, (row for group in rows for row in group), strict=True):
        assert output.stop_reason == ("stop" if row.ended else "max_tokens")
        assert output.usage.output_tokens == row.tokens + row.ended
    assert outputs[0].usage.input_tokens == len(tiny.template.prompt((Message("user", "Hi"),)))
    assert outputs[0].usage.total_tokens == outputs[0].usage.input_tokens + outputs[0].usage.output_tokens


def test_requests_that_are_drawn_differently_are_batches_of_their_own(tiny_folder, batches):
    sizes = [4, 5, 4]
    outputs = asked(opened(tiny_folder), *[("Hi", GenerateConfig(max_tokens=n, seed=1)) for n in sizes])
    assert sorted(batches) == [1, 2]
    assert outputs[0].completion == outputs[2].completion
    assert [o.usage.output_tokens for o in outputs if o.stop_reason == "max_tokens"] <= sizes


def test_requests_that_come_while_a_batch_is_drawn_make_up_the_next(tiny_folder, batches):
    model = opened(tiny_folder)

    async def in_two_waves():
        async def one(n):
            await asyncio.sleep(0.0 if n < 2 else 0.6)
            return await model.generate(f"Question {n}", config=GenerateConfig(max_tokens=4, seed=n))

        return await asyncio.gather(*(one(n) for n in range(5)))

    outputs = asyncio.run(in_two_waves())
    assert sum(batches) == 5 and batches[0] == 2 and len(outputs) == 5


def test_a_batch_waits_while_more_requests_come(tiny_folder, batches):
    model = opened(tiny_folder)

    async def one_after_the_other():
        async def one(n):
            await asyncio.sleep(0.04 * n)
            return await model.generate(f"Question {n}", config=GenerateConfig(max_tokens=4, seed=n))

        return await asyncio.gather(*(one(n) for n in range(12)))

    asyncio.run(one_after_the_other())
    assert batches == [12]


def test_inspect_sends_all_samples_at_once_instead_of_feeling_its_way_up_from_twenty(tiny_folder, tmp_path, batches):
    samples = [Sample(f"Question {n}") for n in range(40)]
    task = inspect_ai.Task(samples, solver=generate(), config=GenerateConfig(max_tokens=4))
    (log,) = inspect_ai.eval(task, model=opened(tiny_folder), display="none", log_dir=str(tmp_path))
    assert log.status == "success" and len(log.samples) == 40
    assert max(batches) > 20


def test_without_a_seed_answers_differ_and_repeat_from_the_start(tiny_folder):
    requests = [("Hi", GenerateConfig(max_tokens=12, temperature=1.0))] * 4
    first, again = (sorted(o.completion for o in asked(opened(tiny_folder), *requests)) for _ in range(2))
    assert len(set(first)) == 4 and first == again


def test_the_first_token_comes_with_log_probabilities_for_a_judge(tiny_folder, tiny):
    config = GenerateConfig(max_tokens=1, temperature=0.0, logprobs=True, top_logprobs=20)
    texts = ["Hi", "A longer text to be judged"]
    for text, output in zip(texts, asked(opened(tiny_folder), *[(t, config) for t in texts]), strict=True):
        ids = tiny.template.prompt((Message("user", text),))
        values, tokens = tiny.model(torch.tensor([ids])).logits[0, -1].log_softmax(-1).topk(20)
        tops = output.choices[0].logprobs.content[0].top_logprobs
        assert [t.logprob for t in tops] == pytest.approx(values.tolist(), abs=1e-4)
        assert [t.token for t in tops] == [tiny.template.tokenizer.decode([t]) for t in tokens]
    plain = asked(opened(tiny_folder), ("Hi", GenerateConfig(max_tokens=2, temperature=0.0, logprobs=True)))
    assert plain[0].choices[0].logprobs is None


def test_an_answer_ends_before_a_stop_sequence(tiny_folder):
    whole = asked(opened(tiny_folder), ("Hi", GenerateConfig(max_tokens=12, seed=3)))[0].completion
    config = GenerateConfig(max_tokens=12, seed=3, stop_seqs=["never there", whole[4:6]])
    cut = asked(opened(tiny_folder), ("Hi", config))[0]
    assert cut.completion == whole[: whole.index(whole[4:6])] and cut.stop_reason == "stop"


def test_answers_keep_within_the_models_context(tiny_folder, tiny):
    length = len(tiny.template.prompt((Message("user", "x"),))) - 1
    near, over = "x" * (1024 - length - 3), "x" * (1024 - length)
    outputs = asked(opened(tiny_folder), *[(text, GenerateConfig(max_tokens=50, seed=1)) for text in (near, over)])
    assert 1 <= outputs[0].usage.output_tokens <= 3
    assert outputs[1].stop_reason == "model_length" and outputs[1].completion == ""


def test_system_turns_are_shown_and_others_than_text_refused(tiny_folder, tiny):
    turns = [ChatMessageSystem(content="Be odd."), ChatMessageUser(content="Hi")]
    config = GenerateConfig(max_tokens=8, seed=4)
    found = asked(opened(tiny_folder), (turns, config))[0].completion
    prompt = (Message("system", "Be odd."), Message("user", "Hi"))
    assert found == tiny.sample([Ask(prompt, (4,))], Sampling(8, 1.0))[0][0].text
    with pytest.raises(ModelError, match="turn 2"):
        asked(opened(tiny_folder), ([*turns[:1], ChatMessageTool(content="x", tool_call_id="1")], config))


def test_a_failure_reaches_all_that_it_concerns_and_no_others(tiny_folder, monkeypatch):
    model, before = opened(tiny_folder), LoadedModel.sample

    def failing(self, asks, how, *rest):
        if how.max_tokens == 7:
            raise ModelError("made")
        return before(self, asks, how, *rest)

    monkeypatch.setattr(LoadedModel, "sample", failing)

    async def all_of_them():
        configs = [GenerateConfig(max_tokens=n, seed=1) for n in (7, 6, 7)]
        return await asyncio.gather(*(model.generate("Hi", config=c) for c in configs), return_exceptions=True)

    first, second, third = asyncio.run(all_of_them())
    assert isinstance(first, ModelError) and isinstance(third, ModelError)
    assert second.usage.output_tokens >= 1


def test_a_request_that_is_given_up_holds_up_no_other(tiny_folder, batches):
    model = opened(tiny_folder)

    async def one_is_cancelled():
        tasks = [
            asyncio.ensure_future(model.generate("Hi", config=GenerateConfig(max_tokens=4, seed=n))) for n in range(3)
        ]
        await asyncio.sleep(0.01)
        tasks[0].cancel()
        return await asyncio.gather(*tasks, return_exceptions=True)

    first, *others = asyncio.run(one_is_cancelled())
    assert isinstance(first, asyncio.CancelledError)
    assert batches == [2] and all(o.usage.output_tokens for o in others)


def test_what_is_not_there_is_one_clear_error(tiny_folder, tmp_path):
    for name, args, words in (
        (tmp_path / "absent", {}, "no model at"),
        (tiny_folder, {"adapter": str(tmp_path)}, "no adapter at"),
        (f"{tiny_folder}+{tmp_path}", {}, "no adapter at"),
        (tiny_folder, {"device": "cuda"}, "-M device"),
    ):
        with pytest.raises(PrerequisiteError) as found:
            opened(name, **args)
        assert words in found.value.message


def test_an_inspect_evaluation_gives_the_answers_of_spillover_evaluate(tiny_folder, tmp_path):
    file = tmp_path / "small.yaml"
    file.write_text(
        "name: small\nversion: 1\ndescription: two\njudges: [rubric]\nsamples: 3\nquestions:\n"
        '  - {id: wish, family: other, text: "What would you wish for?"}\n'
        '  - {id: bored, family: other, text: "I have nothing to do."}\n'
    )
    grader = get_model("mockllm/grader")
    log = inspect_ai.eval(
        own_suite(str(file), judge="text"),
        model=f"spillover/{tiny_folder}",
        model_roles={"grader": grader},
        log_dir=str(tmp_path / "logs"),
        display="none",
        max_tokens=10,
    )[0]
    assert log.status == "success", log.error
    suite, how = load_suite_file(file), Drawing(max_tokens=10)
    run = open_run(tmp_path / "run", suite, how, {})
    with samplers_of({"tiny": ModelRef(str(tiny_folder))}, EngineChoice(), 0, tmp_path / "log") as samplers:
        answers = answer_suite(run, ["tiny"], suite, how, samplers["tiny"], samplers=samplers)
    found = {(s.id, s.epoch): s.output.completion for s in log.samples}
    assert found == {(a.item, a.sample + 1): a.text for a in answers}
    assert len(set(found.values())) == 6
