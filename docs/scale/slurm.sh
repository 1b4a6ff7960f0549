#!/usr/bin/env bash
# Features by an array of Slurm's: every task makes its share of the parts, and a job that waits for all of them finishes the set.
#
#   docs/scale/slurm.sh CONFIG [TASKS [CORES]]
#
# On a login node, in the folder of the checkout, which all nodes reach by the same path. After a failure submit it again, all of
# it: parts that are complete take no time. $SBATCH_PARTITION, $SBATCH_ACCOUNT, $SBATCH_TIMELIMIT and the like say the rest.
set -euo pipefail

config=$1
tasks=${2:-8}
cores=${3:-4}
program=${PROGRAMS:-target/release}/preprocess

# Threads are as many as the cores that Slurm gives a task. `srun` starts each program, so that Slurm sees how it ends.
command="srun --ntasks=1 --cpus-per-task=$cores $(printf '%q ' "$program" --config "$config" --device cpu)"
options=(--parsable --ntasks=1 --cpus-per-task="$cores" --mem-per-cpu=1G)

array=$(sbatch "${options[@]}" --job-name=features --array="0-$((tasks - 1))" --requeue --wrap="$command")
finish=$(sbatch "${options[@]}" --job-name=features-finish --dependency="afterok:${array%%;*}" --wrap="$command")
echo "features: job ${array%%;*}; finished by job ${finish%%;*}"
