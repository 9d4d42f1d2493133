#!/usr/bin/env bash
# usage: tools/dist_test.sh CONFIG CHECKPOINT NUM_PROCESSES [arguments of tools/test.py]
# several nodes: NNODES, NODE_RANK, MASTER_ADDR and PORT on each
set -euo pipefail
config=${1:?config file} checkpoint=${2:?checkpoint file} processes=${3:?number of processes (GPUs) on this node}
exec "${PYTHON:-python}" -m torch.distributed.run \
  --nnodes="${NNODES:-1}" --node_rank="${NODE_RANK:-0}" --master_addr="${MASTER_ADDR:-127.0.0.1}" \
  --nproc_per_node="$processes" --master_port="${PORT:-29500}" \
  "$(dirname "${BASH_SOURCE[0]}")/test.py" "$config" "$checkpoint" --launcher pytorch "${@:4}"
