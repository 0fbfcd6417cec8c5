#!/usr/bin/env bash
# What fish offers at a few places of the command line.
#   fish_completion.sh PREFOLD
set -euo pipefail
command -v fish >/dev/null || exit 77
prefold=$(realpath "$1")
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
export HOME=$work XDG_CONFIG_HOME=$work/config XDG_DATA_HOME=$work/data
touch model.gguf prompts.jsonl
mkdir models
"$prefold" completions fish >prefold.fish

expect() {
  got=$(fish --no-config -c 'source prefold.fish; complete -C $argv[1]' -- "$2" |
    cut -f1 | LC_ALL=C sort | paste -sd' ')
  [ "$got" = "$1" ] || { echo "$2: offered \"$got\", expected \"$1\""; exit 1; }
}
expect "plan" "prefold pl"
expect "lru none tree" "prefold run --sharing "
expect "--sharing=none" "prefold run --sharing=n"
expect "--sharing" "prefold run --shar"
expect "model.gguf models/" "prefold run -m mod"
expect "model.gguf models/" "prefold inspect mod"
expect "prompts.jsonl" "prefold run -m model.gguf -i pro"
expect "models/" "prefold bench --emit mod"
expect "french=model.gguf french=models/" "prefold run --lora french=mod"
expect "" "prefold run --threads "
expect "bash fish zsh" "prefold completions "
