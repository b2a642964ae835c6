/* SPDX-License-Identifier: Apache-2.0 */
/* Parsing around large values that are only passed on: they are checked with
 * the rest of the text, but neither taken apart nor written again.
 *
 * The tree is made of a copy of the text in which a number stands for each of
 * them: 24 bits of where it is, 24 bits of how long. */
#include "payload/internal.h"

#include "base/invariant.h"

#define WHERE_BITS 24

void
payload_lift_add(struct payload_lift *l, struct span value)
{
	uint64_t where = (uint64_t)(value.at - l->start);

	buf_add(&l->out, l->rest.at, (size_t)(value.at - l->rest.at));
	buf_add_u64(&l->out, where << WHERE_BITS | value.len);
	l->rest.len -= (size_t)(value.at + value.len - l->rest.at);
	l->rest.at = value.at + value.len;
	l->count++;
}

struct cJSON *
payload_parse_lifted(struct span text, unsigned depth_max, const char *name,
		     size_t *count, struct error *err)
{
	struct payload_lift lift = { .name = span_of(name), .rest = text,
				     .start = text.at };
	bool fits = text.len <= (size_t)1 << WHERE_BITS;
	struct cJSON *p = NULL;

	*count = 0;
	if (payload_scan(text, depth_max, fits ? &lift : NULL, err) == 0) {
		buf_add(&lift.out, lift.rest.at, lift.rest.len);
		if (lift.count > 0 && !lift.off && !lift.out.failed) {
			*count = lift.count;
			text = buf_span(&lift.out);
		}
		p = payload_tree(text, err);
	}
	buf_fini(&lift.out);
	return p;
}

struct span
payload_lifted(const struct cJSON *p, struct span text)
{
	uint64_t v, where, len;

	if (!cJSON_IsNumber(p) || p->valuestring)
		return (struct span){ "", 0 };
	v = (uint64_t)p->valuedouble;
	where = v >> WHERE_BITS;
	len = v & (((uint64_t)1 << WHERE_BITS) - 1);
	INVARIANT(len > 0 && where <= text.len && len <= text.len - where);
	return (struct span){ text.at + where, len };
}
