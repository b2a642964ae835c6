/* SPDX-License-Identifier: Apache-2.0 */
/* A rule as the shadow knows it: shadow/ does not include rules/. */
#include "console/shadowed.h"

#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* Lists have the same shape, so that they are lent and not copied. */
_Static_assert(sizeof(struct rules_tolerance) ==
	       sizeof(struct payload_tolerance), "same shape");
_Static_assert((int)RULES_TOLERANCE_TIME == (int)PAYLOAD_TOLERANCE_TIME &&
	       (int)RULES_TOLERANCE_SHARE == (int)PAYLOAD_TOLERANCE_SHARE,
	       "same meaning");
_Static_assert(sizeof(struct rules_status) == sizeof(struct shadow_status),
	       "same shape");
_Static_assert(sizeof(struct rules_normalise) ==
	       sizeof(struct payload_rewrite), "same shape");
_Static_assert(sizeof(struct rules_unordered) ==
	       sizeof(struct payload_unordered), "same shape");

struct shadow_rule
shadowed_rule(const struct rules_rule *u)
{
	const struct rules_compare *c = &u->compare;

	return (struct shadow_rule){
		.name = u->name,
		.unsafe_allowed = u->shadow_unsafe,
		.ignore = c->ignore,
		.ignore_count = c->ignore_count,
		.headers = c->headers,
		.header_count = c->header_count,
		.any_coding = c->any_coding,
		.tolerance = (const void *)c->tolerance,
		.tolerance_count = c->tolerance_count,
		.unordered = (const void *)c->unordered,
		.unordered_count = c->unordered_count,
		.status = (const void *)c->status,
		.status_count = c->status_count,
		.normalise = (const void *)c->normalise,
		.normalise_count = c->normalise_count,
		.noise_ppm = c->noise_ppm,
		.fingerprint = c->fingerprint,
	};
}

/* Whom the live path would not believe, the shadow does not either. */
static const struct outbound_tls *
fill_tls(struct outbound_tls *out, const struct rules_tls *t)
{
	*out = (struct outbound_tls){
		.verify = t->verify,
		.min_version = t->min_version == RULES_TLS_1_3 ?
				       OUTBOUND_TLS_1_3 : OUTBOUND_TLS_1_2,
		.server_name = t->server_name,
		.ca = t->ca.text,
		.crl_path = t->crl.path,
		.certificate = t->certificate.text,
		.key = t->key.text,
	};
	return out;
}

void
shadowed_target(struct shadow_rule *out, const struct rules_target *t,
		struct outbound_tls *tls)
{
	out->target = t->name;
	if (t->kind == RULES_TARGET_COMMAND) {
		out->command = t->command;
		out->timeout_ms = t->reply_within_ms;
		return;
	}
	out->url = t->url;
	out->proxy_header = t->proxy_protocol != RULES_PROXY_NONE;
	out->timeout_ms = t->total_ms ? t->total_ms : t->head_ms;
	if (t->address_count &&
	    t->addresses[0].addr.ss_family == AF_UNIX)
		out->unix_path = t->addresses[0].text + strlen("unix:");
	if (t->tls)
		out->tls = fill_tls(tls, t->tls);
}

int
shadowed_secrets(struct shadow_plan *plan, struct digest_key *key,
		 const char *data, struct error *err)
{
	struct buf path CLEANUP(buf_fini) = { 0 };

	buf_printf(&path, "%s/redact.key", data);
	if (access(buf_str(&path), R_OK) != 0)
		plan->redact = NULL;
	else if (digest_key_load(key, buf_str(&path), err))
		return -1;
	else
		plan->key = key;
	return 0;
}
