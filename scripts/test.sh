#!/usr/bin/env bash
# Looks at style and types, and runs the tests, in an environment of their own. From any folder:
#
#   bash scripts/test.sh                      ruff, mypy, and all tests but the slow ones and those that need a GPU
#   bash scripts/test.sh tests/darknet -k cfg only what you say; every word goes to pytest
#   bash scripts/test.sh -m slow              only the slow ones
#
# WORKERS=2 tests run at once (default: the number of cores, at most 4), each on one thread. WORKERS=0: in one process.
# PYTHON=, VENV=, TORCH_INDEX_URL=: see scripts/venv.sh.
set -euo pipefail
root="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)"
source "$root/scripts/venv.sh"
ensure_venv requirements-dev.txt
cd "$root"

if [[ $# -eq 0 ]]; then
  for look in "ruff check ." "mypy"; do
    echo "$VENV_PYTHON -m $look"
    "$VENV_PYTHON" -m $look
  done
fi

cores="$(getconf _NPROCESSORS_ONLN 2>/dev/null || echo 2)"
workers="${WORKERS:-$(( cores < 4 ? cores : 4 ))}"
export OMP_NUM_THREADS="${OMP_NUM_THREADS:-1}"
command=("$VENV_PYTHON" -m pytest -n "$workers" --timeout 600 -m "not slow and not gpu" "$@")
echo "${command[*]}"
exec "${command[@]}"
