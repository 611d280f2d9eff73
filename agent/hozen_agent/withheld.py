"""The secrets whose content is never read: one table for every file request, whatever artifact makes it (law M16, P01).

Their existence, owner, mode and times are recorded; no hash, since a short secret can be guessed from it.
"""

from __future__ import annotations

import re
from typing import Final

# Names that mean a secret wherever they lie; matched against the last component, without case.
_NAMES: Final = {
    "private_key": rb"id_(?:rsa|dsa|ecdsa|ecdsa_sk|ed25519|ed25519_sk|xmss)|ssh_host_[a-z0-9_]+_key|identity"
    rb"|.*\.(?:key|p12|pfx|jks|keystore|ppk|pkcs12|p8)|secring\.(?:gpg|pgp)|privkey[0-9]*\.pem|[^/]*[-_.]key\.pem|key\.pem",
    "password_hash": rb"(?:g?shadow|opasswd|master\.passwd|spwd\.db)[-+~]?|(?:g?shadow|opasswd|master\.passwd)\.(?:bak|old|org|orig|save|dpkg-[a-z]+|rpm[a-z]+)"
    rb"|\.?htpasswd|\.?htdigest|secrets\.[tl]db|passdb\.tdb|dovecot\.passwd|chap-secrets|pap-secrets",
    "keytab": rb"krb5\.keytab|.*\.keytab|krb5cc_.*|stash|\.k5\..*",
    "credential": rb"\.netrc|_netrc|\.authinfo(?:\.gpg)?|\.pgpass|\.my\.cnf|\.mylogin\.cnf|\.git-credentials|\.dockercfg|\.boto|\.s3cfg|\.pypirc"
    rb"|\.npmrc|\.yarnrc\.yml|\.vault-token|\.esd_auth|\.ICEauthority|\.Xauthority|\.smbcredentials|\.cifscredentials|rclone\.conf|\.env"
    rb"|debian\.cnf|wpa_supplicant.*\.conf|.*\.nmconnection|credentials\.tdb|\.terraformrc|credentials\.tfrc\.json|\.databrickscfg"
    rb"|\.fetchmailrc|\.msmtprc|\.mutt_credentials|\.irssi_password|\.tigervncpasswd|\.jupyter_token|auth\.json|shadow\.db"
    rb"|\.credentials|\.rhosts_key|key4?\.db|key3\.db",
    "wallet": rb"wallet\.(?:dat|db|aes\.json)|.*\.(?:wallet|kdbx?|keychain(?:-db)?|kwl|agilekeychain|opvault|keyring)",
    "browser_store": rb"logins(?:-backup)?\.json|signons\.sqlite|cookies\.sqlite(?:-wal|-shm|-journal)?|login data(?:-journal| for account)?"
    rb"|cookies(?:-journal)?|web data(?:-journal)?|formhistory\.sqlite|sessionstore\.jsonlz4|local state",
    "token": rb"access_tokens\.(?:db|json)|accesstokens\.json|msal_token_cache\.(?:json|bin)|application_default_credentials\.json|.*-service-account\.json"
    rb"|\.?kubeconfig|kubeadm\.conf|bootstrap-kubelet\.conf|service-account-token|master\.key|gshadow\.token|machine-id\.secret",
}
# Paths that mean a secret by where they lie; matched against the whole path.
_PLACES: Final = {
    "credential": rb"/\.aws/(?:credentials|(?:cli|sso)/cache/.*)|/\.config/(?:gh/hosts\.yml|hub|doctl/config\.yaml|rclone/.*|containers/auth\.json|op/.*)"
    rb"|/\.docker/config\.json|/\.subversion/auth/.*|/\.m2/settings(?:-security)?\.xml|/\.gem/credentials|/\.cargo/credentials(?:\.toml)?|/\.composer/auth\.json"
    rb"|/\.config/composer/auth\.json|/\.gradle/gradle\.properties|/\.bundle/config|/\.(?:vnc|config/tigervnc)/passwd|/\.pip/pip\.conf|/\.config/pip/pip\.conf"
    rb"|/etc/(?:NetworkManager/system-connections|ppp/(?:chap|pap)-secrets|openvpn/.*\.(?:pass|auth)|wireguard/.*|sssd/sssd\.conf|ldap\.secret|pam_ldap\.secret"
    rb"|libnss-ldap\.secret|exim4?/passwd(?:\.client)?|postfix/sasl_passwd(?:\.db|\.lmdb)?|cifs-utils/.*|samba/credentials|ipsec\.secrets|swanctl/private/.*|iscsi/iscsid\.conf"
    rb"|sudo_password|machine-info\.secret|rabbitmq/.*cookie|letsencrypt/accounts/.*|credstore(?:\.encrypted)?/.*)(?:/.*)?",
    "token": rb"/\.kube/(?:config|cache/.*)|/\.azure/.*|/\.config/gcloud/.*|/\.gsutil/.*|/\.oci/.*|/\.openstack/.*|/\.config/(?:openstack|linode-cli|hcloud|heroku|fly|ngrok)/.*"
    rb"|/\.(?:local/share/)?(?:keyrings|kwalletd)/.*|/\.terraform\.d/credentials.*|/var/lib/(?:kubelet/pki|rancher/k3s/server)/.*|/etc/kubernetes/(?:pki/.*|[a-z-]+\.conf)"
    rb"|/(?:var/)?run/secrets/.*|/var/lib/cloud/instances?/.*user-data.*|/etc/rancher/.*\.yaml|/var/lib/docker/swarm/.*|/\.cache/(?:gh|huggingface/token).*|/\.claude/.*credentials.*"
    rb"|/\.config/(?:github-copilot|Slack|discord)/.*",
    "private_key": rb"/\.gnupg/(?:private-keys-v1\.d/.*|secring.*|S\.gpg-agent.*)|/etc/ssl/private/.*|/etc/pki/tls/private/.*|/etc/pki/CA/private/.*|/etc/letsencrypt/(?:archive|live|keys)/.*privkey.*"
    rb"|/etc/letsencrypt/keys/.*|/\.local/share/(?:age|sops)/.*|/\.config/(?:age|sops)/.*|/\.minisign/.*\.key|/\.putty/.*key.*|/\.ssh/keys?/.*|/etc/dnssec-keys/.*|/var/lib/opendkim/.*"
    rb"|/etc/dkimkeys/.*",
    "keytab": rb"/var/kerberos/krb5kdc/.*|/var/lib/krb5kdc/.*|/var/lib/sss/(?:db|secrets|keytabs)/.*|/var/lib/samba/private/.*|/etc/krb5kdc/.*",
    "wallet": rb"/\.(?:bitcoin|litecoin|dogecoin|ethereum/keystore|electrum/wallets|monero|dash|zcash)/.*|/\.password-store/.*|/\.local/share/(?:bitwarden|keepassxc)/.*"
    rb"|/\.config/(?:keepassxc|KeePass|Bitwarden|1Password)/.*",
    "browser_store": rb"/\.mozilla/.*/(?:storage|sessionstore-backups)/.*|/\.(?:config|var/app/[^/]+/config)/(?:google-chrome|chromium|BraveSoftware|vivaldi|opera|microsoft-edge)[^/]*/.*/(?:Network|Session Storage|Sessions|Local Storage|IndexedDB)/.*",
    "mail": rb"/var/(?:spool/)?mail/.*|/(?:\.?[Mm]aildir|mail|Mail|\.thunderbird|\.evolution|\.local/share/(?:evolution|mail))/.*|/var/vmail/.*|/var/spool/(?:postfix|exim4?|mqueue|cron\.mail)/.*"
    rb"|/mbox|/dead\.letter",
    "process_memory": rb"/proc/(?:self|thread-self|[0-9]+)(?:/task/[0-9]+)?/(?:environ|cmdline|mem|stack|syscall|auxv|pagemap)",
}
_BY_NAME: Final = [(why, re.compile(rb"(?is:" + text + rb")\Z")) for why, text in _NAMES.items()]
_BY_PLACE: Final = [
    (why, re.compile(rb"(?s:.*?(?:" + text + rb"))\Z")) for why, text in _PLACES.items()
]
# One quick test for the many files that are no secret at all.
_ANY_NAME: Final = re.compile(b"|".join(rb"(?is:" + text + rb")\Z" for text in _NAMES.values()))
_ANY_PLACE: Final = re.compile(rb"(?s:.*?(?:" + b"|".join(_PLACES.values()) + rb"))\Z")
_HARMLESS: Final = re.compile(
    rb"(?is:.*\.pub|authorized_keys2?|known_hosts.*|.*\.(?:log|gz|xz|bz2|zst)(?:\.[0-9]+)?)\Z"
)

