# shellcheck shell=bash
# Sourced by the recipe: where the corpus lies. `--iemocap DIR` and IEMOCAP= in the environment come first.
IEMOCAP=${IEMOCAP:-}
