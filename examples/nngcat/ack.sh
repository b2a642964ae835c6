#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# ack.sh URL GROUP SEQUENCE: the event is done.
exec nngcat --req --dial "$1" --recv-timeout 10 --raw \
	--data '{"op":"ack","group":"'"$2"'","consumer":"by-hand",
	"sequence":'"$3"'}'
