#!/usr/bin/env bash
# From nothing to smaller, verified pairs of .cfg and .weights, in one command and from any folder:
#
#   bash scripts/quickstart.sh            the whole way on a drawn data set, some minutes on two cores
#   bash scripts/quickstart.sh --quick    the same way with few images and epochs: how it goes, not how well
#   bash scripts/quickstart.sh --fresh    anew, where the same command would go on with what is there
#   CFG=my.cfg WEIGHTS=my.weights DATA=my.data bash scripts/quickstart.sh
#                                         your own pair, cut once; it is only read
#
# Everything is written into output/quickstart (--quick: output/quickstart-quick; your own pair: output/quickstart/yours) or
# into OUT=FOLDER, and nothing outside the checkout. The environment .venv is made where there is none.

PERCENT="${PERCENT:-0.6}"          # share of all prunable channels to remove
LAYER_KEEP="${LAYER_KEEP:-0.01}"   # share of each layer's channels kept in any case
BLOCKS="${BLOCKS:-3}"              # residual blocks to remove, of the 8 of the demo network
ROUND="${ROUND:-1}"                # widths are multiples of this; 8 suits most engines
TIMES="${TIMES:-4x}"               # how many times smaller without training

set -euo pipefail
called_from="$PWD"
root="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)"
quick="" fresh=""
for word in "$@"; do
  case "$word" in
    --quick) quick=yes ;;
    --fresh) fresh=yes ;;
    -h | --help) sed -n '2,/^$/s/^# \{0,1\}//p' "${BASH_SOURCE[0]}"; exit 0 ;;
    *) echo "error: $word is no flag of this script; there are --quick, --fresh and --help" >&2; exit 2 ;;
  esac
done

