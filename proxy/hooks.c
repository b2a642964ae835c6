/* SPDX-License-Identifier: Apache-2.0 */
/* Rules' web hooks as adapters: a durable group each, that is told of the
 * rule's operations and no others. */
#include "proxy/hooks.h"

#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "bus/encode.h"

#define TIMEOUT_MOST_MS 60000u

static void
add(struct adapter_config *c, struct hook_config *m, const char *key,
    const char *value)
{
	if (value)
		m->settings[c->setting_count++] =
			(struct adapter_setting){ key, value };
}

static void
add_tls(struct adapter_config *c, struct hook_config *m,
	const struct rules_tls *t)
{
	add(c, m, "ca", t->ca.path ? t->ca.text.at : NULL);
	add(c, m, "certificate",
	    t->certificate.path ? t->certificate.text.at : NULL);
	add(c, m, "key", t->key.path ? t->key.text.at : NULL);
	add(c, m, "server_name", t->server_name);
}

static void
add_place(struct adapter_config *c, struct hook_config *m,
	  const struct rules_target *t)
{
	bool is_unix = t->address_count &&
		       t->addresses[0].addr.ss_family == AF_UNIX;

	add(c, m, "url", is_unix ? "http://localhost/" : t->url);
	if (is_unix)
		add(c, m, "unix", t->addresses[0].text + strlen("unix:"));
}

static unsigned
timeout_of(const struct rules_target *t)
{
	unsigned ms = t->total_ms ? t->total_ms : t->head_ms;

	return ms && ms < TIMEOUT_MOST_MS ? ms : TIMEOUT_MOST_MS;
}

bool
hooks_config(const struct rules_rule *rule, struct hook_config *memory,
	     struct adapter_config *out)
{
	const struct rules_target *t = rule->later.hook;

	if (!t)
		return false;
	snprintf(memory->name, sizeof(memory->name), "hook.%s", rule->name);
	snprintf(memory->timeout, sizeof(memory->timeout), "%u",
		 timeout_of(t));
	*out = (struct adapter_config){
		.name = memory->name, .kind = "webhook",
		.type_filter = ENCODE_TYPE_OPERATION,
		.subject_filter = rule->name,
		.settings = memory->settings,
	};
	add_place(out, memory, t);
	add(out, memory, "timeout_ms", memory->timeout);
	if (t->tls)
		add_tls(out, memory, t->tls);
	return true;
}
