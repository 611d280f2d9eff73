#!/bin/sh
# Makes .venv from uv.lock. Needs python3 >= 3.11 with venv; uses uv when it is there, else a private copy in .build.
set -eu
cd "$(dirname "$0")/.."
python=${1:-python3}

if ! "$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))'; then
    echo "hozen: error: Python 3.11 or later is needed, with its venv module" >&2
    echo "hozen: hint: on Debian 12: apt-get install python3 python3-venv; or: make PYTHON=/path/to/python3 …" >&2
    exit 64
fi

uv=$(command -v uv || true)
if [ -z "$uv" ]; then
    uv=.build/uv/bin/uv
    if [ ! -x "$uv" ]; then
        "$python" -m venv .build/uv
        .build/uv/bin/python -m pip install --quiet --disable-pip-version-check 'uv>=0.5'
    fi
fi
export UV_PYTHON_DOWNLOADS=never
"$uv" sync --quiet --locked --all-extras --group dev --python "$python"
