/* SPDX-License-Identifier: Apache-2.0 */
/* Values as an operator writes them: durations, numbers, addresses. */
#ifndef CONSOLE_VALUE_H
#define CONSOLE_VALUE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/error.h"

/* All are pure and may run on any thread. They return 0, or -1 with err
 * saying what is wrong with the value and what would be right. */

/* "250ms", "3s", "2m", "1h"; at most 24 hours. */
MUST_CHECK int value_duration(const char *text, unsigned *ms,
			      struct error *err);
/* value_age: "90s", "12h", "30d", or 0; at most a hundred years. */
MUST_CHECK int value_age(const char *text, unsigned *seconds,
			 struct error *err);
MUST_CHECK int value_count(const char *text, unsigned max, unsigned *count,
			   struct error *err);
/* value_sequence: an event's or a dead letter's number, from 1. */
MUST_CHECK int value_sequence(const char *text, int64_t *sequence,
			      struct error *err);
/* value_position: "oldest", "now" or an event's number. */
#define VALUE_OLDEST 0
#define VALUE_NOW (-1)
MUST_CHECK int value_position(const char *text, int64_t *sequence,
			      struct error *err);
/* value_time: "2026-01-05T10:00:00Z", or how long ago: "90s", "15m", "2h",
 * "3d". */
MUST_CHECK int value_time(const char *text, int64_t *wall_us,
			  struct error *err);
/* value_place: an event's number, "oldest", "newest" (or "now"), a time. */
struct value_place {
	int64_t sequence;	/* 0: a time, or the newest */
	int64_t time_us;	/* 0: no time */
	bool is_newest;
};
MUST_CHECK int value_place(const char *text, struct value_place *place,
			   struct error *err);
/* value_pace: "full", "original", "10x" (times the original), "50/s". */
struct value_pace {
	double speed;	/* times the original; 0: not asked for */
	double rate;	/* events a second; 0: any */
};
MUST_CHECK int value_pace(const char *text, struct value_pace *pace,
			  struct error *err);
/* value_address checks the form "ADDR:PORT" or "unix:PATH" only; whether it
 * can be bound is for the one who binds. */
MUST_CHECK int value_address(const char *text, struct error *err);
/* An address that clients connect to, with its options behind commas:
 * "ADDR:PORT[,tls][,proxy]" or "unix:PATH[,mode=0660][,tls][,proxy]". */
enum listen_flag {
	LISTEN_TLS = 1,		/* clients speak TLS */
	LISTEN_PROXY = 2	/* a PROXY protocol header comes first */
};
#define VALUE_LISTEN_SIZE 256
struct value_listen {
	char address[VALUE_LISTEN_SIZE];	/* without the options */
	unsigned flags;				/* of enum listen_flag */
	int mode;	/* of the socket's file; -1: the umask decides */
};
MUST_CHECK int value_listen(const char *text, struct value_listen *out,
			    struct error *err);
/* value_bus_url checks for ipc:// or tcp://, and that an ipc path fits into
 * a socket address. */
MUST_CHECK int value_bus_url(const char *text, struct error *err);

/* value_bus_is_local: does the bus address stay within this machine? */
bool value_bus_is_local(const char *url);

/* value_nearest returns the word of the list closest to text, or NULL when
 * none is close enough to be a slip of the fingers. */
const char *value_nearest(const char *text, const char *const *words,
			  size_t count);

#endif
