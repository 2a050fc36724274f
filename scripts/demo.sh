# shellcheck shell=bash
# Sourced by quickstart.sh and strategy.sh: the demo's numbers, and how its networks are trained. Callers set what differs
# before, and $root, $DATA and $VENV_PYTHON before a step.

SIZE="${SIZE:-160}"                         # its input, pixels
IMAGES="${IMAGES:-240}"                     # images of the demo data set
EPOCHS="${EPOCHS:-30}"                      # of the training, and of the training with sparsity
TUNE_EPOCHS="${TUNE_EPOCHS:-15}"            # of the fine-tuning
SPARSITY="${SPARSITY:-0.7}"                 # share of the batch-norm scales that shall end near 0
SEED="${SEED:-0}"
TRAINING=(--batch-size 8 --accumulate 1 --schedule cosine --hyp giou=10 obj_pw=1 --cache-images --test-every 5 --seed "$SEED")

step() { echo; echo "== $1"; shift; echo "\$ python $*"; "$VENV_PYTHON" -u "$@"; }

train_step() {  # TITLE CFG WEIGHTS EPOCHS FOLDER, and more flags
  local title="$1" cfg="$2" weights="$3" epochs="$4" folder="$5"
  shift 5
  # shellcheck disable=SC2154  # callers set root
  step "$title" "$root/train.py" --cfg "$cfg" ${weights:+--weights "$weights"} --data "$DATA" --out "$folder" \
    --epochs "$epochs" "${TRAINING[@]}" "$@"
}
