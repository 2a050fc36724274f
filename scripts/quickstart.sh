#!/usr/bin/env bash
# From nothing to a smaller, verified pair of .cfg and .weights, in one command and from any folder:
#
#   bash scripts/quickstart.sh
#       a small network on a drawn data set. There is no training yet, so its weights are initial ones: the mAP stays 0,
#       and what you see is the way, the sizes, the speed and the verification.
#   CFG=my.cfg WEIGHTS=my.weights DATA=my.data bash scripts/quickstart.sh
#       your own pair; it is only read
#
# Everything is written into output/quickstart, in place of what an earlier run left there; your pair goes to
# output/quickstart/yours.

PERCENT="${PERCENT:-0.5}"          # share of all prunable channels to remove
LAYER_KEEP="${LAYER_KEEP:-0.01}"   # share of each layer's channels kept in any case
ROUND="${ROUND:-1}"                # widths are multiples of this; 8 suits most engines
ARCHITECTURE="${ARCHITECTURE:-yolov4-tiny}"  # of the demo network, see `python make_cfg.py --list`
WIDTH_MULTIPLE="${WIDTH_MULTIPLE:-0.5}"      # of its filters
SIZE="${SIZE:-160}"                # its input, pixels
IMAGES="${IMAGES:-60}"             # images of the demo data set
SEED="${SEED:-0}"

set -euo pipefail
called_from="$PWD"
root="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)"
out="output/quickstart"
pruned="$root/$out/pruned"

given=0
for name in CFG WEIGHTS DATA; do
  if [[ -n "${!name:-}" ]]; then
    given=$((given + 1))
    [[ "${!name}" = /* ]] || printf -v "$name" '%s' "$called_from/${!name}"
    [[ -f "${!name}" ]] || { echo "error: $name=${!name} does not exist" >&2; exit 2; }
  fi
done
if (( given != 0 && given != 3 )); then
  echo "error: give all of CFG=, WEIGHTS= and DATA=, or none of them" >&2
  exit 2
fi

source "$root/scripts/venv.sh"
ensure_venv requirements.txt

step() { echo; echo "== $1"; shift; echo "\$ python $*"; "$VENV_PYTHON" "$@"; }

if (( given == 0 )); then
  cd "$root"
  rm -rf "$out/demo" "$out/demo.cfg" "$out/demo.weights" "$out/pruned"
  mkdir -p "$out"
  CFG="$out/demo.cfg" WEIGHTS="$out/demo.weights" DATA="$out/demo/demo.data"
  step "a drawn data set" data/draw_demo.py --out "$out/demo" --images "$IMAGES" --seed "$SEED"
  step "a small network for it" make_cfg.py "$ARCHITECTURE" --anchors-from "$DATA" --width "$SIZE" \
    --width-multiple "$WIDTH_MULTIPLE" --seed "$SEED" -o "$CFG"
  step "initial weights, in the place of a training" -m utils.cli.init_weights --cfg "$CFG" --gamma-spread 0.9 \
    --seed "$SEED" -o "$WEIGHTS"
else
  pruned="$root/$out/yours"
  mkdir -p "$pruned"
fi

# from the caller's folder, because the paths in a .data file may be meant from there
if (( given )); then cd "$called_from"; fi
step "prune, verify and measure" "$root/slim_prune.py" --cfg "$CFG" --weights "$WEIGHTS" --data "$DATA" \
  --global_percent "$PERCENT" --layer_keep "$LAYER_KEEP" --round "$ROUND" --out "$pruned"

echo
echo "the smaller pair is in $pruned:"
ls -l "$pruned"
