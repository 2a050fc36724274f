#!/usr/bin/env bash
# From nothing to a smaller, verified pair of .cfg and .weights, in one command and from any folder:
#
#   bash scripts/quickstart.sh
#       the whole way on a drawn data set: train, train with sparsity, prune, fine-tune, verify, compare
#   CFG=my.cfg WEIGHTS=my.weights DATA=my.data bash scripts/quickstart.sh
#       your own pair; it is only read
#
# Everything is written into output/quickstart, in place of what an earlier run left there; your pair goes to
# output/quickstart/yours.

PERCENT="${PERCENT:-0.6}"          # share of all prunable channels to remove
LAYER_KEEP="${LAYER_KEEP:-0.01}"   # share of each layer's channels kept in any case
ROUND="${ROUND:-1}"                # widths are multiples of this; 8 suits most engines
ARCHITECTURE="${ARCHITECTURE:-yolov3-tiny}"  # of the demo network, see `python make_cfg.py --list`
WIDTH_MULTIPLE="${WIDTH_MULTIPLE:-0.25}"     # of its filters
source "$(dirname "${BASH_SOURCE[0]}")/demo.sh"  # SIZE, IMAGES, EPOCHS, TUNE_EPOCHS, SPARSITY, SEED of the demo

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

if (( given == 0 )); then
  cd "$root"
  rm -rf "$out"/{demo,demo.cfg,baseline,sparse,pruned,tuned}
  mkdir -p "$out"
  DATA="$out/demo/demo.data"
  step "a drawn data set" data/draw_demo.py --out "$out/demo" --images "$IMAGES" --seed "$SEED"
  CFG="$out/demo.cfg"
  step "a small network for it" make_cfg.py "$ARCHITECTURE" --anchors-from "$DATA" --width "$SIZE" \
    --width-multiple "$WIDTH_MULTIPLE" --seed "$SEED" -o "$CFG"
  train_step "train it" "$CFG" "" "$EPOCHS" "$out/baseline" --adam --lr0 0.001
  train_step "train it with sparsity: batch-norm scales are pressed towards 0" "$CFG" "$out/baseline/last.weights" "$EPOCHS" \
    "$out/sparse" --lr0 0.02 -sr --s auto --target-sparsity "$SPARSITY"
  WEIGHTS="$out/sparse/last.weights"
else
  pruned="$root/$out/yours"
  mkdir -p "$pruned"
fi

# from the caller's folder, because the paths in a .data file may be meant from there
if (( given )); then cd "$called_from"; fi
step "prune, verify and measure" "$root/slim_prune.py" --cfg "$CFG" --weights "$WEIGHTS" --data "$DATA" \
  --global_percent "$PERCENT" --layer_keep "$LAYER_KEEP" --round "$ROUND" --out "$pruned"

if (( given == 0 )); then
  smaller=("$pruned"/*.cfg "$pruned"/*.weights)
  train_step "fine-tune the smaller network" "${smaller[0]}" "${smaller[1]}" "$TUNE_EPOCHS" "$out/tuned" --adam --lr0 0.0005
  tuned=("$out"/tuned/*.cfg "$out/tuned/last.weights")
  step "does OpenCV compute the same from the two files?" verify.py --cfg "${tuned[0]}" --weights "${tuned[1]}"
  step "all of them" compare.py --data "$DATA" \
    "baseline=$CFG,$out/baseline/last.weights" "sparse=$CFG,$out/sparse/last.weights" \
    "pruned=${smaller[0]},${smaller[1]}" "fine-tuned=${tuned[0]},${tuned[1]}"
fi

echo
echo "the smaller pair is in $pruned:"
ls -l "$pruned"
