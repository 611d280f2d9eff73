"""The network as the kernel tells it: sockets, settings, rule sets and packets, in every network namespace."""
