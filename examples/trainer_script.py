"""Fine-tune with transformers' Trainer and watch it: `python examples/trainer_script.py MODEL DATA.jsonl OUT`."""

import json
import sys
from pathlib import Path

import peft
import transformers

from spillover.monitor.callback import watch


def main(model_name: str, data: str, out: str) -> None:
    tokenizer = transformers.AutoTokenizer.from_pretrained(model_name)
    model = transformers.AutoModelForCausalLM.from_pretrained(model_name)
    model = peft.get_peft_model(model, peft.LoraConfig(r=8, target_modules=["q_proj", "v_proj"], task_type="CAUSAL_LM"))
    chats = [json.loads(line)["messages"] for line in Path(data).read_text(encoding="utf-8").splitlines()]
    texts = [tokenizer.apply_chat_template(chat, tokenize=False) for chat in chats]
    trainer = transformers.Trainer(
        model,
        transformers.TrainingArguments(out, num_train_epochs=1, per_device_train_batch_size=4, logging_steps=5),
        train_dataset=[{"input_ids": tokenizer(text)["input_ids"][:1024]} for text in texts],
        data_collator=transformers.DataCollatorForLanguageModeling(tokenizer, mlm=False),
        processing_class=tokenizer,
    )
    watch(trainer, f"{out}/watch", when=5)  # readings each fifth step; on_alarm="stop" ends training at the alarm
    trainer.train()


if __name__ == "__main__":
    main(*sys.argv[1:4])
