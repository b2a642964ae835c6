/* SPDX-License-Identifier: Apache-2.0 */
/* What the test origin's scripts see of a request. */
#ifndef TESTS_TOOLS_ORIGIN_H
#define TESTS_TOOLS_ORIGIN_H

#include "tests/tools/stream.h"

/* What happens to the connection after a script. */
enum origin_after { ORIGIN_KEEP, ORIGIN_CLOSE, ORIGIN_RESET };

struct origin_request {
	int fd;
	const char *name;	/* of this origin, or "" */
	const char *head;	/* request line and header lines */
	const char *method, *target;
	struct stream_body body;
	unsigned long argument;	/* the number at the end of the path */
};

struct origin_script {
	const char *path;	/* prefix; a number may follow */
	enum origin_after (*run)(struct origin_request *r);
	const char *help;
	bool before_body;	/* run while the body is still to come */
};

/* origin_script_find never returns NULL: unknown paths get the echo. */
const struct origin_script *origin_script_find(const char *target);
void origin_script_list(void);
/* Requests whose head was read, over all connections. */
unsigned long origin_requests(void);

#endif
