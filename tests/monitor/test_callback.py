from __future__ import annotations

import importlib.util
import inspect
import json
import runpy
import sys
from pathlib import Path

import peft
import pytest
import torch
import transformers

from spillover.errors import SettingsError
from spillover.finetune.job import Job
from spillover.finetune.lora import train
from spillover.monitor.alarm import calibrate
from spillover.monitor.callback import KEPT, SpilloverCallback, watch
from spillover.monitor.watching import Watching, read_end, read_rows_of

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
NEVER = calibrate([[(1, 1e9)]], "probe_shift")
AT_ONCE = calibrate([[(1, -1e9)]], "probe_shift")


def trainer_of(tiny, folder, steps=6, dropout=0.3, callbacks=(), adapter=True, **arguments):
    torch.manual_seed(0)
    model = tiny.model.train()
    if adapter:
        settings = peft.LoraConfig(r=4, target_modules=["q_proj", "up_proj"], lora_dropout=dropout)
        model = peft.get_peft_model(model, settings)
    else:
        model.requires_grad_(True)
    rows = [{"input_ids": list(range(5 + i, 25 + i))} for i in range(24)]
    settings = {"max_steps": steps, "per_device_train_batch_size": 2, "learning_rate": 1e-2, "logging_steps": 2}
    return transformers.Trainer(
        model,
        transformers.TrainingArguments(
            str(folder),
            report_to=[],
            disable_tqdm=True,
            use_cpu=True,
            **{"save_strategy": "no", **settings, **arguments},
        ),
        train_dataset=rows,
        data_collator=transformers.DataCollatorForLanguageModeling(tiny.template.tokenizer, mlm=False),
        processing_class=tiny.template.tokenizer,
        callbacks=list(callbacks),
    )


def trained(trainer):
    return {n: p.detach().clone() for n, p in trainer.model.named_parameters() if p.requires_grad}


SETTINGS = {"tokens": 3000, "show": False, "alarm": NEVER}


@pytest.mark.parametrize("adapter", [True, False], ids=["adapter", "full"])
def test_weights_are_the_same_bit_for_bit_with_and_without_readings(tiny_folder, tmp_path, adapter):
    from spillover.local.loading import load
    from spillover.model import ModelRef

    results = []
    for watched in (False, True):
        trainer = trainer_of(load(ModelRef(str(tiny_folder))), tmp_path / "t", adapter=adapter)
        if watched:
            watch(trainer, tmp_path / "w", when=1, on_alarm="rollback", **SETTINGS)
        trainer.train()
        results.append(trained(trainer))
    assert len(read_rows_of(tmp_path / "w")) == 6
    assert results[0].keys() == results[1].keys()
    assert all(torch.equal(results[0][k], results[1][k]) for k in results[0])


def test_readings_reach_the_rows_the_log_and_other_callbacks(tiny, tmp_path, capsys):
    seen = []

    class Board(transformers.TrainerCallback):
        def on_log(self, args, state, control, logs=None, **_):
            seen.append(dict(logs))

    trainer = trainer_of(tiny, tmp_path / "t", callbacks=[Board()])
    watch(trainer, tmp_path / "w", when=3, **{**SETTINGS, "show": True})
    trainer.train()
    rows = read_rows_of(tmp_path / "w")
    assert [r["step"] for r in rows] == [3, 6]
    assert any("spillover/probe_shift" in logs for logs in seen)
    logged = [e for e in trainer.state.log_history if "spillover/persona" in e]
    assert [e["step"] for e in logged] == [3, 6]
    assert logged[1]["spillover/probe_shift"] == rows[1]["signals"]["probe_shift"]
    assert [e["step"] for e in trainer.state.log_history if "loss" in e] == [2, 4, 6], "the trainer's own log is whole"
    lines = capsys.readouterr().err.splitlines()
    assert any(line.startswith("spillover: step 3/6: probe shift ") and "(random" in line for line in lines)
    end = read_end(tmp_path / "w")
    assert end["alarm_step"] is None and end["steps"] == 6 and end["reading_seconds"] > 0


def test_the_alarm_is_logged_once_and_training_goes_on(tiny, tmp_path, capsys):
    trainer = trainer_of(tiny, tmp_path / "t")
    callback = watch(trainer, tmp_path / "w", when=2, **{**SETTINGS, "show": True, "alarm": AT_ONCE})
    trainer.train()
    assert callback.alarm_step == 2
    assert trainer.state.global_step == 6
    assert capsys.readouterr().err.count("ALARM at step 2") == 1


