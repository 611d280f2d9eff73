"""`hozen enroll`: makes this computer known to a collector, before an incident or at its beginning."""

from __future__ import annotations

import click
from cryptography.hazmat.primitives import hashes

from hozen_agent.sending import enrolment
from hozen_agent.sending.tokens import parse_token
from hozen_hashes import cli
from hozen_hashes.errors import UsageError

_EXAMPLES = """\b
Examples:
  hozen enroll --to https://collector.example:8443 --token-file token.txt
  ssh custodian cat token.txt | hozen enroll --to https://collector.example:8443 --token-file -

The token holds a secret: it is read from a file or standard input, never from the command line. The keys
are kept in /etc/hozen (root) or ~/.config/hozen, or where HOZEN_STATE says, readable by their owner only.
"""


@click.command(epilog=_EXAMPLES + "\n" + cli.exit_status(0, 1, 64, 65, 73, 75, 77))
@click.option(
    "--to", "url", metavar="URL", help="The collector, https://host:port; default from the token."
)
@click.option(
    "--token-file",
    required=True,
    metavar="FILE|-",
    help="File with the token, or - for standard input.",
)
@click.option("--host", metavar="NAME", help="Name of this computer; default its host name.")
@click.option(
    "--replace",
    is_flag=True,
    help="Enrol again: keys that expired or were revoked are kept, under another name.",
)
@cli.json_option
def enroll(
    url: str | None, token_file: str, host: str | None, *, replace: bool, as_json: bool
) -> int:
    """Enrol this computer with a collector.

    Two keys are made here and never leave: one for the connection, one that seals bundles.
    """
    line = cli.read_secret(token_file, what="token")
    token = parse_token(line.decode("ascii", "replace"))
    target = url or token.url
    if target is None:
        raise UsageError("the token does not say where the collector is", hint="Add --to URL.")
    made = enrolment.enrol(target, token, host=host, replace=replace)
    facts = {
        "url": made.endpoint.url,
        "agent_id": made.agent_id,
        "host": made.host,
        "log": made.log_key.name,
        "log_key_sha256": made.log_key.sha256,
        "root_sha256": made.root.fingerprint(hashes.SHA256()).hex(),
        "evidence_certificate_sha256": made.evidence().certificate_sha256,
        "directory": str(made.directory),
    }
    if as_json:
        cli.emit_json(facts)
        return 0
    cli.say(
        cli.pick(
            en=f"enrolled with {facts['url']} as {facts['agent_id']}",
            ja=f"{facts['url']} に登録しました(ID {facts['agent_id']})",
        )
    )
    cli.say(
        cli.pick(
            en="compare with the collector's card:", ja="収集サーバーのカードと照合してください:"
        )
    )
    cli.say(
        cli.pick(
            en=f"  root     {facts['root_sha256']}", ja=f"  ルート証明書 {facts['root_sha256']}"
        )
    )
    cli.say(
        cli.pick(
            en=f"  log key  {facts['log_key_sha256']}",
            ja=f"  ログ鍵       {facts['log_key_sha256']}",
        )
    )
    return 0
