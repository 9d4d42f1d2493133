#!/usr/bin/env bash
# Builds the sdist and from it the wheel into dist/, installs the wheel into an empty environment, and there trains
# 5 iterations of a segmentor and of a detector with the wheel's own recipes, outside the repository.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

root=$PWD
python=$root/.venv/bin/python
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
say() { printf '[package] %s\n' "$*"; }
quietly() { "$@" >"$work/log" 2>&1 || { cat "$work/log" >&2; exit 1; }; }
data_prep() { quietly "$python" "$root/data_prep/$1.py" "${@:2}"; }
train() {
  local config=$recipes/configs/quickstart/$1
  say "training 5 iterations of $config"
  quietly venv/bin/python -W ignore "$recipes/tools/train.py" "$config" --cfg-options train_cfg.max_iters=5 \
    train_cfg.val_interval=100 default_hooks.logger.interval=5 "${@:2}"
  grep 'Iter(train)' log | tail -1
}

say 'building dist/*.tar.gz and dist/*.whl'
rm -rf dist build
quietly "$python" -m build

say "installing the wheel into an empty environment, $work/venv"
"$python" -m venv "$work/venv"
"$work/venv/bin/python" -m pip --disable-pip-version-check install --quiet dist/*.whl
cd "$work"
recipes=$(venv/bin/python -W ignore -c 'import s5_mm; print(s5_mm.__path__[0])')/.mim

say 'writing a few scenes'
data_prep synthetic isaid isaid --train 8 --val 2 --size 96
data_prep isaid isaid data/quickstart/isaid --patch 96 --gap 0 --crop 96
data_prep synthetic dior_r dior_r --train 8 --val 2 --test 2 --size 128
data_prep dior_r dior_r data/quickstart/dior_r
data_prep synthetic dota dota --train 8 --val 2 --test 0 --size 128
data_prep dota dota data/quickstart/dota --size 128 --gap 32

train supervised_vit-t_upernet_synthetic-96x96.py
train moe-mdf_vit-t_oriented-rcnn_dior-dota-128x128.py model.init_cfg=None
say 'the wheel works'
