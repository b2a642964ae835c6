/* SPDX-License-Identifier: Apache-2.0 */
/* The result of one comparison, bounded, as an event and back. */
#include "shadow/verdict.h"

#include <string.h>

#include "base/attr.h"

static const char *const names[] = {
#define X(symbol, word, counter) word,
	SHADOW_OUTCOMES(X)
#undef X
};

/* Cuts before a character that does not fit as a whole; what is behind a NUL
 * is shown, too. */
static void
copy_cut(char *out, size_t size, struct span s)
{
	size_t n = s.len < size ? s.len : size - 1;

	while (n > 0 && n < s.len && ((unsigned char)s.at[n] & 0xc0) == 0x80)
		n--;
	memcpy(out, n ? s.at : "", n);
	out[n] = '\0';
	for (char *c = out; c < out + n; c++)
		if (!*c)
			*c = '?';
	if (json_is_utf8(span_of(out)))
		return;
	for (char *c = out; *c; c++)
		if ((unsigned char)*c >= 0x80)
			*c = '?';
}

static void
copy_difference(struct shadow_difference *d, const char *pointer,
		const char *kind, struct span legacy, struct span candidate)
{
	copy_cut(d->pointer, sizeof(d->pointer), span_of(pointer));
	copy_cut(d->kind, sizeof(d->kind), span_of(kind));
	copy_cut(d->legacy, sizeof(d->legacy), legacy);
	copy_cut(d->candidate, sizeof(d->candidate), candidate);
}

void
shadow_verdict_add(struct shadow_verdict *v, const char *pointer,
		   const char *kind, struct span legacy, struct span candidate)
{
	struct shadow_difference d;

	if (!v->sieve && v->count == SHADOW_DIFFERENCES_MAX) {
		v->total++;
		return;
	}
	copy_difference(&d, pointer, kind, legacy, candidate);
	if (v->sieve && v->sieve(v->sieve_arg, &d))
		return;
	v->outcome = SHADOW_DIFFERENCE;
	v->total++;
	if (v->count < SHADOW_DIFFERENCES_MAX)
		v->at[v->count++] = d;
}

void
shadow_verdict_suppress(struct shadow_verdict *v,
			const struct shadow_difference *d, uint64_t disagreed,
			uint64_t pairs)
{
	v->suppressed_total++;
	if (v->suppressed_count < SHADOW_SUPPRESSED_MAX)
		v->suppressed[v->suppressed_count++] =
			(struct shadow_suppressed){ *d, disagreed, pairs };
}

void
shadow_verdict_fail(struct shadow_verdict *v, const char *reason)
{
	v->outcome = SHADOW_FAILED;
	v->total = v->count = 0;
	copy_cut(v->reason, sizeof(v->reason), span_of(reason));
}

static void
write_difference(const struct shadow_difference *d, struct json *out)
{
	json_key(out, "pointer");
	json_str(out, d->pointer);
	json_key(out, "kind");
	json_str(out, d->kind);
	json_key(out, "legacy");
	json_str(out, d->legacy);
	json_key(out, "candidate");
	json_str(out, d->candidate);
}

static void
write_suppressed(const struct shadow_verdict *v, struct json *out)
{
	if (!v->suppressed_total)
		return;
	json_key(out, "suppressed");
	json_array_begin(out);
	for (size_t i = 0; i < v->suppressed_count; i++) {
		json_object_begin(out);
		write_difference(&v->suppressed[i].at, out);
		json_key(out, "disagreed");
		json_u64(out, v->suppressed[i].disagreed);
		json_key(out, "pairs");
		json_u64(out, v->suppressed[i].pairs);
		json_object_end(out);
	}
	json_array_end(out);
	json_key(out, "suppressed_count");
	json_u64(out, v->suppressed_total);
}

static void
write_differences(const struct shadow_verdict *v, struct json *out)
{
	json_key(out, "differences");
	json_array_begin(out);
	for (size_t i = 0; i < v->count; i++) {
		json_object_begin(out);
		write_difference(&v->at[i], out);
		json_object_end(out);
	}
	json_array_end(out);
	json_key(out, "difference_count");
	json_u64(out, v->total);
}

