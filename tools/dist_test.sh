#!/usr/bin/env bash
# Evaluate on the GPUs of one machine or of several.
#
#   bash tools/dist_test.sh CONFIG CHECKPOINT GPUS [arguments of test.py]
#
# On several machines: as tools/dist_train.sh.
set -e

if [ $# -lt 3 ]; then
    sed -n '2,6s/^# \{0,1\}//p' "$0"
    exit 2
fi
CONFIG=$1
CHECKPOINT=$2
GPUS=$3
NNODES=${NNODES:-1}
NODE_RANK=${NODE_RANK:-0}
if [ "$NNODES" = 1 ] && [ -z "${PORT:-}" ]; then
    # A free port: two trainings on one machine do not get in each other's way.
    MEETING=(--standalone --local_addr=127.0.0.1)
else
    MEETING=(
        --nnodes="$NNODES"
        --node_rank="$NODE_RANK"
        --master_addr="${MASTER_ADDR:-127.0.0.1}"
        --master_port="${PORT:-29500}"
    )
fi

# A clone works without being installed.
export PYTHONPATH="$(dirname "$0")/..${PYTHONPATH:+:$PYTHONPATH}"
exec python -m torch.distributed.run "${MEETING[@]}" --nproc_per_node="$GPUS" \
    "$(dirname "$0")/test.py" "$CONFIG" "$CHECKPOINT" --launcher pytorch "${@:4}"
