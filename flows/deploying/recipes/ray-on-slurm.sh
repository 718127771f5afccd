#!/bin/bash
# A rebuild on a Slurm allocation: Ray on all of its nodes, `csip run` on the first, all stopped at the end.
#
#   sbatch --nodes=4 --gpus-per-node=4 ray-on-slurm.sh configs/mars.yaml --set store=s3://bucket/reid
#
# Arguments are those of `csip run`. The store must be one that all nodes reach. When Slurm preempts the job, or its time
# is nearly over, the run is told to stop, keeps what it has, and the job is queued again: it goes on where it was.
#SBATCH --job-name=csip
#SBATCH --nodes=2
#SBATCH --ntasks-per-node=1
#SBATCH --cpus-per-task=16
#SBATCH --time=24:00:00
#SBATCH --requeue
#SBATCH --open-mode=append
#SBATCH --signal=B:TERM@180
set -euo pipefail

if [ "$#" -eq 0 ]; then
    echo "error: no configuration; to do: sbatch $(basename "$0") configs/mars.yaml" >&2
    exit 2
fi
: "${SLURM_JOB_ID:?is not set: submit this script with sbatch}"
: "${SLURM_JOB_NODELIST:?is not set: submit this script with sbatch}"
if [ "${SLURM_JOB_NUM_NODES:-1}" -gt 1 ] && [ -z "${PREFECT_API_URL:-}" ]; then
    echo "error: tasks on other nodes report to a Prefect server; to do: set PREFECT_API_URL to one that all reach" >&2
    exit 2
fi

cpus=${SLURM_CPUS_PER_TASK:-1}
# one allocation a user and node may share: ports that follow from the job, below those that Linux gives out
port=${CSIP_RAY_PORT:-$((20000 + SLURM_JOB_ID % 10000))}
patience=${CSIP_RAY_PATIENCE:-300}

mapfile -t nodes < <(scontrol show hostnames "$SLURM_JOB_NODELIST")
head=${nodes[0]}
step=(srun --nodes=1 --ntasks=1 --overlap)  # no function: in the background, a signal would reach its shell alone

# Ray listens at the addresses that nodes of the allocation know each other by, and nowhere else
address_of() { "${step[@]}" --nodelist="$1" hostname --ip-address | awk '{print $1; exit}'; }
head_address=$(address_of "$head")

# who may speak to this cluster: a token of this job alone, which no log and no command line shows
umask 077
if [ -z "${RAY_AUTH_TOKEN:-}" ]; then
    RAY_AUTH_TOKEN=$(head -c 32 /dev/urandom | od -An -tx1 | tr -d ' \n')
fi
export RAY_AUTH_MODE=token RAY_AUTH_TOKEN
export RAY_USAGE_STATS_ENABLED=0
export SRUN_CPUS_PER_TASK=$cpus  # steps do not inherit it from the job

started=()
run=
told=

# shellcheck disable=SC2329 # traps call it
stop_all() {
    trap - EXIT
    if [ -n "$run" ] && kill -0 "$run" 2>/dev/null; then
        kill -TERM "$run" 2>/dev/null || true
        wait "$run" || true
    fi
    for process in "${started[@]}"; do
        kill -TERM "$process" 2>/dev/null || true
    done
    for process in "${started[@]}"; do
        wait "$process" 2>/dev/null || true
    done
    echo "Ray is stopped on ${#nodes[@]} nodes"
}
trap stop_all EXIT

# shellcheck disable=SC2329
leave() {
    told=yes
    echo "told to leave: the run keeps what it has"
    if [ -n "$run" ]; then
        kill -TERM "$run" 2>/dev/null || true
    else
        exit 143
    fi
}
trap leave TERM INT

echo "Ray head on $head"
"${step[@]}" --nodelist="$head" ray start --head --block --node-ip-address="$head_address" --port="$port" \
    --include-dashboard=false --disable-usage-stats --num-cpus="$cpus" &
started+=("$!")
for node in "${nodes[@]:1}"; do
    echo "Ray worker on $node"
    "${step[@]}" --nodelist="$node" ray start --block --address="$head_address:$port" --node-ip-address="$(address_of "$node")" \
        --disable-usage-stats --num-cpus="$cpus" &
    started+=("$!")
done

nodes_there() {
    "${step[@]}" --nodelist="$head" python -c "
import sys, ray
ray.init(address=sys.argv[1], logging_level='ERROR', log_to_driver=False)
print(sum(node['Alive'] for node in ray.nodes()))
" "$head_address:$port" 2>/dev/null || echo 0
}
waited=0
until there=$(nodes_there | tail -n 1); [ "$there" -ge "${#nodes[@]}" ]; do
    for process in "${started[@]}"; do
        if ! kill -0 "$process" 2>/dev/null; then
            echo "error: Ray did not start on every node; to do: read its lines above" >&2
            exit 1
        fi
    done
    if [ "$waited" -ge "$patience" ]; then
        echo "error: only $there of ${#nodes[@]} nodes joined within $patience s" >&2
        exit 1
    fi
    sleep 2
    waited=$((waited + 2))
done
echo "Ray is there on ${#nodes[@]} nodes"

"${step[@]}" --nodelist="$head" csip run "$@" --set runner.kind=ray --set "runner.address=$head_address:$port" &
run=$!
status=0
wait "$run" || status=$?
# a trapped signal ends the first wait at once, before the run has kept what it has
while kill -0 "$run" 2>/dev/null; do
    status=0
    wait "$run" || status=$?
done
run=
if [ -n "$told" ] && [ "$status" -ne 0 ]; then
    scontrol requeue "$SLURM_JOB_ID" && echo "queued again"
fi
exit "$status"
