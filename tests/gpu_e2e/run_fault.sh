#!/usr/bin/env bash
# A run on the GPU that cannot go on ends with exit status 2, an error that says why, and the
# answers that were finished before in the output:
#   run_fault.sh PREFOLD ROWS ANSWERS ERROR
# ROWS: tokens of a step. ANSWERS: how many lines the output has at least; all of them must be
# whole. ERROR: a regular expression (grep -E). What goes wrong is up to the environment (CUDAEMU_FAIL, CUDAEMU_MEM_MB).
set -euo pipefail

prefold=$1
rows=$2
least_answers=$3
error=$4

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT

for i in 1 2 3 4 5 6; do
  echo "{\"id\": \"short$i\", \"prompt_token_ids\": [5$i, 31, 32], \"max_tokens\": 1, \"temperature\": 0}"
  echo "{\"id\": \"long$i\", \"prompt_token_ids\": [5$i, 41, 42], \"max_tokens\": 20, \"temperature\": 0, \"ignore_eos\": true}"
done > "$folder/in.jsonl"

status=0
"$prefold" run -m tests/data/models/tiny_bpe.gguf -i "$folder/in.jsonl" -o "$folder/out.jsonl" \
  --device cuda --deterministic --max-model-len 256 --max-num-batched-tokens "$rows" \
  2> "$folder/stderr" || status=$?

fail() {
  echo "run_fault: $1" >&2
  cat "$folder"/* >&2
  exit 1
}

[ "$status" -eq 2 ] || fail "exit status is $status, not 2"
grep -Eq "^prefold: error: .*($error)" "$folder/stderr" || fail "no error like: $error"
touch "$folder/out.jsonl"  # an error may come before it is opened
n_answers=$(wc -l < "$folder/out.jsonl")
[ "$n_answers" -ge "$least_answers" ] || fail "$n_answers answers, not $least_answers"
! grep -Evq '^\{"id":"(short|long)[1-6]","text":.*"usage":\{.*\}\}$' "$folder/out.jsonl" ||
  fail "a line of the output is no answer"
echo "run_fault: $n_answers answers, then $(tail -n 1 "$folder/stderr")"
