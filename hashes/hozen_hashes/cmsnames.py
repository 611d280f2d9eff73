"""The object identifiers of one Hozen signature (bundle-v1 §9), each as its DER element."""

from __future__ import annotations

from hozen_hashes import der

SIGNED_DATA = der.oid("1.2.840.113549.1.7.2")
DATA = der.oid("1.2.840.113549.1.7.1")
SHA256 = der.oid("2.16.840.1.101.3.4.2.1")
ECDSA_SHA256 = der.oid("1.2.840.10045.4.3.2")
RSA = der.oid("1.2.840.113549.1.1.1")
RSA_SHA256 = der.oid("1.2.840.113549.1.1.11")
CONTENT_TYPE = der.oid("1.2.840.113549.1.9.3")
MESSAGE_DIGEST = der.oid("1.2.840.113549.1.9.4")
SIGNING_TIME = der.oid("1.2.840.113549.1.9.5")
SIGNING_CERTIFICATE_V2 = der.oid("1.2.840.113549.1.9.16.2.47")

MAX_SIGNATURE_BYTES = 256 * 1024
MAX_CERTIFICATES = 16
DIGEST_BYTES = 32
