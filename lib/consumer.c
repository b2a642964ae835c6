/* SPDX-License-Identifier: Apache-2.0 */
/* A consumer of a group: open, reply, close. */
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/id.h"
#include "lib/internal.h"

/* ---- open and close ---- */

/* The bus knows a consumer by its name; the random part keeps two of one
 * process number apart. */
static void
make_name(struct matapalo_consumer *c)
{
	struct id id = id_make();
	char text[ID_TEXT_SIZE], host[33] = "";

	gethostname(host, sizeof(host) - 1);
	for (char *h = host; *h; h++)
		if (*h <= ' ' || *h > '~' || *h == '"' || *h == '\\')
			*h = '-';
	snprintf(c->name, sizeof(c->name), "%s-%d-%s", host, (int)getpid(),
		 id_text(&id, text) + 24);
}

static bool
copy(char **to, const char *text)
{
	return !text || (*to = strdup(text));
}

static enum matapalo_code
copy_options(struct matapalo_consumer *c,
	     const struct matapalo_consumer_options *o,
	     struct matapalo_error *err)
{
	if (!o->group || !*o->group)
		return fail(err, MATAPALO_USAGE, "options: group is missing");
	if (o->consumer && strlen(o->consumer) >= sizeof(c->name))
		return fail(err, MATAPALO_USAGE, "options: consumer is longer "
			    "than %zu bytes", sizeof(c->name) - 1);
	if (o->consumer)
		snprintf(c->name, sizeof(c->name), "%s", o->consumer);
	else
		make_name(c);
	c->max_attempts = o->max_attempts;
	c->lease_ms = o->lease_ms;
	c->touch_ms = o->touch_ms;
	c->event_bytes = o->event_bytes;
	if (!copy(&c->group, o->group) || !copy(&c->type, o->type) ||
	    !copy(&c->subject, o->subject) || !copy(&c->start, o->start))
		return fail(err, MATAPALO_NO_MEMORY, "no memory");
	return MATAPALO_OK;
}

static struct matapalo_consumer *
consumer_new(void)
{
	struct matapalo_consumer *c = calloc(1, sizeof(*c));
	pthread_condattr_t attr;

	if (!c)
		return NULL;
	c->fetch.over_fd = c->fetch.cancel_fd = -1;
	pthread_mutex_init(&c->lock, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&c->closing, &attr);
	pthread_condattr_destroy(&attr);
	return c;
}

enum matapalo_code
matapalo_consumer_open(const struct matapalo_consumer_options *options,
		       struct matapalo_consumer **out,
		       struct matapalo_error *err)
{
	struct matapalo_consumer_options o = MATAPALO_CONSUMER_OPTIONS;
	struct link_options link;
	struct matapalo_consumer *c;
	enum matapalo_code code;

	*out = NULL;
	/* A program that was compiled before a member was added has it 0. */
	if (!options || options->size < sizeof(options->size))
		return fail(err, MATAPALO_USAGE, "options: begin with "
			    "MATAPALO_CONSUMER_OPTIONS");
	memcpy(&o, options, options->size < sizeof(o) ? options->size
						      : sizeof(o));
	link = (struct link_options){
		o.url, o.token,
		{ o.certificate, o.key, o.ca, o.server_name },
		o.connect_ms, o.call_ms
	};
	c = consumer_new();
	if (!c)
		return fail(err, MATAPALO_NO_MEMORY, "no memory");
	code = copy_options(c, &o, err);
	if (!code)
		code = fetch_open(c, err);
	if (!code)
		code = link_open(&c->link, &link, err);
	if (!code)
		code = toucher_start(c, err);
	if (code)
		matapalo_consumer_close(&c);
	*out = c;
	return code;
}

void
matapalo_consumer_close(struct matapalo_consumer **cp)
{
	struct matapalo_consumer *c = *cp;

	if (!c)
		return;
	*cp = NULL;
	toucher_stop(c);
	fetch_close(c);
	link_close(&c->link);
	free(c->group);
	free(c->type);
	free(c->subject);
	free(c->start);
	free(c->held);
	verdicts_fini(c);
	pthread_cond_destroy(&c->closing);
	pthread_mutex_destroy(&c->lock);
	free(c);
}

enum matapalo_code
matapalo_consumer_set_token(struct matapalo_consumer *c, const char *token,
			    struct matapalo_error *err)
{
	return link_set_token(&c->link, token, err);
}

/* ---- what each request says of us ---- */

void
consumer_who(const struct matapalo_consumer *c, struct json *j)
{
	link_text(j, "group", c->group);
	link_text(j, "consumer", c->name);
}

static bool
is_number(const char *text)
{
	return *text && strspn(text, "0123456789") == strlen(text);
}

static void
add_start(const struct matapalo_consumer *c, struct json *j)
{
	if (!c->start)
		return;
	json_key(j, "start");
	if (is_number(c->start))
		json_raw(j, span_of(c->start));
	else
		json_str(j, c->start);
}

void
consumer_settings(const struct matapalo_consumer *c, struct json *j)
{
	add_start(c, j);
	if (c->max_attempts)
		link_number(j, "max_attempts", c->max_attempts);
	if (c->lease_ms)
		link_number(j, "lease_ms", c->lease_ms);
	if (!c->type && !c->subject)
		return;
	json_key(j, "filter");
	json_object_begin(j);
	link_text(j, "type", c->type);
	link_text(j, "subject", c->subject);
	json_object_end(j);
}

/* ---- reply ---- */

static enum matapalo_code
add_reply(struct json *j, const struct cJSON *reply,
	  struct matapalo_error *err)
{
	static const char *const members[] = { "status", "headers", "body",
					       "body_base64", "json" };

	for (size_t i = 0; i < ARRAY_SIZE(members); i++) {
		const struct cJSON *m = payload_member(reply, members[i]);
		struct buf value CLEANUP(buf_fini) = { 0 };

		if (!m)
			continue;
		payload_write(m, &value);
		if (value.failed)
			return fail(err, MATAPALO_NO_MEMORY, "no memory for "
				    "a reply");
		json_key(j, members[i]);
		json_raw(j, buf_span(&value));
	}
	return MATAPALO_OK;
}

enum matapalo_code
matapalo_reply(struct matapalo_consumer *c, const struct matapalo_event *e,
	       const char *text, int *is_late, struct matapalo_error *err)
{
	struct buf request CLEANUP(buf_fini) = { 0 };
	struct cJSON *reply CLEANUP(payload_free) = NULL;
	struct cJSON *answer CLEANUP(payload_free) = NULL;
	struct error bad = { 0 };
	struct json j;
	enum matapalo_code code;

	reply = payload_parse(span_of(text), &bad);
	if (!reply || !payload_is_object(reply))
		return fail(err, MATAPALO_USAGE, "a reply is a JSON object: "
			    "%s", bad.text);
	link_begin(&j, &request, "reply");
	link_text(&j, "correlationid",
		  matapalo_event_attribute(e, "correlationid"));
	link_text(&j, "causationid", matapalo_event_attribute(e, "id"));
	consumer_who(c, &j);
	json_key(&j, "sequence");
	json_i64(&j, matapalo_event_sequence(e));
	code = add_reply(&j, reply, err);
	if (!code)
		code = link_call(&c->link, &j, 0, &answer, err);
	if (!code && is_late)
		*is_late = payload_bool(payload_member(answer, "late"), false);
	return code;
}