static void
write_exchange(const struct shadow_verdict *v, struct json *out)
{
	if (v->endpoint[0]) {
		json_key(out, "endpoint");
		json_str(out, v->endpoint);
	}
	if (v->exchange_sequence) {
		json_key(out, "exchange_sequence");
		json_i64(out, v->exchange_sequence);
	}
}

static void
write_answer(const struct shadow_verdict *v, struct json *out)
{
	if (!v->has_answer || !v->answer.len)
		return;
	json_key(out, "answer");
	json_raw(out, v->answer);
}

void
shadow_verdict_write(const struct shadow_verdict *v, struct json *out)
{
	json_object_begin(out);
	json_key(out, "rule");
	json_str(out, v->rule);
	json_key(out, "candidate");
	json_str(out, v->candidate);
	write_exchange(v, out);
	json_key(out, "verdict");
	json_str(out, names[v->outcome]);
	if (v->outcome == SHADOW_FAILED) {
		json_key(out, "reason");
		json_str(out, v->reason);
	}
	write_differences(v, out);
	write_suppressed(v, out);
	json_key(out, "latency");
	json_object_begin(out);
	json_key(out, "legacy_us");
	json_u64(out, v->legacy_us);
	json_key(out, "candidate_us");
	json_u64(out, v->candidate_us);
	json_object_end(out);
	write_answer(v, out);
	json_object_end(out);
}

static struct span
member_text(const struct cJSON *object, const char *name)
{
	return span_of(payload_string(payload_member(object, name), ""));
}

static void
read_differences(const struct cJSON *tree, struct shadow_verdict *v)
{
	const struct cJSON *list = payload_member(tree, "differences");

	for (const struct cJSON *d = payload_first(list); d;
	     d = payload_next(d))
		shadow_verdict_add(v, member_text(d, "pointer").at,
				   member_text(d, "kind").at,
				   member_text(d, "legacy"),
				   member_text(d, "candidate"));
}

static void
read_suppressed(const struct cJSON *tree, struct shadow_verdict *v)
{
	const struct cJSON *d = payload_first(
		payload_member(tree, "suppressed"));

	for (; d; d = payload_next(d)) {
		struct shadow_difference at;

		copy_difference(&at, member_text(d, "pointer").at,
				member_text(d, "kind").at,
				member_text(d, "legacy"),
				member_text(d, "candidate"));
		shadow_verdict_suppress(
			v, &at,
			(uint64_t)payload_int(payload_member(d, "disagreed"),
					      0),
			(uint64_t)payload_int(payload_member(d, "pairs"), 0));
	}
	v->suppressed_total = (size_t)payload_int(
		payload_member(tree, "suppressed_count"), 0);
}

static int
read_tree(const struct cJSON *tree, struct shadow_verdict *v)
{
	struct span word = member_text(tree, "verdict");
	size_t outcome = 0;

	while (outcome < ARRAY_SIZE(names) && !span_is(word, names[outcome]))
		outcome++;
	if (outcome == ARRAY_SIZE(names))
		return -1;
	copy_cut(v->rule, sizeof(v->rule), member_text(tree, "rule"));
	copy_cut(v->candidate, sizeof(v->candidate),
		 member_text(tree, "candidate"));
	copy_cut(v->reason, sizeof(v->reason), member_text(tree, "reason"));
	copy_cut(v->endpoint, sizeof(v->endpoint),
		 member_text(tree, "endpoint"));
	v->exchange_sequence = payload_int(
		payload_member(tree, "exchange_sequence"), 0);
	v->has_answer = payload_is_object(payload_member(tree, "answer"));
	read_differences(tree, v);
	read_suppressed(tree, v);
	v->outcome = (enum shadow_outcome)outcome;
	v->total = (size_t)payload_int(
		payload_member(tree, "difference_count"), 0);
	v->legacy_us = (uint32_t)payload_int(
		payload_at(tree, "/latency/legacy_us"), 0);
	v->candidate_us = (uint32_t)payload_int(
		payload_at(tree, "/latency/candidate_us"), 0);
	return 0;
}

int
shadow_verdict_read(struct span data, struct shadow_verdict *v)
{
	struct cJSON *tree = payload_parse(data, NULL);
	int r;

	memset(v, 0, sizeof(*v));
	r = tree ? read_tree(tree, v) : -1;
	payload_free(&tree);
	return r;
}

const char *
shadow_outcome_name(enum shadow_outcome o)
{
	return names[o];
}
