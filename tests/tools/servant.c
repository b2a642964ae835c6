/* SPDX-License-Identifier: Apache-2.0 */
/* A service behind the bus that remembers: each command is in its log before
 * it is answered. It answers with the number of the command's body, and
 * misbehaves as it is told: late, twice, to somebody else, with ids that
 * nobody has. It can be killed at any moment.
 *
 * A line of the log: number, event, attempt. */
#include <fcntl.h>
#include <getopt.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <time.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/id.h"
#include "bus/client.h"
#include "payload/payload.h"

#define CALL_MS 3000
#define WAIT_MS 500
#define DIAL_MS 1000
/* nng can lock itself out (docs/decisions/0024): whoever supervises starts
 * another one. */
#define HUNG_MS 9000
#define HUNG_STATUS 4
#define THREADS_MAX 32

struct servant {
	const char *url, *group, *type, *hold;
	unsigned threads, batch, delay_ms, lease_ms;
	bool twice, foreign, swapped;
	int log;
	atomic_ulong executed, replied, late, refused;
};

/* One thread and its connection. */
struct hand {
	struct servant *s;
	pthread_t thread;
	unsigned number;
	struct bus_client *client;
	struct buf acks;
	atomic_ulong busy_since_ms;	/* with the bus; 0: it is not */
	atomic_bool over;
};

static atomic_bool stop_asked;

static void
ask_stop(int sig)
{
	(void)sig;
	stop_asked = true;
}

static void
pause_ms(unsigned ms)
{
	struct timespec ts = { ms / 1000, (long)(ms % 1000) * 1000000 };

	nanosleep(&ts, NULL);
}

static void
begin(struct hand *h)
{
	atomic_store(&h->busy_since_ms, clock_mono_ms());
}

static void
end(struct hand *h)
{
	atomic_store(&h->busy_since_ms, 0);
}

/* The answer, parsed; NULL when there was none, or a refusal. */
static struct cJSON *
call(struct hand *h, const struct buf *request)
{
	struct buf answer = { 0 };
	struct error err = { 0 };
	struct cJSON *tree = NULL;

	begin(h);
	if (bus_client_call(h->client, buf_span(request), CALL_MS, &answer,
			    &err) == 0)
		tree = payload_parse(buf_span(&answer), &err);
	end(h);
	buf_fini(&answer);
	return tree;
}

static const char *
attribute(const struct cJSON *item, const char *name)
{
	return payload_string(payload_member(payload_member(item, "event"),
					     name), "");
}

static long
number_of(const struct cJSON *item)
{
	return (long)payload_int(payload_at(item,
				 "/event/data/request/json/n"), -1);
}

static void
note(struct hand *h, const struct cJSON *item)
{
	char line[128];
	int n = snprintf(line, sizeof(line), "%ld %s %d\n", number_of(item),
			 attribute(item, "id"),
			 (int)payload_int(payload_member(item, "attempt"),
					  0));

	atomic_fetch_add(&h->s->executed, 1);
	if (write(h->s->log, line, (size_t)n) != n)
		_exit(3);
}

static void
reply(struct hand *h, const char *correlation, const char *cause,
      const char *id, long n)
{
	struct buf request = { 0 };
	struct cJSON *answer;

	buf_printf(&request, "{\"op\":\"reply\",\"correlationid\":\"%s\","
		   "\"causationid\":\"%s\",%s%s%s\"status\":201,"
		   "\"json\":{\"n\":%ld}}", correlation, cause,
		   id ? "\"id\":\"" : "", id ? id : "", id ? "\"," : "", n);
	answer = call(h, &request);
	if (!answer)
		atomic_fetch_add(&h->s->refused, 1);
	else if (payload_bool(payload_member(answer, "late"), false))
		atomic_fetch_add(&h->s->late, 1);
	else
		atomic_fetch_add(&h->s->replied, 1);
	payload_free(&answer);
	buf_fini(&request);
}

/* What a service with a fault may send beside its answer. */
static void
misbehave(struct hand *h, const struct cJSON *item)
{
	const char *correlation = attribute(item, "correlationid");
	struct id other = id_make(), unknown = id_make();
	char a[ID_TEXT_SIZE], b[ID_TEXT_SIZE];

	id_text(&other, a);
	id_text(&unknown, b);
	if (h->s->foreign)
		reply(h, b, attribute(item, "id"), NULL, -1);
	if (h->s->twice)
		reply(h, correlation, attribute(item, "id"), a, -2);
}

static void
serve(struct hand *h, const struct cJSON *item, const struct cJSON *other)
{
	struct servant *s = h->s;
	const struct cJSON *to = s->swapped && other ? other : item;

	reply(h, attribute(to, "correlationid"), attribute(item, "id"), NULL,
	      number_of(item));
	if (s->twice || s->foreign)
		misbehave(h, item);
	buf_printf(&h->acks, "%s%lld", h->acks.len ? "," : "",
		   (long long)payload_int(payload_member(item, "sequence"),
					  0));
}

static void
serve_all(struct hand *h, const struct cJSON *events)
{
	const struct cJSON *i, *next;

	for (i = payload_first(events); i; i = payload_next(i))
		note(h, i);
	if (payload_first(events) && h->s->delay_ms)
		pause_ms(h->s->delay_ms);
	while (payload_first(events) && h->s->hold &&
	       access(h->s->hold, F_OK) != 0)
		pause_ms(5);
	for (i = payload_first(events); i; i = next) {
		next = payload_next(i);
		serve(h, i, next);
	}
}

