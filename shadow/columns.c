/* SPDX-License-Identifier: Apache-2.0 */
/* The values of all elements of an array at one place: a column. */
#include "shadow/columns.h"

#include <string.h>

#include "shadow/fold.h"

#define TOKEN_MOST 300

struct column {
	uint64_t sum, count;		/* of the values' hashes */
	bool failed;
};

static void
add_value(struct column *c, const struct cJSON *value)
{
	static const uint8_t key[16] = "matapalo columns";
	struct buf text = { 0 };
	uint64_t h;

	payload_write(value, &text);
	c->failed |= text.failed;
	h = digest_hash64(key, buf_str(&text), text.len);
	c->sum += h * (h | 1);
	c->count++;
	buf_fini(&text);
}

static bool
is_named(const struct cJSON *member, struct span token)
{
	struct buf pointer = { 0 };
	char folded[TOKEN_MOST] = "";
	bool same;

	buf_addc(&pointer, '/');
	for (const char *n = payload_name(member); *n; n++)
		if (*n == '~')
			buf_adds(&pointer, "~0");
		else if (*n == '/')
			buf_adds(&pointer, "~1");
		else
			buf_addc(&pointer, *n);
	shadow_fold_pointer(buf_str(&pointer), folded, sizeof(folded));
	same = !pointer.failed && strlen(folded) == token.len + 1 &&
	       memcmp(folded + 1, token.at, token.len) == 0;
	buf_fini(&pointer);
	return same;
}

static void
walk(struct column *c, const struct cJSON *value, const char *folded)
{
	struct span token;
	bool any;

	if (*folded != '/') {
		add_value(c, value);
		return;
	}
	token = (struct span){ folded + 1, strcspn(folded + 1, "/") };
	any = payload_is_array(value) && span_is(token, "*");
	if (!any && !payload_is_object(value))
		return;
	for (const struct cJSON *m = payload_first(value); m;
	     m = payload_next(m))
		if (any || is_named(m, token))
			walk(c, m, token.at + token.len);
}

bool
shadow_columns_agree(const struct cJSON *a, const struct cJSON *b,
		     const char *folded)
{
	struct column x = { 0 }, y = { 0 };

	if (!a || !b || !strstr(folded, "/*"))
		return false;
	walk(&x, a, folded);
	walk(&y, b, folded);
	return !x.failed && !y.failed && x.count > 1 && x.count == y.count &&
	       x.sum == y.sum;
}
