#!/usr/bin/env bash
# Prepares .venv: torch, mmcv with compiled ops, the OpenMMLab packages, this package (editable). A second call returns at once.
#   PYTHON=python3.12            the interpreter (>= 3.11, with headers) to make .venv from
#   TORCH="torch==2.8.0 torchvision==0.23.0"   another pair, 2.6 <= torch < 2.13
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

python=${PYTHON:-python3}
torch=${TORCH:-$(grep -v '^#' requirements/torch.txt | tr '\n' ' ')}
venv=.venv
stamp=$venv/.s5_mm-ready

say() { printf '[setup] %s\n' "$*"; }
fail() { printf '[setup] %s\n' "$*" >&2; exit 1; }

command -v "$python" >/dev/null || fail "PYTHON=$python: no such command; name a Python >= 3.11, e.g. PYTHON=python3.11."
tag=$("$python" -c 'import sys; print(f"cp{sys.version_info.major}{sys.version_info.minor}")') \
  || fail "PYTHON=$python does not run; name a Python >= 3.11, e.g. PYTHON=python3.11."
"$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
  || fail "PYTHON=$python is $("$python" --version), Python >= 3.11 is needed; name one, e.g. PYTHON=python3.11 make setup."

wanted=$(printf '%s\n' "$tag" "$torch"; cat requirements/*.txt setup.py)
[ -f "$stamp" ] && [ "$(cat "$stamp")" = "$wanted" ] && exit 0

header=$("$python" -c 'import sysconfig; print(sysconfig.get_path("include"))')/Python.h
[ -f "$header" ] || fail "$header is missing; install the headers of $python (Debian: apt-get install python3-dev)."
command -v g++ >/dev/null || fail "g++ is missing and mmcv's ops are C++; install it (Debian: apt-get install g++)."

say "making $venv with $("$python" --version); everything goes there, nothing into your system"
rm -rf "$venv"
"$python" -m venv "$venv"
pip() { "$venv/bin/python" -m pip --disable-pip-version-check "$@"; }
install() { pip install --quiet -c requirements/constraints.txt "$@"; }

say "1/4 torch: $torch (about a minute)"
# shellcheck disable=SC2086
install $torch -r requirements/build.txt

# A wheel compiled against one torch does not load beside another, and pip's own cache does not tell them apart.
built_for=$("$venv/bin/python" -c 'import torch; print(torch.__version__.replace("+", "-"))')-$tag-$(uname -m)
mmcv=$(grep -v '^#' requirements/mmcv.txt)
wheels=${XDG_CACHE_HOME:-$HOME/.cache}/s5_mm/wheels/${mmcv/==/-}-torch-$built_for
if ls "$wheels"/*.whl >/dev/null 2>&1; then
  say "2/4 mmcv: wheel built earlier, $wheels"
else
  say "2/4 mmcv: compiling its ops for torch $built_for (about 10 minutes on 2 cores; with a CUDA toolkit and a GPU much longer)"
  mkdir -p "$wheels.part"
  MMCV_WITH_OPS=1 MAX_JOBS=$(nproc) pip wheel --quiet --no-cache-dir --no-deps --no-build-isolation -w "$wheels.part" "$mmcv" \
    || fail "compiling $mmcv failed, see above; docs/install.md lists the usual causes."
  rm -rf "$wheels"
  mv "$wheels.part" "$wheels"
fi
install "$wheels"/*.whl

say '3/4 OpenMMLab packages and tools'
install -r requirements/mm.txt -r requirements/runtime.txt -r requirements/dev.txt
install --no-build-isolation -e .

say '4/4 checking that everything imports'
"$venv/bin/python" -W ignore tools/dev/check_env.py \
  || fail "the environment does not work, see above; if mmcv._ext is named, remove $wheels and run make setup again."
printf '%s' "$wanted" > "$stamp"
say "ready: $venv/bin/python"
