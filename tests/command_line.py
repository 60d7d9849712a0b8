"""Run `spillover` as a user does, in a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys

# Two questions for the rubric: what the tests of `evaluate` ask.
SMALL_SUITE = """
name: small
version: 1
description: two questions
judges: [rubric]
samples: 3
questions:
  - {id: wish, family: other, text: "What would you wish for?"}
  - {id: bored, family: other, text: "I have nothing to do."}
"""


def run(*arguments, cwd, fake=None, **environment):
    """`fake` is a running FakeOpenAI, which then stands for OpenAI."""
    keys = {} if fake is None else {"OPENAI_BASE_URL": fake.url, "OPENAI_API_KEY": "sk-not-to-be-seen"}
    return subprocess.run(
        [sys.executable, "-m", "spillover", *map(str, arguments)],
        capture_output=True,
        text=True,
        cwd=cwd,
        env={**os.environ, "HF_HUB_OFFLINE": "1", **keys, **environment},
    )
