/* SPDX-License-Identifier: Apache-2.0 */
/* May this request? Between a frame and its operation. */
#include "base/counter.h"
#include "base/log.h"
#include "bus/server.h"
#include "payload/payload.h"

enum access_verdict
server_ask(struct server *s, const struct access_question *q)
{
	enum access_verdict v = ACCESS_GRANTED;

	pthread_mutex_lock(&s->access_lock);
	if (s->access)
		v = access_ask(s->access, q);
	pthread_mutex_unlock(&s->access_lock);
	return v;
}

/* A group that is no text, or too long for one, is refused by its operation;
 * here it is one that no token is bound to by name. */
static void
read_question(const struct cJSON *in, struct access_question *q)
{
	const char *token = payload_string(payload_member(in, "token"), NULL);
	const char *group = payload_string(payload_member(in, "group"), "");

	memset(q->group, 0, sizeof(q->group));
	memcpy(q->group, group, strnlen(group, sizeof(q->group) - 1));
	q->has_token = token;
	q->digest[0] = '\0';
	if (token)
		access_digest(span_of(token), q->digest);
}

static void
refuse_group(struct call *c)
{
	const struct access_question *q = &c->question;

	if (q->scope == ACCESS_GROUP && q->group[0])
		call_error(c, "forbidden", "this token is not bound to group "
			   "\"%s\"", q->group);
	else if (q->scope == ACCESS_GROUP)
		call_error(c, "forbidden", "this token is not bound to all "
			   "groups: name one of its own as \"group\"");
	else
		call_error(c, "forbidden", "this is about all groups, and this "
			   "token is bound to some of them");
}

static void
refuse_others(struct call *c)
{
	if (c->question.group[0])
		call_error(c, "forbidden", "group \"%s\" is other tokens' "
			   "alone", c->question.group);
	else
		call_error(c, "forbidden", "this is about all groups, and some "
			   "are other tokens' alone: name one as \"group\"");
}

void
call_refuse(struct call *c, enum access_verdict verdict)
{
	switch (verdict) {
	case ACCESS_GRANTED:
		return;
	case ACCESS_MISSING:
		counter_inc(COUNTER_BUS_REFUSED_MISSING);
		call_error(c, "unauthorized", "this bus wants a token: send it "
			   "as \"token\" with each request (--token-file FILE "
			   "of the commands)");
		return;
	case ACCESS_WRONG:
		counter_inc(COUNTER_BUS_REFUSED_WRONG);
		call_error(c, "unauthorized", "nobody has this token (any "
			   "more)");
		return;
	case ACCESS_RIGHT:
		counter_inc(COUNTER_BUS_REFUSED_RIGHT);
		call_error(c, "forbidden", "this token does not have the right "
			   "that this operation asks for");
		return;
	case ACCESS_BOUND:
		counter_inc(COUNTER_BUS_REFUSED_GROUP);
		refuse_group(c);
		return;
	case ACCESS_OTHERS:
		counter_inc(COUNTER_BUS_REFUSED_GROUP);
		refuse_others(c);
		return;
	}
}

enum access_verdict
call_admit(struct call *c, const struct cJSON *in, enum access_right right,
	   enum access_scope scope, enum call_result *result)
{
	struct server *s = c->server;
	enum access_verdict v;

	if (!s->tokens_path)
		return ACCESS_GRANTED;
	c->question.right = right;
	c->question.scope = scope;
	read_question(in, &c->question);
	v = server_ask(s, &c->question);
	if (v == ACCESS_WRONG) {
		*result = call_punish(c);
	} else if (v != ACCESS_GRANTED) {
		call_refuse(c, v);
		*result = CALL_ANSWERED;
	}
	return v;
}

int
server_load_tokens(struct server *s, struct error *err)
{
	struct access *fresh, *old;

	if (!s->tokens_path)
		return 0;
	fresh = access_load(s->tokens_path, err);
	if (!fresh)
		return -1;
	log_info("bus.tokens", "%zu tokens in %s", access_count(fresh),
		 s->tokens_path);
	pthread_mutex_lock(&s->access_lock);
	old = s->access;
	s->access = fresh;
	pthread_mutex_unlock(&s->access_lock);
	access_free(&old);
	return 0;
}
