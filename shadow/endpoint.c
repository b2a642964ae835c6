/* SPDX-License-Identifier: Apache-2.0 */
/* Sums of one endpoint below a rule: "GET /products/{id}". */
#include "shadow/endpoint.h"

#include <stdio.h>
#include <stdlib.h>

#include "shadow/wilson.h"

/* FNV-1a: an unequal name is seen without comparing it. */
static uint32_t
hash_of(const char *name)
{
	uint32_t h = 2166136261u;

	for (; *name; name++)
		h = (h ^ (unsigned char)*name) * 16777619u;
	return h;
}

struct shadow_endpoint *
shadow_endpoints_find(const struct shadow_endpoints *e, const char *name)
{
	struct shadow_endpoint *at = e->list;
	uint32_t hash = hash_of(name);

	while (at && (at->hash != hash || strcmp(at->name, name) != 0))
		at = at->next;
	return at;
}

static struct shadow_endpoint *
insert(struct shadow_endpoints *e, const char *name)
{
	struct shadow_endpoint **at = &e->list;
	struct shadow_endpoint *p = calloc(1, sizeof(*p));

	if (!p)
		return NULL;
	snprintf(p->name, sizeof(p->name), "%s", name);
	p->hash = hash_of(p->name);
	while (*at && strcmp((*at)->name, p->name) < 0)
		at = &(*at)->next;
	p->next = *at;
	*at = p;
	e->count++;
	return p;
}

struct shadow_endpoint *
shadow_endpoints_get(struct shadow_endpoints *e, const char *name,
		     size_t *all)
{
	struct shadow_endpoint *p = shadow_endpoints_find(e, name);

	if (p)
		return p;
	if (e->count >= SHADOW_ENDPOINTS_MAX || *all >= SHADOW_ENDPOINTS_ALL) {
		p = shadow_endpoints_find(e, SHADOW_OTHER);
		return p ? p : insert(e, SHADOW_OTHER);
	}
	p = insert(e, name);
	if (p)
		++*all;
	return p;
}

void
shadow_endpoints_free(struct shadow_endpoints *e)
{
	while (e->list) {
		struct shadow_endpoint *p = e->list;

		e->list = p->next;
		shadow_clusters_free(&p->clusters);
		free(p);
	}
	*e = (struct shadow_endpoints){ 0 };
}

void
shadow_endpoint_count(struct shadow_endpoint *p,
		      const struct shadow_verdict *v,
		      const struct shadow_example *seen)
{
	p->samples++;
	p->matches += v->outcome == SHADOW_MATCH;
	p->differences += v->outcome == SHADOW_DIFFERENCE;
	p->failures += v->outcome == SHADOW_FAILED;
	p->changed = true;
	if (v->outcome != SHADOW_FAILED)
		shadow_latency_add(&p->latency, v->legacy_us,
				   v->candidate_us);
	if (v->outcome != SHADOW_MATCH)
		shadow_clusters_note(&p->clusters, v, seen);
}

/* ---- as text, and back ---- */

static void
put(struct json *out, const char *name, uint64_t value)
{
	json_key_span(out, span_of(name));
	json_u64(out, value);
}

static void
put_counts(uint64_t samples, uint64_t matches, uint64_t differences,
	   uint64_t failures, struct json *out)
{
	put(out, "samples", samples);
	put(out, "matches", matches);
	put(out, "differences", differences);
	put(out, "failures", failures);
}

void
shadow_sums_report(uint64_t samples, uint64_t matches, uint64_t differences,
		   uint64_t failures, struct json *out)
{
	put_counts(samples, matches, differences, failures, out);
	json_key(out, "match_rate");
	if (samples)
		json_double(out, (double)matches / (double)samples);
	else
		json_none(out);
	json_key(out, "lower_bound");
	json_double(out, shadow_wilson_lower(matches, samples));
}

void
shadow_endpoint_save(const struct shadow_endpoint *p, struct json *out)
{
	json_object_begin(out);
	json_key(out, "endpoint");
	json_str(out, p->name);
	put_counts(p->samples, p->matches, p->differences, p->failures, out);
	json_key(out, "latency");
	shadow_latency_save(&p->latency, out);
	json_key(out, "clusters");
	shadow_clusters_write(&p->clusters, out);
	put(out, "other_clusters", p->clusters.other);
	json_object_end(out);
}

static uint64_t
number(const struct cJSON *tree, const char *name)
{
	int64_t n = payload_int(payload_member(tree, name), 0);

	return n < 0 ? 0 : (uint64_t)n;
}

void
shadow_endpoint_load(struct shadow_endpoint *p, const struct cJSON *tree)
{
	p->samples = number(tree, "samples");
	p->matches = number(tree, "matches");
	p->differences = number(tree, "differences");
	p->failures = number(tree, "failures");
	shadow_latency_load(&p->latency, payload_member(tree, "latency"));
	shadow_clusters_read(&p->clusters, payload_member(tree, "clusters"));
	p->clusters.other = number(tree, "other_clusters");
}

void
shadow_endpoint_report(const struct shadow_endpoint *p, struct json *out)
{
	json_object_begin(out);
	json_key(out, "endpoint");
	json_str(out, p->name);
	shadow_sums_report(p->samples, p->matches, p->differences,
			   p->failures, out);
	json_key(out, "latency");
	shadow_latency_report(&p->latency, out);
	json_key(out, "clusters");
	shadow_clusters_write(&p->clusters, out);
	put(out, "other_clusters", p->clusters.other);
	json_object_end(out);
}
