/* SPDX-License-Identifier: Apache-2.0 */
/* Idempotency-Key: an Item, so one value, whose parameters mean nothing. */
#include "base/idempotency.h"

static bool
add(struct idempotency_key *key, char c)
{
	if (key->len == IDEMPOTENCY_KEY_MAX || c < ' ' || c > '~')
		return false;
	key->text[key->len++] = c;
	return true;
}

/* What may follow the value: nothing, or parameters. */
static bool
is_end(struct span rest)
{
	rest = span_trim(rest);
	return rest.len == 0 || rest.at[0] == ';';
}

static bool
read_string(struct span s, struct idempotency_key *key)
{
	size_t i = 1;

	for (; i < s.len && s.at[i] != '"'; i++) {
		if (s.at[i] == '\\') {
			i++;
			if (i == s.len || (s.at[i] != '"' && s.at[i] != '\\'))
				return false;
		}
		if (!add(key, s.at[i]))
			return false;
	}
	return i < s.len &&
	       is_end((struct span){ s.at + i + 1, s.len - i - 1 });
}

static bool
read_bare(struct span s, struct idempotency_key *key)
{
	size_t i = 0;

	for (; i < s.len && s.at[i] != ';' && !span_is_ows(s.at[i]); i++)
		if (strchr("\",\\", s.at[i]) || !add(key, s.at[i]))
			return false;
	return is_end((struct span){ s.at + i, s.len - i });
}

enum idempotency_field
idempotency_read(struct message_fields fields, struct idempotency_key *out)
{
	const struct message_field *found = NULL;
	bool good;

	out->len = 0;
	for (size_t i = 0; i < fields.count; i++) {
		if (!span_is_nocase(fields.at[i].name, "idempotency-key"))
			continue;
		if (found)
			return IDEMPOTENCY_MALFORMED;
		found = &fields.at[i];
	}
	if (!found)
		return IDEMPOTENCY_ABSENT;
	good = found->value.len > 0 && found->value.at[0] == '"' ?
		       read_string(found->value, out) :
		       read_bare(found->value, out);
	return good && out->len > 0 ? IDEMPOTENCY_GIVEN :
				      IDEMPOTENCY_MALFORMED;
}
