# shellcheck shell=bash disable=SC2034
# Sourced by ser.sh.

# Its own
iemocap=          # the corpus; or IEMOCAP= in the environment or in db.sh
check_counts=auto # compare with the published counts: auto (if the release looks full), full, partial

# Once all options are known, before anything runs.
check_options() {
    # shellcheck source=egs/iemocap/db.sh
    . ./db.sh
    iemocap=${iemocap:-${IEMOCAP}}
    if stage_on 1 && [[ -z ${iemocap} ]]; then
        fail "where is the corpus? Give --iemocap DIR, or set IEMOCAP in the environment or in db.sh. IEMOCAP is free for" \
            "research on request: https://sail.usc.edu/iemocap/. Without it, ../mini_iemocap/run.sh runs the same recipe on" \
            "speech that it makes itself."
    fi
    iemocap=$(from_caller "${iemocap}")
}
