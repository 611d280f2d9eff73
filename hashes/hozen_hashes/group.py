"""The click group `hozen`: commands are found by entry point and imported when they are called."""

from __future__ import annotations

from importlib import metadata
from typing import TYPE_CHECKING, Any

import click

from hozen_hashes import __version__, cli
from hozen_hashes.errors import InternalError, UsageError
from hozen_hashes.terminal import Lang

if TYPE_CHECKING:
    from collections.abc import Callable

ENTRY_POINTS = "hozen.commands"
COMPLETE_VAR = "_HOZEN_COMPLETE"
# Shown by `hozen --help` without importing anything; the order is that of a case.
SUMMARIES = {
    "capture": "Preserve the volatile state, logs and traces of this computer.",
    "plan": "Show what a capture would read, without reading it.",
    "doctor": "Check privileges, clock, destination, collector and keys before a capture.",
    "note": "Write a signed custody note beside a bundle.",
    "push": "Send a bundle to a collector and keep its receipt.",
    "verify": "Check that a bundle is unchanged, and who sealed it.",
    "sign": "Sign a statement about a bundle, as operator or witness.",
    "card": "Write a printable card of a bundle's root digest.",
    "timestamp": "Ask for trusted time, and keep the answer beside the bundle.",
    "inspect": "Show what a bundle holds.",
    "extract": "Write the verified files of a bundle to a directory.",
    "export": "Write what a bundle holds in the forms of other tools.",
    "flows": "Show the connections of captured packets.",
    "diff": "Show what changed on a host between two captures.",
    "salvage": "Prove what an interrupted capture holds.",
    "key": "Make, show, request and import evidence keys.",
    "enroll": "Enrol this computer with a collector.",
    "collector": "Run and look after the collecting side.",
    "completion": "Print the completion script of a shell.",
}
_EXTRA_OF = {"hozen_agent": "agent", "hozen_collector": "collector"}
_ANYTHING = {"ignore_unknown_options": True, "allow_extra_args": True, "help_option_names": []}


def run(args: list[str]) -> int:
    """Run the command that `args` names and return its exit code; errors are the caller's to report."""
    import os

    if instruction := os.environ.get(COMPLETE_VAR):
        from click.shell_completion import shell_complete

        return shell_complete(hozen, {}, "hozen", COMPLETE_VAR, instruction)
    with hozen.make_context("hozen", args) as context:
        result = hozen.invoke(context)
    return result if isinstance(result, int) else 0


class LazyGroup(click.Group):
    """Finds commands by entry point; one that cannot be imported does not disturb the others."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        """Return every command that this installation names, in the order of a case."""
        found = {
            *self.commands,
            *(point.name for point in metadata.entry_points(group=ENTRY_POINTS)),
        }
        known = [name for name in SUMMARIES if name in found]
        return known + sorted(found.difference(known))

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        """Return the command, imported now; None for a name that nothing registers."""
        if cmd_name not in self.commands:
            points = metadata.entry_points(group=ENTRY_POINTS, name=cmd_name)
            if not points:
                return None
            self.add_command(with_globals(_load(next(iter(points)))), cmd_name)
        return self.commands[cmd_name]

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the commands without importing them."""
        with formatter.section("Commands"):
            formatter.write_dl(
                [(name, SUMMARIES.get(name, "")) for name in self.list_commands(ctx)]
            )

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[Any]:
        """Complete options as click does, and command names without importing them."""
        from click.shell_completion import CompletionItem

        if incomplete.startswith("-"):
            return click.Command.shell_complete(self, ctx, incomplete)
        names = (name for name in self.list_commands(ctx) if name.startswith(incomplete))
        return [CompletionItem(name, help=SUMMARIES.get(name)) for name in names]


def _load(point: metadata.EntryPoint) -> click.Command:
    """Return the command, or one that says what is missing when it is called."""
    try:
        loaded = point.load()
    except (ImportError, AttributeError) as problem:
        return _missing(point, problem)
    if not isinstance(loaded, click.Command):
        raise InternalError(f"the entry point {point.name} is no command")
    return loaded


def _missing(point: metadata.EntryPoint, problem: Exception) -> click.Command:
    message = f"`hozen {point.name}` needs a part that is not installed ({problem})"
    extra = _EXTRA_OF.get(point.value.partition(".")[0], "all")
    hint = f"install it with: pip install 'hozen[{extra}]'"
    if (getattr(problem, "name", None) or "").startswith("hozen_"):
        hint = "this installation is incomplete: install it again"

    def complain() -> None:
        raise UsageError(message, hint=hint)

    return click.Command(point.name, callback=complain, context_settings=_ANYTHING)


def with_globals(command: click.Command) -> click.Command:
    """Return the command, and its subcommands, with --lang, -q and -v, which may stand anywhere in a call."""
    taken = {name for parameter in command.params for name in parameter.opts}
    command.params += [option for option in _globals() if not taken.intersection(option.opts)]
    if command.epilog is None:
        command.epilog = cli.exit_status()
    if isinstance(command, click.Group):
        for child in command.commands.values():
            with_globals(child)
    return command


def _globals() -> list[click.Option]:
    return [
        click.Option(
            ["--lang"], type=click.Choice([lang.value for lang in Lang]), expose_value=False, callback=_set(_lang),
            help="Language of the output; default from the locale.",
        ),
        click.Option(["-q", "--quiet"], is_flag=True, expose_value=False, callback=_set(_quiet), help="Say less."),
        click.Option(["-v", "--verbose"], count=True, expose_value=False, callback=_set(_verbose), help="Say more."),
    ]  # fmt: skip


def _set(change: Callable[[Any], None]) -> Callable[[click.Context, click.Parameter, Any], None]:
    def callback(_ctx: click.Context, _parameter: click.Parameter, value: Any) -> None:
        if value:
            change(value)

    return callback


def _lang(value: str) -> None:
    cli.settings.lang = Lang(value)


def _quiet(_value: bool) -> None:
    cli.settings.verbosity = -1


def _verbose(value: int) -> None:
    cli.settings.verbosity = value


@click.command(epilog=cli.exit_status(0, 64))
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def completion(shell: str) -> None:
    """Print the completion script of SHELL.

    For bash: hozen completion bash > ~/.local/share/bash-completion/completions/hozen
    """
    from click.shell_completion import ShellComplete, get_completion_class

    kind = get_completion_class(shell)
    if kind is None:
        raise UsageError(f"no completion for {shell}")
    # The base class' source: bash's own would start a program to ask for its version.
    click.echo(ShellComplete.source(kind(hozen, {}, "hozen", COMPLETE_VAR)), nl=False)


hozen = LazyGroup(
    "hozen",
    help="Preserves digital evidence on a running computer, so that others can check it.",
    params=_globals(),
    epilog=cli.exit_status(),
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
click.version_option(__version__, prog_name="hozen", message="%(prog)s %(version)s")(hozen)
hozen.add_command(with_globals(completion))
