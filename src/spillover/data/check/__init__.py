"""Say what is in a fine-tuning file before anyone trains on it."""
