#!/usr/bin/env bash
# Fetches the Oxford (VGG) hand data set from its authors and makes data/hand/hand.data of it.
set -euo pipefail
# shellcheck source=data/fetch.sh
source "$(dirname "${BASH_SOURCE[0]}")/fetch.sh"

usage() {
  cat <<'USAGE'
usage: data/get_oxford_hand.sh [--to DIR] [--from URL] [--keep]

The hand data set of the Visual Geometry Group: one class, about 5600 images; training and validation images to train,
test images to validate. Originals go to DIR/raw/hand_dataset, lists, labels and hand.data to DIR/hand.
USAGE
  shared_usage
}

parse_options "$@"
[ ${#rest[@]} -eq 0 ] || wrong "there is no option ${rest[0]}"

need_python
"$VENV_PYTHON" -c 'import scipy' 2>/dev/null || "$VENV_PYTHON" -m pip install --quiet scipy ||
  fail "scipy, which reads the MATLAB files of this data set, could not be installed"
get http://www.robots.ox.ac.uk/~vgg/data/hands/downloads/hand_dataset.tar.gz "$to/raw"
"$VENV_PYTHON" "$root/data/convert_oxford_hand.py" "$to/raw/hand_dataset" --out "$to/hand"
