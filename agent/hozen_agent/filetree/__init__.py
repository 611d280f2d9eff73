"""Whole directory trees: walked, listed, looked through for what is special, compared with the packages."""
