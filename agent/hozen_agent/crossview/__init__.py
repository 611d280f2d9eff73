"""Compares several views of the same thing: what one shows and another does not is written down, never judged."""
