#!/usr/bin/env bash
# scripts/slurm on a real Slurm (start_slurm.sh makes one): tasks that are killed, stopped by their time
# limit, cancelled and submitted again lose nothing. Takes some minutes; exits with 77 without Slurm.
#   slurm_test.sh PREFOLD
set -u
prefold=$(realpath "$1")
source "$(dirname "$0")/common.sh"
command -v sbatch >/dev/null && sinfo >/dev/null 2>&1 || skip "no Slurm answers here"
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
export PREFOLD=$prefold
make_job "$folder" 60 300 3
submit() { "$scripts/slurm/submit" job merged.jsonl "$@" -- "${slowly[@]}"; }
worker_of() { pgrep -f "^$prefold run .*$folder/job/shard-000$1.jsonl"; }
results_of() { echo "job/shard-000$1.results.jsonl"; }
stopped() { ! worker_of "$1" >/dev/null; }
ended() { [ -z "$(squeue -h -j "$1" 2>/dev/null)" ]; }

read -r array merge < <(submit --time=10)
wait_until 60 lines_in "$(results_of 0)" 3
kill -9 "$(worker_of 0)"
echo "killed the worker of shard 0 with $(wc -l <"$(results_of 0)") lines done"
wait_until 60 lines_in "$(results_of 1)" 3
scontrol requeue "${array}_1" && echo "requeued shard 1 with $(wc -l <"$(results_of 1)") lines done"
wait_until 60 stopped 1
scancel "$array" "$merge"
wait_until 180 ended "$array"
"$prefold" merge -q --shard-dir job -o merged.jsonl
[ $? = 3 ] || fail "a merge of unfinished shards"
echo "cancelled all, with $(cat job/shard-*.results.jsonl | wc -l) of 60 lines done"

# Again, with a limit that comes too early: stopped some seconds after the start, and queued again.
kept=$(cat job/shard-*.results.jsonl | sort)
read -r array merge < <(submit --time=3 --signal=B:USR1@140)
wait_until 1200 ended "$merge"
grep -h "^shard .*: status" job/slurm-0*.log
grep -qh "status 3" job/slurm-0*.log || fail "no task was stopped by its limit"
grep -qh "status 137" job/slurm-0*.log || fail "no task was killed"
same_results merged.jsonl
[ -z "$(comm -23 <(echo "$kept") <(sort merged.jsonl))" ] || fail "a finished line was lost"
echo "all lines answered once, as by the undivided run"
