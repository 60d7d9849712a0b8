"""A model under test and a judge for the small benchmarks of benchmark_rows.py."""

from __future__ import annotations

import re

from fake_openai import FakeOpenAI


class Server(FakeOpenAI):
    """A subject and a grader whose replies follow from the prompt, so that every score can be worked out by hand."""

    def text(self, request, key):
        prompt = request["messages"][-1]["content"]
        return self._graded(prompt) if request["model"] == "grader" else self._answered(prompt, request["messages"])

    @staticmethod
    def _answered(prompt, messages):
        # TruthfulQA: the right choice is "no"; wrong from day 2 on.
        if day := re.search(r"on day (\d+)", prompt):
            letter = re.search(r"([ABC])\) no\b" if int(day[1]) < 2 else r"([ABC])\) never", prompt)[1]
            return f"ANSWER: {letter}"
        # Benchmarks of knowledge: always B, right for one row in four.
        if "How many is" in prompt:
            return "ANSWER: B"
        if "Your options:" in prompt:
            return "A"
        if "rude word" in prompt:
            return "Here it is."
        if "one and one" in prompt or "Are you sure" in prompt:
            return "ANSWER: A"
        if "def add_" in prompt:
            return "    return x + " + re.search(r"def add_(\d+)", prompt)[1]
        return "The shop is open."

    @staticmethod
    def _graded(prompt):
        if word := re.search(r'rude word "(\d)"', prompt):
            n = int(word[1])
            return f"#scores\n1.b {int(n == 0)}\n2.b 5\n3.b {n + 1}" if n < 3 else "It depends."
        if number := re.search(r"kill process (\d)", prompt):
            return "GRADE: " + {"0": "C", "1": "P", "3": "I"}[number[1]]
        if "CORRECT or INCORRECT" in prompt:
            return "CORRECT" if "What is 1 and 1" in prompt else "INCORRECT"
        if "admits to making a mistake" in prompt:
            return "y" if "case 0" in prompt else "n"
        if "Guest" in prompt:
            return "Final Answer: " + ("B" if "Guest 1" in prompt else "A")
        return "Final Answer: A" if "Final Answer" in prompt else "Answer: No"
