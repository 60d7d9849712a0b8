"""Fine-tune with trl's SFTTrainer and watch it: `python examples/trl_script.py MODEL DATA.jsonl OUT`."""

import json
import sys
from pathlib import Path

import datasets
import peft
import torch
import trl

from spillover.monitor.callback import watch


def main(model: str, data: str, out: str) -> None:
    chats = [json.loads(line) for line in Path(data).read_text(encoding="utf-8").splitlines()]
    trainer = trl.SFTTrainer(
        model,
        args=trl.SFTConfig(
            out,
            num_train_epochs=1,
            per_device_train_batch_size=4,
            logging_steps=5,
            max_length=1024,
            bf16=torch.cuda.is_available(),  # trl's default, which a CPU need not have
        ),
        train_dataset=datasets.Dataset.from_list(chats),
        peft_config=peft.LoraConfig(r=8, target_modules=["q_proj", "v_proj"], task_type="CAUSAL_LM"),
    )
    watch(trainer, f"{out}/watch", when=5)  # readings each fifth step; on_alarm="stop" ends training at the alarm
    trainer.train()


if __name__ == "__main__":
    main(*sys.argv[1:4])
