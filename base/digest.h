/* SPDX-License-Identifier: Apache-2.0 */
/* Keyed hashes and digests; sole home of libsodium. */
#ifndef BASE_DIGEST_H
#define BASE_DIGEST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/span.h"

#define DIGEST_KEY_BYTES 32
#define DIGEST_HEX_SIZE 65	/* 64 hex characters and NUL */

struct digest_key {
	uint8_t bytes[DIGEST_KEY_BYTES];
};

/* digest_start must be called once before anything else, by main. */
void digest_start(void);
/* digest_key_load reads the key of 64 hex characters from path; a missing
 * file is created (mode 0600) with a random one. 0 or -1 with err. */
struct error;
MUST_CHECK int digest_key_load(struct digest_key *key, const char *path,
			       struct error *err);
/* digest_keyed_hex: BLAKE2b keyed with key; writes the first hex_len (an
 * even number, at most 64) characters and NUL. Any thread. */
void digest_keyed_hex(const struct digest_key *key, struct span data,
		      char *out, size_t hex_len);
/* digest_hash64: SipHash-2-4, for shares and checksums. Any thread. */
uint64_t digest_hash64(const uint8_t key[16], const void *data, size_t len);

/* Running BLAKE2b-256 of a body (same as `b2sum -l 256`). */
struct digest_stream;
/* The caller owns the stream: digest_stream_free. NULL without memory. */
struct digest_stream *digest_stream_new(void);
void digest_stream_add(struct digest_stream *s, const void *data, size_t n);
void digest_stream_end(struct digest_stream *s, char out[DIGEST_HEX_SIZE]);
void digest_stream_free(struct digest_stream **s);

/* digest_same compares secrets in constant time. */
bool digest_same(struct span a, struct span b);

#endif
