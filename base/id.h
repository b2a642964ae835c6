/* SPDX-License-Identifier: Apache-2.0 */
/* Identifiers: UUIDv7 (RFC 9562 5.7), time-ordered and unguessable. */
#ifndef BASE_ID_H
#define BASE_ID_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define ID_TEXT_SIZE 37	/* 36 characters and NUL */

struct id {
	uint8_t bytes[16];
};

/* id_make: strictly increasing within one thread, also while the wall clock
 * stands still or goes back; unique between threads by 62+ random bits.
 * Any thread (state is per thread). */
struct id id_make(void);
/* id_text writes 36 characters and NUL, returns out. */
const char *id_text(const struct id *id, char out[ID_TEXT_SIZE]);
/* id_parse returns 0, or -1 when s is not the 36-character form. */
int id_parse(const char *s, size_t len, struct id *id);
bool id_equal(const struct id *a, const struct id *b);
/* id_random fills out with n random bytes. Any thread. */
void id_random(void *out, size_t n);

#endif
