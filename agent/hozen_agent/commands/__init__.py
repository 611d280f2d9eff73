"""Commands of the agent, one file each."""
