/* SPDX-License-Identifier: Apache-2.0 */
/* How a captured body is stored: as text, base64, redacted, or not at all.
 *
 * Where secrets are looked for inside bodies (JSON pointers, form fields), a
 * body that cannot be looked into is withheld rather than stored: compressed,
 * cut off, or not what it says it is. */
#include "bus/encode.h"

#include <stdio.h>

#include "payload/payload.h"

/* Deeper values stay text: consumers' parsers have limits, too. */
#define INLINE_DEPTH_MAX 64

enum form { FORM_NONE, FORM_AS_IS, FORM_REDACTED, FORM_WITHHELD };

enum media { MEDIA_OTHER, MEDIA_JSON, MEDIA_FORM, MEDIA_MULTIPART,
	     MEDIA_EVENT_STREAM };

static bool
ends_with_nocase(struct span s, struct span end)
{
	return s.len >= end.len &&
	       span_equal_nocase((struct span){ s.at + s.len - end.len,
						end.len }, end);
}

static bool
starts_with_nocase(struct span s, struct span start)
{
	return s.len >= start.len &&
	       span_equal_nocase((struct span){ s.at, start.len }, start);
}

static enum media
media_of(struct message_fields fields)
{
	const struct message_field *f = message_find(fields, "content-type");
	struct span type = f ? f->value : (struct span){ 0 };
	const char *semicolon;

	if (type.len == 0)
		return MEDIA_OTHER;
	semicolon = memchr(type.at, ';', type.len);
	if (semicolon)
		type.len = (size_t)(semicolon - type.at);
	type = span_trim(type);
	if (ends_with_nocase(type, SPAN_LITERAL("json")))
		return MEDIA_JSON;	/* x-ndjson, problem+json, too */
	if (span_is_nocase(type, "application/x-www-form-urlencoded"))
		return MEDIA_FORM;
	if (starts_with_nocase(type, SPAN_LITERAL("multipart/")))
		return MEDIA_MULTIPART;
	if (span_is_nocase(type, "text/event-stream"))
		return MEDIA_EVENT_STREAM;
	return MEDIA_OTHER;
}

static bool
is_compressed(struct message_fields fields)
{
	const struct message_field *f = message_find(fields,
						     "content-encoding");

	return f && f->value.len > 0 && !span_is_nocase(f->value, "identity");
}

/* Many an old system sends JSON as text/html. */
static bool
looks_like_json(struct span text)
{
	if (text.len >= 3 && memcmp(text.at, "\xef\xbb\xbf", 3) == 0)
		text = (struct span){ text.at + 3, text.len - 3 };
	while (text.len > 0 && (*text.at == ' ' || *text.at == '\t' ||
				*text.at == '\r' || *text.at == '\n')) {
		text.at++;
		text.len--;
	}
	return text.len > 0 && (*text.at == '{' || *text.at == '[');
}

static enum form
redact_json(const struct encode_secrets *how, const struct bus_body *body)
{
	if (body->truncated ||
	    payload_redact(body->bytes, how->redact->json,
			   how->redact->json_count, how->key, how->work) < 0)
		return FORM_WITHHELD;
	return FORM_REDACTED;
}

/* A form is a query string in another place. */
static enum form
redact_form(const struct encode_secrets *how, const struct bus_body *body)
{
	struct buf all = { 0 };

	buf_addc(&all, '?');
	buf_add(&all, body->bytes.at, body->bytes.len);
	redact_target(how->redact, how->key, buf_span(&all), how->work);
	if (all.failed)
		how->work->failed = true;
	buf_fini(&all);
	return FORM_REDACTED;
}

/* multipart/form-data: a part named as a secret is enough to withhold all. */
static bool
has_secret_part(const struct encode_secrets *how, struct span bytes)
{
	for (size_t i = 0; i < how->redact->query_count; i++) {
		const char *name = how->redact->query[i];

		if (memmem(bytes.at, bytes.len, name, strlen(name)))
			return true;
	}
	return false;
}

static enum form
form_with_fields(const struct encode_secrets *how, enum media media,
		 const struct bus_body *body)
{
	if (media == MEDIA_FORM)
		return redact_form(how, body);
	if (media == MEDIA_MULTIPART &&
	    (body->truncated || has_secret_part(how, body->bytes)))
		return FORM_WITHHELD;
	return FORM_AS_IS;
}

/* Decides, and leaves a redacted text in how->work. */
static enum form
choose(const struct encode_secrets *how, struct message_fields fields,
       const struct bus_body *body, enum media media)
{
	const struct redact *r = how->redact;
	bool pointers = r && r->json_count > 0;
	bool names = r && r->query_count > 0;

	buf_clear(how->work);
	if (body->bytes.len == 0)
		return FORM_NONE;
	if (!pointers && !names)
		return FORM_AS_IS;
	if (is_compressed(fields))
		return FORM_WITHHELD;
	if (pointers && media == MEDIA_EVENT_STREAM)
		return FORM_WITHHELD;
	if (pointers && (media == MEDIA_JSON || looks_like_json(body->bytes)))
		return redact_json(how, body);
	return names ? form_with_fields(how, media, body) : FORM_AS_IS;
}

/* A cut may fall inside a character; that is no reason for base64. */
static struct span
drop_cut_character(struct span s)
{
	for (size_t n = 1; n <= 3 && n <= s.len; n++) {
		unsigned char c = (unsigned char)s.at[s.len - n];

		if (c < 0x80)
			break;
		if (c >= 0xc0) {
			size_t want = c >= 0xf0 ? 4 : c >= 0xe0 ? 3 : 2;

			if (n < want)
				s.len -= n;
			break;
		}
	}
	return s;
}

static void
write_bytes(struct json *j, struct span bytes, bool truncated)
{
	struct span text = truncated ? drop_cut_character(bytes) : bytes;

	if (json_text_member(j, "body", text))
		return;
	json_key(j, "body_base64");
	json_base64(j, bytes);
}

static void
write_inline(struct json *j, enum media media, struct span text,
	     const struct bus_body *body)
{
	if (body->truncated || (media != MEDIA_JSON && !looks_like_json(text)))
		return;
	if (payload_check(text, INLINE_DEPTH_MAX, NULL) < 0)
		return;
	json_key(j, "json");
	json_raw(j, text);
}

static void
write_sizes(struct json *j, const struct bus_body *body, enum form form)
{
	json_key(j, "body_bytes");
	json_u64(j, body->true_bytes);
	if (form == FORM_WITHHELD) {
		json_key(j, "withheld");
		json_bool(j, true);
	}
	if (!body->truncated)
		return;
	json_key(j, "truncated");
	json_bool(j, true);
	if (body->digest[0] && form == FORM_AS_IS) {
		char text[sizeof("blake2b-256:") + DIGEST_HEX_SIZE];

		snprintf(text, sizeof(text), "blake2b-256:%s", body->digest);
		json_key(j, "digest");
		json_str(j, text);
	}
}

void
encode_body(struct json *j, const struct encode_secrets *how,
	    struct message_fields fields, const struct bus_body *body,
	    enum encode_inline in)
{
	enum media media = body->bytes.len ? media_of(fields) : MEDIA_OTHER;
	enum form form = choose(how, fields, body, media);
	struct span text = form == FORM_REDACTED ? buf_span(how->work)
						 : body->bytes;

	if (how->work->failed)	/* never fall back to the secret */
		j->out->failed = true;
	if (form == FORM_AS_IS || form == FORM_REDACTED) {
		write_bytes(j, text, body->truncated);
		if (in == ENCODE_BODY_AND_JSON)
			write_inline(j, media, text, body);
	}
	write_sizes(j, body, form);
}
