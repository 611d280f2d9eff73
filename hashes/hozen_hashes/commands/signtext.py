"""What a person signs, as bytes: a statement beside a bundle (bundle-v1 §10), or of its opening (envelope-v1 §4)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from hozen_hashes.digest import Digest
from hozen_hashes.envelope.opening import OpeningStatement
from hozen_hashes.errors import NotVerifiableError
from hozen_hashes.personstatement import PersonStatement
from hozen_hashes.volumes import open_container

if TYPE_CHECKING:
    from pathlib import Path

    from hozen_hashes.verify import VerificationReport

_PIECE: Final = 1 << 20
# law §11.3, without the numbers of a report's chapters
ATTESTS: Final = {
    "operator": (
        "I carried out this work at the times, under the authority and by the method that the bundle states. Except as"
        " listed in it, I did not alter the acquired records. I know these facts directly. / 私は、保全データに記載の"
        "日時に、記載の権限に基づき、記載の方法により作業を実施しました。保全データに掲げるものを除き、取得した"
        "電磁的記録を改変していません。以上は私が直接知る事実です。"
    ),
    "witness": (
        "I was present, and saw this root digest when the work ended. / 私は作業に立ち会い、"
        "作業終了時に上記のルート値を確認しました。"
    ),
    "opener": (
        "I decrypted this file and verified the bundle in it; its integrity matched. I know this directly. / 私は、この"
        "ファイルを復号し、中の保全データを照合した結果、完全性は一致でした。以上は私が直接知る事実です。"
    ),
}


def text_of(role: str, bundle: Path, report: VerificationReport, *, words: str, now: int) -> bytes:
    """Return the statement that a person in this role signs about a bundle that was just verified.

    Args:
        role: operator, witness or opener.
        bundle: where it lies.
        report: of the verification; its integrity is a match.
        words: what the person says.
        now: nanoseconds since 1970.

    Raises:
        NotVerifiableError: there is no machine seal, or the encrypted file cannot be read.
        UsageError: the words cannot be written.
    """
    if report.signature_sha256 is None:
        raise NotVerifiableError("the bundle has no machine seal; nothing was signed")
    if role == "opener":
        return _opening(bundle, report, report.signature_sha256, words=words, now=now)
    return PersonStatement(
        bundle=str(report.bundle_id),
        seal=str(report.seal),
        signature=report.signature_sha256,
        role=role,
        attests=words,
        time=now,
    ).encode()


def _opening(
    bundle: Path, report: VerificationReport, signature: str, *, words: str, now: int
) -> bytes:
    """Return the text of envelope-v1 §4, with the hash of the encrypted file as it lies here."""
    digest = Digest()
    try:
        with open_container(bundle) as file:
            while piece := file.read(_PIECE):
                digest.update(piece)
    except OSError as error:
        raise NotVerifiableError(f"{bundle} cannot be read: {error.strerror}") from None
    return OpeningStatement(
        bundle=str(report.bundle_id),
        container_sha256=digest.hexdigest(),
        container_size=digest.size,
        seal=str(report.seal),
        signature=signature,
        states=words,
        time=now,
    ).encode()