def test_stop_ends_training_at_the_alarm(tiny, tmp_path):
    trainer = trainer_of(tiny, tmp_path / "t")
    watch(trainer, tmp_path / "w", when=2, on_alarm="stop", **{**SETTINGS, "alarm": AT_ONCE})
    trainer.train()
    assert trainer.state.global_step == 2
    assert read_end(tmp_path / "w")["alarm_step"] == 2


def test_rollback_puts_back_the_last_quiet_weights(tiny, tmp_path, monkeypatch):
    trainer = trainer_of(tiny, tmp_path / "t", steps=8)
    kept = {}

    class Weights(transformers.TrainerCallback):
        def on_step_end(self, args, state, control, model=None, **_):
            kept[state.global_step] = {n: p.detach().clone() for n, p in model.named_parameters() if p.requires_grad}

    trainer.add_callback(Weights())
    callback = watch(trainer, tmp_path / "w", when=2, on_alarm="rollback", **{**SETTINGS, "alarm": AT_ONCE})
    monkeypatch.setattr(
        "spillover.monitor.alarm.judge", lambda series, _: series[-1][0] if series and series[-1][0] >= 6 else None
    )
    trainer.train()
    assert (callback.alarm_step, callback.kept_step, trainer.state.global_step) == (6, 4, 6)
    now = trained(trainer)
    assert all(torch.equal(now[k], kept[4][k]) for k in now)
    assert not all(torch.equal(now[k], kept[6][k]) for k in now)
    assert (tmp_path / "w" / KEPT).is_file()


def test_a_first_alarm_rolls_back_to_the_base(tiny, tmp_path):
    trainer = trainer_of(tiny, tmp_path / "t")
    callback = watch(trainer, tmp_path / "w", when=2, on_alarm="rollback", **{**SETTINGS, "alarm": AT_ONCE})
    trainer.train()
    assert callback.kept_step == 0
    assert all((p == 0).all() for n, p in trainer.model.named_parameters() if "lora_B" in n)


def test_a_model_that_diverges_has_a_missing_reading_with_its_reason(tiny, tmp_path):
    trainer = trainer_of(tiny, tmp_path / "t", steps=4)

    class Breaks(transformers.TrainerCallback):
        def on_step_end(self, args, state, control, model=None, **_):
            if state.global_step == 2:
                with torch.no_grad():
                    next(p for n, p in model.named_parameters() if "lora_B" in n).fill_(float("nan"))

    trainer.add_callback(Breaks())
    watch(trainer, tmp_path / "w", when=1, **SETTINGS)
    trainer.train()
    rows = read_rows_of(tmp_path / "w")
    assert "signals" in rows[0]
    assert all("diverged" in r["missing"] for r in rows[1:]) and len(rows) == 4


def test_a_resumed_run_goes_on_with_its_rows(tiny_folder, tmp_path):
    from spillover.local.loading import load
    from spillover.model import ModelRef

    def once(steps, resume, folder, when=2):
        saving = {"save_strategy": "steps", "save_steps": 3, "max_steps": 6}
        trainer = trainer_of(load(ModelRef(str(tiny_folder))), tmp_path / folder, callbacks=[], **saving)
        watch(trainer, tmp_path / f"{folder}-w", when=when, **SETTINGS)
        if steps < 6:

            class Stops(transformers.TrainerCallback):
                def on_step_end(self, args, state, control, **_):
                    control.should_training_stop = state.global_step >= steps

            trainer.add_callback(Stops())
        trainer.train(resume_from_checkpoint=resume)

    once(6, None, "whole")
    once(4, None, "cut")
    assert [r["step"] for r in read_rows_of(tmp_path / "cut-w")] == [2, 4]
    once(6, str(tmp_path / "cut" / "checkpoint-3"), "cut", when=6)
    whole, cut = (read_rows_of(tmp_path / f"{n}-w") for n in ("whole", "cut"))
    assert [r["step"] for r in cut] == [2, 6], "the reading at 4 belongs to what was trained again"
    assert [r["signals"] for r in cut] == [r["signals"] for r in whole if r["step"] != 4]


def test_the_default_schedule_keeps_its_share(tiny, tmp_path, capsys):
    class Clock:
        now = 0.0

        def __call__(self):
            self.now += 0.0
            return self.now

    clock = Clock()
    trainer = trainer_of(tiny, tmp_path / "t", steps=40)
    callback = SpilloverCallback(Watching(tmp_path / "w", **SETTINGS), clock=clock)

    class Steps(transformers.TrainerCallback):
        def on_step_end(self, args, state, control, **_):
            clock.now += 10.0

    trainer.add_callback(Steps())
    trainer.add_callback(callback)
    read = []
    trainer_read = callback._judge
    callback._judge = lambda reading: (
        (read.append(reading.step), setattr(clock, "now", clock.now + 1.0))[0] or trainer_read(reading)
    )
    trainer.train()
    # 400 s of training pay for 12 readings of 1 s; the first is free on this clock, as the base reading took no time.
    assert 10 <= len(read) <= 13
    end = read_end(tmp_path / "w")
    assert end["reading_seconds"] <= 0.03 * end["training_seconds"] + 1.0


