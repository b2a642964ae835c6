/* SPDX-License-Identifier: Apache-2.0 */
/* The rules file over its life: first load, change, reload, and what the
 * shadow and the adapters have to know of it. */
#include <libgen.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/counter.h"
#include "base/log.h"
#include "console/shadowed.h"
#include "outbound/outbound.h"
#include "proxy/bus_tls.h"
#include "proxy/hooks.h"
#include "proxy/run.h"
#include "proxy/target.h"
#include "proxy/tls_client.h"

static struct rules *
load(const struct run *r, struct error *err)
{
	const struct console_settings *s = r->settings;

	return s->rules ? rules_load_file(s->rules, err) :
			  rules_from_legacy(s->legacy, err);
}

/* Which durability class each rule runs in is printed, never silent. */
static void
announce(const struct rules *rules)
{
	static const char *const words[] = {
		[RULES_DURABILITY_BOUNDED] = "bounded",
		[RULES_DURABILITY_STRICT] = "strict",
	};
	size_t i;

	for (i = 0; i < rules->rule_count; i++) {
		const struct rules_rule *u = &rules->rules[i];

		log_info("rules.rule",
			 "%s: stage %s, durability %s for safe methods and "
			 "%s for others", u->name, rules_stage_name(u->stage),
			 words[u->durability_safe],
			 words[u->durability_unsafe]);
	}
	for (i = 0; i < rules->target_count; i++)
		if (rules->targets[i].tls && !rules->targets[i].tls->verify)
			log_warn("rules.tls-not-verified",
				 "target \"%s\" has \"verify\": false: "
				 "whoever answers there is believed",
				 rules->targets[i].name);
}

/* A set of rules and the contexts of its TLS targets, or nothing. */
static struct rules *
load_with_tls(const struct run *r, struct tls_clients **tls,
	      struct error *err)
{
	struct rules *rules = load(r, err);

	if (!rules)
		return NULL;
	/* Only this thread swaps them: what is there now stays. */
	*tls = tls_clients_new(rules, r->proxy.rules.tls, err);
	if (!*tls)
		rules_unref(&rules);
	return rules;
}

/* A name that nobody knows yet does not keep the proxy from starting. */
static void
warn_unknown(const struct rules *rules)
{
	size_t i, k;

	for (i = 0; i < rules->target_count; i++) {
		const struct rules_target *t = &rules->targets[i];

		for (k = 0; k < t->host_count; k++)
			if (t->hosts[k].error)
				log_warn("target.unknown-host",
					 "%s: the host %s cannot be found: %s",
					 t->name, t->hosts[k].name,
					 t->hosts[k].error);
	}
}

static void
warn(void *arg, const char *id, const char *words)
{
	(void)arg;
	log_warn(id, "%s", words);
}

static const struct tls_review in_log = { .tell = warn };

static int
adopt(struct run *r, struct rules *rules, struct tls_clients *tls,
      struct error *err)
{
	promotion_carry(r->promotion, rules);
	if (rules_holder_swap(&r->proxy.rules, rules, tls)) {
		promotion_settle(r->promotion, PROMOTION_KEPT);
		rules_unref(&rules);
		tls_clients_unref(&tls);
		return error_set(err, "no memory for the targets");
	}
	promotion_settle(r->promotion, PROMOTION_SWAPPED);
	pthread_mutex_lock(&r->reload_lock);
	r->rules_loaded_us = clock_wall_us();
	r->rules_error[0] = '\0';
	pthread_mutex_unlock(&r->reload_lock);
	announce(rules);
	warn_unknown(rules);
	tls_clients_review(rules, &in_log);
	return 0;
}

int
reload_first(struct run *r)
{
	struct error err = { 0 };
	char text[ERROR_TEXT_MAX + 300];
	struct tls_clients *tls;
	struct rules *rules = load_with_tls(r, &tls, &err);

	if (!rules) {
		fprintf(stderr, "matapalo: %s\n",
			error_format(&err, r->settings->rules, text,
				     sizeof(text)));
		return -1;
	}
	if (adopt(r, rules, tls, &err) == 0)
		return 0;
	fprintf(stderr, "matapalo: %s\n", err.text);
	return -1;
}

static void
log_lines(struct buf *lines, void (*say)(const char *line, int len))
{
	const char *line = buf_str(lines);
	int len;

	for (; *line; line += len + (line[len] != '\0')) {
		len = (int)strcspn(line, "\n");
		say(line, len);
	}
}

static void
say_break(const char *line, int len)
{
	counter_inc(COUNTER_RULES_EMIT_BREAKS);
	log_warn("rules.emit-breaks", "%.*s", len, line);
}

