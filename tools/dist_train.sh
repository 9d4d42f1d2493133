#!/usr/bin/env bash
# usage: tools/dist_train.sh CONFIG NUM_PROCESSES [arguments of tools/train.py]
# several nodes: NNODES, NODE_RANK, MASTER_ADDR and PORT on each
set -euo pipefail
config=${1:?config file} processes=${2:?number of processes (GPUs) on this node}
exec "${PYTHON:-python}" -m torch.distributed.run \
  --nnodes="${NNODES:-1}" --node_rank="${NODE_RANK:-0}" --master_addr="${MASTER_ADDR:-127.0.0.1}" \
  --nproc_per_node="$processes" --master_port="${PORT:-29500}" \
  "$(dirname "${BASH_SOURCE[0]}")/train.py" "$config" --launcher pytorch "${@:3}"
