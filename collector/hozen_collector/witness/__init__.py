"""A witness of other people's logs (C2SP tlog-witness): it cosigns what only ever grew, and remembers one state a log.

It needs nothing of a collector: whoever is independent of the log's operator, such as a law firm, runs it.
"""
