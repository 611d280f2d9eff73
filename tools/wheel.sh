#!/usr/bin/env bash
# Builds the wheel, compares its data files with the tree, and uses it from outside the tree: base alone, then all extras.
set -euo pipefail
cd "$(dirname "$0")/.."
tree=$PWD
uv=$(command -v uv || echo "$tree/.build/uv/bin/uv")
rm -rf .build/dist .build/wheel && mkdir -p .build/dist .build/wheel
"$uv" build --quiet --wheel --out-dir .build/dist
wheel=$(echo "$tree"/.build/dist/*.whl)

echo "data files: the wheel holds what the tree holds"
git ls-files 'agent/hozen_agent/*' 'collector/hozen_collector/*' 'config/hozen_config/*' 'hashes/hozen_hashes/*' |
    cut -d/ -f2- | LC_ALL=C sort > .build/wheel/tree
unzip -Z1 "$wheel" | grep '^hozen_' | LC_ALL=C sort > .build/wheel/held
# Files that are not committed yet may be in the wheel; none of the committed may be missing.
if missing=$(LC_ALL=C comm -23 .build/wheel/tree .build/wheel/held) && [ -n "$missing" ]; then
    echo "missing in the wheel: $missing" >&2
    exit 1
fi

cd .build/wheel
"$uv" venv --quiet --python "$tree/.venv/bin/python" base
"$uv" pip install --quiet --python base/bin/python "$wheel"
echo "base: verify, inspect, key and the packaged data, with $(base/bin/python - <<'E2'
from importlib.metadata import distributions
print(len({d.metadata["Name"] for d in distributions()}) - 1, "other distributions")
E2
)"
env -u PYTHONPATH base/bin/hozen --version
for command in verify inspect extract salvage key; do base/bin/hozen "$command" --help > /dev/null; done
base/bin/python - <<'E2'
from hozen_config.models import load_profile, profile_names
from hozen_hashes.readme_verify import commands, render

assert profile_names() == ["full", "minimal", "standard"]
assert load_profile("standard")[0].artifacts
assert commands(render("hz-20261123T050000Z-web01-5f3a9c10"), "ja")
E2

"$uv" venv --quiet --python "$tree/.venv/bin/python" all
"$uv" pip install --quiet --python all/bin/python "$wheel[all]"
echo "all: every module imports, every command answers"
all/bin/python - <<'E2'
import importlib, pkgutil

for package in ("hozen_hashes", "hozen_config", "hozen_agent", "hozen_collector"):
    for module in pkgutil.walk_packages(importlib.import_module(package).__path__, package + "."):
        if ".versions." not in module.name and not module.name.endswith((".env", "__main__")):
            importlib.import_module(module.name)
E2
for command in capture plan doctor collector; do all/bin/hozen "$command" --help > /dev/null; done
all/bin/hozen plan --profile minimal > /dev/null
echo "the wheel is whole: $wheel"