_PEM_KEY: Final = re.compile(rb"^-----BEGIN [A-Z0-9 ]*PRIVATE KEY(?: BLOCK)?-----", re.MULTILINE)
_OTHERS: Final = (
    (b"PuTTY-User-Key-File-", "private_key"),
    (b"AGE-SECRET-KEY-", "private_key"),
    (b"\xfe\xed\xfe\xed", "private_key"),  # Java key store
    (b"\xce\xce\xce\xce", "private_key"),  # JCEKS
    (b"(11:private-key", "private_key"),
    (b"(21:protected-private-key", "private_key"),
    (b"openssh-key-v1\0", "private_key"),
    (b"\x05\x02\x00\x00", "keytab"),
    (b"\x03\xd9\xa2\x9a", "wallet"),  # KeePass
    (b"GnomeKeyring\n", "wallet"),
)
# First bytes with which a secret can begin; everything else is not looked at further.
SUSPECT: Final = frozenset(b"-BPA(oG#\xef \t\r\n\xfe\xce\x05\x03")

_PSEUDO: Final = re.compile(
    rb"/proc/(?:version|modules|filesystems|mounts|partitions|swaps|meminfo|cpuinfo|interrupts|ioports|iomem|uptime"
    rb"|loadavg|stat|devices|misc|locks|diskstats|buddyinfo|slabinfo|vmstat|crypto|dma|fb|mdstat|cgroups|consoles"
    rb"|net/[a-z0-9_/]+|sys/(?:kernel|vm|fs|net|user|dev)/[A-Za-z0-9_./-]+|self/(?:mountinfo|mounts|mountstats))"
    rb"|/sys/(?:module/.+|class/dmi/id/[a-z_]+|kernel/(?:uevent_helper|kexec_[a-z_]+)|power/[a-z_]+)\Z"
)


def by_name(path: bytes) -> str:
    """Return why the content of `path` is not read, by its name and place, or an empty string."""
    name = path[path.rfind(b"/") + 1 :]
    if _ANY_PLACE.match(path):
        return next(why for why, pattern in _BY_PLACE if pattern.match(path))
    if not _ANY_NAME.match(name) or _HARMLESS.match(name):
        return ""
    return next(why for why, pattern in _BY_NAME if pattern.match(name))


def by_content(head: bytes) -> str:
    """Return why a file that begins with `head` is not stored, or an empty string.

    A key may follow certificates or comments, as `cat cert key > both.pem` and age-keygen make it.
    """
    text = head.removeprefix(b"\xef\xbb\xbf").lstrip(b" \t\r\n")
    if text.startswith((b"-----BEGIN ", b"Bag Attributes")) and _PEM_KEY.search(text):
        return "private_key"
    if text.startswith(b"# created: ") and b"\nAGE-SECRET-KEY-" in text:
        return "private_key"
    return next((why for magic, why in _OTHERS if text.startswith(magic)), "")


def pseudo_allowed(path: bytes) -> bool:
    """Return whether a file of procfs or sysfs may be read by name: reading it changes and consumes nothing."""
    return _PSEUDO.match(path) is not None
