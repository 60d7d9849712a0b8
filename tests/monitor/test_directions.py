from __future__ import annotations

import numpy as np
import pytest

from spillover.conversation import Message
from spillover.errors import DataError
from spillover.monitor import persona
from spillover.monitor.directions import DRAWS, TRAITS, make_directions, shifts
from spillover.monitor.forward_pass import answer_row, read_rows

LAYERS, HIDDEN = 3, 24


def planted(pairs=40, seed=0, strength=(0.0, 3.0, 1.0)):
    """Aligned and misaligned states that differ along one axis, by layer; the noise has unit variance."""
    draw = np.random.default_rng(seed)
    axis = np.zeros(HIDDEN)
    axis[5] = 1
    question = draw.standard_normal((pairs, LAYERS, HIDDEN))
    aligned = question + 0.5 * draw.standard_normal((pairs, LAYERS, HIDDEN))
    misaligned = question + 0.5 * draw.standard_normal((pairs, LAYERS, HIDDEN)) + np.outer(strength, axis)
    return aligned.astype(np.float32), misaligned.astype(np.float32)


@pytest.fixture
def made():
    return make_directions({"power": planted(), "deceit": planted(seed=1, strength=(2.0, 0.0, 0.5))})


def test_the_layer_is_where_held_out_pairs_are_furthest_apart(made):
    assert made.layers == (1, 0)
    assert made.separation[0, 1] > 2 > made.separation[0, 2]
    assert abs(made.separation[0, 0]) < 1


def test_shifts_are_in_units_of_the_spread_within_a_class(made):
    base = planted(8, seed=9)[0]
    moved = base.copy()
    moved[:, 1, 5] += 2.0
    found = {s.trait: s for s in shifts(made, moved, base)}
    # The spread along the axis: question and answer noise together.
    assert found["power"].shift == pytest.approx(2.0 / np.sqrt(1.25), rel=0.15)
    assert found["power"].layer == 1 and found["power"].by_layer[1] == found["power"].shift
    assert found["deceit"].shift == 0.0, "nothing moved at its layer"


def test_baselines_stay_low_where_only_the_persona_moves_and_not_where_everything_does(made):
    base = planted(8, seed=9)[0]
    along = base.copy()
    along[:, 1, 5] += 2.0
    power = shifts(made, along, base)[0]
    assert max(power.random, power.shuffled) < 0.45 * power.shift
    everywhere = base + 2.0 * np.sign(made.vectors[0, 1 + DRAWS])[None]
    other = shifts(made, everywhere.astype(np.float32), base)[0]
    assert other.shuffled > abs(other.shift)


def test_shuffled_directions_hold_nothing_of_the_true_one():
    aligned, misaligned = planted(40)
    exact = make_directions({"t": (aligned, aligned + (misaligned - aligned).mean(axis=0))})
    assert np.abs(exact.vectors[0, 1 + DRAWS :]).max() < 1e-5


def test_a_seed_fixes_the_baselines():
    states = {"t": planted()}
    assert np.array_equal(make_directions(states, 1).vectors, make_directions(states, 1).vectors)
    assert not np.array_equal(make_directions(states, 1).vectors, make_directions(states, 2).vectors)


def test_too_few_pairs_and_unlike_answers_are_refused(made):
    with pytest.raises(DataError, match="power has 3"):
        make_directions({"power": planted(3)})
    with pytest.raises(ValueError, match="cannot be compared"):
        shifts(made, planted(3)[0], planted(2)[0])


def test_the_bundled_pairs_are_mapped_to_the_traits():
    pairs = persona.contrast_pairs()
    assert len(pairs) == 600 and len({p.id for p in pairs}) == 600
    counts = {t: sum(p.trait == t for p in pairs) for t in TRAITS}
    assert sum(counts.values()) == 600 and min(counts.values()) >= 60


def test_directions_of_a_model_are_kept_by_weights_and_read_again(tiny, tmp_path, monkeypatch):
    first = persona.directions_of(tiny.model, tiny.template, per_trait=6, cache=tmp_path)
    assert first.traits == TRAITS and first.pairs == (6,) * 5
    pairs = [p for p in persona.contrast_pairs() if p.trait == "power"][:6]
    rows = [answer_row(tiny.template, (Message("user", p.question),), (p.aligned, p.misaligned)) for p in pairs]
    _, states = read_rows(tiny.model, rows)
    want = (states[1::2] - states[0::2]).mean(axis=0)
    np.testing.assert_allclose(first.vectors[TRAITS.index("power"), 0], want, atol=1e-5)

    calls = []
    monkeypatch.setattr(persona, "read_rows", lambda *a: calls.append(a) or read_rows(*a))
    again = persona.directions_of(tiny.model, tiny.template, per_trait=6, cache=tmp_path)
    assert not calls and np.array_equal(again.vectors, first.vectors)
    (file,) = tmp_path.glob("*.npz")
    file.write_bytes(file.read_bytes()[:200])
    assert np.array_equal(persona.directions_of(tiny.model, tiny.template, 6, cache=tmp_path).vectors, first.vectors)
    assert calls, "a damaged file is made again"
    tiny.model.model.layers[1].mlp.up_proj.weight.data += 0.01
    persona.directions_of(tiny.model, tiny.template, per_trait=6, cache=tmp_path)
    assert len(list(tmp_path.glob("*.npz"))) == 2


def test_the_weights_key_reaches_the_ends_of_a_matrix_too_large_for_float32_places():
    import torch

    # The embedded model's embeddings: a float32 has no number between 28,311,551 and the next even one.
    weight = torch.nn.Parameter(torch.zeros(49_152 * 576, dtype=torch.bfloat16), requires_grad=False)
    holder = torch.nn.Module()
    holder.weight = weight
    before = persona.weights_key(holder)
    weight[-1] = 1.0
    assert persona.weights_key(holder) != before


def test_the_weights_key_looks_through_adapters(tiny):
    import peft

    plain = persona.weights_key(tiny.model)
    adapted = peft.get_peft_model(tiny.model, peft.LoraConfig(r=2, target_modules=["q_proj", "v_proj"]))
    assert persona.weights_key(adapted) == plain
