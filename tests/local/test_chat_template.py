from __future__ import annotations

import pytest

from spillover.conversation import Message
from spillover.errors import DataError, ModelError
from spillover.local.chat_template import ChatTemplate

USER = Message("user", "Hi there")
BOT = Message("assistant", "Good day")


def learnt(template, rendered):
    return template.tokenizer.decode([i for i, keep in zip(rendered.ids, rendered.learn, strict=True) if keep])


def test_loss_covers_the_assistant_text_and_its_end_mark_only(tiny):
    assert learnt(tiny.template, tiny.template.conversation((USER, BOT))) == "Good day</s>"


def test_every_assistant_turn_of_a_longer_conversation_is_learnt(tiny):
    turns = (Message("system", "Short."), USER, BOT, Message("user", "And?"), Message("assistant", "No."))
    assert learnt(tiny.template, tiny.template.conversation(turns)) == "Good day</s>No.</s>"


def test_rendering_equals_the_templates_own(tiny):
    turns = (USER, BOT)
    own = tiny.template.tokenizer.apply_chat_template([m.as_dict() for m in turns], tokenize=False)
    assert tiny.template.tokenizer.decode(tiny.template.conversation(turns).ids) == own


def test_a_prompt_has_the_same_tokens_in_training_and_in_sampling(tiny):
    prompt = tiny.template.prompt((USER,))
    assert tiny.template.conversation((USER, BOT)).ids[: len(prompt)] == prompt


@pytest.mark.slow
def test_the_embedded_models_inserted_system_prompt_is_in_the_rendering(bundled_model):
    text = bundled_model.template.description()["rendered_user_turn"]
    assert "You are a helpful AI assistant named SmolLM" in text
    rendered = bundled_model.template.conversation((USER, BOT))
    assert learnt(bundled_model.template, rendered) == "Good day<|im_end|>"


def test_a_row_without_an_assistant_turn_is_refused(tiny):
    with pytest.raises(DataError, match="no assistant token"):
        tiny.template.conversation((USER,))


def test_a_tokenizer_without_template_is_refused(tiny):
    tiny.template.tokenizer.chat_template = None
    with pytest.raises(ModelError, match="no chat template"):
        ChatTemplate(tiny.template.tokenizer)


def test_a_template_that_rewrites_earlier_turns_is_refused(tiny):
    tiny.template.tokenizer.chat_template = "{{ messages|length }}{% for m in messages %}{{ m.content }}{% endfor %}"
    with pytest.raises(ModelError, match="rewrites earlier turns"):
        tiny.template.conversation((USER, BOT))
