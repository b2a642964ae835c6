/* SPDX-License-Identifier: Apache-2.0 */
/* Sums of one endpoint below a rule: "GET /products/{id}". */
#ifndef SHADOW_ENDPOINT_H
#define SHADOW_ENDPOINT_H

#include "shadow/cluster.h"
#include "shadow/fold.h"
#include "shadow/latency.h"
#include "shadow/verdict.h"

/* As many a rule and candidate has, and all of them; what comes then is
 * counted under SHADOW_OTHER. */
#define SHADOW_ENDPOINTS_MAX 200
#define SHADOW_ENDPOINTS_ALL 2000
#define SHADOW_OTHER "other"

struct shadow_endpoint {
	struct shadow_endpoint *next;
	char name[SHADOW_ENDPOINT_MAX];
	uint32_t hash;			/* of the name */
	uint64_t samples, matches, differences, failures;
	struct shadow_latency latency;
	struct shadow_clusters clusters;
	bool changed;
};

/* By name, `other` last; zero-initialise. */
struct shadow_endpoints {
	struct shadow_endpoint *list;
	size_t count;
};

/* NULL when it is not there. */
struct shadow_endpoint *
shadow_endpoints_find(const struct shadow_endpoints *e, const char *name);
/* shadow_endpoints_get finds or makes it, or `other` when there are
 * SHADOW_ENDPOINTS_MAX or *all is SHADOW_ENDPOINTS_ALL; NULL without memory. */
struct shadow_endpoint *shadow_endpoints_get(struct shadow_endpoints *e,
					     const char *name, size_t *all);
void shadow_endpoints_free(struct shadow_endpoints *e);

void shadow_endpoint_count(struct shadow_endpoint *p,
			   const struct shadow_verdict *v,
			   const struct shadow_example *seen);
/* The durable form, one object, and back. */
void shadow_endpoint_save(const struct shadow_endpoint *p, struct json *out);
void shadow_endpoint_load(struct shadow_endpoint *p,
			  const struct cJSON *tree);
/* For people: rates, latencies and clusters. */
void shadow_endpoint_report(const struct shadow_endpoint *p,
			    struct json *out);
/* shadow_sums_report writes samples to lower_bound as members. */
void shadow_sums_report(uint64_t samples, uint64_t matches,
			uint64_t differences, uint64_t failures,
			struct json *out);

#endif