static bool
turn(struct hand *h)
{
	struct servant *s = h->s;
	struct buf request = { 0 };
	struct cJSON *tree;

	buf_printf(&request, "{\"op\":\"fetch\",\"group\":\"%s\","
		   "\"consumer\":\"s-%d-%u\",\"max\":%u,\"wait_ms\":%d,"
		   "\"filter\":{\"type\":\"%s\"},"
		   "\"max_in_flight\":100000,\"max_attempts\":1000,"
		   "\"lease_ms\":%u,\"backoff_ms\":[10],\"acks\":[%s]}",
		   s->group, (int)getpid(), h->number, s->batch, WAIT_MS,
		   s->type, s->lease_ms, buf_str(&h->acks));
	tree = call(h, &request);
	buf_fini(&request);
	buf_clear(&h->acks);
	if (!tree)
		return false;
	serve_all(h, payload_member(tree, "events"));
	payload_free(&tree);
	return true;
}

/* Until it is told to stop; a bus that is gone may come back. With a client
 * of its own each time: nng's dialer gives up when a connection breaks in its
 * first bytes (EPIPE), and a relay is good at that. */
static void *
work(void *arg)
{
	struct hand *h = arg;
	struct error err = { 0 };

	while (!stop_asked) {
		begin(h);
		if (!h->client)
			h->client = bus_client_open(h->s->url, NULL, DIAL_MS,
						    &err);
		end(h);
		if (!h->client)
			pause_ms(5);
		else if (!turn(h))
			bus_client_close(&h->client);
	}
	if (h->client && h->acks.len)
		(void)turn(h);
	bus_client_close(&h->client);
	buf_fini(&h->acks);
	atomic_store(&h->over, true);
	return NULL;
}

static void
await(struct hand *h)
{
	while (!atomic_load(&h->over)) {
		unsigned long since = atomic_load(&h->busy_since_ms);

		if (since && clock_mono_ms() - since > HUNG_MS)
			_exit(HUNG_STATUS);
		pause_ms(2);
	}
	pthread_join(h->thread, NULL);
}

static const struct option options[] = {
	{ "url", required_argument, NULL, 'u' },
	{ "group", required_argument, NULL, 'g' },
	{ "type", required_argument, NULL, 't' },
	{ "log", required_argument, NULL, 'l' },
	{ "threads", required_argument, NULL, 'n' },
	{ "batch", required_argument, NULL, 'b' },
	{ "delay-ms", required_argument, NULL, 'd' },
	{ "lease-ms", required_argument, NULL, 'L' },
	{ "hold", required_argument, NULL, 'h' },
	{ "twice", no_argument, NULL, '2' },
	{ "foreign", no_argument, NULL, 'f' },
	{ "swapped", no_argument, NULL, 's' },
	{ NULL, 0, NULL, 0 }
};

static int
set_option(struct servant *s, int c)
{
	switch (c) {
	case 'u': s->url = optarg; return 0;
	case 'g': s->group = optarg; return 0;
	case 't': s->type = optarg; return 0;
	case 'h': s->hold = optarg; return 0;
	case 'n': s->threads = (unsigned)atoi(optarg); return 0;
	case 'b': s->batch = (unsigned)atoi(optarg); return 0;
	case 'd': s->delay_ms = (unsigned)atoi(optarg); return 0;
	case 'L': s->lease_ms = (unsigned)atoi(optarg); return 0;
	case '2': s->twice = true; return 0;
	case 'f': s->foreign = true; return 0;
	case 's': s->swapped = true; return 0;
	case 'l':
		s->log = open(optarg, O_WRONLY | O_CREAT | O_APPEND |
				      O_CLOEXEC, 0600);
		return s->log >= 0 ? 0 : -1;
	}
	return -1;
}

static int
parse(int argc, char **argv, struct servant *s)
{
	int c;

	while ((c = getopt_long(argc, argv, "", options, NULL)) != -1)
		if (c == '?' || set_option(s, c) < 0)
			return -1;
	return s->url && s->type && s->log >= 0 && s->threads > 0 &&
		s->threads <= THREADS_MAX ? 0 : -1;
}

int
main(int argc, char **argv)
{
	static struct servant s = { .group = "servants", .threads = 1,
				    .batch = 32, .lease_ms = 30000,
				    .log = -1 };
	static struct hand hands[THREADS_MAX];

	if (parse(argc, argv, &s) < 0) {
		fputs("usage: servant --url URL --type TYPE --log FILE\n"
		      "  [--group G] [--threads N] [--batch N] [--delay-ms N]\n"
		      "  [--lease-ms N] [--hold FILE] [--twice]\n"
		      "  [--foreign] [--swapped]\n",
		      stderr);
		return 2;
	}
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	signal(SIGTERM, ask_stop);
	for (unsigned i = 0; i < s.threads; i++) {
		hands[i].s = &s;
		hands[i].number = i;
		if (pthread_create(&hands[i].thread, NULL, work, &hands[i]))
			abort();
	}
	for (unsigned i = 0; i < s.threads; i++)
		await(&hands[i]);
	printf("{\"executed\": %lu, \"replied\": %lu, \"late\": %lu, "
	       "\"refused\": %lu}\n", (unsigned long)s.executed,
	       (unsigned long)s.replied, (unsigned long)s.late,
	       (unsigned long)s.refused);
	return 0;
}
