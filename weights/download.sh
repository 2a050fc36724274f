#!/usr/bin/env bash
# Fetches official Darknet weights (COCO detectors, ImageNet backbones) into this folder.
#
#   weights/download.sh yolov4-tiny yolov4-tiny.conv.29
#
# A file appears under its name only when all of its bytes have come and it starts as a .weights file does. What came
# so far waits in NAME.part; the next run goes on from there.
set -euo pipefail

# name, bytes, addresses (tried in this order). bytes: what the network asks for, 20 + 4 per float; a file of another
# length would not fit the cfg. Their authors publish no checksums.
table() {
  cat <<'TABLE'
yolov3.weights         248007048  https://pjreddie.com/media/files/yolov3.weights https://data.pjreddie.com/files/yolov3.weights
yolov3-spp.weights     252209544  https://pjreddie.com/media/files/yolov3-spp.weights https://data.pjreddie.com/files/yolov3-spp.weights
yolov3-tiny.weights    35434956   https://pjreddie.com/media/files/yolov3-tiny.weights https://data.pjreddie.com/files/yolov3-tiny.weights
yolov4.weights         257717640  https://github.com/AlexeyAB/darknet/releases/download/darknet_yolo_v3_optimal/yolov4.weights
yolov4-tiny.weights    24251276   https://github.com/AlexeyAB/darknet/releases/download/darknet_yolo_v4_pre/yolov4-tiny.weights
yolov4-csp.weights     211944840  https://github.com/AlexeyAB/darknet/releases/download/darknet_yolo_v4_pre/yolov4-csp.weights
yolov7.weights         147898248  https://github.com/AlexeyAB/darknet/releases/download/yolov4/yolov7.weights
yolov7-tiny.weights    24967560   https://github.com/AlexeyAB/darknet/releases/download/yolov4/yolov7-tiny.weights
darknet53.conv.74      162482580  https://pjreddie.com/media/files/darknet53.conv.74 https://data.pjreddie.com/files/darknet53.conv.74
yolov4.conv.137        170038676  https://github.com/AlexeyAB/darknet/releases/download/darknet_yolo_v3_optimal/yolov4.conv.137
yolov4-tiny.conv.29    19789716   https://github.com/AlexeyAB/darknet/releases/download/darknet_yolo_v4_pre/yolov4-tiny.conv.29
TABLE
}

usage() {
  cat <<'USAGE'
usage: weights/download.sh [--to DIR] [--from URL] NAME [NAME ...]
       weights/download.sh --list

  NAME        a file from --list; .weights may be left out: yolov4-tiny
  --to DIR    folder to put the files into (default: the folder of this script)
  --from URL  folder of a mirror, asked instead of the official addresses
  --list      names, bytes and addresses

.weights files hold whole detectors (train or prune from these); .conv.N files hold the first N layers, a backbone
trained on ImageNet (train your own classes from these).

Exit codes: 0 all files are there, 1 a download failed, 2 the command line makes no sense.
USAGE
}

say() { printf '%s\n' "$*" >&2; }

wrong() {
  say "error: $*"
  exit 2
}

length_of() { wc -c <"$1" | tr -d ' '; }

# Every official file has major version 0, so four zero bytes; a web page that says sorry has not.
starts_as_weights() { [ "$(od -An -tx1 -N4 "$1" | tr -d ' \n')" = 00000000 ]; }

fetch() { # address, file that is continued
  if command -v curl >/dev/null; then
    with_curl "$1" "$2" && return 0
    [ $? -eq 33 ] || return 1 # 33: this server cannot continue a file
    rm -f "$2"
    with_curl "$1" "$2"
  elif command -v wget >/dev/null; then
    with_wget "$1" "$2"
  else
    say "error: neither curl nor wget is installed; install one of them"
    exit 1
  fi
}

with_curl() {
  local quiet="--progress-bar"
  [ -t 2 ] || quiet="--silent --show-error"
  # shellcheck disable=SC2086 # two words are meant
  curl $quiet --fail --location --retry 2 --connect-timeout 20 --speed-limit 1 --speed-time 60 \
    --continue-at - --output "$2" "$1"
}

with_wget() {
  local quiet="--quiet --show-progress"
  [ -t 2 ] || quiet="--no-verbose"
  # shellcheck disable=SC2086
  wget $quiet --tries=3 --timeout=60 --continue --output-document="$2" "$1"
}

discard_if_foreign() { # part, bytes
  [ -e "$1" ] || return 0
  local length
  length=$(length_of "$1")
  if [ "$length" -gt "$2" ] || { [ "$length" -ge 4 ] && ! starts_as_weights "$1"; } || [ "$length" -lt 4 ]; then
    rm -f "$1"
  fi
}

complete() { [ -e "$1" ] && [ "$(length_of "$1")" = "$2" ] && starts_as_weights "$1"; }

get() { # name, bytes, addresses
  local name=$1 bytes=$2 file="$folder/$1" part="$folder/$1.part" address
  shift 2
  if [ -e "$file" ]; then
    if complete "$file" "$bytes"; then
      say "$file: is here already"
      return 0
    fi
    say "error: $file: is here, but is not the official file ($bytes bytes); move it away and run again"
    return 1
  fi
  if [ -n "$mirror" ]; then
    set -- "${mirror%/}/$name"
  fi
  for address in "$@"; do
    discard_if_foreign "$part" "$bytes"
    if ! complete "$part" "$bytes"; then
      say "$name: from $address"
      fetch "$address" "$part" || say "$name: that failed"
      discard_if_foreign "$part" "$bytes"
    fi
    if complete "$part" "$bytes"; then
      mv "$part" "$file"
      say "$file: $bytes bytes"
      return 0
    fi
  done
  if [ -e "$part" ]; then
    say "error: $name: $(length_of "$part") of $bytes bytes came; run again to go on from there"
  else
    say "error: $name: could not be downloaded; check the connection, or give a mirror with --from"
  fi
  return 1
}

row_of() { table | awk -v name="$1" '$1 == name || $1 == name ".weights"'; }

folder=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
mirror=
rows=()
while [ $# -gt 0 ]; do
  case $1 in
    -h | --help)
      usage
      exit 0
      ;;
    --list)
      table
      exit 0
      ;;
    --to | --from)
      [ $# -ge 2 ] || wrong "$1 needs a value (see weights/download.sh --help)"
      if [ "$1" = --to ]; then folder=${2%/}; else mirror=$2; fi
      shift
      ;;
    -*) wrong "there is no option $1 (see weights/download.sh --help)" ;;
    *)
      row=$(row_of "$1")
      [ -n "$row" ] || wrong "there are no official weights named $1 (see weights/download.sh --list)"
      rows+=("$row")
      ;;
  esac
  shift
done
[ ${#rows[@]} -gt 0 ] || wrong "no name given (see weights/download.sh --list)"
[ -d "${folder:=/}" ] || wrong "--to $folder: there is no such folder"

failed=0
for row in "${rows[@]}"; do
  read -r -a fields <<<"$row"
  get "${fields[@]}" || failed=1
done
exit $failed
