#!/usr/bin/env bash
# scripts/ray with two local workers: Ray's worker and prefold itself are killed, and nothing is lost.
# Exits with 77 where Python has no Ray ($PYTHON: which one [python3]).
#   ray_test.sh PREFOLD
set -u
prefold=$(realpath "$1")
source "$(dirname "$0")/common.sh"
python=${PYTHON:-python3}
"$python" -c 'import ray' 2>/dev/null || skip "no ray in $python"
folder=$(mktemp -d)
export PREFOLD=$prefold
make_job "$folder" 60 100 3
"$python" "$scripts/ray/run_shards.py" job --cpus 1 -- "${slowly[@]}" >log 2>&1 &
driver=$!
lines_in_or_over() { lines_in "$@" || ! kill -0 "$driver" 2>/dev/null; }
trap 'kill "$driver" 2>/dev/null; rm -rf "$folder"' EXIT
worker_of() { pgrep -f "^$prefold run .*$folder/job/shard-000$1.jsonl"; }
wait_until 600 lines_in_or_over job/shard-0000.results.jsonl 3
lines_in job/shard-0000.results.jsonl 3 || { cat log; fail "the driver ended"; }
kill -9 "$(worker_of 0)"
echo "killed prefold on shard 0 with $(wc -l <job/shard-0000.results.jsonl) lines done"
wait_until 600 lines_in_or_over job/shard-0001.results.jsonl 3
ray_worker=$(ps -o ppid= -p "$(worker_of 1)" | tr -d ' ')
kill -9 "$ray_worker"
echo "killed Ray's worker $ray_worker on shard 1 with $(wc -l <job/shard-0001.results.jsonl) lines done"
wait "$driver"
status=$?
grep '^shard' log
[ "$status" = 0 ] || { cat log; fail "status $status"; }
"$prefold" merge -q --shard-dir job -o merged.jsonl || fail "the merge"
same_results merged.jsonl
echo "all lines answered once, as by the undivided run"
