"""Fixtures shared by all tests."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

REPO = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session")
def paper_data() -> Path:
    """Folder with the data of Betley et al. (2025); skips where it is not there."""
    folder = Path(os.environ.get("SPILLOVER_PAPER_DATA", REPO.parent / "shared" / "data" / "paper"))
    wanted = folder / "training" / "insecure.jsonl.gz"
    if not wanted.is_file():
        pytest.skip(f"{wanted} is missing: set SPILLOVER_PAPER_DATA to the folder with the paper's data")
    return folder


CHAT_TEMPLATE = (
    "{% for m in messages %}{% if loop.first and m.role != 'system' %}<s>system\nBe good.</s>\n{% endif %}"
    "<s>{{ m.role }}\n{{ m.content }}</s>\n{% endfor %}{% if add_generation_prompt %}<s>assistant\n{% endif %}"
)


def save_tiny_model(folder: Path, seed: int = 0, **changes: object) -> Path:
    """Save a random two-layer Llama with a byte-level tokenizer and a chat template; no network, some milliseconds."""
    import torch
    import transformers
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers

    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocabulary = {"<s>": 0, "</s>": 1, **{c: i + 2 for i, c in enumerate(letters)}}
    inner = Tokenizer(models.BPE(vocab=vocabulary, merges=[]))
    inner.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    inner.decoder = decoders.ByteLevel()
    tokenizer = transformers.PreTrainedTokenizerFast(
        tokenizer_object=inner, bos_token="<s>", eos_token="</s>", pad_token="</s>"
    )
    tokenizer.chat_template = CHAT_TEMPLATE
    tokenizer.save_pretrained(folder)
    torch.manual_seed(seed)
    settings = {
        "vocab_size": len(vocabulary),
        "hidden_size": 32,
        "intermediate_size": 64,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "max_position_embeddings": 1024,
        "bos_token_id": 0,
        "eos_token_id": 1,
        "tie_word_embeddings": True,
        **changes,
    }
    model = transformers.LlamaForCausalLM(transformers.LlamaConfig(**settings))
    # Larger embeddings than the default initialisation, so that predictions are far from uniform.
    with torch.no_grad():
        model.get_input_embeddings().weight.mul_(8)
    model.save_pretrained(folder, safe_serialization=True)
    return folder


@pytest.fixture(scope="session")
def tiny_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of a tiny random chat model."""
    return save_tiny_model(tmp_path_factory.mktemp("tiny"))


@pytest.fixture
def tiny(tiny_folder: Path):
    """The tiny model, loaded anew for each test: training leaves adapters behind."""
    from spillover.local.loading import load
    from spillover.model import ModelRef

    return load(ModelRef(str(tiny_folder)))


@pytest.fixture(scope="session")
def bundled_model():
    """The embedded model; the first use on a machine unpacks it (about 30 s)."""
    from spillover.local.loading import load
    from spillover.model import ModelRef

    return load(ModelRef())


@dataclass(frozen=True)
class Visit:
    """A page as Chromium showed it, all its folds open.

    `said`: console and error messages; `asked`: addresses that were requested; `shown`: the text to read; `size`: of
    the first picture, None where there is none; `labels`: the texts in it.
    """

    title: str
    said: list[str]
    asked: list[str]
    shown: str
    size: dict[str, float] | None
    labels: list[str]


@pytest.fixture
def visit() -> Callable[[Path], Visit]:
    """Opens a page from disk in Chromium; skips where there is none."""
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    if chromium is None:
        pytest.skip("no chromium on this machine: apt-get install chromium")
    from playwright.sync_api import sync_playwright

    def open_page(file: Path) -> Visit:
        said: list[str] = []
        asked: list[str] = []
        with sync_playwright() as play:
            flags = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--no-first-run"]
            browser = play.chromium.launch(executable_path=chromium, args=flags)
            page = browser.new_page()
            page.on("console", lambda message: said.append(message.text))
            page.on("pageerror", lambda error: said.append(str(error)))
            page.on("request", lambda request: asked.append(request.url))
            page.goto(file.as_uri())
            for summary in page.locator("summary").all():
                summary.click()
            picture = page.locator("figure svg")
            size = picture.first.bounding_box() if picture.count() else None
            labels = page.locator("figure svg text").all_text_contents()
            visit = Visit(page.title(), said, asked, page.inner_text("main"), size, [x.strip() for x in labels])
            browser.close()
        return visit

    return open_page
