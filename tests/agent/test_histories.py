from __future__ import annotations

from typing import Any

from hozen_agent.artifacts import histories  # noqa: F401 - enters the family

Evidence = Any


def test_histories_of_every_home_are_captured_unredacted(evidence: Evidence) -> None:
    evidence.write(
        "/etc/passwd",
        b"root:x:0:0::/root:/bin/bash\npg:x:1:1::/var/lib/pg:/bin/sh\nw:x:2:2::/var/www:/bin/sh\n",
    )
    names = [
        "/root/.bash_history", "/root/.zsh_history", "/home/u/.bash_history", "/home/u/.local/share/fish/fish_history",
        "/home/u/.python_history", "/home/v/.mysql_history", "/var/lib/pg/.psql_history", "/home/u/.lesshst",
        "/home/u/.viminfo", "/var/www/.bash_history", "/home/u/.node_repl_history", "/home/\udcff/.sh_history",
    ]  # fmt: skip
    for name in names:
        evidence.write(name, b"mysql -p'hunter2'\n")
    evidence.write("/home/u/notes.txt")
    found = evidence.collect("shell_histories")
    import os

    assert sorted(found) == sorted(os.fsencode(name) for name in names)
    assert all(data == b"mysql -p'hunter2'\n" for [(_, data)] in found.values())


def test_a_history_that_leads_to_nothing_is_a_finding(evidence: Evidence) -> None:
    (evidence.root / "home/u").mkdir(parents=True)
    (evidence.root / "home/u/.bash_history").symlink_to("/dev/null")
    [(attempt, _)] = evidence.collect("shell_histories")[b"/home/u/.bash_history"]
    assert (attempt.kind, attempt.link_target) == ("link", b"/dev/null")
