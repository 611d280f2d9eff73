"""Evidence from files: which may be opened, how they are read, how each attempt ends."""
