# shellcheck shell=bash
# Sourced by the other scripts: makes .venv and installs pinned requirements, or does nothing where that was done.
#
#   ensure_venv requirements-dev.txt     # afterwards "$VENV_PYTHON" runs in it
#
# PYTHON=python3.12      the interpreter that makes .venv (default: python3)
# VENV=/elsewhere        the environment's folder (default: .venv in the checkout)
# TORCH_INDEX_URL=...    where torch comes from, e.g. https://download.pytorch.org/whl/cpu for the small CPU build

ensure_venv() {
  local requirements="$1" root venv wanted stamp dev
  root="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)"
  venv="${VENV:-$root/.venv}"
  [[ "$venv" = /* ]] || venv="$PWD/$venv"  # the scripts change folders before they run it
  VENV_PYTHON="$venv/bin/python"
  wanted="$(cat "$root/requirements.txt" "$root/$requirements" | cksum)"
  stamp="$venv/.installed-$requirements"
  dev="$(cat "$root/requirements.txt" "$root/requirements-dev.txt" | cksum)"
  if [[ -x "$VENV_PYTHON" && "$(cat "$venv/.installed-requirements-dev.txt" 2>/dev/null)" == "$dev" ]]; then
    return 0  # what the tests need includes what the commands need
  fi
  if [[ -x "$VENV_PYTHON" && -f "$stamp" && "$(cat "$stamp")" == "$wanted" ]]; then
    return 0
  fi
  if [[ ! -x "$VENV_PYTHON" ]]; then
    echo "making $venv with ${PYTHON:-python3}"
    "${PYTHON:-python3}" -c 'import sys; sys.exit(sys.version_info < (3, 10))' || {
      echo "error: Python 3.10 or newer is needed; name one with PYTHON=python3.12" >&2
      return 2
    }
    "${PYTHON:-python3}" -m venv "$venv" || {
      echo "error: ${PYTHON:-python3} cannot make a virtual environment; on Debian or Ubuntu: apt install python3-venv" >&2
      return 2
    }
  fi
  echo "installing $requirements (the first time this takes some minutes)"
  if [[ -n "${TORCH_INDEX_URL:-}" ]]; then
    "$VENV_PYTHON" -m pip install --quiet --disable-pip-version-check --index-url "$TORCH_INDEX_URL" \
      "$(grep -E '^torch==' "$root/requirements.txt")"
  fi
  "$VENV_PYTHON" -m pip install --quiet --disable-pip-version-check -r "$root/$requirements"
  printf '%s\n' "$wanted" > "$stamp"
}
