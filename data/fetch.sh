# Sourced by data/get_*.sh: downloads that go on where they stopped, archives that are unpacked once, and the options
# that these scripts share. Sets `root` (the checkout), `to`, `mirror` and `keep`; `rest` is what is left of the options.

root="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)"
to="$root/data"
mirror=
keep=
rest=()

say() { printf '%s\n' "$*" >&2; }

fail() {
  say "error: $*"
  exit 1
}

wrong() {
  say "error: $* (see $0 --help)"
  exit 2
}

shared_usage() {
  cat <<'USAGE'
  --to DIR    folder for everything (default: data/ of this checkout)
  --from URL  folder of a mirror with the same file names, asked instead of the official addresses
  --keep      keep the archives after they were unpacked

A download that breaks off goes on from there when the script is run again; what is done is not done twice.
Exit codes: 0 done, 1 a download or archive failed, 2 the command line or the data makes no sense.
USAGE
}

parse_options() { # the script's words
  while [ $# -gt 0 ]; do
    case $1 in
      -h | --help)
        usage
        exit 0
        ;;
      --keep) keep=yes ;;
      --to | --from)
        [ $# -ge 2 ] || wrong "$1 needs a value"
        if [ "$1" = --to ]; then to=$2; else mirror=${2%/}; fi
        shift
        ;;
      *) rest+=("$1") ;;
    esac
    shift
  done
  mkdir -p "$to" || exit 2
  to="$(cd "$to" && pwd)"
}

get() { # address, folder: download and unpack there, unless that was done
  local address=$1 folder=$2 name stamp part
  name="${address##*/}"
  stamp="$folder/.$name.unpacked"
  [ -e "$stamp" ] && return 0
  mkdir -p "$folder"
  if [ ! -e "$folder/$name" ]; then
    part="$folder/$name.part"
    say "$name: from ${mirror:-${address%/*}}"
    fetch "${mirror:+$mirror/$name}" "$address" "$part" || listed "$part" ||
      fail "$name could not be downloaded; check the connection and run again, or give a mirror with --from"
    mv "$part" "$folder/$name"
  fi
  say "$name: unpacking into $folder"
  unpack "$folder/$name" "$folder" || {
    rm -f "$folder/$name"
    fail "$name is no whole archive, so it was removed; run again to download it again"
  }
  : >"$stamp"
  [ -n "$keep" ] || rm -f "$folder/$name"
}

fetch() { # mirror's address or nothing, official address, file that is continued
  local address=${1:-$2} part=$3 code=0
  if command -v curl >/dev/null; then
    with_curl "$address" "$part" || code=$?
    if [ $code -eq 33 ]; then # this server cannot continue a file
      rm -f "$part"
      code=0
      with_curl "$address" "$part" || code=$?
    fi
    return $code
  fi
  command -v wget >/dev/null || fail "neither curl nor wget is installed; install one of them"
  with_wget "$address" "$part"
}

with_curl() {
  local quiet=(--progress-bar)
  [ -t 2 ] || quiet=(--silent --show-error)
  curl "${quiet[@]}" --fail --location --retry 2 --connect-timeout 20 --speed-limit 1 --speed-time 60 \
    --continue-at - --output "$2" "$1"
}

with_wget() {
  local quiet=(--quiet --show-progress)
  [ -t 2 ] || quiet=(--no-verbose)
  wget "${quiet[@]}" --tries=3 --timeout=60 --continue --output-document="$2" "$1"
}

listed() { # whether an archive that is called NAME.part is whole, as far as its table of contents tells
  case $1 in
    *.zip.part) "$VENV_PYTHON" -m zipfile -l "$1" >/dev/null 2>&1 ;;
    *) tar -tf "$1" >/dev/null 2>&1 ;;
  esac
}

unpack() { # archive, folder
  case $1 in
    *.zip)
      if command -v unzip >/dev/null; then
        unzip -q -o "$1" -d "$2"
      else
        "$VENV_PYTHON" -m zipfile -e "$1" "$2"
      fi
      ;;
    *) tar -xf "$1" -C "$2" ;;
  esac
}

need_python() { # sets VENV_PYTHON: BONSAI_PYTHON if that is given, else the environment that all scripts share
  if [ -n "${BONSAI_PYTHON:-}" ]; then
    VENV_PYTHON=$BONSAI_PYTHON
    return 0
  fi
  # shellcheck source=scripts/venv.sh
  source "$root/scripts/venv.sh"
  ensure_venv requirements.txt
}
