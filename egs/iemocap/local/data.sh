#!/usr/bin/env bash
# Stage 1: data directories and folds from a release of IEMOCAP (--iemocap). The options are those of espnet-ser prepare.
set -euo pipefail

exec python3 -m espnet_ser prepare "$@"
