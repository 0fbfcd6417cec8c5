#!/usr/bin/env bash
# What zsh offers at a few places of the command line, in an interactive shell on a pseudo-terminal.
#   zsh_completion.sh PREFOLD
set -euo pipefail
command -v zsh >/dev/null || exit 77
prefold=$(realpath "$1")
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
touch model.gguf prompts.jsonl
mkdir models functions
"$prefold" completions zsh >functions/_prefold

# ask.zsh: types each line of the file `lines` and asks for completions; all matches of line N are
# written to the file N.
cat >ask.zsh <<'ZSH'
zmodload zsh/zpty
zpty -b shell "COLUMNS=200 TERM=dumb zsh -f -i"
type_in() { zpty -w shell "$1" }
type_in 'PS1=; unsetopt zle_bracketed_paste prompt_cr prompt_sp beep; LISTMAX=1000'
type_in 'fpath=($PWD/functions $fpath); autoload -Uz compinit; compinit -u -D'
type_in '_ask() { _main_complete; compstate[list]=; compstate[insert]=; : > done }'
type_in 'compadd() { builtin compadd -O found "$@" 2>/dev/null; print -rl -- $found >> matches; builtin compadd "$@" }'
type_in 'zle -C ask complete-word _ask; bindkey "^X" ask; : > done'
wait_for_it() { for i in {1..400}; do [[ -e done ]] && break; sleep 0.02; done; rm -f done }
wait_for_it
n=0
for line in "${(@f)$(<lines)}"; do
  zpty -w -n shell "$line"$'\C-x'
  wait_for_it
  zpty -w -n shell $'\C-u'
  touch matches
  mv matches $((++n))
done
zpty -d shell
ZSH

wanted=() lines=()
expect() { wanted+=("$1") lines+=("$2"); }
expect "plan" "prefold pl"
expect "lru none tree" "prefold run --sharing "
expect "none" "prefold run --sharing=n"
expect "--sharing" "prefold run --shar"
expect "model.gguf models" "prefold run -m mod"
expect "model.gguf models" "prefold inspect mod"
expect "prompts.jsonl" "prefold run -m model.gguf -i pro"
expect "model.gguf models" "prefold run --lora french=mod"
expect "bash fish zsh" "prefold completions "
printf '%s\n' "${lines[@]}" >lines
zsh -f ask.zsh >/dev/null 2>&1 || true
for i in "${!lines[@]}"; do
  got=$(LC_ALL=C sort -u "$((i + 1))" | sed '/^$/d' | paste -sd' ')
  [ "$got" = "${wanted[i]}" ] || { echo "${lines[i]}: offered \"$got\", expected \"${wanted[i]}\""; exit 1; }
done
