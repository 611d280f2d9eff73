"""Where accepted containers stay."""
