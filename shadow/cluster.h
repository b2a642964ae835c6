/* SPDX-License-Identifier: Apache-2.0 */
/* Differences of one kind at one place, counted, with a few examples. */
#ifndef SHADOW_CLUSTER_H
#define SHADOW_CLUSTER_H

#include "base/id.h"
#include "payload/payload.h"
#include "shadow/verdict.h"

#define SHADOW_CLUSTERS_MAX 40
#define SHADOW_EXAMPLES_FIRST 2
#define SHADOW_EXAMPLES_MAX 5	/* the first ones, then the newest */
/* The kind of what is no difference but a failed candidate; the pointer is
 * the reason then. */
#define SHADOW_KIND_FAILED "failed"

/* One verdict whose event holds the candidate's answer. */
struct shadow_example {
	char correlation[ID_TEXT_SIZE];
	int64_t sequence;		/* of the verdict event */
	int64_t time_us;
};

struct shadow_cluster {
	struct shadow_cluster *next;
	char pointer[SHADOW_VALUE_MAX + 1];	/* folded */
	char kind[16];
	uint64_t count;
	int64_t first_us, last_us;	/* wall time of the events */
	int64_t sequence;		/* of the newest */
	size_t example_count;
	struct shadow_example examples[SHADOW_EXAMPLES_MAX];
};

/* In order of first appearance. When all places are taken, the one that has
 * not been seen for longest gives way, and its count goes to `other`; so does
 * that of one for which there is no memory. */
struct shadow_clusters {
	struct shadow_cluster *list;
	size_t count;
	uint64_t other;
};

/* shadow_clusters_note counts each difference of a verdict, or its failure,
 * once a kind and place. */
void shadow_clusters_note(struct shadow_clusters *c,
			  const struct shadow_verdict *v,
			  const struct shadow_example *seen);
/* shadow_clusters_wants: is the candidate's answer worth keeping as an
 * example? Of each cluster the first ones, then ever fewer. */
bool shadow_clusters_wants(const struct shadow_clusters *c,
			   const struct shadow_verdict *v);
/* An array of objects, for the disk and for people alike; and back. */
void shadow_clusters_write(const struct shadow_clusters *c, struct json *out);
void shadow_clusters_read(struct shadow_clusters *c,
			  const struct cJSON *list);
void shadow_clusters_free(struct shadow_clusters *c);

#endif
