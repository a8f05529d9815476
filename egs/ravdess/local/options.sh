# shellcheck shell=bash disable=SC2034
# Sourced by run.sh: options of ../iemocap/run.sh that this corpus wants. What run.sh is given outranks them.
options=(--folds_by 6) # of 24 actors: each fold holds out two women and two men
options+=(--corpus_name RAVDESS --corpus_lang en --corpus_license cc-by-nc-sa-4.0 --corpus_url https://zenodo.org/records/1188976)
