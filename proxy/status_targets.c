/* SPDX-License-Identifier: Apache-2.0 */
/* Targets and their addresses in the status and in the metrics. How many
 * there are is bounded by the rules file. */
#include "base/clock.h"
#include "proxy/run.h"
#include "proxy/target.h"

/* What is shown of one target, copied under its lock. */
struct view {
	const struct rules_target *config;
	struct target *target;
	enum breaker_state breaker;
	uint64_t now_ms;
};

static struct view
view_of(struct target *t, const struct rules_target *c)
{
	struct view v = { .config = c, .target = t,
			  .now_ms = clock_mono_ms() };

	pthread_mutex_lock(&t->lock);
	v.breaker = t->breaker.state;
	pthread_mutex_unlock(&t->lock);
	return v;
}

/* Calls `show` for each HTTP target of the rules in force. */
static void
each_target(struct run *r, void (*show)(const struct view *v, void *arg),
	    void *arg)
{
	struct rules_holder *h = &r->proxy.rules;
	size_t i;

	pthread_mutex_lock(&h->lock);
	for (i = 0; i < h->current->target_count; i++) {
		const struct rules_target *c = &h->current->targets[i];
		struct target *t = c->kind == RULES_TARGET_COMMAND ? NULL :
				   target_find(h, c->name);
		struct view v;

		if (!t)
			continue;
		v = view_of(t, c);
		show(&v, arg);
	}
	pthread_mutex_unlock(&h->lock);
}

/* ---- status ---- */

static void
write_address(const struct view *v, const struct endpoint *e, struct json *j)
{
	uint64_t until_ms = atomic_load(&e->health.ejected_until_ms);

	json_object_begin(j);
	json_key(j, "address");
	json_str(j, e->address.text);
	json_key(j, "state");
	json_str(j, health_state_name(health_state(&e->health, v->now_ms)));
	json_key(j, "ejected_for_ms");
	json_u64(j, until_ms > v->now_ms ? until_ms - v->now_ms : 0);
	json_key(j, "failures");
	json_u64(j, atomic_load(&e->health.failures));
	json_key(j, "weight");
	json_double(j, health_weight(&e->health, v->config->slow_start_ms,
				     v->now_ms) / 1000.0);
	json_object_end(j);
}

static void
write_target(const struct view *v, void *arg)
{
	const struct target *t = v->target;
	struct json *j = arg;
	unsigned i;

	json_object_begin(j);
	json_key(j, "name");
	json_str(j, t->name);
	json_key(j, "connections");
	json_u64(j, atomic_load(&t->open));
	json_key(j, "queued");
	json_u64(j, atomic_load(&t->queued));
	json_key(j, "breaker");
	json_str(j, v->config->breaker.requests ?
		    breaker_state_name(v->breaker) : NULL);
	json_key(j, "addresses");
	json_array_begin(j);
	for (i = 0; i < t->set->count; i++)
		write_address(v, t->set->at[i], j);
	json_array_end(j);
	json_object_end(j);
}

void
run_status_targets(struct run *r, struct json *j)
{
	json_array_begin(j);
	each_target(r, write_target, j);
	json_array_end(j);
}

/* ---- metrics ---- */

static void
put_connections(const struct view *v, void *arg)
{
	buf_printf(arg, "matapalo_target_connections{target=\"%s\"} %u\n",
		   v->target->name, atomic_load(&v->target->open));
}

static void
put_queued(const struct view *v, void *arg)
{
	buf_printf(arg, "matapalo_target_queued{target=\"%s\"} %u\n",
		   v->target->name, atomic_load(&v->target->queued));
}

static void
put_breaker(const struct view *v, void *arg)
{
	if (v->config->breaker.requests)
		buf_printf(arg, "matapalo_target_breaker_open{target=\"%s\"} "
			   "%d\n", v->target->name,
			   v->breaker != BREAKER_CLOSED);
}

/* Names and addresses need no escapes: rules/ lets no such thing through,
 * but for the path of a Unix socket. */
static void
put_label(struct buf *out, const char *s)
{
	for (; *s; s++) {
		if (*s == '"' || *s == '\\')
			buf_addc(out, '\\');
		buf_addc(out, *s);
	}
}

static void
put_addresses(const struct view *v, void *arg)
{
	const struct endpoint_set *s = v->target->set;
	unsigned i;

	for (i = 0; i < s->count; i++) {
		const struct endpoint *e = s->at[i];

		buf_printf(arg, "matapalo_address_up{target=\"%s\",address=\"",
			   v->target->name);
		put_label(arg, e->address.text);
		buf_printf(arg, "\"} %d\n",
			   health_state(&e->health, v->now_ms) == HEALTH_UP);
	}
}

void
run_metrics(void *arg, struct buf *out)
{
	static const struct {
		const char *name, *help;
		void (*put)(const struct view *v, void *arg);
	} all[] = {
		{ "target_connections", "Connections to the target, open now.",
		  put_connections },
		{ "target_queued", "Requests that wait for a connection.",
		  put_queued },
		{ "target_breaker_open",
		  "1: the breaker of the target is open or half-open.",
		  put_breaker },
		{ "address_up",
		  "0: the address is ejected or fails its health check.",
		  put_addresses },
	};
	size_t i;

	for (i = 0; i < ARRAY_SIZE(all); i++) {
		buf_printf(out, "# HELP matapalo_%s %s\n# TYPE matapalo_%s "
			   "gauge\n", all[i].name, all[i].help, all[i].name);
		each_target(arg, all[i].put, out);
	}
	run_metrics_journal(arg, out);
}
