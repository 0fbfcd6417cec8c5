#!/usr/bin/env bash
# The page of a report in a browser that we did not write: it loads, every picture is there and takes
# up room, nothing overflows a phone's width, and the console says nothing.
#   report_chromium.sh PREFOLD      exit status 77: there is no Chromium here
set -euo pipefail
prefold=$(realpath "$1")
cd "$(dirname "${BASH_SOURCE[0]}")/.."
chromium=$(command -v chromium || command -v google-chrome || true)
[ -n "$chromium" ] || { echo "skipped: no Chromium here (Debian: chromium)"; exit 77; }
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
export PREFOLD_CACHE=$tmp CUDA_VISIBLE_DEVICES=

for i in 1 2 3 4 5 6; do
  echo "{\"id\": $i, \"prompt\": \"The capital of France, number $i\", \"max_tokens\": $((4 * i))}"
done >"$tmp/in.jsonl"
"$prefold" run -m data/models/tiny_bpe.gguf -i "$tmp/in.jsonl" -o "$tmp/out.jsonl" --quiet \
  --cost-model data/cost_model.json --report "$tmp/a.json"
"$prefold" report "$tmp/a.json" -o "$tmp/page.html"

in_browser() {  # PAGE
  "$chromium" --headless=new --no-sandbox --disable-gpu --hide-scrollbars --user-data-dir="$tmp/profile" \
    --window-size=500,900 --enable-logging=stderr --v=0 --dump-dom "file://$1" 2>"$tmp/log"
}

in_browser "$tmp/page.html" >"$tmp/dom"
if grep CONSOLE "$tmp/log"; then
  echo "the console of the browser says something"
  exit 1
fi
[ "$(grep -o '<svg ' "$tmp/dom" | wc -l)" -eq 8 ] || { echo "pictures are missing"; exit 1; }

# The page forbids scripts; a copy that allows one measures it, in a frame: windows are not so narrow.
sed 's/<meta http-equiv="Content-Security-Policy"[^>]*>//' "$tmp/page.html" >"$tmp/measured.html"
cat >>"$tmp/measured.html" <<'SCRIPT'
<script>
const small = [...document.querySelectorAll("svg")].filter(s => s.getBoundingClientRect().height < 20);
const root = document.documentElement;
const found = `small pictures ${small.length}, overflow ${root.scrollWidth - root.clientWidth}`;
parent.postMessage(`${root.clientWidth} wide, ${found}`, "*");
</script>
SCRIPT
cat >"$tmp/phone.html" <<'PAGE'
<!doctype html><p></p><iframe src="measured.html" style="border:0;width:400px;height:900px"></iframe>
<script>onmessage = message => document.querySelector("p").textContent = message.data;</script>
PAGE
in_browser "$tmp/phone.html" | tee "$tmp/found" | grep -q "400 wide, small pictures 0, overflow 0" || {
  grep wide "$tmp/found" || true
  echo "a picture has no room, or the page is wider than a phone"
  exit 1
}
