/* SPDX-License-Identifier: Apache-2.0 */
/* Parsing, reading and writing of JSON values. */
#include "payload/internal.h"

#include <errno.h>
#include <stdlib.h>

#include "base/json.h"

/* Integers of up to 15 digits are exact in a double. */
static bool
is_exact(struct span token)
{
	if (token.len > 15 || token.at[0] == '-')
		return token.len <= 15 && token.at[0] == '-' &&
		       token.len > 1 && token.at[1] != '0' &&
		       is_exact((struct span){ token.at + 1, token.len - 1 });
	for (size_t i = 0; i < token.len; i++)
		if (token.at[i] < '0' || token.at[i] > '9')
			return false;
	return true;
}

/* Gives number nodes their text back, in document order. */
static int
keep_numbers(cJSON *item, struct span *rest)
{
	struct span token;

	for (; item; item = item->next) {
		if (item->child && keep_numbers(item->child, rest) < 0)
			return -1;
		if (!cJSON_IsNumber(item))
			continue;
		if (!payload_scan_number(rest, &token))
			return -1;
		if (is_exact(token))
			continue;
		item->valuestring = cJSON_malloc(token.len + 1);
		if (!item->valuestring)
			return -1;
		memcpy(item->valuestring, token.at, token.len);
		item->valuestring[token.len] = '\0';
	}
	return 0;
}

struct cJSON *
payload_tree(struct span text, struct error *err)
{
	struct cJSON *p = cJSON_ParseWithLengthOpts(text.at, text.len, NULL,
						    0);

	if (!p || keep_numbers(p, &text) < 0) {
		error_no_memory(err, "out of memory for a JSON value");
		payload_free(&p);
	}
	return p;
}

struct cJSON *
payload_parse(struct span text, struct error *err)
{
	if (text.len >= 3 && memcmp(text.at, "\xef\xbb\xbf", 3) == 0)
		text = (struct span){ text.at + 3, text.len - 3 };
	if (payload_check(text, PAYLOAD_DEPTH_MAX, err) < 0)
		return NULL;
	return payload_tree(text, err);
}

/* A value stands behind each of these; those in strings count as well. */
#define NODE_BYTES (sizeof(cJSON) + 16)

size_t
payload_tree_cost(struct span text)
{
	size_t nodes = 1;

	for (size_t i = 0; i < text.len; i++)
		nodes += text.at[i] == ',' || text.at[i] == '[' ||
			 text.at[i] == '{';
	return nodes * NODE_BYTES + text.len;
}

void
payload_free(struct cJSON **p)
{
	cJSON_Delete(*p);
	*p = NULL;
}

const struct cJSON *
payload_member(const struct cJSON *object, const char *name)
{
	const struct cJSON *found = NULL;

	if (!cJSON_IsObject(object))
		return NULL;
	for (const struct cJSON *m = object->child; m; m = m->next)
		if (strcmp(m->string, name) == 0)
			found = m;
	return found;
}

const struct cJSON *
payload_first(const struct cJSON *container)
{
	return container ? container->child : NULL;
}

const struct cJSON *
payload_next(const struct cJSON *item)
{
	return item ? item->next : NULL;
}

const char *
payload_name(const struct cJSON *member)
{
	return member && member->string ? member->string : "";
}

bool
payload_is_object(const struct cJSON *p)
{
	return cJSON_IsObject(p);
}

bool
payload_is_array(const struct cJSON *p)
{
	return cJSON_IsArray(p);
}

const char *
payload_string(const struct cJSON *p, const char *fallback)
{
	return cJSON_IsString(p) ? p->valuestring : fallback;
}

int64_t
payload_int(const struct cJSON *p, int64_t fallback)
{
	long long v;
	char *end;

	if (!cJSON_IsNumber(p))
		return fallback;
	if (!p->valuestring)
		return (int64_t)p->valuedouble;
	errno = 0;
	v = strtoll(p->valuestring, &end, 10);
	if (errno == 0 && !*end)
		return v;
	if (p->valuedouble > -9e15 && p->valuedouble < 9e15)
		return (int64_t)p->valuedouble;
	return fallback;
}

double
payload_number(const struct cJSON *p, double fallback)
{
	return cJSON_IsNumber(p) ? p->valuedouble : fallback;
}

bool
payload_bool(const struct cJSON *p, bool fallback)
{
	return cJSON_IsBool(p) ? cJSON_IsTrue(p) : fallback;
}

static void
write_string(const char *s, struct buf *out)
{
	struct json j;

	json_init(&j, out);
	json_str(&j, s);
}

static void
write_items(const struct cJSON *p, struct buf *out)
{
	bool object = cJSON_IsObject(p);

	buf_addc(out, object ? '{' : '[');
	for (const struct cJSON *i = p->child; i; i = i->next) {
		if (i != p->child)
			buf_addc(out, ',');
		if (object) {
			write_string(i->string, out);
			buf_addc(out, ':');
		}
		payload_write(i, out);
	}
	buf_addc(out, object ? '}' : ']');
}

void
payload_write(const struct cJSON *p, struct buf *out)
{
	if (!p || cJSON_IsNull(p))
		buf_adds(out, "null");
	else if (cJSON_IsBool(p))
		buf_adds(out, cJSON_IsTrue(p) ? "true" : "false");
	else if (cJSON_IsNumber(p))
		payload_number_write(p, out);
	else if (cJSON_IsString(p))
		write_string(p->valuestring, out);
	else
		write_items(p, out);
}