out="${OUT:-output/quickstart${quick:+-quick}}"  # in the checkout; a folder of the caller's is meant from there
[[ -z "${OUT:-}" || "$out" = /* ]] || out="$called_from/$out"

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

# what packages would keep in the home folder, and in /tmp while they run, stays here
mkdir -p "$root/output/cache/tmp"
(( ${#root} > 50 )) || export TMPDIR="$root/output/cache/tmp"  # sockets lie there, whose paths must be short
export XDG_CACHE_HOME="$root/output/cache" XDG_CONFIG_HOME="$root/output/cache" MPLCONFIGDIR="$root/output/cache/matplotlib"
export PIP_CACHE_DIR="$root/output/cache/pip" TORCH_HOME="$root/output/cache/torch"
export RUSTUP_HOME="$root/output/cache/rustup"  # pip asks rustc which version it is, and that one may keep settings

# shellcheck source=scripts/venv.sh
source "$root/scripts/venv.sh"
ensure_venv requirements.txt

if (( given )); then
  # from the caller's folder, because the paths in a .data file may be meant from there
  [[ -n "${OUT:-}" ]] || out="$root/output/quickstart/yours"
  mkdir -p "$out"
  # shellcheck disable=SC2153  # these come from the environment
  "$VENV_PYTHON" -u "$root/slim_prune.py" --cfg "$CFG" --weights "$WEIGHTS" --data "$DATA" --global_percent "$PERCENT" \
    --layer_keep "$LAYER_KEEP" --round "$ROUND" --out "$out" --report
  exit 0
fi

cd "$root"
source scripts/story.sh
if [[ -n "$quick" ]]; then
  IMAGES="${IMAGES:-64}" EPOCHS="${EPOCHS:-5}" TUNE_EPOCHS="${TUNE_EPOCHS:-3}" CALIBRATION="${CALIBRATION:-32}"
  STRENGTH="${STRENGTH:-0.06}" ROUNDS="${ROUNDS:-1}"
else
  IMAGES="${IMAGES:-240}" EPOCHS="${EPOCHS:-25}" TUNE_EPOCHS="${TUNE_EPOCHS:-15}" CALIBRATION="${CALIBRATION:-64}"
  STRENGTH="${STRENGTH:-0.01}" ROUNDS="${ROUNDS:-auto}"
fi
source scripts/demo.sh
showing=(--report)                            # a page about each cut
[[ -z "$quick" ]] || showing=(--repeats 5)    # takes its time
[[ -z "$fresh" ]] || rm -rf "$out/steps"  # what is remembered of the steps; each makes its folder anew
DATA="$out/shapes/demo.data"
CFG="scripts/demo.cfg"

pair() { local found=("$out/$1"/*.cfg); echo "${found[0]},$(weights "$1")"; }                # CFG,WEIGHTS of a step
weights() { local found=("$out/$1"/*last.weights); echo "${found[0]}"; }
training() { echo $((5 + $1 * IMAGES / 110)); }                                              # seconds of so many epochs

train() {  # NAME SECONDS TITLE CFG WEIGHTS EPOCHS, and more flags
  local name="$1" seconds="$2" title="$3" cfg="$4" weights="$5" epochs="$6"
  shift 6
  tell "$name" "$seconds" "$title" train.py --cfg "$cfg" ${weights:+--weights "$weights"} --data "$DATA" \
    --out "$out/$name" --epochs "$epochs" "${TRAINING[@]}" "$@"
}

prune() {  # COMMAND TITLE, and the strategy's flags
  local command="$1" title="$2"
  shift 2
  tell "${command%.py}" 8 "$title" "$command" --cfg "$CFG" --weights "$(weights sparse)" --data "$DATA" \
    --calibration-images "$CALIBRATION" --out "$out/${command%.py}" "${showing[@]}" "$@"
}

tune() {  # NAME SECONDS TITLE, and more flags
  local name="$1" seconds="$2" title="$3" from
  shift 3
  from="$(pair slim_prune)"
  train "$name" "$seconds" "$title" "${from%,*}" "${from#*,}" "$TUNE_EPOCHS" --adam --lr0 0.001 "$@"
}

story() {
  local pairs name
  tell shapes 2 "Draw a data set: $IMAGES pictures of circles, squares and triangles, with their boxes" \
    data/draw_demo.py --out "$out/shapes" --images "$IMAGES" --seed "$SEED"
  train baseline "$(training "$EPOCHS")" "Train a small detector with 8 residual blocks from scratch, $EPOCHS epochs: the baseline" \
    "$CFG" "" "$EPOCHS" --adam --lr0 0.002
  tell compressed 20 "Compress it $TIMES without any training or labels: what others can stand in for goes, the rest is refitted" \
    compress.py --cfg "$CFG" --weights "$(weights baseline)" --data "$DATA" --target "$TIMES" --rounds "$ROUNDS" \
    --calibration-images "$CALIBRATION" --out "$out/compressed" "${showing[@]}"
  train sparse "$(training "$EPOCHS")" "Train it with sparsity: batch-norm scales that are not needed are pressed towards 0" \
    "$CFG" "$(weights baseline)" "$EPOCHS" --lr0 0.02 -sr --s "$STRENGTH"
  prune prune.py "Cut 1 of 5, prune: channels under one threshold; tied ones go by the largest of them" \
    --percent "$PERCENT" --round "$ROUND"
  prune shortcut_prune.py "Cut 2 of 5, shortcut_prune: the first convolution of a stage decides for all that are tied to it" \
    --percent "$PERCENT" --round "$ROUND"
  prune slim_prune.py "Cut 3 of 5, slim_prune: a tied channel stays if any of its ties does; each layer keeps a share" \
    --global_percent "$PERCENT" --layer_keep "$LAYER_KEEP" --round "$ROUND"
  prune layer_prune.py "Cut 4 of 5, layer_prune: $BLOCKS of 8 residual blocks go whole: faster rather than smaller" \
    --shortcuts "$BLOCKS"
  prune layer_channel_prune.py "Cut 5 of 5, layer_channel_prune: channels as slim_prune, then residual blocks" \
    --shortcuts "$BLOCKS" --global_percent "$PERCENT" --layer_keep "$LAYER_KEEP" --round "$ROUND"
  tune fine-tuned "$(training "$TUNE_EPOCHS")" "Fine-tune what slim_prune left, $TUNE_EPOCHS epochs"
  tune with-teacher "$(training $((TUNE_EPOCHS * 3 / 2)))" \
    "The same with the network before the cut as its teacher" --t_cfg "$CFG" --t_weights "$(weights sparse)" --distill l2,cwd
  pairs=()
  for name in baseline compressed sparse prune shortcut_prune slim_prune layer_prune layer_channel_prune fine-tuned \
    with-teacher; do
    pairs+=("$name=$(pair "$name")")
  done
  tell report 25 "Measure all of them, ask OpenCV whether it computes the same, and write the report" \
    compare.py --data "$DATA" --verify-engines opencv --report "$out/report/report.html" \
    --json "$out/report/figures.json" "${pairs[@]}"
}

place="$out"
[[ "$place" = /* ]] || place="$root/$out"
begin "$out"
COUNTING=yes
story
COUNTING=""
cat <<TEXT
From a drawn data set to small networks that OpenCV runs, in $STEPS steps; about $(duration "$SECONDS_EXPECTED") to go on two slow cores.
${quick:+--quick: so few images and epochs show how it goes, not how well.}
  the report will lie at  $place/report/report.html
  its picture at          $place/report/report.png
  and in $place:
    shapes/images                         the data set
    */valid_detections.png                what each training's network finds; results.png beside it: how it went
    *prune/*.json, compressed/*.json      what each cut did; without --quick as a page, too: *.html
    steps/*.log                           all that each step said

Stop with Ctrl-C whenever you like: the same command goes on where it stopped; --fresh starts anew.
TEXT
story

echo
sed -n '/^ .*mAP@0\.5/,/^wrote/p' "$out/steps/report.log" | sed '/^wrote/d'
tuned="$(pair fine-tuned)"
cat <<TEXT

The sparse network went on from the baseline, and what was fine-tuned from slim_prune's: their epochs add up.
Latencies are of one image, and mean something only where nothing else runs.

The report: $place/report/report.html

What to do with it
  python detect.py --cfg ${tuned%,*} --weights ${tuned#*,} --data $DATA --source $out/shapes/images --output $out/found
  python verify.py --cfg ${tuned%,*} --weights ${tuned#*,} --engine opencv,onnxruntime

Your own data (python is $VENV_PYTHON)
  python data/convert_voc.py --help     or convert_coco.py: annotations become .txt files and a my.data
  python train.py --arch yolov4-tiny --data my.data --epochs 100
                                        no network yet: make one for your classes and train it
  python compress.py --cfg my.cfg --weights my.weights --images pictures/ --target 4x
                                        you have one: smaller at once, without labels
  CFG=my.cfg WEIGHTS=my.weights DATA=my.data bash scripts/slim_prune.sh
                                        sparsity, cut, fine-tuning and verification; so, too, with the other four
  python compare.py --data my.data --verify-engines opencv --report all.html before=A.cfg,A.weights after=B.cfg,B.weights
                                        a table and a page like these
TEXT
