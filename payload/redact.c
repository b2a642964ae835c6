/* SPDX-License-Identifier: Apache-2.0 */
/* Replaces values of a JSON text before it is stored. */
#include "payload/internal.h"

#include "base/redact.h"

struct redaction {
	const char *const *pointers;
	size_t count;
	const struct digest_key *key;
	struct payload_path path;
	struct buf value;
	bool failed;
};

static bool
is_secret(const struct redaction *r)
{
	for (size_t i = 0; i < r->count; i++)
		if (payload_path_matches(r->pointers[i], &r->path))
			return true;
	return false;
}

/* A string's characters, or the JSON text of anything else. */
static struct span
secret_of(struct redaction *r, const cJSON *p)
{
	if (cJSON_IsString(p))
		return span_of(p->valuestring);
	buf_clear(&r->value);
	payload_write(p, &r->value);
	return buf_span(&r->value);
}

/* Turns the node into a string in place: its position and name stay. */
static void
replace(struct redaction *r, cJSON *p)
{
	char text[REDACT_TEXT_SIZE];
	size_t n;
	char *copy;

	redact_text(r->key, secret_of(r, p), text);
	n = strlen(text) + 1;
	copy = cJSON_malloc(n);
	if (!copy || r->value.failed) {
		cJSON_free(copy);
		r->failed = true;
		return;
	}
	memcpy(copy, text, n);
	cJSON_Delete(p->child);
	p->child = NULL;
	cJSON_free(p->valuestring);
	p->valuestring = copy;
	p->type = cJSON_String;
}

static void
walk(struct redaction *r, cJSON *p)
{
	size_t index = 0;

	if (is_secret(r)) {
		replace(r, p);
		return;
	}
	for (cJSON *i = p->child; i; i = i->next, index++) {
		if (cJSON_IsObject(p))
			payload_path_push(&r->path, i->string);
		else
			payload_path_push_index(&r->path, index);
		walk(r, i);
		payload_path_pop(&r->path);
	}
}

int
payload_redact(struct span text, const char *const *pointers, size_t count,
	       const struct digest_key *key, struct buf *out)
{
	struct redaction r = { .pointers = pointers, .count = count,
			       .key = key };
	struct cJSON *p = payload_parse(text, NULL);

	if (!p)
		return -1;
	walk(&r, p);
	r.failed |= r.path.text.failed;
	if (!r.failed)
		payload_write(p, out);
	payload_free(&p);
	buf_fini(&r.path.text);
	buf_fini(&r.value);
	return r.failed ? -1 : 0;
}
