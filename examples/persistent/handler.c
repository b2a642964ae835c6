/* SPDX-License-Identifier: Apache-2.0 */
/* A handler that lasts, in C: writes each event to a file that it opens once.
 *
 *     cc handler.c $(pkg-config --cflags --libs libcjson) -o handler
 *     matapalo consume --group notes --exec-persistent './handler FILE'
 *
 * getline() and printf() are all it needs of the protocol; any JSON library
 * does the rest. */
#define _POSIX_C_SOURCE 200809L
#include <cjson/cJSON.h>
#include <stdio.h>
#include <stdlib.h>

static const char *
string_of(const cJSON *object, const char *name)
{
	const char *text = cJSON_GetStringValue(
		cJSON_GetObjectItemCaseSensitive(object, name));

	return text ? text : "";
}

/* An id is a UUID: nothing in it needs escaping. */
static int
answer(FILE *log, const cJSON *delivery)
{
	const cJSON *event = cJSON_GetObjectItemCaseSensitive(delivery,
							      "event");
	const char *id = string_of(event, "id");

	if (fprintf(log, "%s\n", string_of(event, "subject")) < 0 ||
	    fflush(log))
		printf("{\"id\":\"%s\",\"nak\":{\"reason\":\"disk\"}}\n", id);
	else
		printf("{\"id\":\"%s\",\"ack\":true}\n", id);
	return fflush(stdout);
}

int
main(int argc, char **argv)
{
	FILE *log = argc == 2 ? fopen(argv[1], "a") : NULL;
	char *line = NULL;
	size_t room = 0;

	if (!log) {
		fprintf(stderr, "usage: %s FILE\n", argv[0]);
		return 2;
	}
	while (getline(&line, &room, stdin) > 0) {
		cJSON *delivery = cJSON_Parse(line);
		int rc = answer(log, delivery);

		cJSON_Delete(delivery);
		if (rc)
			break;
	}
	free(line);
	return fclose(log) ? 1 : 0;
}
