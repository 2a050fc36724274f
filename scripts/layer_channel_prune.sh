#!/usr/bin/env bash
# Layer and channel pruning, from a trained pair to a smaller, verified one. From any folder:
#
#   bash scripts/layer_channel_prune.sh                                                  on a drawn data set
#   CFG=my.cfg WEIGHTS=my.weights DATA=my.data bash scripts/layer_channel_prune.sh       your own pair; it is only read
#
# Flags that are added go to layer_channel_prune.py. What can be said of the training, and how long it takes: scripts/strategy.sh.

SHORTCUTS="${SHORTCUTS:-8}"        # residual blocks to remove
MIN_BLOCKS="${MIN_BLOCKS:-0}"      # residual blocks to leave in each stage
PERCENT="${PERCENT:-0.6}"          # share of all prunable channels to remove
LAYER_KEEP="${LAYER_KEEP:-0.01}"   # share of each layer's channels kept in any case
ROUND="${ROUND:-1}"                # widths are multiples of this; 8 suits most engines

set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/strategy.sh"
prune_with layer_channel_prune.py --shortcuts "$SHORTCUTS" --min-blocks-per-stage "$MIN_BLOCKS" \
  --global_percent "$PERCENT" --layer_keep "$LAYER_KEEP" --round "$ROUND" "$@"