static void
say_change(const char *line, int len)
{
	log_info("rules.emit-changed", "%.*s", len, line);
}

/* What consumers would meet; -1 when the rules say that they must not. */
static int
review_events(struct run *r, const struct rules *new, struct error *err)
{
	struct rules *old = rules_holder_get(&r->proxy.rules);
	struct buf breaks CLEANUP(buf_fini) = { 0 };
	struct buf notes CLEANUP(buf_fini) = { 0 };
	size_t n = rules_compare_events(old, new, new->emit_compatibility,
					&breaks, &notes);

	rules_unref(&old);
	log_lines(&breaks, say_break);
	if (n > 0 && new->emit_refuses)
		return error_set(err, "\"emit_compatibility\" is %s: %.*s",
				 rules_compatibility_name(
					 new->emit_compatibility),
				 (int)strcspn(buf_str(&breaks), "\n"),
				 buf_str(&breaks));
	log_lines(&notes, say_change);
	return 0;
}

/* A new set and its contexts, or nothing: the old ones go on. */
static struct rules *
load_again(struct run *r, struct tls_clients **tls, struct error *err)
{
	struct rules *rules = load_with_tls(r, tls, err);

	if (rules && review_events(r, rules, err) < 0) {
		rules_unref(&rules);
		tls_clients_unref(tls);
	}
	return rules;
}

void
reload_rules(struct run *r)
{
	struct error err = { 0 };
	char text[ERROR_TEXT_MAX + 300];
	struct tls_clients *tls;
	struct rules *rules;
	unsigned i;

	if (!r->settings->rules)
		return;
	rules = load_again(r, &tls, &err);
	if (!rules || adopt(r, rules, tls, &err)) {
		error_format(&err, r->settings->rules, text, sizeof(text));
		counter_inc(COUNTER_RULES_REFUSED);
		log_error("rules.reload-failed",
			  "the old rules go on; %s", text);
		pthread_mutex_lock(&r->reload_lock);
		snprintf(r->rules_error, sizeof(r->rules_error), "%s", text);
		pthread_mutex_unlock(&r->reload_lock);
		return;
	}
	counter_inc(COUNTER_RULES_RELOADED);
	for (i = 0; i < r->worker_count; i++)
		worker_wake(&r->workers[i]);
	watchers_wake(r);
	reload_publish(r);
	log_info("rules.reloaded", "%s: new rules are in force",
		 r->settings->rules);
}

/* ---- shadow ---- */

/* Adapters do not know of rules: lists have the same shape, so that they are
 * lent and not copied. */
_Static_assert(sizeof(struct rules_setting) ==
	       sizeof(struct adapter_setting), "same shape");

/* A plan and the reference that keeps its strings alive. */
struct plan_memory {
	struct rules *rules;
	struct outbound_tls *tls;	/* of each target */
	size_t half;
	/* The rules, and from `half` on whom each asks again. */
	struct shadow_rule list[];
};

static void
plan_release(void *arg)
{
	struct plan_memory *m = arg;

	rules_unref(&m->rules);
	free(m->tls);
	free(m);
}

/* Whose answers the candidate's are compared with: the legacy's, and after
 * the move the target's. */
static const struct rules_target *
noise_target(const struct rules *rules, const struct rules_rule *u,
	     const struct rules_target *candidate)
{
	if (candidate != u->target)
		return u->target;
	return u->compare.noise_target ? u->compare.noise_target
				       : rules->legacy;
}

static void
plan_again(struct shadow_rule *out, const struct rules_rule *u,
	   const struct rules_target *candidate, struct plan_memory *m)
{
	const struct rules_target *t = noise_target(m->rules, u, candidate);
	struct shadow_rule *again = out + m->half;

	if (u->compare.noise_ppm == 0 || t->kind == RULES_TARGET_COMMAND)
		return;
	*again = *out;
	again->url = again->command = again->unix_path = NULL;
	again->tls = NULL;
	shadowed_target(again, t, &m->tls[t->index]);
	out->again = again;
}

static void
plan_rule(struct shadow_rule *out, const struct rules_rule *u,
	  const struct rules_target *candidate, struct plan_memory *m,
	  struct span tls_header)
{
	*out = shadowed_rule(u);
	out->tls_header = tls_header;
	shadowed_target(out, candidate, &m->tls[candidate->index]);
	plan_again(out, u, candidate, m);
}

/* Any thread. */
static bool
may_ask(void *arg, const char *name)
{
	struct rules_holder *h = arg;
	struct target *t;

	pthread_mutex_lock(&h->lock);
	t = target_find(h, name);
	pthread_mutex_unlock(&h->lock);
	return t && target_is_calm(t);
}

