#!/usr/bin/env bash
# usage: [GPUS=8] [GPUS_PER_NODE=8] [CPUS_PER_TASK=8] [SRUN_ARGS=...] tools/slurm_test.sh PARTITION JOB_NAME CONFIG CHECKPOINT [arguments of tools/test.py]
set -euo pipefail
partition=${1:?partition} job=${2:?job name} config=${3:?config file} checkpoint=${4:?checkpoint file}
gpus=${GPUS:-8} per_node=${GPUS_PER_NODE:-8}
# shellcheck disable=SC2086
exec srun -p "$partition" --job-name="$job" --gres=gpu:"$per_node" --ntasks="$gpus" --ntasks-per-node="$per_node" \
  --cpus-per-task="${CPUS_PER_TASK:-8}" --kill-on-bad-exit=1 ${SRUN_ARGS:-} \
  "${PYTHON:-python}" -u "$(dirname "${BASH_SOURCE[0]}")/test.py" "$config" "$checkpoint" --launcher slurm "${@:5}"
