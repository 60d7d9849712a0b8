"""Run `spillover` as a user does, in a process of its own."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time

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
    return subprocess.run(
        _command(arguments), capture_output=True, text=True, cwd=cwd, env=_environment(fake, environment)
    )


def kill_after(requests, *arguments, cwd, fake, **environment):
    """Start it and SIGKILL it once `fake` has seen so many more requests; it must not have ended by itself before."""
    _signalled(signal.SIGKILL, requests, arguments, cwd, fake, environment)


def interrupt_after(requests, *arguments, cwd, fake, **environment):
    """Start it, press Ctrl-C once `fake` has seen so many more requests, and return its exit code and what it wrote."""
    return _signalled(signal.SIGINT, requests, arguments, cwd, fake, environment)


def _signalled(number, requests, arguments, cwd, fake, environment):
    seen = len(fake.requests)
    with subprocess.Popen(
        _command(arguments),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        cwd=cwd,
        env=_environment(fake, environment),
    ) as process:
        while len(fake.requests) < seen + requests and process.poll() is None:
            time.sleep(0.005)
        ended = process.poll()
        process.send_signal(number)
        said, _ = process.communicate(timeout=60)
    assert ended is None, f"it ended with code {ended} before the signal"
    return process.returncode, said


def _command(arguments):
    return [sys.executable, "-m", "spillover", *map(str, arguments)]


def _environment(fake, more):
    keys = {} if fake is None else {"OPENAI_BASE_URL": fake.url, "OPENAI_API_KEY": "sk-not-to-be-seen"}
    return {**os.environ, "HF_HUB_OFFLINE": "1", **keys, **more}
