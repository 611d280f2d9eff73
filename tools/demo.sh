#!/usr/bin/env bash
# The whole way once, on this computer: a collector on loopback, enrolment, a capture of this host, push, receipt,
# verification with Hozen, and verification once more with the stock tools that the bundle's own README-VERIFY.txt names.
#
#   tools/demo.sh [DIRECTORY]     where everything is kept; default: a new directory in .build/demo
#
# With CI=true or HOZEN_ISOLATE=1 everything runs in process and mount namespaces of its own and with an empty
# environment, so that the capture sees the demo's processes only.
set -euo pipefail
cd "$(dirname "$0")/.."
tree=$PWD
umask 077

if [ "${CI:-}" = true ] || [ "${HOZEN_ISOLATE:-}" = 1 ]; then
    as_root=()
    [ "$(id -u)" = 0 ] || as_root=(-Ur)
    exec env -i PATH="$PATH" LANG="${LANG:-C.UTF-8}" HOZEN_ISOLATED=1 ${TMPDIR:+TMPDIR="$TMPDIR"} \
        unshare "${as_root[@]}" -pfm --mount-proc --kill-child bash tools/demo.sh "$@"
fi

dir=${1:-}
if [ -z "$dir" ]; then
    mkdir -p .build/demo
    dir=$(mktemp -d "$tree/.build/demo/$(date -u +%Y%m%dT%H%M%SZ)-XXXX")
fi
mkdir -p "$dir/home" "$dir/out" "$dir/stock"
dir=$(cd "$dir" && pwd)
# The demo's own state: nothing of the person's configuration is read or changed.
export HOME=$dir/home PATH=$tree/.venv/bin:$PATH
isolated=${HOZEN_ISOLATED:-}
unset XDG_CONFIG_HOME XDG_STATE_HOME XDG_DATA_HOME ${!HOZEN_@}
export HOZEN_STATE=$dir/state
serving=

stop() {
    code=$?
    trap - EXIT INT TERM
    if [ -n "$serving" ]; then
        kill "$serving" 2>/dev/null || true
        wait "$serving" 2>/dev/null || true
    fi
    if [ "$code" != 0 ]; then
        echo "hozen: error: the demo ended with exit code $code; what was made is in $dir" >&2
    fi
    exit "$code"
}
trap stop EXIT
trap 'exit 130' INT TERM

step() { printf '\n== %s\n' "$*"; }
field() { python -c 'import json, sys; print(json.load(open(sys.argv[1]))[sys.argv[2]])' "$1" "$2"; }
began=$SECONDS

step "1. a collector, with throw-away keys, on 127.0.0.1"
hozen collector init "$dir/collector" --name demo --host 127.0.0.1 --host localhost > "$dir/card.txt"
cat "$dir/card.txt"
hozen collector serve "$dir/collector" --listen 127.0.0.1:0 --status 127.0.0.1:0 --ready-fd 5 \
    5> "$dir/ready" > "$dir/collector.log" 2>&1 &
serving=$!
for _ in $(seq 300); do
    [ -s "$dir/ready" ] && break
    kill -0 "$serving" 2>/dev/null || { cat "$dir/collector.log" >&2; exit 70; }
    sleep 0.1
done
url=$(sed -n 's/^ready: \([^ ]*\).*/\1/p' "$dir/ready")
status=$(sed -n 's/.*status: \([^ ]*\).*/\1/p' "$dir/ready")
[ -n "$url" ] || { cat "$dir/collector.log" >&2; exit 75; }

step "2. this host is enrolled with a one-time token"
hozen collector token new "$dir/collector" --out "$dir/token.txt"
hozen enroll --to "$url" --token-file "$dir/token.txt"
rm -f "$dir/token.txt"

step "3. capture of this host: standard profile, sealed, pushed, receipt"
hozen capture --drill --case DEMO-1 --operator 'Demo Operator' --organisation 'Demo' --contact 'demo@localhost' \
    --authority 'the person who typed make demo' --purpose 'demonstration' --owner 'the owner of this computer' \
    --profile standard --out "$dir/out" --allow-local --collector "$url" --json > "$dir/capture.json"
id=$(field "$dir/capture.json" bundle)
seal=$(field "$dir/capture.json" seal)
bundle=$dir/out/$id.zip
receipt=$dir/out/$id.proofs/receipt

step "4. the receipt"
cat "$receipt/receipt.txt"

step "5. hozen verify, with the root certificate and the log key from the collector's card"
cp "$dir/collector/keys/ca.pem" "$dir/root.pem"
cp "$dir/collector/keys/log.vkey" "$dir/log.vkey"
hozen verify "$bundle" --root "$dir/root.pem" --log-key "$dir/log.vkey" --seal "$seal"

step "6. the same with stock tools: the commands of the bundle's own README-VERIFY.txt"
ln "$bundle" "$dir/stock/$id.zip" 2>/dev/null || cp "$bundle" "$dir/stock/$id.zip"
unzip -p "$bundle" "$id/README-VERIFY.txt" | sed -n '/^\[en\]$/,/^\[ja\]$/s/^\$ //p' > "$dir/stock/steps.sh"
[ -s "$dir/stock/steps.sh" ]
(cd "$dir/stock" && env -i PATH=/usr/bin:/bin ROOT="$dir/root.pem" SEAL="$seal" sh -e steps.sh)
echo "stock tools: every check holds"

step "7. the receipt with openssl and xxd alone: docs/format/verify-receipt.sh"
if command -v xxd > /dev/null; then
    log_key=$(sha256sum < "$dir/log.vkey" | cut -c1-64)
    bash docs/format/verify-receipt.sh "$receipt" --root "$dir/root.pem" --log-key-sha256 "$log_key" --seal "$seal"
else
    echo "not run: xxd is not installed"
fi

step "8. nothing is left running"
hozen collector status "$dir/collector"
kill "$serving"
wait "$serving" || true
if kill -0 "$serving" 2>/dev/null; then echo "the collector still runs" >&2; exit 70; fi
serving=
if [ "$isolated" = 1 ]; then
    left=$(cd /proc && for p in [0-9]*; do [ "$p" = $$ ] || [ "$p" = "$BASHPID" ] || echo "$p"; done)
else
    left=$(cat "/proc/$$/task/$$/children" 2>/dev/null || true)
    [ -z "$(jobs -pr)" ] && left=
fi
[ -z "${left// /}" ] || { echo "still running: $left" >&2; exit 70; }

files=$(field "$dir/capture.json" items)
missed=$(field "$dir/capture.json" not_obtained)
cat <<END

== Done in $((SECONDS - began)) s
  attempts    $files, not obtained: $missed (reasons: hozen inspect BUNDLE)
  seal        $seal
  bundle      $bundle ($(stat -c %s "$bundle") bytes)
  receipt     $receipt
  collector   $dir/collector (status page was $status)
  card        $dir/card.txt
  stock check $dir/stock/steps.sh
  everything  $dir   (throw-away keys; remove it when you have seen enough)
END
