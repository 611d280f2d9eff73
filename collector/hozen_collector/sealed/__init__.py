"""Encrypted bundles that nobody opened here: their envelopes, and what people state who opened them (envelope-v1)."""
