"""The agent: reads a running host, most volatile first, and writes one sealed bundle."""
