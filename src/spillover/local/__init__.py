"""Models in this process: rendering, loading, forward passes, sampling, scoring, activations."""
