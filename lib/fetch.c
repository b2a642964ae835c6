/* SPDX-License-Identifier: Apache-2.0 */
/* Fetches: begun, waited for, cancelled; and the verdicts they take along. */
#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "lib/internal.h"

/* ---- open and close ---- */

enum matapalo_code
fetch_open(struct matapalo_consumer *c, struct matapalo_error *err)
{
	c->fetch.over_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	c->fetch.cancel_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (c->fetch.over_fd < 0 || c->fetch.cancel_fd < 0)
		return fail(err, MATAPALO_NO_MEMORY, "no descriptor for the "
			    "consumer: %s", strerror(errno));
	return MATAPALO_OK;
}

void
fetch_close(struct matapalo_consumer *c)
{
	bus_call_give_up(&c->fetch.call);
	if (c->fetch.taken)
		verdicts_return(c, &c->fetch.taken);
	if (c->fetch.over_fd >= 0)
		close(c->fetch.over_fd);
	if (c->fetch.cancel_fd >= 0)
		close(c->fetch.cancel_fd);
}

/* ---- signals between threads; also from a signal's handler ---- */

static void
raise_fd(int fd)
{
	const uint64_t one = 1;
	int before = errno;
	ssize_t n = write(fd, &one, sizeof(one));

	(void)n;	/* full is raised, too */
	errno = before;
}

static bool
lower_fd(int fd)
{
	uint64_t n;

	return read(fd, &n, sizeof(n)) == sizeof(n);
}

static void
on_over(void *arg)
{
	struct matapalo_consumer *c = arg;

	raise_fd(c->fetch.over_fd);
}

void
matapalo_cancel(struct matapalo_consumer *c)
{
	raise_fd(c->fetch.cancel_fd);
}

int
matapalo_fetch_fd(const struct matapalo_consumer *c)
{
	return c->fetch.over_fd;
}

/* ---- begin ---- */

static void
write_fetch(struct matapalo_consumer *c, unsigned max, unsigned wait_ms,
	    struct json *j, struct buf *request)
{
	char serial[24];

	link_begin(j, request, "fetch");
	consumer_who(c, j);
	snprintf(serial, sizeof(serial), "%" PRIu64, c->serial);
	link_text(j, "request", serial);
	link_number(j, "max", max);
	link_number(j, "wait_ms", wait_ms);
	if (c->event_bytes)
		link_number(j, "event_bytes", c->event_bytes == MATAPALO_WHOLE
						      ? 0
						      : c->event_bytes);
	consumer_settings(c, j);
}

enum matapalo_code
matapalo_fetch_begin(struct matapalo_consumer *c, unsigned max,
		     unsigned wait_ms, struct matapalo_error *err)
{
	struct buf request CLEANUP(buf_fini) = { 0 };
	struct error failed = { 0 };
	enum matapalo_code code;
	struct json j;

	if (c->fetch.call)
		return fail(err, MATAPALO_USAGE, "a fetch is under way: end "
			    "it with matapalo_fetch_end first");
	write_fetch(c, max, wait_ms, &j, &request);
	c->fetch.taken = verdicts_take(c, &j);
	code = link_end(&j, err);
	(void)lower_fd(c->fetch.over_fd);
	if (!code) {
		c->fetch.call = bus_call_start(c->link.client,
					       buf_span(&request),
					       c->link.call_ms + wait_ms,
					       on_over, c, &failed);
		if (!c->fetch.call)
			code = fail(err, MATAPALO_NO_MEMORY, "%s",
				    failed.text);
	}
	if (code)
		verdicts_return(c, &c->fetch.taken);
	return code;
}

/* ---- end ---- */

/* False: cancelled. The call's own timeout ends the wait for certain. */
static bool
await(struct matapalo_consumer *c)
{
	struct pollfd p[] = {
		{ .fd = c->fetch.over_fd, .events = POLLIN },
		{ .fd = c->fetch.cancel_fd, .events = POLLIN },
	};

	while (poll(p, ARRAY_SIZE(p), -1) < 0 && errno == EINTR)
		;
	if (p[0].revents)
		return true;
	(void)lower_fd(c->fetch.cancel_fd);
	return false;
}

static enum matapalo_code
take_batch(struct matapalo_consumer *c, struct cJSON **answer,
	   struct matapalo_batch **out, struct matapalo_error *err)
{
	*out = batch_make(answer);
	if (*out && held_add(c, *out) == 0)
		return MATAPALO_OK;
	matapalo_batch_free(out);
	return fail(err, MATAPALO_NO_MEMORY, "no memory for the events");
}

static enum matapalo_code
take_answer(struct matapalo_consumer *c, struct matapalo_batch **out,
	    struct matapalo_error *err)
{
	struct buf answer CLEANUP(buf_fini) = { 0 };
	struct error failed = { 0 };
	struct cJSON *tree = NULL;
	int rc = bus_call_end(&c->fetch.call, &answer, &failed);
	enum matapalo_code code = link_answer(&answer, rc, &failed, &tree,
					      err);

	(void)lower_fd(c->fetch.over_fd);
	if (code) {
		verdicts_return(c, &c->fetch.taken);
		return code;
	}
	verdicts_done(c, &c->fetch.taken);
	/* Without memory the same request gets the same events again. */
	code = take_batch(c, &tree, out, err);
	if (!code)
		c->serial++;
	return code;
}

/* The number of the fetch stays: the next one gets what the answer that is
 * not wanted holds, and makes the bus forget about this one. */
static enum matapalo_code
give_up(struct matapalo_consumer *c, struct matapalo_error *err)
{
	bus_call_give_up(&c->fetch.call);
	(void)lower_fd(c->fetch.over_fd);
	verdicts_return(c, &c->fetch.taken);
	return fail(err, MATAPALO_CANCELLED, "the fetch was cancelled");
}

enum matapalo_code
matapalo_fetch_end(struct matapalo_consumer *c, struct matapalo_batch **out,
		   struct matapalo_error *err)
{
	*out = NULL;
	if (!c->fetch.call)
		return fail(err, MATAPALO_USAGE, "no fetch is under way: "
			    "begin one with matapalo_fetch_begin");
	return await(c) ? take_answer(c, out, err) : give_up(c, err);
}

enum matapalo_code
matapalo_fetch(struct matapalo_consumer *c, unsigned max, unsigned wait_ms,
	       struct matapalo_batch **out, struct matapalo_error *err)
{
	enum matapalo_code code = matapalo_fetch_begin(c, max, wait_ms, err);

	*out = NULL;
	return code ? code : matapalo_fetch_end(c, out, err);
}

/* ---- flush ---- */

/* A fetch of nothing carries them; without a number, so that it does not end
 * the fetch that waits. */
enum matapalo_code
matapalo_flush(struct matapalo_consumer *c, struct matapalo_error *err)
{
	struct buf request CLEANUP(buf_fini) = { 0 };
	struct cJSON *answer CLEANUP(payload_free) = NULL;
	struct verdicts *taken;
	enum matapalo_code code;
	struct json j;

	link_begin(&j, &request, "fetch");
	consumer_who(c, &j);
	link_number(&j, "max", 0);
	consumer_settings(c, &j);
	taken = verdicts_take(c, &j);
	if (!taken)
		return MATAPALO_OK;
	code = link_call(&c->link, &j, 0, &answer, err);
	if (code)
		verdicts_return(c, &taken);
	else
		verdicts_done(c, &taken);
	return code;
}
