"""Watch a training run for a misaligned persona: probes, directions, an alarm; and a forecast before training."""
