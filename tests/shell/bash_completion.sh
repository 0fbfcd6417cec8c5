#!/usr/bin/env bash
# What bash offers at a few places of the command line.
#   bash_completion.sh PREFOLD
set -euo pipefail
export LC_ALL=C
prefold=$(realpath "$1")
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
touch model.gguf prompts.jsonl "with space.jsonl"
mkdir models

source <("$prefold" completions bash)
[ "$(complete -p prefold)" = "complete -F _prefold prefold" ]

# The words of a command line, the last of which is being typed; prints what is offered.
offered() {
  COMP_WORDS=("$@") COMP_CWORD=$(($# - 1)) COMPREPLY=()
  _prefold
  printf '%s\n' "${COMPREPLY[@]}" | sort | paste -sd' '
}
expect() {
  local wanted=$1 got
  shift
  got=$(offered "$@")
  [ "$got" = "$wanted" ] || { echo "$*: offered \"$got\", expected \"$wanted\""; exit 1; }
}

expect "plan" prefold pl
expect "run" prefold ru
expect "--version" prefold --v
expect "--order --ordered" prefold run --orde
expect "lru none tree" prefold run --sharing ""
expect "none" prefold run --sharing n
expect "none" prefold run --sharing = n
expect "lru none tree" prefold run --sharing =
expect "model.gguf models" prefold run -m ""
expect "model.gguf models" prefold inspect mod
expect "with space.jsonl" prefold run -m model.gguf -i with
expect "model.gguf models prompts.jsonl with space.jsonl" prefold run --report ""
expect "models" prefold bench --emit ""
expect "" prefold run --threads ""
expect "" prefold run --lora french
expect "models" prefold run --lora french = models
expect "model.gguf models prompts.jsonl with space.jsonl" prefold run --lora french =
expect "bash fish zsh" prefold completions ""
expect "" prefold nonsense ""
# Every option of every command is offered.
for command in $("$prefold" --help | sed -n '/^Commands:/,/^$/s/^  \([a-z]\+\) .*/\1/p'); do
  for option in $("$prefold" "$command" --help | sed -nE '/^Examples/q;s/^  (-., |    )(--[a-z-]+).*/\2/p'); do
    offered prefold "$command" "$option" | grep -qwF -e "$option" || { echo "$command $option"; exit 1; }
  done
done
