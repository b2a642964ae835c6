#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Runs a scenario; without Python 3 it is skipped (77), not failed.
if [ -z "$PYTHON3" ]; then
	echo "python3 is missing: skipped"
	exit 77
fi
PYTHONDONTWRITEBYTECODE=1
export PYTHONDONTWRITEBYTECODE
exec "$PYTHON3" "$@"
