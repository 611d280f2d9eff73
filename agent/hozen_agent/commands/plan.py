"""`hozen plan`: exactly what a capture would read, shown before anybody consents (law B12)."""

from __future__ import annotations

import click

from hozen_agent import planning
from hozen_agent.artifacts.registry import CATALOGUE
from hozen_config.profile import load_profile
from hozen_config.quantities import format_duration, format_size
from hozen_hashes import cli
from hozen_hashes.jsonl import parse_object

_EXAMPLES = """\b
Examples:
  hozen plan
  hozen plan --profile minimal --lang ja
  hozen plan --profile ./mine.yaml --files --json
"""


@click.command(epilog=_EXAMPLES + "\n" + cli.exit_status(0, 64, 70))
@click.option(
    "--profile",
    default="standard",
    show_default=True,
    metavar="NAME|FILE",
    help="Profile to look at.",
)
@click.option(
    "--files",
    is_flag=True,
    help="Also list the files that match now (names are looked up, nothing is read).",
)
@cli.json_option
def plan(profile: str, *, files: bool, as_json: bool) -> int:
    """Show what a capture with a profile would attempt, in order; read nothing."""
    planning.load_families()
    chosen, digest = load_profile(profile, known=CATALOGUE)
    made = planning.make_plan(
        [a.name for a in chosen.artifacts], profile=chosen.name, profile_sha256=digest
    )
    listing = planning.expected_files(made) if files else {}
    if as_json:
        document = parse_object(made.to_json(), what="plan")
        limits = chosen.limits
        document["limits"] = {
            "item": limits.item,
            "family": limits.family,
            "total": limits.total,
            "deadline": limits.deadline,
        }
        document["files"] = dict(listing)
        cli.emit_json(document)
        return 0
    _show(made, listing)
    limits = chosen.limits
    cli.say(
        cli.pick(
            en=f"limits: item {format_size(limits.item)}, artifact {format_size(limits.family)}, "
            f"all {format_size(limits.total)}, time {format_duration(limits.deadline)}",
            ja=f"上限: 1件 {format_size(limits.item)}、種類ごと {format_size(limits.family)}、"
            f"全体 {format_size(limits.total)}、時間 {format_duration(limits.deadline)}",
        )
    )
    return 0


def _show(made: planning.Plan, listing: dict[str, list[str]]) -> None:
    cli.say(
        cli.pick(
            en=f"profile {made.profile}, most volatile first:",
            ja=f"プロファイル {made.profile}(揮発性の順序):",
        )
    )
    for number, step in enumerate(made.steps, 1):
        root = cli.pick(en=" (root)", ja="(root)") if step.needs_root else ""
        cli.say(f"{number:3}. {step.name}{root}  [{step.personal}]")
        cli.say(f"     {cli.pick(en=step.en, ja=step.ja)}")
        cli.say(f"     {', '.join(step.reads)}")
        for path in listing.get(step.name, []):
            cli.say(f"       {cli.safe_text(path)}")
