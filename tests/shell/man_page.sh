#!/usr/bin/env bash
# The man page has no mistake that groff knows of, and says what every --help says of each option.
#   man_page.sh PREFOLD
set -euo pipefail
command -v groff >/dev/null || exit 77
prefold=$(realpath "$1")
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"

"$prefold" man >prefold.1
groff -man -ww -z prefold.1 2>warnings
[ ! -s warnings ] || { echo "groff warns:"; cat warnings; exit 1; }
# One line a paragraph, without justification and hyphenation.
groff -man -Tascii -P-cbou -rLL=2000n -rHY=0 <(printf '.ad l\n.nh\n'; cat prefold.1) >page.txt

# The blocks "--name VALUE   help ..." of a command's --help, one a line: name, tab, help.
options_of() {
  "$prefold" "$@" --help | awk '
    function flush() { if (name != "") print name "\t" help; name = ""; help = "" }
    substr($0, 1, 28) ~ /^ +$/ { sub(/^ +/, ""); help = help (help == "" ? "" : " ") $0; next }
    /^  / {
      flush()
      if (!in_options) next
      name = $0; sub(/^ +/, "", name)
      if (match(name, /  +/)) { help = substr(name, RSTART + RLENGTH); name = substr(name, 1, RSTART - 1) }
      next
    }
    { flush(); in_options = /:$/ && !/^(Examples|Commands|A line|Exit)/ }
    END { flush() }'
}

commands=$("$prefold" --help | sed -n '/^Commands:/,/^$/s/^  \([a-z]\+\) .*/\1/p')
n_options=0
for command in "" $commands; do
  [ -z "$command" ] || grep -q "^ *prefold $command" page.txt || { echo "no command $command"; exit 1; }
  while IFS=$'\t' read -r name help; do
    [ "$name" != "-h, --help" ] || continue
    n_options=$((n_options + 1))
    grep -qF -e "       $name" page.txt || { echo "prefold $command $name is not in the page"; exit 1; }
    grep -qF -e "$help" page.txt || { echo "prefold $command $name: not in the page: $help"; exit 1; }
  done < <(options_of $command)
done
echo "$n_options options of $(wc -w <<<"$commands") commands"
[ "$n_options" -ge 60 ] || { echo "that is too few: does this test still read --help?"; exit 1; }
