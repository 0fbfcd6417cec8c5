#!/usr/bin/env bash
# Runs a program on a GPU, or in the emulator where there is none:
#   run_on_gpu.sh PROBE EMULATOR_LIBS any -- program args...
#   run_on_gpu.sh PROBE EMULATOR_LIBS emulator VARIABLE=VALUE... -- program args...
# PROBE exits 0 where a GPU can be used; EMULATOR_LIBS is the folder of the emulator's libraries,
# empty where they were not built. `emulator` takes the emulator in any case, with these settings.
# Exit status: the program's; 77 if there is neither, 1 in that case with CI set.
set -euo pipefail

probe=$1
emulator_libs=$2
where=$3
shift 3
settings=()
while [ "$1" != -- ]; do
  settings+=("$1")
  shift
done
shift

# The emulator's defaults, so that no variable of the caller's environment decides what is tested.
for name in $(compgen -e CUDAEMU_ || true); do unset "$name"; done

if [ "$where" = any ] && reason=$("$probe"); then
  exec "$@"
fi
if [ -n "$emulator_libs" ]; then
  exec env CUDAEMU_CC=80 "${settings[@]}" \
    LD_LIBRARY_PATH="$emulator_libs${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}" "$@"
fi
echo "run_on_gpu: ${reason:-this entry is for the emulator}; the emulator was not built" >&2
[ -z "${CI:-}" ] || exit 1
exit 77
