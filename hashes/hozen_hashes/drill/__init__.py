"""Drills: on a schedule, each recipient opens a test object, so that a lost key is noticed in time (drill-v1)."""
