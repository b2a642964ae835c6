/* SPDX-License-Identifier: Apache-2.0 */
/* Keeps the running adapters equal to what the rules file names. */
#include "adapters/host.h"

#include <pthread.h>
#include <stdlib.h>

#include "adapters/runner.h"
#include "base/invariant.h"
#include "base/log.h"

#define HOST_MAGIC 0xada90001u

struct adapter_host {
	uint32_t magic;
	struct bus *bus;
	const struct adapter_ops *(*find)(const char *kind);
	pthread_mutex_t lock;	/* the list; runners have their own */
	struct adapter_runner **runners;
	size_t count;
};

struct adapter_host *
adapter_host_start_with(struct bus *bus,
			const struct adapter_ops *(*find)(const char *kind),
			struct error *err)
{
	struct adapter_host *h = calloc(1, sizeof(*h));

	if (!h) {
		error_set(err, "no memory for the adapters");
		return NULL;
	}
	MAGIC_SET(h, HOST_MAGIC);
	h->bus = bus;
	h->find = find;
	pthread_mutex_init(&h->lock, NULL);
	return h;
}

struct adapter_host *
adapter_host_start(struct bus *bus, struct error *err)
{
	return adapter_host_start_with(bus, adapter_find, err);
}

static const struct adapter_config *
find_config(const struct adapter_runner *r,
	    const struct adapter_config *configs, size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (adapter_runner_is(r, &configs[i]))
			return &configs[i];
	return NULL;
}

/* Moves the runner that is this config already out of `old`. */
static struct adapter_runner *
take_running(struct adapter_runner **old, size_t count,
	     const struct adapter_config *config)
{
	for (size_t i = 0; i < count; i++) {
		struct adapter_runner *r = old[i];

		if (r && adapter_runner_is(r, config)) {
			old[i] = NULL;
			return r;
		}
	}
	return NULL;
}

static void
stop_all(struct adapter_runner **runners, size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (runners[i])
			adapter_runner_stop_begin(runners[i]);
	for (size_t i = 0; i < count; i++)
		adapter_runner_stop(&runners[i]);
}

/* Those that go are stopped before any is started: a changed adapter keeps
 * its name, and its group belongs to one at a time. */
static void
drop_others(struct adapter_host *h, const struct adapter_config *configs,
	    size_t count)
{
	struct adapter_runner **gone = calloc(h->count + 1, sizeof(*gone));
	size_t kept = 0, dropped = 0;

	INVARIANT(gone);
	pthread_mutex_lock(&h->lock);
	for (size_t i = 0; i < h->count; i++) {
		struct adapter_runner *r = h->runners[i];

		if (find_config(r, configs, count))
			h->runners[kept++] = r;
		else
			gone[dropped++] = r;
	}
	h->count = kept;
	pthread_mutex_unlock(&h->lock);
	stop_all(gone, dropped);
	free(gone);
}

static struct adapter_runner *
start_one(struct adapter_host *h, const struct adapter_config *config)
{
	struct adapter_runner *r;

	r = adapter_runner_start(h->bus, h->find(config->kind), config);
	if (!r)
		log_error("adapter.no-memory", "adapter %s does not run: no "
			  "memory", config->name);
	return r;
}

void
adapter_host_set(struct adapter_host *h, const struct adapter_config *configs,
		 size_t count)
{
	struct adapter_runner **list = calloc(count + 1, sizeof(*list)), **old;
	size_t n = 0;

	MAGIC_CHECK(h, HOST_MAGIC);
	INVARIANT(list);
	drop_others(h, configs, count);
	pthread_mutex_lock(&h->lock);
	for (size_t i = 0; i < count; i++) {
		struct adapter_runner *r = take_running(h->runners, h->count,
						&configs[i]);

		if (!r)
			r = start_one(h, &configs[i]);
		if (r)
			list[n++] = r;
	}
	old = h->runners;
	h->runners = list;
	h->count = n;
	pthread_mutex_unlock(&h->lock);
	free(old);
}

void
adapter_host_stop(struct adapter_host **hp)
{
	struct adapter_host *h = *hp;

	*hp = NULL;
	if (!h)
		return;
	MAGIC_CHECK(h, HOST_MAGIC);
	stop_all(h->runners, h->count);
	free(h->runners);
	pthread_mutex_destroy(&h->lock);
	MAGIC_CLEAR(h);
	free(h);
}

void
adapter_host_status(struct adapter_host *h, struct json *out)
{
	MAGIC_CHECK(h, HOST_MAGIC);
	json_array_begin(out);
	pthread_mutex_lock(&h->lock);
	for (size_t i = 0; i < h->count; i++)
		adapter_runner_status(h->runners[i], out);
	pthread_mutex_unlock(&h->lock);
	json_array_end(out);
}
