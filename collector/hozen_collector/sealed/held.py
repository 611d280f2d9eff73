"""The archived encrypted container that an envelope or an opening statement is about."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hozen_collector.index.models import Container
from hozen_collector.intake import store
from hozen_collector.problem import RefusedError

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

_CONFLICT = 409


def held(session: Session, sha256: str) -> Container:
    """Give the accepted encrypted container of this hash.

    Raises:
        RefusedError: 404, it is not here; 409, it is not encrypted.
    """
    found = session.get(Container, sha256)
    if found is None or found.state != store.ACCEPTED:
        raise RefusedError(
            404, "no accepted container with this SHA-256 is here", hint="Push the bundle first."
        )
    if found.kind != "encrypted":
        raise conflict("the container is not encrypted", hint="Nothing of this kind belongs to it.")
    return found


def check_same(what: str, stated: dict[str, object], container: Container) -> None:
    """Return when what is stated of a bundle is what is archived.

    Args:
        what: stated where, for the message.
        stated: `bundle`, `container`, `size` and `seal`.
        container: as archived.

    Raises:
        RefusedError: 409, it is about something else.
    """
    here = {
        "bundle": container.bundle,
        "container": container.sha256,
        "size": container.size,
        "seal": container.seal,
    }
    for name, value in here.items():
        if stated[name] != value:
            raise conflict(
                f"the {what} names another {name}: {str(stated[name])[:80]}, archived is {value}",
                hint="Send it with the bundle that it belongs to.",
            )


def conflict(message: str, *, hint: str) -> RefusedError:
    """Give the refusal of something that does not fit what is archived."""
    return RefusedError(_CONFLICT, message, hint=hint)
