#!/usr/bin/env bash
# What is installed, and the Debian package: its files and fields, and that what it unpacks to runs.
#   package.sh BUILD_FOLDER CMAKE CPACK
set -euo pipefail
for tool in dpkg-deb dpkg-shlibdeps file gzip; do command -v $tool >/dev/null || exit 77; done
build=$(realpath "$1") cmake=$2 cpack=$3
models=$(realpath "$(dirname "${BASH_SOURCE[0]}")/../data/models")
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
fail() { echo "$*"; exit 1; }

files='bin/prefold
share/bash-completion/completions/prefold
share/doc/prefold/README.md
share/doc/prefold/copyright
share/doc/prefold/cron.md
share/doc/prefold/examples/crontab
share/doc/prefold/examples/nightly.toml
share/doc/prefold/examples/prefold.service
share/doc/prefold/examples/prefold.timer
share/doc/prefold/formats.md
share/fish/vendor_completions.d/prefold.fish
share/man/man1/prefold.1.gz
share/zsh/vendor-completions/_prefold'
# same_files FOLDER EXPECTED...: whatever else stands there or is missing.
same_files() {
  diff <(printf '%s\n' "${@:2}" | LC_ALL=C sort) <(cd "$1" && find . -type f | sed 's|^./||' | LC_ALL=C sort) ||
    fail "$1: other files than expected (<)"
}

DESTDIR=$work/dest "$cmake" --install "$build" --prefix /opt/prefold >/dev/null
same_files dest/opt/prefold $files share/doc/prefold/CHANGELOG.md
"$build/prefold" man | cmp - <(gzip -dc dest/opt/prefold/share/man/man1/prefold.1.gz)
dest/opt/prefold/bin/prefold completions bash | cmp - dest/opt/prefold/share/bash-completion/completions/prefold

if "$cpack" --config "$build/CPackConfig.cmake" -B "$work/none" >/dev/null 2>&1; then
  fail "a package without a maintainer"
fi
umask 022
"$cpack" --config "$build/CPackConfig.cmake" -B "$work/cpack" \
  -D CPACK_PACKAGE_CONTACT="Jane Doe <jane@example.org>" >cpack.log 2>&1 || { cat cpack.log; exit 1; }
deb=$(echo cpack/*.deb)
version=$("$build/prefold" --version | sed -n 's/^prefold //p')
[ "$(basename "$deb")" = "prefold_$version-1_$(dpkg --print-architecture).deb" ] || fail "named $deb"
field() { dpkg-deb -f "$deb" "$1"; }
[ "$(field Package) $(field Version)" = "prefold $version-1" ] || fail "package $(field Package) $(field Version)"
[ "$(field Maintainer)" = "Jane Doe <jane@example.org>" ] || fail "maintainer $(field Maintainer)"
for library in libc6 libstdc++6 libpcre2-8-0 zlib1g libzstd1; do
  [[ ", $(field Depends)" == *", $library ("* ]] || fail "does not depend on $library: $(field Depends)"
done
if "$build/prefold" --version | grep -q '^cuda: [0-9]'; then
  [[ $(field Depends) == *libcudart* && $(field Recommends) == *libcublas* ]] || fail "CUDA: $(field Depends)"
fi

dpkg-deb -x "$deb" root
same_files root/usr $files share/doc/prefold/changelog.gz share/doc/prefold/changelog.Debian.gz \
  share/lintian/overrides/prefold
dpkg-deb -c "$deb" | awk '$2 != "root/root" || ($1 !~ /^(drwxr-xr-x|-rw-r--r--)$/ && $6 != "./usr/bin/prefold")' |
  { ! grep . || fail "owner or rights"; }
if command -v lintian >/dev/null; then
  lintian --allow-root --fail-on error,warning "$deb" || fail "lintian"
fi

mkdir job
cp "$models/tiny_bpe.gguf" job/
echo '{"id": 1, "prompt": "Hello", "max_tokens": 3}' >job/in.jsonl
printf 'model = "tiny_bpe.gguf"\ninput = ["in.jsonl"]\noutput = "out.jsonl"\ndevice = "cpu"\n' >job/job.toml
# CUDA's libraries need not be where the system looks for them; the build's own program knows.
cuda=$(ldd "$build/prefold" | sed -n 's|.*libcudart.* => \(.*\)/.*|\1|p')
env -i HOME="$work" PREFOLD_CACHE="$work/cache" LD_LIBRARY_PATH="$cuda" root/usr/bin/prefold run -q --config job/job.toml
grep -q '"id":1,"text"' job/out.jsonl
