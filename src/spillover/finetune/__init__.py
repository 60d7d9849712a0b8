"""LoRA fine-tuning: settings, batch plan and the one training loop."""
