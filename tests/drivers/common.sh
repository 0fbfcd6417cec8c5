# A divided job for tests of drivers, and how it has to end. Sourced with $prefold, the program.
tests=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
scripts=$(dirname "$tests")/scripts
model=$tests/data/models/tiny_bpe.gguf
# Steps of one token on the slowest kernels: a run that lasts long enough to be interrupted.
slowly=(-m "$model" --device cpu --cpu-isa scalar --threads 1 --max-num-batched-tokens 1)

skip() {
  echo "skipped: $1"
  exit 77
}

fail() {
  echo "FAILED: $1" >&2
  exit 1
}

# make_job FOLDER LINES TOKENS SHARDS: in.jsonl, whole.jsonl (by one run), job/
make_job() {
  cd "$1" || exit 2
  for i in $(seq "$2"); do
    echo "{\"prompt\": \"Question $((i % 5)) of many, number $i\", \"max_tokens\": $3, \"ignore_eos\": true}"
  done >in.jsonl
  "$prefold" run -q -m "$model" --device cpu -i in.jsonl -o whole.jsonl || fail "the undivided run"
  "$prefold" plan -m "$model" --device cpu -i in.jsonl --shards "$4" --shard-dir job >/dev/null ||
    fail "the split"
}

# wait_until SECONDS COMMAND...
wait_until() {
  local left=$(($1 * 5))
  shift
  until "$@"; do
    left=$((left - 1))
    [ "$left" -gt 0 ] || fail "waited too long for: $*"
    sleep 0.2
  done
}

lines_in() { [ "$(cat "$1" 2>/dev/null | wc -l)" -ge "$2" ]; }
same_results() { cmp <(sort whole.jsonl) <(sort "$1") || fail "other results than the undivided run's"; }
