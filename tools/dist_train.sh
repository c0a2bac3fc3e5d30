#!/usr/bin/env bash
# Train on the GPUs of one machine or of several.
#
#   bash tools/dist_train.sh CONFIG GPUS [arguments of train.py]
#
# On several machines run it on each, with the first one's address:
#   NNODES=2 NODE_RANK=0 MASTER_ADDR=10.0.0.1 bash tools/dist_train.sh CONFIG 8
#   NNODES=2 NODE_RANK=1 MASTER_ADDR=10.0.0.1 bash tools/dist_train.sh CONFIG 8
set -e

if [ $# -lt 2 ]; then
    sed -n '2,8s/^# \{0,1\}//p' "$0"
    exit 2
fi
CONFIG=$1
GPUS=$2
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
    "$(dirname "$0")/train.py" "$CONFIG" --launcher pytorch "${@:3}"
