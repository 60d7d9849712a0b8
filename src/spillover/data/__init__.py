"""Fine-tuning data: reading it strictly and splitting it."""
