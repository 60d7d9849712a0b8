"""MACHIAVELLI: play the published games from a folder and count the harm against agents that choose at random."""
