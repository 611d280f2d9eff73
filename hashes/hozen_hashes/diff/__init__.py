"""Differences between two bundles of one host: what is new, gone, changed, and what cannot be compared (design §4).

Only what two captures can have in common is compared: facts with a name of their own (a listener's address, the name of
an account, the path of a file), never numbers and times that differ anyway. A fact that one capture did not obtain is
never called new or gone.
"""

from __future__ import annotations

from hozen_hashes.diff.compare import Difference, State
from hozen_hashes.diff.groups import GROUPS
from hozen_hashes.diff.notes import NOTES
from hozen_hashes.diff.run import Comparison, difference

__all__ = ["GROUPS", "NOTES", "Comparison", "Difference", "State", "difference"]
