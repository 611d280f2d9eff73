#!/usr/bin/env bash
# Checks a receipt of Hozen with bash, openssl, xxd and base64 alone. It shares no code with Hozen:
# it follows receipt-v1.md §6 and log-v1.md. One line a check.
#   verify-receipt.sh DIRECTORY [--root ROOT.PEM] [--attime SECONDS] [--log-key-sha256 HEX] [--seal HEX]
#   verify-receipt.sh --consistency OLD.NOTE NEW.NOTE PROOF LOG.VKEY
# Ends with 0: all checks hold; 1: one does not; 2: they hold, but nobody from outside vouches; 64: wrong call.
set -u -o pipefail
export LC_ALL=C
LABELS='hozen-receipt/1 log log-key-sha256 event bundle case seal-sha256 seal-state container-sha256 container-size signature-sha256 start-sha256 first-journal-key-sha256 signer-cert-sha256 signer sender verified sealed-at arrived-at previous actor time '
DASH=$'\xe2\x80\x94'
WORK=$(mktemp -d) || exit 70
trap 'rm -rf "$WORK"' EXIT

fail() { printf 'MISMATCH: %s\n' "$*"; exit 1; }
good() { printf 'ok: %s\n' "$*"; }
usage() { sed -n '4,6s/^# //p' "$0" >&2; exit 64; }

sha256_hex() { openssl dgst -sha256 -binary | xxd -p -c 32; }        # stdin -> hex
from_hex() { printf '%s' "$1" | xxd -r -p; }
node() { from_hex "01$1$2" | sha256_hex; }                           # RFC 6962 §2.1

# base64 in its one right spelling -> hex; $2 bytes long
hex_of() {
    local hex
    hex=$(printf '%s' "$1" | base64 -d 2>/dev/null | xxd -p -c 8192) || return 1
    [ "$(from_hex "$hex" | base64 -w 0)" = "$1" ] && [ "${#hex}" -eq $(($2 * 2)) ] && printf '%s' "$hex"
}

