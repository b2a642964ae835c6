/* SPDX-License-Identifier: Apache-2.0 */
/* Where rules are, and why, for the status. */
#include "base/clock.h"
#include "proxy/promotion_internal.h"

static void
write_who(const struct promotion_state *s, struct json *out)
{
	char time[CLOCK_RFC3339_SIZE];

	json_key(out, "moved_by");
	json_str(out, s && s->placed ? promotion_by_word(s->by) : NULL);
	json_key(out, "moved_at");
	json_str(out, s && s->since_us ? clock_rfc3339(s->since_us, time) :
					 NULL);
	json_key(out, "operator");
	json_str(out, s && *s->operator ? s->operator : NULL);
	json_key(out, "reason");
	json_str(out, s && *s->reason ? s->reason : NULL);
}

void
promotion_status_rule(struct promotion *p, const struct rules_rule *rule,
		      struct json *out)
{
	const struct promotion_row *row;
	const struct promotion_state *s;
	struct rules_place file = { rule->stage, rule->share_ppm };

	json_key(out, "target_share");
	json_double(out, (double)place_share(rules_place(rule)) /
				 RULES_SHARE_ALL);
	json_key(out, "file");
	promotion_write_place(out, file);
	pthread_mutex_lock(&p->lock);
	row = promotion_find(p, rule->name);
	s = row ? &row->state : NULL;
	write_who(s, out);
	json_key(out, "held");
	json_bool(out, s && s->held);
	json_key(out, "killed");
	json_bool(out, p->all_killed || (s && s->killed));
	json_key(out, "unsaved");
	json_bool(out, row && row->unsaved);
	pthread_mutex_unlock(&p->lock);
}

bool
promotion_all_killed(struct promotion *p)
{
	bool killed;

	pthread_mutex_lock(&p->lock);
	killed = p->all_killed;
	pthread_mutex_unlock(&p->lock);
	return killed;
}

const char *
promotion_warns(struct promotion *p)
{
	const struct promotion_row *row;
	const char *words = NULL;

	pthread_mutex_lock(&p->lock);
	for (row = p->rows; row; row = row->next)
		if (row->state.killed)
			words = "the kill-switch has rules on the legacy";
	if (p->all_killed)
		words = "the kill-switch has everything on the legacy";
	pthread_mutex_unlock(&p->lock);
	return words;
}
