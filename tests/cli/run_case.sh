#!/usr/bin/env bash
# Runs one golden test of the command line: tests/cli/CASE/cmd is run by bash in its own folder with
# $PREFOLD set and $TMP an empty folder; what it prints and its exit status must equal the files
# stdout, stderr and exit beside it (a missing file stands for nothing, or for 0).
#   run_case.sh PREFOLD CASE_FOLDER [--update]      --update rewrites the expected files
set -u
prefold=$(realpath "$1")
case_folder=$2
update=${3:-}
cd "$case_folder" || exit 2
TMP=$(mktemp -d)
trap 'rm -rf "$TMP"' EXIT
# What this machine measures may be kept, but nothing that is printed may depend on it.
export PREFOLD=$prefold TMP LC_ALL=C PREFOLD_CACHE=$TMP/cache
# Where there is a GPU, it is not taken: the expected answers are the CPU's.
export CUDA_VISIBLE_DEVICES=
mkdir "$TMP/work"
bash ./cmd >"$TMP/stdout" 2>"$TMP/stderr" </dev/null
echo $? >"$TMP/exit"
# Temporary names differ from run to run.
sed -i "s|$TMP|TMP|g" "$TMP/stdout" "$TMP/stderr"

status=0
for stream in stdout stderr exit; do
  expected=/dev/null
  [ -f "$stream" ] && expected=$stream
  if [ "$stream" = exit ] && [ ! -f exit ]; then
    echo 0 >"$TMP/zero"
    expected=$TMP/zero
  fi
  if [ "$update" = --update ]; then
    rm -f "$stream"
    if [ "$stream" = exit ]; then
      [ "$(cat "$TMP/exit")" = 0 ] || cp "$TMP/exit" exit
    elif [ -s "$TMP/$stream" ]; then
      cp "$TMP/$stream" "$stream"
    fi
  elif ! diff -u --label "expected $stream" --label "$stream" "$expected" "$TMP/$stream"; then
    status=1
  fi
done
exit $status
