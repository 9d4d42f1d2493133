#!/usr/bin/env bash
# usage: [GPUS=8] [GPUS_PER_NODE=8] [CPUS_PER_TASK=8] [SRUN_ARGS=...] tools/slurm_train.sh PARTITION JOB_NAME CONFIG [arguments of tools/train.py]
set -euo pipefail
partition=${1:?partition} job=${2:?job name} config=${3:?config file}
gpus=${GPUS:-8} per_node=${GPUS_PER_NODE:-8}
# shellcheck disable=SC2086
exec srun -p "$partition" --job-name="$job" --gres=gpu:"$per_node" --ntasks="$gpus" --ntasks-per-node="$per_node" \
  --cpus-per-task="${CPUS_PER_TASK:-8}" --kill-on-bad-exit=1 ${SRUN_ARGS:-} \
  "${PYTHON:-python}" -u "$(dirname "${BASH_SOURCE[0]}")/train.py" "$config" --launcher slurm "${@:4}"
