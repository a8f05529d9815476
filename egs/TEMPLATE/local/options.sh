# shellcheck shell=bash disable=SC2034
# Sourced by run.sh: options of ../iemocap/run.sh that this corpus wants. What run.sh is given outranks them.
options=(--folds_by session)
# What results and model cards say of the corpus; of what is empty they say that it is not stated.
options+=(
    --corpus_name ""    # what it is called
    --corpus_lang ""    # its languages: en, or "en pt-BR"
    --corpus_license "" # its licence: cc-by-4.0, or a name
    --corpus_url ""     # where it is described
)
