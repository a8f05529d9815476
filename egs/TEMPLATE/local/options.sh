# shellcheck shell=bash disable=SC2034
# Sourced by ser.sh.

# Its own
corpus=  # what local/data.sh reads: a folder or a file; data/corpus, if it has been made before
classes= # emotions to predict, e.g. "angry happy sad"; all that there are if empty

# Once all options are known, before anything runs.
check_options() { :; }