decimal() { [[ $1 =~ ^(0|[1-9][0-9]{0,18})$ ]] && [[ ${#1} -lt 19 || ! $1 > 9223372036854775807 ]]; }

# Reads log.vkey into KEY_NAME, KEY_ID and $WORK/key.pem (log-v1 §4).
read_key() {
    local line typed
    line=$(cat "$1") || fail "$1 cannot be read"
    [[ $line =~ ^([^+[:space:]]+)\+([0-9a-f]{8})\+([A-Za-z0-9+/]{44})$ ]] || fail "log.vkey: not a key"
    KEY_NAME=${BASH_REMATCH[1]} KEY_ID=${BASH_REMATCH[2]}
    typed=$(hex_of "${BASH_REMATCH[3]}" 33) || fail "log.vkey: not a key of 32 bytes"
    [ "${typed:0:2}" = 01 ] || fail "log.vkey: not an Ed25519 key"
    [ "$({ printf '%s\n' "$KEY_NAME"; from_hex "$typed"; } | sha256_hex | cut -c1-8)" = "$KEY_ID" ] ||
        fail "log.vkey: the key id does not belong to the key"
    { from_hex 302a300506032b6570032100; from_hex "${typed:2}"; } |   # RFC 8410: SubjectPublicKeyInfo
        openssl pkey -pubin -inform DER -out "$WORK/key.pem" 2>/dev/null || fail "log.vkey: not a public key"
}

# Checks the note in file $1 against that key; sets ORIGIN, SIZE, ROOT (log-v1 §4, §5).
read_checkpoint() {
    local line hex found=0 last
    last=$(grep -n '^$' "$1" | tail -n 1 | cut -d: -f1)
    [ -n "$last" ] || fail "checkpoint: no blank line before the signatures"
    head -n $((last - 1)) "$1" >"$WORK/text"
    while IFS= read -r line; do
        [ "${line% *}" = "$DASH $KEY_NAME" ] || continue               # a key that we do not know
        hex=$(hex_of "${line##* }" 68) || continue
        [ "${hex:0:8}" = "$KEY_ID" ] || continue
        from_hex "${hex:8}" >"$WORK/signature"
        openssl pkeyutl -verify -rawin -pubin -inkey "$WORK/key.pem" -in "$WORK/text" \
            -sigfile "$WORK/signature" >/dev/null 2>&1 || fail "checkpoint: the signature of $KEY_NAME does not hold"
        found=1
    done < <(tail -n +$((last + 1)) "$1")
    [ "$found" = 1 ] || fail "checkpoint: $KEY_NAME has not signed it"
    { IFS= read -r ORIGIN && IFS= read -r SIZE && IFS= read -r line; } <"$WORK/text" || fail "checkpoint: not three lines"
    [ "$ORIGIN" = "$KEY_NAME" ] || fail "checkpoint: it is of another log than the key"
    decimal "$SIZE" || fail "checkpoint: no size"
    ROOT=$(hex_of "$line" 32) || fail "checkpoint: no root"
}

# Reads base64 hashes from file $1 into the array PATHS.
read_hashes() {
    local line hex
    PATHS=()
    while IFS= read -r line || [ -n "$line" ]; do
        hex=$(hex_of "$line" 32) || fail "proof: not a hash: $line"
        PATHS+=("$hex")
        [ "${#PATHS[@]}" -le 64 ] || fail "proof: too many hashes"
    done <"$1"
}

# RFC 9162 §2.1.3.2: leaf hash $1 at index $2 of the tree SIZE, ROOT, by PATHS.
check_inclusion() {
    local value=$1 fn=$2 sn=$((SIZE - 1)) sibling
    [ "$2" -lt "$SIZE" ] || fail "inclusion: the tree of $SIZE leaves has no leaf $2"
    for sibling in ${PATHS[@]+"${PATHS[@]}"}; do
        [ "$sn" -ne 0 ] || fail "inclusion: too many hashes"
        if ((fn % 2 == 1 || fn == sn)); then
            value=$(node "$sibling" "$value")
            while ((fn % 2 == 0 && fn != 0)); do fn=$((fn >> 1)) sn=$((sn >> 1)); done
        else
            value=$(node "$value" "$sibling")
        fi
        fn=$((fn >> 1)) sn=$((sn >> 1))
    done
    [ "$sn" -eq 0 ] || fail "inclusion: too few hashes"
    [ "$value" = "$ROOT" ] || fail "inclusion: the receipt is not leaf $2 of the log"
}

# RFC 9162 §2.1.4.2: from size $1, root $2 to SIZE, ROOT, by PATHS.
check_consistency() {
    local old=$1 fn=$(($1 - 1)) sn=$((SIZE - 1)) fr sr value
    ((old <= SIZE)) || fail "consistency: the log became shorter"
    if ((old == SIZE || old == 0)); then
        [ "${#PATHS[@]}" -eq 0 ] || fail "consistency: hashes where none belong"
        ((old == 0)) && { [ "$2" = "$(printf '' | sha256_hex)" ] || fail "consistency: an empty log with a root"; }
        ((old == SIZE)) && { [ "$2" = "$ROOT" ] || fail "consistency: two roots for $old leaves"; }
        return 0
    fi
    ((old & (old - 1))) || PATHS=("$2" ${PATHS[@]+"${PATHS[@]}"})
    [ "${#PATHS[@]}" -gt 0 ] || fail "consistency: too few hashes"
    while ((fn % 2 == 1)); do fn=$((fn >> 1)) sn=$((sn >> 1)); done
    fr=${PATHS[0]} sr=${PATHS[0]}
    for value in "${PATHS[@]:1}"; do
        [ "$sn" -ne 0 ] || fail "consistency: too many hashes"
        if ((fn % 2 == 1 || fn == sn)); then
            fr=$(node "$value" "$fr") sr=$(node "$value" "$sr")
            while ((fn % 2 == 0 && fn != 0)); do fn=$((fn >> 1)) sn=$((sn >> 1)); done
        else
            sr=$(node "$sr" "$value")
        fi
        fn=$((fn >> 1)) sn=$((sn >> 1))
    done
    [ "$sn" -eq 0 ] || fail "consistency: too few hashes"
    [ "$fr" = "$2" ] && [ "$sr" = "$ROOT" ] || fail "consistency: the log of $SIZE leaves rewrote that of $old"
}

consistency() {
    local old_size old_root
    [ $# -eq 4 ] || usage
    read_key "$4"
    read_checkpoint "$1"
    old_size=$SIZE old_root=$ROOT
    read_checkpoint "$2"
    read_hashes "$3"
    check_consistency "$old_size" "$old_root"
    good "consistency: the log of $SIZE leaves only added to that of $old_size"
}

# The value on line $1 of receipt.txt.
stated() { sed -n "s/^$1 //p" "$DIR/receipt.txt" | head -n 1; }

check_signature() {                                                    # receipt-v1 §6, part 2
    local origin san
    origin=$(stated log)
    openssl cms -verify -binary -inform DER -in "$DIR/receipt.p7s" -content "$DIR/receipt.txt" -CAfile "$ROOT_PEM" \
        -purpose any ${ATTIME:+-attime "$ATTIME"} -signer "$WORK/signer.pem" -out /dev/null 2>"$WORK/why" ||
        fail "signature: $(tail -n 1 "$WORK/why")"
    san=$(openssl x509 -in "$WORK/signer.pem" -noout -ext subjectAltName 2>/dev/null | tr -d ' ' | tr ',' '\n')
    grep -qxF "URI:hozen://receipt/$origin" <<<"$san" || fail "signature: not by a receipt certificate of $origin"
    good "signature: by a receipt certificate that chains to the given root"
}

receipt() {
    local leaf index anchor=''
    DIR=$1 ROOT_PEM='' ATTIME='' LOG_KEY='' SEAL=''
    shift
    while [ $# -ge 2 ]; do
        case $1 in
            --root) ROOT_PEM=$2 ;;
            --attime) ATTIME=$2 ;;
            --log-key-sha256) LOG_KEY=$2 ;;
            --seal) SEAL=$2 ;;
            *) usage ;;
        esac
        shift 2
    done
    [ $# -eq 0 ] && [ -f "$DIR/receipt.txt" ] || usage
    [ "$(cut -d' ' -f1 "$DIR/receipt.txt" | tr '\n' ' ')" = "$LABELS" ] || fail "statement: not the lines of hozen-receipt/1"
    if [ -n "$SEAL" ]; then
        [ "$(stated seal-sha256)" = "$SEAL" ] || fail "statement: it is about another seal"
        good "statement: it is about this seal"
    fi
    if [ -n "$ROOT_PEM" ]; then
        check_signature
        anchor=root
    fi
    read_key "$DIR/log.vkey"
    [ "$(sha256_hex <"$DIR/log.vkey")" = "$(stated log-key-sha256)" ] && [ "$(stated log)" = "$KEY_NAME" ] ||
        fail "log key: not the one that the statement names"
    if [ -n "$LOG_KEY" ]; then
        [ "$(sha256_hex <"$DIR/log.vkey")" = "$LOG_KEY" ] || fail "log key: not the one given from outside"
        good "log key: the one given from outside"
        anchor="log key"
    fi
    read_proof "$DIR/receipt.tlog-proof"
    read_checkpoint "$WORK/note"
    good "checkpoint: $ORIGIN signed the tree of $SIZE leaves"
    leaf=$({ printf '\0'; cat "$DIR/receipt.txt"; } | sha256_hex)
    check_inclusion "$leaf" "$INDEX"
    good "inclusion: the receipt is leaf $INDEX of $SIZE"
    if [ -z "$anchor" ]; then
        echo 'not verifiable: nobody from outside vouches (give --root or --log-key-sha256)'
        exit 2
    fi
}

# Takes a tlog-proof apart: INDEX, PATHS and $WORK/note (log-v1 §6).
read_proof() {
    local blank first=2
    [ "$(head -n 1 "$1")" = c2sp.org/tlog-proof@v1 ] || fail "proof: not c2sp.org/tlog-proof@v1"
    blank=$(grep -n '^$' "$1" | head -n 1 | cut -d: -f1)
    [ -n "$blank" ] || fail "proof: no checkpoint"
    [[ $(sed -n 2p "$1") == 'extra '* ]] && first=3
    INDEX=$(sed -n "${first}s/^index //p" "$1")
    decimal "$INDEX" || fail "proof: no index"
    sed -n "$((first + 1)),$((blank - 1))p" "$1" >"$WORK/hashes"
    [ "$((blank - 1))" -gt "$first" ] || : >"$WORK/hashes"
    read_hashes "$WORK/hashes"
    tail -n +$((blank + 1)) "$1" >"$WORK/note"
}

[ $# -ge 1 ] || usage
if [ "$1" = --consistency ]; then
    shift
    consistency "$@"
else
    receipt "$@"
fi
