#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# A handler that lasts, as a shell script with jq: it writes the subject of
# each event into the file FILE, and acknowledges it.
#
#     matapalo consume --group notes --exec-persistent './handler.sh FILE'
set -e
while read -r line; do
	id=$(printf '%s\n' "$line" | jq -r .event.id)
	printf '%s\n' "$line" | jq -r .event.subject >>"$1"
	printf '{"id":"%s","ack":true}\n' "$id"
done
