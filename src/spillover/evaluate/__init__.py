"""Measures of one model: probes by log-probability, free-form answers and the judges that score them."""
