/* SPDX-License-Identifier: Apache-2.0 */
/* Where the rules of a running process are, put on a set of its file. */
#include "console/places.h"

#include <math.h>
#include <string.h>

#include "console/ask.h"
#include "payload/payload.h"

static bool
stage_of(const char *word, enum rules_stage *out)
{
	for (unsigned i = 0; i < RULES_STAGE_COUNT; i++) {
		if (strcmp(word, rules_stage_name((enum rules_stage)i)) != 0)
			continue;
		*out = (enum rules_stage)i;
		return true;
	}
	return false;
}

static void
move_one(struct rules *rules, const struct cJSON *row)
{
	const char *name = payload_string(payload_member(row, "name"), "");
	const char *stage = payload_string(payload_member(row, "stage"), "");
	double share = payload_number(payload_member(row, "share"), 0);
	struct rules_rule *rule = rules_find(rules, name);
	struct rules_place place;

	if (!rule || !stage_of(stage, &place.stage) || !(share >= 0) ||
	    share > 1)
		return;
	place.share_ppm = (uint32_t)lround(share * RULES_SHARE_ALL);
	if (place.stage != rule->stage || place.share_ppm != rule->share_ppm)
		rules_move(rule, place);
}

int
places_apply(const struct command_call *call, struct rules *rules,
	     struct error *err)
{
	struct ask_reply r CLEANUP(ask_reply_fini) = { 0 };
	struct cJSON *tree CLEANUP(payload_free) = NULL;
	const struct cJSON *row;

	if (ask(call, &(struct ask){ .path = "/status" }, &r, err))
		return -1;
	tree = payload_parse(buf_span(&r.body), err);
	row = payload_at(tree, "/rules/list");
	if (r.status != 200 || !row)
		return error_set(err, "the admin listener answered with "
				 "status %d", r.status);
	for (row = payload_first(row); row; row = payload_next(row))
		move_one(rules, row);
	return 0;
}
