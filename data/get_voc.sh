#!/usr/bin/env bash
# Fetches Pascal VOC 2007 and 2012 from their authors and makes data/voc/voc.data of them.
set -euo pipefail
# shellcheck source=data/fetch.sh
source "$(dirname "${BASH_SOURCE[0]}")/fetch.sh"

usage() {
  cat <<'USAGE'
usage: data/get_voc.sh [--2007] [--to DIR] [--from URL] [--keep]

Pascal VOC, 20 classes, split as in most papers: train on trainval of 2007 and 2012 (16551 images), validate on test of
2007 (4952 images). Originals (3 GB) go to DIR/raw/voc, lists, labels and voc.data to DIR/voc.

  --2007      train on 2007 only (5011 images, 1 GB in all)
USAGE
  shared_usage
}

parse_options "$@"
years=(VOC2007 VOC2012)
for word in "${rest[@]+"${rest[@]}"}"; do
  [ "$word" = --2007 ] || wrong "there is no option $word"
  years=(VOC2007)
done

need_python
raw="$to/raw/voc"
site=http://host.robots.ox.ac.uk/pascal/VOC
get "$site/voc2007/VOCtrainval_06-Nov-2007.tar" "$raw"
get "$site/voc2007/VOCtest_06-Nov-2007.tar" "$raw"
if [ "${#years[@]}" -gt 1 ]; then
  get "$site/voc2012/VOCtrainval_11-May-2012.tar" "$raw"
fi
"$VENV_PYTHON" "$root/data/convert_voc.py" "${years[@]/#/$raw/VOCdevkit/}" --train trainval --valid test \
  --names "$root/data/voc.names" --out "$to/voc"
