# shellcheck shell=bash
# Sourced by the scripts of the pruning strategies: sparsify, prune, fine-tune, verify, compare.
#
#   prune_with COMMAND.py [FLAGS]     # the strategy's command and its own flags; with --help what the script says at its top
#
# Without CFG=, WEIGHTS= and DATA= all starts from a drawn data set and a small network that is trained on it first, which
# later runs find in output/demo and use again. Results take the place of what an earlier run left there. All of it took 16
# minutes on two cores that had other work, 11 of computing; EPOCHS=6 TUNE_EPOCHS=3 IMAGES=60 shows the way in 2, and no more.

CFG="${CFG:-}"; WEIGHTS="${WEIGHTS:-}"; DATA="${DATA:-}"   # a trained pair of yours and its data; all three or none
OUT="${OUT:-}"                              # folder for the results (default: output/<command> in the checkout)
ARCHITECTURE="${ARCHITECTURE:-yolov3}"      # of the demo network; one with shortcuts, see `python make_cfg.py --list`
WIDTH_MULTIPLE="${WIDTH_MULTIPLE:-0.125}"   # of its filters
source "$(dirname "${BASH_SOURCE[0]}")/demo.sh"  # SIZE, IMAGES, EPOCHS, TUNE_EPOCHS, SPARSITY, SEED

start_from_the_demo() {
  local demo="$root/output/demo/$ARCHITECTURE-$WIDTH_MULTIPLE-$SIZE-$IMAGES-$EPOCHS-$SEED"
  CFG="$demo/demo.cfg"; WEIGHTS="$demo/baseline/last.weights"; DATA="$demo/set/demo.data"
  [[ -f "$demo/trained" ]] && return
  rm -rf "$demo"
  mkdir -p "$demo"
  step "a drawn data set" "$root/data/draw_demo.py" --out "$demo/set" --images "$IMAGES" --seed "$SEED"
  step "a small network for it" "$root/make_cfg.py" "$ARCHITECTURE" --anchors-from "$DATA" --width "$SIZE" \
    --width-multiple "$WIDTH_MULTIPLE" --seed "$SEED" -o "$CFG"
  train_step "train it" "$CFG" "" "$EPOCHS" "$demo/baseline" --adam --lr0 0.001
  touch "$demo/trained"
}

prune_with() {
  local command="$1" root out smaller tuned given name folder word
  shift
  for word in "$@"; do
    if [[ "$word" = -h || "$word" = --help ]]; then
      sed -n '2,/^set /{/^set /d;s/^# \{0,1\}//;p;}' "$0"
      return
    fi
  done
  root="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)"
  out="${OUT:-$root/output/${command%.py}}"
  [[ "$out" = /* ]] || out="$PWD/$out"
  given="${CFG:+1}${WEIGHTS:+1}${DATA:+1}"
  if [[ -n "$given" && "$given" != 111 ]]; then
    echo "error: give all of CFG=, WEIGHTS= and DATA=, or none of them" >&2
    return 2
  fi
  for name in ${given:+CFG WEIGHTS DATA}; do
    [[ -f "${!name}" ]] || { echo "error: $name=${!name} does not exist" >&2; return 2; }
    folder="$(cd "$(dirname "${!name}")" && pwd -P)"
    if [[ -d "$out" && "$folder/" = "$(cd "$out" && pwd -P)"/* ]]; then
      echo "error: $name=${!name} lies in $out, which is emptied first; name another folder with OUT=" >&2
      return 2
    fi
  done
  source "$root/scripts/venv.sh"
  ensure_venv requirements.txt
  # a mistyped flag is told now, and not after the training
  PYTHONPATH="$root" "$VENV_PYTHON" -c "import sys, ${command%.py} as it; it.make_parser().parse_args(sys.argv[1:])" \
    --cfg . --weights . "$@" > /dev/null
  if [[ -z "$given" ]]; then
    cd "$root" || return  # the paths in the demo's .data are meant from there
    start_from_the_demo
  fi
  rm -rf "$out"/{sparse,pruned,tuned}
  train_step "train it with sparsity: batch-norm scales are pressed towards 0" "$CFG" "$WEIGHTS" "$EPOCHS" \
    "$out/sparse" --lr0 0.02 -sr --s auto --prune 1 --target-sparsity "$SPARSITY"
  step "prune, verify and measure" "$root/$command" --cfg "$CFG" --weights "$out/sparse/last.weights" --data "$DATA" \
    --out "$out/pruned" --report "$@"
  smaller=("$out"/pruned/*.cfg "$out"/pruned/*.weights)
  train_step "fine-tune the smaller network" "${smaller[0]}" "${smaller[1]}" "$TUNE_EPOCHS" "$out/tuned" \
    --adam --lr0 0.0005
  tuned=("$out"/tuned/*.cfg "$out/tuned/last.weights")
  step "does OpenCV compute the same from the two files?" "$root/verify.py" --cfg "${tuned[0]}" --weights "${tuned[1]}"
  step "all of them" "$root/compare.py" --data "$DATA" "before=$CFG,$WEIGHTS" "sparse=$CFG,$out/sparse/last.weights" \
    "pruned=${smaller[0]},${smaller[1]}" "fine-tuned=${tuned[0]},${tuned[1]}"
  echo
  echo "the smaller pair is ${tuned[0]} and ${tuned[1]}"
  echo "what the cut did: $(echo "$out"/pruned/*.html)"
}
