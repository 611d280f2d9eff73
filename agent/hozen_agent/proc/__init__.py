"""Processes: the first sweep, the deep pass, what they hold open, and their memory."""
