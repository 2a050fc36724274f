#!/usr/bin/env bash
# Normal pruning, from a trained pair to a smaller, verified one. From any folder:
#
#   bash scripts/prune.sh                                                  on a drawn data set
#   CFG=my.cfg WEIGHTS=my.weights DATA=my.data bash scripts/prune.sh       your own pair; it is only read
#
# Flags that are added go to prune.py. What can be said of the training, and how long it takes: scripts/strategy.sh.

PERCENT="${PERCENT:-0.6}"          # share of all prunable channels to remove
ROUND="${ROUND:-1}"                # widths are multiples of this; 8 suits most engines

set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/strategy.sh"
prune_with prune.py --percent "$PERCENT" --round "$ROUND" "$@"
