"""Print what an installed package asks for, without torch and its companions: `python docs/vllm_requirements.py NAME`.

vllm's CPU wheel also asks for torchvision, torchaudio and torchcodec, which text models do not use.
"""

from __future__ import annotations

import importlib.metadata
import re
import sys

LEFT_OUT = ("torch", "torchvision", "torchaudio", "torchcodec")

for requirement in importlib.metadata.requires(sys.argv[1]) or ():
    name = re.match(r"[\w.-]+", requirement)
    if name and name[0] not in LEFT_OUT and "extra ==" not in requirement:
        print(requirement)
