#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# publish.sh URL TYPE JSON: one event, and the bus's answer.
exec nngcat --req --dial "$1" --recv-timeout 10 --raw \
	--data '{"op":"publish","type":"'"$2"'","data":'"$3"'}'
