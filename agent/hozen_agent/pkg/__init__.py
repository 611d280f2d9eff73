"""Package databases, read as bytes by parsers of our own: the host's package manager is not asked."""
