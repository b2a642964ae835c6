/* SPDX-License-Identifier: Apache-2.0 */
/* A bus that serves on real sockets, and short ways to talk to it. */
#ifndef TESTS_BUS_LIVE_H
#define TESTS_BUS_LIVE_H

#include <check.h>
#include <sys/types.h>

#include "bus/bus.h"
#include "bus/client.h"
#include "payload/payload.h"
#include "tests/bus/fixture.h"

#define LIVE_CALL_MS 15000

extern struct fixture live_fixture;
extern struct bus *live_bus;
extern char live_ipc[128];
/* The file of tokens for the next start; "": none. */
extern char live_tokens[128];
/* What the bus last said no with; a thread's own. */
extern _Thread_local char live_refusal[ERROR_TEXT_MAX];

void live_setup(void);
void live_teardown(void);
void live_start(void);
void live_restart(void);	/* the journal, too */

struct bus_client *connect_to(const char *url);
/* ask returns the answer, parsed, NULL when the bus refused; must fails the
 * test then; say throws the answer away. */
struct cJSON *ask(struct bus_client *c, const char *request);
struct cJSON *must(struct bus_client *c, const char *request);
void say(struct bus_client *c, const char *request);
int64_t ask_number(struct bus_client *c, const char *request,
		   const char *pointer);
int64_t number(const struct cJSON *p, const char *pointer);
const char *text(const struct cJSON *p, const char *pointer);
size_t count(const struct cJSON *p, const char *pointer);

/* live_process starts this program again as a process to be killed:
 * "consume" (argument: the request it sends) or "serve" (the journal's path).
 * One byte comes from *told when it is ready. */
pid_t live_process(const char *what, const char *argument, int *told);
/* live_main runs the suite, or what live_process asks for. */
int live_main(int argc, char **argv, Suite *(*suite)(void));

#endif
