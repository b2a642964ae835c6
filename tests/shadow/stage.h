/* SPDX-License-Identifier: Apache-2.0 */
/* A real journal, bus and shadow for a test, and what tests do with them. */
#ifndef TESTS_SHADOW_STAGE_H
#define TESTS_SHADOW_STAGE_H

#include "bus/bus.h"
#include "shadow/shadow.h"
#include "shadow/verdict.h"

struct stage {
	char dir[64], path[96];
	struct journal *journal;
	struct bus *bus;
	struct shadow *shadow;
};

/* stage_open makes a directory and starts journal and bus in it;
 * stage_close ends what runs; stage_remove also deletes the files. */
void stage_make(struct stage *s);
void stage_open(struct stage *s);
void stage_close(struct stage *s);
void stage_remove(struct stage *s);
/* stage_shadow starts the shadow with these rules. */
void stage_shadow(struct stage *s, const struct shadow_rule *rules,
		  size_t count);

/* An exchange event as the proxy would record it. Zeroed members get plain
 * values; `more` is put into request or response as JSON members. */
struct stage_exchange {
	const char *rule, *method, *target, *body;
	const char *request_more, *response_more, *data_more;
	int status;
};
/* Returns the exchange's id, in a ring of static buffers. */
const char *stage_publish(struct stage *s, const struct stage_exchange *x);
void stage_publish_event(struct stage *s, const char *type,
			 const char *correlation, const char *data);
/* stage_reply publishes a reply event for that exchange. */
void stage_reply(struct stage *s, const char *correlation, int status,
		 const char *json);
/* stage_reply_to names the command's event as the cause. */
void stage_reply_to(struct stage *s, const char *correlation,
		    const char *cause, int status, const char *json);

/* stage_count counts events of a type, now. */
size_t stage_count(struct stage *s, const char *type);
/* stage_await_count fails the test unless there are n within 20 s. */
void stage_await_count(struct stage *s, const char *type, size_t n);
/* stage_verdict waits for the verdict on that exchange; false when there is
 * none within wait_ms. */
bool stage_verdict(struct stage *s, const char *correlation,
		   unsigned wait_ms, struct shadow_verdict *v);
/* stage_verdicts_of counts the verdicts on that exchange. */
size_t stage_verdicts_of(struct stage *s, const char *correlation);
/* stage_number reads a number of shadow_status by its JSON pointer. */
int64_t stage_number(struct stage *s, const char *pointer);
/* stage_await_number waits until it is that. */
void stage_await_number(struct stage *s, const char *pointer, int64_t n);

#endif
