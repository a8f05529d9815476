# shellcheck shell=bash disable=SC2034
# Sourced by run.sh: options of ../iemocap/run.sh that this corpus wants. What run.sh is given outranks them.
options=(--folds_by session)
