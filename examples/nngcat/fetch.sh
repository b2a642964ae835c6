#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# fetch.sh URL GROUP TYPE: waits up to 5 s for an event of a group.
exec nngcat --req --dial "$1" --recv-timeout 10 --raw \
	--data '{"op":"fetch","group":"'"$2"'","consumer":"by-hand","max":1,
	"wait_ms":5000,"filter":{"type":"'"$3"'"}}'
