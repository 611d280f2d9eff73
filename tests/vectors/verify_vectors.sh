#!/bin/sh
# Check every vector with unzip, sha256sum, openssl, diff, grep and sed alone; no line is shared with the library.
# Usage: verify_vectors.sh [DIRECTORY]; ends with 0 when each vector is accepted or refused as expected.txt says.
set -u
LC_ALL=C
export LC_ALL
data=${1:-$(dirname "$0")/data}
data=$(cd "$data" && pwd) || exit 64
work=$(mktemp -d) || exit 73
trap 'rm -rf "$work"' EXIT

fail() {
    echo "$1" >&2
    exit 1
}

digest() { sha256sum <"$1" | cut -c1-64; }

# check ZIP: one subshell a vector, so that `fail` ends only that check.
check() (
    cd "$work" || exit 73
    rm -rf bag names top && mkdir bag
    unzip -Z1 "$1" >names 2>/dev/null || fail "not readable"
    test "$(sort -f -u names | wc -l)" = "$(wc -l <names)" || fail "a name twice"
    cut -d/ -f1 names | sort -u >top
    test "$(wc -l <top)" = 1 || fail "more than one top directory"
    bundle=$(cat top)
    unzip -q "$1" -d bag </dev/null >/dev/null 2>&1 || fail "damaged"
    cd "bag/$bundle" || fail "no top directory"

    test -z "$(find . ! -type f ! -type d)" || fail "not a plain file"
    for manifest in manifest-sha256.txt tagmanifest-sha256.txt; do
        test -f $manifest || fail "$manifest is absent"
        grep -Evq '^[0-9a-f]{64}  [A-Za-z0-9._/-]+$' $manifest && fail "$manifest is malformed"
        sha256sum --quiet --strict -c $manifest >/dev/null 2>&1 || fail "$manifest differs"
    done
    grep -q '  data/' tagmanifest-sha256.txt && fail "payload in the tag manifest"
    { sed 's/^.\{66\}//' manifest-sha256.txt tagmanifest-sha256.txt
      printf 'tagmanifest-sha256.txt\nsignatures/agent.p7s\n'; } | sort >"$work/listed"
    find . -type f | sed 's,^\./,,' | sort | diff "$work/listed" - >/dev/null || fail "extra or missing files"

    for pair in signatures/agent.p7s:tagmanifest-sha256.txt hozen/start.p7s:hozen/journal/000000.jsonl; do
        signature=${pair%%:*} content=${pair##*:}
        openssl cms -verify -cades -binary -inform DER -in "$signature" -content "$content" -purpose any \
            -no-CApath -no-CAstore -CAfile "$data/root.pem" -attime 1795410540 \
            -signer "$work/$(basename "$signature").pem" -out /dev/null 2>/dev/null || fail "$signature"
    done
    diff "$work/agent.p7s.pem" "$work/start.p7s.pem" >/dev/null || fail "two signers"
    named=$(sed -n 's/.*"identity":{[^}]*"certificate_sha256":"\([0-9a-f]*\)".*/\1/p' hozen/journal/000000.jsonl)
    found=$(openssl x509 -in "$work/agent.p7s.pem" -outform DER | sha256sum | cut -c1-64)
    test "$named" = "$found" || fail "the start names another certificate"

    n=0 previous=null announced=
    while [ -f "$(printf 'hozen/journal/%06d.jsonl' $n)" ]; do
        stem=$(printf 'hozen/journal/%06d' $n)
        openssl dgst -sha256 -verify "$stem.pub" -signature "$stem.sig" "$stem.jsonl" >/dev/null 2>&1 ||
            fail "$stem.sig"
        key=$(digest "$stem.pub")
        head -n 1 "$stem.jsonl" | grep -qF "\"epoch\":$n,\"bundle\":\"$bundle\",\"previous\":$previous,\"key\":\"$key\"" ||
            fail "$stem: head"
        test $n = 0 || test "$announced" = "$key" || fail "$stem: key not announced"
        previous="\"$(digest "$stem.jsonl")\""
        announced=$(tail -n 1 "$stem.jsonl" | sed -n 's/^{"type":"next","key":"\([0-9a-f]*\)"}$/\1/p')
        n=$((n + 1))
    done
    test "$(find hozen/journal -name '*.jsonl' | wc -l)" = $n || fail "segments are missing"
    grep -q "\"segments\":$n,\"last_sha256\":$previous," hozen/bundle.json || fail "bundle.json: journal"

    cat hozen/journal/*.jsonl >"$work/journal"
    cat hozen/files/*.jsonl >"$work/rows"
    grep '"type":"item"' "$work/journal" | sed -n 's/.*"path":"\([^"]*\)".*"sha256":"\([^"]*\)".*/\2  \1/p' |
        sort >"$work/items"
    sort manifest-sha256.txt | diff "$work/items" - >/dev/null || fail "payload without a record"
    grep '"type":"member"' "$work/journal" | sed 's/.*"path":"\([^"]*\)".*"sha256":"\([^"]*\)".*/\2  \1/' |
        sort >"$work/members"
    grep -Ev '  (hozen/journal/.*|hozen/start.p7s|hozen/bundle.json|bag-info.txt|manifest-sha256.txt)$' \
        tagmanifest-sha256.txt | sort | diff "$work/members" - >/dev/null || fail "tag file without a record"
    while IFS= read -r row; do printf '%s\n' "$row" | sha256sum | cut -c1-64; done <"$work/rows" >"$work/hashes"
    grep '"type":"item"' "$work/journal" | sed 's/.*"record":"\([0-9a-f]*\)".*/\1/' |
        diff "$work/hashes" - >/dev/null || fail "rows and records differ"
    stated=$(sed -n 's/^{"type":"end".*"items":\([0-9]*\).*/\1/p' "$work/journal")
    test -z "$stated" || test "$stated" = "$(grep -c . "$work/rows")" || fail "the end counts otherwise"
    grep -q '"format":"hozen-bundle/1"' hozen/bundle.json || fail "unknown version"
    grep -q '"critical":\[\]' hozen/bundle.json || fail "critical"
)

wrong=0
while read -r name wanted; do
    if reason=$(check "$data/$name.zip" 2>&1); then got=accept; else got=refuse; fi
    test "$got" = "$wanted" || wrong=$((wrong + 1))
    test "$got" = "$wanted" && mark=ok || mark=WRONG
    printf '%-5s %-7s %-26s %s\n' "$mark" "$got" "$name" "$(printf '%s' "$reason" | tail -n 1)"
done <"$data/expected.txt"
test $wrong = 0
