# shellcheck shell=bash disable=SC2034
# Sourced by run.sh: options of ../iemocap/run.sh that this corpus wants. What run.sh is given outranks them.
options=(--folds_by 6) # of 24 actors: each fold holds out two women and two men