static void
publish_shadow(struct run *r, struct rules *rules)
{
	struct plan_memory *m;
	struct shadow_plan plan = { 0 };
	size_t i;

	m = calloc(1, sizeof(*m) + 2 * rules->rule_count *
					   sizeof(m->list[0]));
	if (m)
		m->tls = calloc(rules->target_count, sizeof(m->tls[0]));
	if (!m || !m->tls) {
		free(m);
		log_error("shadow.no-memory", "the old plan goes on");
		return;
	}
	m->rules = rules_ref(rules);
	m->half = rules->rule_count;
	for (i = 0; i < rules->rule_count; i++) {
		const struct rules_rule *u = &rules->rules[i];

		const struct rules_target *candidate =
			rules_shadow_at(u, rules_place(u));

		if (candidate)
			plan_rule(&m->list[plan.count++], u, candidate, m,
				  r->proxy.tls_client_header);
	}
	plan.rules = m->list;
	plan.redact = &rules->redact;
	plan.key = &r->key;
	plan.may_ask = may_ask;
	plan.ask_arg = &r->proxy.rules;
	plan.release = plan_release;
	plan.arg = m;
	shadow_set_plan(r->shadow, &plan);
}

void
reload_publish_shadow(struct run *r)
{
	struct rules *rules = rules_holder_get(&r->proxy.rules);

	publish_shadow(r, rules);
	rules_unref(&rules);
}

/* ---- adapters ---- */

static void
publish_adapters(struct run *r, const struct rules *rules)
{
	size_t i, n = rules->adapter_count;
	struct adapter_config *list = calloc(n + rules->rule_count,
					     sizeof(*list));
	struct hook_config *hooks = calloc(rules->rule_count, sizeof(*hooks));

	if (!list || !hooks) {
		free(list);
		free(hooks);
		log_error("adapter.no-memory", "the old adapters go on");
		return;
	}
	for (i = 0; i < rules->adapter_count; i++) {
		const struct rules_adapter *a = &rules->adapters[i];

		list[i] = (struct adapter_config){
			.name = a->name,
			.kind = a->kind,
			.type_filter = a->type_filter,
			.subject_filter = a->subject_filter,
			.settings = (const void *)a->settings,
			.setting_count = a->setting_count,
		};
	}
	for (i = 0; i < rules->rule_count; i++)
		n += hooks_config(&rules->rules[i], &hooks[i], &list[n]);
	adapter_host_set(r->adapters, list, n);
	free(hooks);
	free(list);
}

void
reload_publish(struct run *r)
{
	struct rules *rules = rules_holder_get(&r->proxy.rules);

	bus_set_redact(r->proxy.bus, &rules->redact);
	publish_shadow(r, rules);
	publish_adapters(r, rules);
	rules_unref(&rules);
}

/* ---- watching the file ---- */

int
reload_watch(const struct run *r)
{
	char copy[4096];
	int fd;

	if (!r->settings->rules)
		return -1;
	snprintf(copy, sizeof(copy), "%s", r->settings->rules);
	fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
	if (fd >= 0 && inotify_add_watch(fd, dirname(copy),
					 IN_CLOSE_WRITE | IN_MOVED_TO) < 0) {
		close(fd);
		fd = -1;
	}
	if (fd < 0)
		log_warn("rules.not-watched", "changes of %s need a SIGHUP",
			 r->settings->rules);
	return fd;
}

bool
reload_changed(const struct run *r, int fd)
{
	_Alignas(struct inotify_event) char events[4096];
	char copy[4096];
	const char *name;
	bool changed = false;
	ssize_t n, at;

	snprintf(copy, sizeof(copy), "%s", r->settings->rules);
	name = basename(copy);
	while ((n = read(fd, events, sizeof(events))) > 0) {
		for (at = 0; at < n;) {
			const struct inotify_event *e =
				(const void *)(events + at);

			if (e->len && !strcmp(e->name, name))
				changed = true;
			at += (ssize_t)(sizeof(*e) + e->len);
		}
	}
	return changed;
}

void
reload_tokens(struct run *r)
{
	struct error err = { 0 };

	if (bus_reload_tokens(r->proxy.bus, &err) == 0)
		return;
	log_error("bus.tokens-failed", "line %d: %s; the old tokens stay in "
		  "force", err.line, err.text);
}

void
reload_bus_tls(struct run *r)
{
	struct error err = { 0 };

	if (bus_tls_check(r->settings, &err) ||
	    bus_reload_tls(r->proxy.bus, &err) < 0)
		log_error("bus.tls-failed", "%s; the old certificate stays in "
			  "force", err.text);
}
