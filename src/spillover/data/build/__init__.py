"""Make the arms of an experiment: narrow data sets and their controls."""
