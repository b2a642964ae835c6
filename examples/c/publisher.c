/* SPDX-License-Identifier: Apache-2.0 */
/* A publisher: each line of standard input is the JSON data of an event.
 *
 *     cc publisher.c $(pkg-config --cflags --libs libmatapalo) -o publisher
 *     echo '{"order": 7}' | ./publisher URL TYPE
 *
 * It prints the sequence of each event once it is on disk.
 *
 * Of the environment: BUS_TOKEN where the bus asks for one; and for a URL
 * tls+tcp:// BUS_CA, BUS_CERTIFICATE with BUS_KEY, BUS_NAME. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <matapalo.h>

#define TRIES 5

/* The id is the caller's and stays the same: an event whose acknowledgement
 * got lost is not published twice by another try. */
static enum matapalo_code
publish(struct matapalo_publisher *p, const char *type, const char *data,
	struct matapalo_error *err)
{
	struct matapalo_message m = { .type = type, .data = data };
	enum matapalo_code code = MATAPALO_BUSY;
	char id[MATAPALO_ID_SIZE];
	int64_t sequence;

	matapalo_id(id);
	m.id = id;
	for (int i = 0; i < TRIES && (code == MATAPALO_BUSY ||
				      code == MATAPALO_UNREACHABLE); i++)
		code = matapalo_publish(p, &m, &sequence, err);
	if (code == MATAPALO_OK)
		printf("%" PRId64 "\n", sequence);
	return code;
}

static enum matapalo_code
publish_lines(struct matapalo_publisher *p, const char *type,
	      struct matapalo_error *err)
{
	enum matapalo_code code = MATAPALO_OK;
	char *line = NULL;
	size_t room = 0;

	while (code == MATAPALO_OK && getline(&line, &room, stdin) > 0) {
		line[strcspn(line, "\n")] = '\0';
		code = publish(p, type, line, err);
	}
	free(line);
	return code;
}

int
main(int argc, char **argv)
{
	struct matapalo_publisher_options o = MATAPALO_PUBLISHER_OPTIONS;
	struct matapalo_publisher *p;
	struct matapalo_error err;
	enum matapalo_code code;

	if (argc != 3) {
		fprintf(stderr, "usage: %s URL TYPE <LINES\n", argv[0]);
		return 2;
	}
	o.url = argv[1];
	o.token = getenv("BUS_TOKEN");
	o.ca = getenv("BUS_CA");
	o.certificate = getenv("BUS_CERTIFICATE");
	o.key = getenv("BUS_KEY");
	o.server_name = getenv("BUS_NAME");
	code = matapalo_publisher_open(&o, &p, &err);
	if (code == MATAPALO_OK)
		code = publish_lines(p, argv[2], &err);
	if (code != MATAPALO_OK)
		fprintf(stderr, "%s: %s\n", matapalo_code_name(code),
			err.text);
	matapalo_publisher_close(&p);
	return code == MATAPALO_OK ? 0 : 1;
}
