# shellcheck shell=bash disable=SC2034
# Sourced by ser.sh.

# Its own
corpus=  # a folder with Actor_01 and so on, or Audio_Speech_Actors_01-24.zip; data/corpus, if it has been made before
classes= # emotions to predict, e.g. "angry happy sad"; all that there are if empty

# Once all options are known, before anything runs.
check_options() { :; }
