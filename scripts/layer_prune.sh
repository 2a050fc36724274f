#!/usr/bin/env bash
# Layer pruning, from a trained pair to a smaller, verified one. From any folder:
#
#   bash scripts/layer_prune.sh                                                  on a drawn data set
#   CFG=my.cfg WEIGHTS=my.weights DATA=my.data bash scripts/layer_prune.sh       your own pair; it is only read
#
# Flags that are added go to layer_prune.py. What can be said of the training, and how long it takes: scripts/strategy.sh.

SHORTCUTS="${SHORTCUTS:-8}"        # residual blocks to remove
MIN_BLOCKS="${MIN_BLOCKS:-0}"      # residual blocks to leave in each stage

set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/strategy.sh"
prune_with layer_prune.py --shortcuts "$SHORTCUTS" --min-blocks-per-stage "$MIN_BLOCKS" "$@"