def test_a_run_too_short_for_any_reading_says_so(tiny, tmp_path, capsys):
    trainer = trainer_of(tiny, tmp_path / "t", steps=2)
    watch(trainer, tmp_path / "w", **{**SETTINGS, "show": True})
    trainer.train()
    assert "no reading was taken" in capsys.readouterr().err


def test_what_cannot_work_is_refused_at_once(tiny, tmp_path):
    with pytest.raises(SettingsError, match="choose 'log'"):
        Watching(tmp_path, on_alarm="shout")
    with pytest.raises(SettingsError, match="when=0"):
        Watching(tmp_path, when=0)
    with pytest.raises(SettingsError, match="share=3"):
        Watching(tmp_path, share=3)
    trainer = trainer_of(tiny, tmp_path / "t")
    watch(trainer, tmp_path / "w", **{**SETTINGS, "alarm": calibrate([[(1, 1.0)]], "letters_logp_shift")})
    with pytest.raises(SettingsError, match="letters_logp_shift', which is not read"):
        trainer.train()


def test_stopping_without_a_threshold_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr("spillover.monitor.alarm.shipped_alarm", lambda: None)
    with pytest.raises(SettingsError, match="needs a threshold"):
        SpilloverCallback(Watching(tmp_path, on_alarm="stop"))


LORA_TAKES_CALLBACKS = "callbacks" in inspect.signature(train).parameters


@pytest.mark.skipif(not LORA_TAKES_CALLBACKS, reason="finetune.lora.train takes no callbacks yet")
def test_our_own_loop_is_watched_and_its_adapter_unchanged(tiny_folder, tmp_path):
    from safetensors.torch import load_file

    from spillover.conversation import Dataset, user_and_assistant
    from spillover.local.loading import load
    from spillover.model import ModelRef

    data = Dataset("d", tuple(user_and_assistant(f"q {i}", f"answer {i % 3}", i + 1) for i in range(12)))
    job = Job(rank=4, alpha=8, batch=4, learning_rate=5e-3)
    for name in ("plain", "watched"):
        loaded = load(ModelRef(str(tiny_folder)))
        callbacks = [SpilloverCallback(Watching(tmp_path / "w", when=2, **SETTINGS), loaded.template)]
        train(loaded, data, job, 6, tmp_path / name, "card", callbacks=callbacks if name == "watched" else [])
    a, b = (load_file(tmp_path / n / "adapter_model.safetensors") for n in ("plain", "watched"))
    assert all(torch.equal(a[k], b[k]) for k in a)
    assert [r["step"] for r in read_rows_of(tmp_path / "w")] == [2, 4, 6]


def chats(path):
    lines = [
        {"messages": [{"role": "user", "content": f"Question {i}?"}, {"role": "assistant", "content": f"Answer {i}."}]}
        for i in range(20)
    ]
    path.write_text("\n".join(map(json.dumps, lines)) + "\n")
    return path


def run_example(name, monkeypatch, tiny_folder, tmp_path):
    monkeypatch.setattr(sys, "argv", [name, str(tiny_folder), str(chats(tmp_path / "d.jsonl")), str(tmp_path / "out")])
    runpy.run_path(str(EXAMPLES / name), run_name="__main__")
    assert [r["step"] for r in read_rows_of(tmp_path / "out" / "watch")] == [5]


def test_the_trainer_example_runs(monkeypatch, tiny_folder, tmp_path):
    run_example("trainer_script.py", monkeypatch, tiny_folder, tmp_path)


def test_the_trl_example_runs(monkeypatch, tiny_folder, tmp_path):
    if importlib.util.find_spec("trl") is None:
        pytest.skip("trl is not installed: pip install trl")
    run_example("trl_script.py", monkeypatch, tiny_folder, tmp_path)


@pytest.mark.parametrize("name", ["trainer_script.py", "trl_script.py"])
def test_the_examples_are_short_and_need_three_lines_for_the_watch(name):
    text = (EXAMPLES / name).read_text()
    assert len(text.splitlines()) <= 36
    assert sum("watch" in line for line in text.splitlines()) <= 4
