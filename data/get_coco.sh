#!/usr/bin/env bash
# Fetches COCO 2017 from its authors and makes data/coco/coco.data of it.
set -euo pipefail
# shellcheck source=data/fetch.sh
source "$(dirname "${BASH_SOURCE[0]}")/fetch.sh"

usage() {
  cat <<'USAGE'
usage: data/get_coco.sh [--val-only] [--to DIR] [--from URL] [--keep]

COCO 2017: 118287 images to train (19 GB), 5000 to validate (1 GB), 80 classes, named as Darknet's models name them.
Originals go to DIR/raw/coco, lists, labels and coco.data to DIR/coco.

  --val-only  only the 5000 validation images: enough to evaluate, prune and verify
USAGE
  shared_usage
}

parse_options "$@"
val_only=
for word in "${rest[@]+"${rest[@]}"}"; do
  [ "$word" = --val-only ] || wrong "there is no option $word"
  val_only=yes
done

need_python
raw="$to/raw/coco"
site=http://images.cocodataset.org
get "$site/annotations/annotations_trainval2017.zip" "$raw"
get "$site/zips/val2017.zip" "$raw"
valid=("$raw/annotations/instances_val2017.json" "$raw/val2017")
if [ -n "$val_only" ]; then
  parts=(--train "${valid[@]}")
else
  get "$site/zips/train2017.zip" "$raw"
  parts=(--train "$raw/annotations/instances_train2017.json" "$raw/train2017" --valid "${valid[@]}")
fi
"$VENV_PYTHON" "$root/data/convert_coco.py" "${parts[@]}" --names "$root/data/coco.names" --out "$to/coco"
