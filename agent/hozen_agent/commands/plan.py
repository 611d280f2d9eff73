"""`hozen plan`: exactly what a capture would read, shown before anybody consents (law B10, B12)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from hozen_agent import estimate, planning
from hozen_agent.artifacts.registry import CATALOGUE
from hozen_agent.reading.window import parse_window
from hozen_config.profile import load_profile
from hozen_config.quantities import format_duration, format_size
from hozen_hashes import cli
from hozen_hashes.jsonl import parse_object

if TYPE_CHECKING:
    from hozen_agent.artifacts.registry import Artifact
    from hozen_config.profile import Profile

_EXAMPLES = """\b
Examples:
  hozen plan
  hozen plan --profile minimal --lang ja
  hozen plan --with packets --without packages --since 7d
  hozen plan --profile ./mine.yaml --files --json
"""
_MIB = 1 << 20


@click.command(epilog=_EXAMPLES + "\n" + cli.exit_status(0, 64, 70))
@click.option(
    "--profile",
    default="standard",
    show_default=True,
    metavar="NAME|FILE",
    help="Profile to look at.",
)
@click.option(
    "--with",
    "added",
    multiple=True,
    metavar="ARTIFACT",
    help="Also take this artifact; repeatable.",
)
@click.option(
    "--without",
    "removed",
    multiple=True,
    metavar="ARTIFACT",
    help="Leave this artifact out; repeatable.",
)
@click.option(
    "--since",
    metavar="TIME",
    help="Logs changed since then only (7d, or RFC 3339); other files changed since are marked as recent.",
)
@click.option(
    "--until",
    metavar="TIME",
    help="Logs begun before then only (12h, or RFC 3339); other files made later are not marked.",
)
@click.option(
    "--files",
    is_flag=True,
    help="Also list the files that match now (names are looked up, nothing is read).",
)
@cli.json_option
def plan(profile: str, *, files: bool, as_json: bool, **given: Any) -> int:
    """Show what a capture with a profile would attempt, in order, how much and how long; read nothing."""
    planning.load_families()
    chosen, digest = load_profile(profile, known=CATALOGUE)
    window = parse_window(given["since"], given["until"])
    choice = planning.Choice(added=given["added"], removed=given["removed"], window=window)
    made = planning.make_plan(chosen, profile_sha256=digest, choice=choice)
    expected = estimate.estimate(made, chosen, names=files)
    if as_json:
        document = parse_object(made.to_json(), what="plan")
        document["estimate"] = expected.as_json()
        document["files"] = {name: list(look.paths) for name, look in expected.looks.items()}
        cli.emit_json(document)
        return 0
    _show(made, expected)
    _show_optional(chosen, made)
    _show_window(made)
    _show_limits(chosen)
    _show_sum(expected)
    return 0


def _show(made: planning.Plan, expected: estimate.Estimate) -> None:
    cli.say(
        cli.pick(
            en=f"profile {made.profile}, in this order, most volatile first:",
            ja=f"プロファイル {made.profile}(揮発性の順序):",
        )
    )
    for number, step in enumerate(made.steps, 1):
        root = cli.pick(en=" (root)", ja="(root)") if step.needs_root else ""
        cli.say(f"{number:3}. {step.name}{root}  [{_class(step.personal)}]{_size(step, expected)}")
        cli.say(f"     {cli.pick(en=step.en, ja=step.ja)}")
        cli.say(f"     {', '.join(step.reads)}")
        look = expected.looks.get(step.name)
        for path in look.paths if look is not None else ():
            cli.say(f"       {cli.safe_text(path)}")


def _class(personal: str) -> str:
    ja = {"none": "個人情報なし", "personal": "個人情報", "sensitive": "機微"}
    return cli.pick(en=f"personal data: {personal}", ja=ja.get(personal, personal))


def _size(step: Artifact, expected: estimate.Estimate) -> str:
    look = expected.looks.get(step.name)
    if look is None or not (look.files or look.outside):
        return ""
    least = "" if look.whole else cli.pick(en="at least ", ja="最小 ")
    text = cli.pick(
        en=f"  ~ {least}{look.files} files, {look.bytes / _MIB:.1f} MiB",
        ja=f"  約 {least}{look.files}ファイル、{look.bytes / _MIB:.1f} MiB",
    )
    if look.outside:
        text += cli.pick(
            en=f", {look.outside} outside the window", ja=f"、対象期間外 {look.outside}"
        )
    return text


def _show_optional(profile: Profile, made: planning.Plan) -> None:
    taken = {step.name for step in made.steps}
    left = [one.name for one in profile.artifacts if one.optional and one.name not in taken]
    if left:
        words = ", ".join(left)
        cli.say(
            cli.pick(
                en=f"only with --with NAME: {words}", ja=f"--with NAME を付けた場合のみ: {words}"
            )
        )
    if made.removed:
        words = ", ".join(made.removed)
        cli.say(cli.pick(en=f"left out by --without: {words}", ja=f"--without により除外: {words}"))


def _show_window(made: planning.Plan) -> None:
    if made.window is None:
        return
    since, until = (str(made.window.as_json()[key] or "…")[:19] for key in ("since", "until"))
    words = ", ".join(sorted(made.over_time))
    cli.say(
        cli.pick(
            en=f"window {since} to {until} (UTC), for: {words}; other files are taken whatever their age, and each "
            "file outside is listed",
            ja=f"対象期間 {since} から {until} (UTC)。対象: {words}。その他は期間にかかわらず取得し、"
            "期間外のファイルは一覧に残します",
        )
    )


def _show_limits(profile: Profile) -> None:
    limits = profile.limits
    cli.say(
        cli.pick(
            en=f"limits: item {format_size(limits.item)}, artifact {format_size(limits.family)}, "
            f"all {format_size(limits.total)}, time {format_duration(limits.deadline)}; "
            f"niceness {limits.nice}, I/O {limits.io_class}, CPU {limits.cpu_share:.0%} of this computer, "
            f"memory {format_size(limits.memory)} a process",
            ja=f"上限: 1件 {format_size(limits.item)}、種類ごと {format_size(limits.family)}、"
            f"全体 {format_size(limits.total)}、時間 {format_duration(limits.deadline)}。"
            f"nice {limits.nice}、I/O {limits.io_class}、CPU {limits.cpu_share:.0%}、"
            f"メモリ 1プロセス {format_size(limits.memory)}",
        )
    )
    for one in profile.artifacts:
        own = one.limits
        parts = [
            format_size(own.item) if own.item else "",
            format_size(own.family) if own.family else "",
        ]
        parts.append(format_duration(own.deadline) if own.deadline else "")
        if any(parts):
            cli.say(f"  {one.name}: {' / '.join(part or '-' for part in parts)}")
    if profile.isolation is not None:
        seconds = format_duration(profile.isolation)
        cli.say(
            cli.pick(
                en=f"everything volatile within {seconds}, then word whether the cable may be pulled",
                ja=f"揮発性情報は{seconds}以内。その後、遮断の可否を表示します",
            )
        )


def _show_sum(expected: estimate.Estimate) -> None:
    cli.say(
        cli.pick(
            en=f"~ {expected.bytes / _MIB:.1f} MiB, about {max(1, round(expected.seconds))} s; {estimate.BASIS_EN}",
            ja=f"約 {expected.bytes / _MIB:.1f} MiB、約{max(1, round(expected.seconds))}秒。{estimate.BASIS_JA}",
        )
    )
