/* SPDX-License-Identifier: Apache-2.0 */
/* A consumer: prints each event's sequence, type and data, and settles it.
 *
 *     cc consumer.c $(pkg-config --cflags --libs libmatapalo) -o consumer
 *     ./consumer URL GROUP TYPE [EVENTS]
 *
 * Of the environment: BUS_TOKEN where the bus asks for one; and for a URL
 * tls+tcp:// BUS_CA, BUS_CERTIFICATE with BUS_KEY, BUS_NAME. */
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

#include <matapalo.h>

static volatile sig_atomic_t is_stopped;

static void
stop(int number)
{
	(void)number;
	is_stopped = 1;
}

/* An event may come twice: what is done here must bear that. */
static int
handle(const struct matapalo_event *e)
{
	const char *data = matapalo_event_data(e);

	printf("%" PRId64 " %s %s\n", matapalo_event_sequence(e),
	       matapalo_event_attribute(e, "type"), data ? data : "-");
	return fflush(stdout);
}

static void
handle_all(struct matapalo_consumer *c, const struct matapalo_batch *b)
{
	for (size_t i = 0; i < matapalo_batch_count(b); i++) {
		const struct matapalo_event *e = matapalo_batch_event(b, i);
		int64_t sequence = matapalo_event_sequence(e);

		if (handle(e) == 0)
			(void)matapalo_ack(c, sequence);
		else
			(void)matapalo_nak(c, sequence, MATAPALO_DELAY_GROUP,
					   "cannot print");
	}
}

/* A bus that is away is waited for; its verdicts are kept until then. */
static enum matapalo_code
consume(struct matapalo_consumer *c, size_t events, struct matapalo_error *err)
{
	size_t seen = 0;

	while (!is_stopped && (events == 0 || seen < events)) {
		struct matapalo_batch *b;
		enum matapalo_code code = matapalo_fetch(c, 100, 1000, &b,
							 err);

		if (code == MATAPALO_UNREACHABLE || code == MATAPALO_BUSY) {
			fprintf(stderr, "%s\n", err->text);
			continue;
		}
		if (code != MATAPALO_OK)
			return code;
		handle_all(c, b);
		seen += matapalo_batch_count(b);
		matapalo_batch_free(&b);
	}
	return matapalo_flush(c, err);
}

int
main(int argc, char **argv)
{
	struct matapalo_consumer_options o = MATAPALO_CONSUMER_OPTIONS;
	struct matapalo_consumer *c;
	struct matapalo_error err;
	enum matapalo_code code;

	if (argc != 4 && argc != 5) {
		fprintf(stderr, "usage: %s URL GROUP TYPE [EVENTS]\n",
			argv[0]);
		return 2;
	}
	signal(SIGINT, stop);
	signal(SIGTERM, stop);
	o.url = argv[1];
	o.group = argv[2];
	o.type = argv[3];
	o.token = getenv("BUS_TOKEN");
	o.ca = getenv("BUS_CA");
	o.certificate = getenv("BUS_CERTIFICATE");
	o.key = getenv("BUS_KEY");
	o.server_name = getenv("BUS_NAME");
	code = matapalo_consumer_open(&o, &c, &err);
	if (code == MATAPALO_OK)
		code = consume(c, argc == 5 ? strtoul(argv[4], NULL, 10) : 0,
			       &err);
	if (code != MATAPALO_OK)
		fprintf(stderr, "%s: %s\n", matapalo_code_name(code),
			err.text);
	matapalo_consumer_close(&c);
	return code == MATAPALO_OK ? 0 : 1;
}
