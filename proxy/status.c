/* SPDX-License-Identifier: Apache-2.0 */
/* What the running process says about itself: one JSON object. */
#include "base/clock.h"
#include "base/counter.h"
#include "proxy/run.h"
#include "proxy/stats.h"

#include <inttypes.h>
#include <stdio.h>
#include <unistd.h>

#include "config.h"

static void
write_rule(struct run *r, struct json *j, const struct rules_rule *u)
{
	struct rules_place place = rules_place(u);
	uint64_t n[RULE_STAT_COUNT];

	stats_sum(r->proxy.stats, u->name, n);
	json_object_begin(j);
	json_key(j, "name");
	json_str(j, u->name);
	json_key(j, "line");
	json_i64(j, u->line);
	json_key(j, "stage");
	json_str(j, rules_stage_name(place.stage));
	json_key(j, "path");
	json_str(j, u->path_template);
	json_key(j, "target");
	json_str(j, u->target ? u->target->name : NULL);
	json_key(j, "share");
	json_double(j, (double)place.share_ppm / RULES_SHARE_ALL);
	promotion_status_rule(r->promotion, u, j);
	json_key(j, "requests");
	json_u64(j, n[RULE_REQUESTS]);
	json_key(j, "answered");
	json_object_begin(j);
	json_key(j, "legacy");
	json_u64(j, n[RULE_BY_LEGACY]);
	json_key(j, "target");
	json_u64(j, n[RULE_BY_TARGET]);
	json_key(j, "matapalo");
	json_u64(j, n[RULE_BY_PROXY]);
	json_object_end(j);
	json_key(j, "errors");
	json_u64(j, n[RULE_ERRORS]);
	json_object_end(j);
}

static void
write_rules(struct run *r, struct json *j)
{
	struct rules *rules = rules_holder_get(&r->proxy.rules);
	char text[CLOCK_RFC3339_SIZE], hash[20];
	size_t i;

	snprintf(hash, sizeof(hash), "%016" PRIx64, rules->hash);
	json_object_begin(j);
	json_key(j, "path");
	json_str(j, rules->path);
	json_key(j, "hash");
	json_str(j, hash);
	pthread_mutex_lock(&r->reload_lock);
	json_key(j, "loaded_at");
	json_str(j, clock_rfc3339(r->rules_loaded_us, text));
	json_key(j, "error");
	json_str(j, r->rules_error[0] ? r->rules_error : NULL);
	pthread_mutex_unlock(&r->reload_lock);
	json_key(j, "all_killed");
	json_bool(j, promotion_all_killed(r->promotion));
	json_key(j, "list");
	json_array_begin(j);
	for (i = 0; i < rules->rule_count; i++)
		write_rule(r, j, &rules->rules[i]);
	json_array_end(j);
	json_object_end(j);
	rules_unref(&rules);
}

static void
write_counters(struct json *j)
{
	char name[160];
	int c;

	json_object_begin(j);
	for (c = 0; c < COUNTER_COUNT; c++) {
		const char *labels = counter_labels((enum counter)c);
		int n = snprintf(name, sizeof(name), "%s%s%s%s",
				 counter_name((enum counter)c),
				 *labels ? "{" : "", labels,
				 *labels ? "}" : "");

		json_key_span(j, (struct span){ name, (size_t)n });
		json_i64(j, counter_get((enum counter)c));
	}
	json_object_end(j);
}

static void
write_process(struct run *r, struct json *j)
{
	unsigned i;

	json_key(j, "version");
	json_str(j, PACKAGE_VERSION);
	json_key(j, "pid");
	json_i64(j, getpid());
	json_key(j, "uptime_s");
	json_u64(j, (clock_mono_ms() - r->started_ms) / 1000);
	json_key(j, "workers");
	json_u64(j, r->worker_count);
	json_key(j, "listen");
	json_array_begin(j);
	for (i = 0; i < r->listen_count; i++)
		json_str(j, r->listen[i].text);
	json_array_end(j);
}

/* Ready all the same, but somebody should look at it. */
static bool
run_warns(struct run *r, const char **warning)
{
	struct journal_usage u;

	*warning = promotion_warns(r->promotion);
	journal_usage_get(r->proxy.journal, &u);
	if (u.over_limit)
		*warning = "the journal is over retain_size, because "
			   "something still needs its oldest events";
	if (r->proxy.bus && bus_is_held_up(r->proxy.bus))
		*warning = "the journal is damaged and groups stand still; "
			   "bus.damaged in the status names the events";
	return true;
}

bool
run_ready(void *arg, const char **why_not)
{
	struct run *r = arg;

	if (!__atomic_load_n(&r->serving, __ATOMIC_ACQUIRE))
		*why_not = "the proxy is starting or stopping";
	else if (!journal_is_writable(r->proxy.journal))
		*why_not = "the journal cannot be written";
	else
		return run_warns(r, why_not);
	return false;
}

void
run_status(void *arg, struct json *j)
{
	struct run *r = arg;
	const char *why_not = NULL;
	bool ready = run_ready(r, &why_not);

	json_object_begin(j);
	write_process(r, j);
	json_key(j, "ready");
	json_bool(j, ready);
	json_key(j, "not_ready_because");
	json_str(j, ready ? NULL : why_not);
	json_key(j, "warning");
	json_str(j, ready ? why_not : NULL);
	json_key(j, "rules");
	write_rules(r, j);
	json_key(j, "targets");
	run_status_targets(r, j);
	run_status_journal(r, j);
	json_key(j, "bus");
	bus_status(r->proxy.bus, j);
	json_key(j, "shadow");
	shadow_status(r->shadow, j);
	json_key(j, "adapters");
	adapter_host_status(r->adapters, j);
	json_key(j, "counters");
	write_counters(j);
	json_object_end(j);
}

static int
take_order(void *arg, const struct console_order *o, struct json *out,
	   struct error *err)
{
	struct run *r = arg;

	return promotion_order(r->promotion, o, out, err);
}

struct console_source
run_source(struct run *r)
{
	return (struct console_source){ .arg = r,
					.ready = run_ready,
					.status = run_status,
					.metrics = run_metrics,
					.order = take_order };
}
