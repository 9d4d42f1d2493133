#!/usr/bin/env bash
# Prepares .venv: torch, OpenMMLab, this package (editable). Nothing is compiled. A second call returns at once.
#   PYTHON=python3.12            the interpreter (3.11 to 3.13) to make .venv from
#   TORCH="torch==2.8.0 torchvision==0.23.0"   another pair, torch >= 2.6
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

python=${PYTHON:-python3}
torch=${TORCH:-$(grep -v '^#' requirements/torch.txt | tr '\n' ' ')}
venv=.venv
stamp=$venv/.s5_mm-ready

say() { printf '[setup] %s\n' "$*"; }
fail() { printf '[setup] %s\n' "$*" >&2; exit 1; }

command -v "$python" >/dev/null || fail "PYTHON=$python: no such command; name a Python 3.11 to 3.13, e.g. PYTHON=python3.11."
version=$("$python" -c 'import sys; print(sys.version.split()[0])') \
  || fail "PYTHON=$python does not run; name a Python 3.11 to 3.13, e.g. PYTHON=python3.11."
case $version in
  3.11.*|3.12.*|3.13.*) ;;
  *) fail "PYTHON=$python is Python $version, 3.11 to 3.13 is needed; name one, e.g. PYTHON=python3.11 make setup." ;;
esac

wanted=$(printf '%s\n' "$version" "$torch"; cat requirements/*.txt pyproject.toml setup.py)
[ -f "$stamp" ] && [ "$(cat "$stamp")" = "$wanted" ] && exit 0

say "making $venv with Python $version; everything goes there, nothing into your system"
rm -rf "$venv"
"$python" -m venv "$venv"
wheels=$venv/wheels
pip() { "$venv/bin/python" -m pip --disable-pip-version-check --quiet "$@" -c requirements/constraints.txt; }

# While torch comes down. pip's cache may hold an mmcv with operators that were compiled for another torch.
fetch() {
  MMCV_WITH_OPS=0 pip wheel --no-deps -w "$wheels" --no-cache-dir --no-binary onedl-mmcv onedl-mmcv
  pip wheel --no-deps -w "$wheels" --find-links "$wheels" -r requirements/constraints.txt
}
say "1/3 fetching $torch and OpenMMLab (some 3.5 GB, most of it torch's CUDA libraries)"
fetch &
fetching=$!
trap 'kill "$fetching" 2>/dev/null || true' EXIT
# shellcheck disable=SC2086
pip install --no-compile $torch
wait "$fetching" || fail 'fetching the packages of requirements/constraints.txt failed, see above.'

say '2/3 installing OpenMMLab, tools and this package'
pip install --no-compile --no-index --find-links "$wheels" -e '.[dev,export]'
# Without its requirements, of which one, a client for downloads, is of no use here.
pip install --no-compile --no-index --no-deps --find-links "$wheels" timm
rm -rf "$wheels"

say '3/3 checking that everything imports'
"$venv/bin/python" -W ignore tools/dev/check_env.py || fail 'the environment does not work, see above.'
printf '%s' "$wanted" > "$stamp"
say "ready: $venv/bin/python"
