/* SPDX-License-Identifier: Apache-2.0 */
/* Digests: BLAKE2b and SipHash from libsodium, and the digest key's file. */
#include "base/digest.h"

#include <errno.h>
#include <fcntl.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/error.h"
#include "base/invariant.h"

#define HASH_BYTES 32
#define HEX_CHARS ((size_t)(2 * HASH_BYTES))

struct digest_stream {
	crypto_generichash_state state;
};

void
digest_start(void)
{
	INVARIANT(sodium_init() >= 0);
}

/* Reads up to size bytes; -1 with errno. */
static ssize_t
read_file(const char *path, char *at, size_t size)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
	size_t len = 0;
	ssize_t n = 0;
	int saved;

	if (fd < 0)
		return -1;
	while (len < size && ((n = read(fd, at + len, size - len)) > 0 ||
			      (n < 0 && errno == EINTR)))
		len += n > 0 ? (size_t)n : 0;
	saved = errno;
	close(fd);
	errno = saved;
	return n < 0 ? -1 : (ssize_t)len;
}

/* 0, -1 with err set, 1 when there is no such file. */
static int
read_key(struct digest_key *key, const char *path, struct error *err)
{
	char hex[2 * DIGEST_KEY_BYTES + 2];	/* room for "\n" and too much */
	ssize_t n = read_file(path, hex, sizeof(hex));
	size_t decoded = 0;
	int rc = 0;

	if (n < 0 && errno == ENOENT)
		return 1;
	if (n < 0)
		return error_set(err, "%s: cannot read the digest key: %s",
				 path, strerror(errno));
	if (n == 2 * DIGEST_KEY_BYTES + 1 && hex[n - 1] == '\n')
		n--;
	if (n != 2 * DIGEST_KEY_BYTES ||
	    sodium_hex2bin(key->bytes, sizeof(key->bytes), hex, (size_t)n,
			   NULL, &decoded, NULL) != 0 ||
	    decoded != sizeof(key->bytes))
		rc = error_set(err,
			       "%s: is not a digest key (64 hexadecimal "
			       "characters); restore it, or remove it to have "
			       "a new one made", path);
	sodium_memzero(hex, sizeof(hex));
	return rc;
}

static int
write_all(int fd, const char *at, size_t len)
{
	while (len > 0) {
		ssize_t n = write(fd, at, len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -1;
		at += n;
		len -= (size_t)n;
	}
	return fsync(fd);
}

static int
fill_key_file(int fd)
{
	uint8_t bytes[DIGEST_KEY_BYTES];
	char hex[2 * DIGEST_KEY_BYTES + 1];
	int rc;

	randombytes_buf(bytes, sizeof(bytes));
	sodium_bin2hex(hex, sizeof(hex), bytes, sizeof(bytes));
	hex[sizeof(hex) - 1] = '\n';
	rc = write_all(fd, hex, sizeof(hex));
	sodium_memzero(bytes, sizeof(bytes));
	sodium_memzero(hex, sizeof(hex));
	return rc;
}

/* The file appears whole or not at all (link), also when two processes or a
 * crash get in between; whoever comes second reads the first one's key. */
static int
create_key(const char *path, struct error *err)
{
	char tmp[4096];
	int fd, rc, saved;

	if ((size_t)snprintf(tmp, sizeof(tmp), "%s.XXXXXX", path) >=
	    sizeof(tmp))
		return error_set(err, "%s: name too long for a key file", path);
	fd = mkostemp(tmp, O_CLOEXEC);	/* mode 0600 */
	if (fd < 0)
		return error_set(err, "%s: cannot create the digest key: %s",
				 path, strerror(errno));
	rc = fill_key_file(fd);
	if (rc == 0 && link(tmp, path) != 0 && errno != EEXIST)
		rc = -1;
	saved = errno;
	close(fd);
	unlink(tmp);
	if (rc != 0)
		return error_set(err, "%s: cannot create the digest key: %s",
				 path, strerror(saved));
	return 0;
}

int
digest_key_load(struct digest_key *key, const char *path, struct error *err)
{
	int rc = read_key(key, path, err);

	if (rc != 1)
		return rc;
	if (create_key(path, err) != 0)
		return -1;
	rc = read_key(key, path, err);
	if (rc == 1)
		return error_set(err, "%s: vanished while it was made", path);
	return rc;
}

void
digest_keyed_hex(const struct digest_key *key, struct span data, char *out,
		 size_t hex_len)
{
	uint8_t hash[HASH_BYTES];

	INVARIANT(hex_len % 2 == 0 && hex_len <= HEX_CHARS);
	crypto_generichash(hash, sizeof(hash), (const uint8_t *)data.at,
			   data.len, key->bytes, sizeof(key->bytes));
	sodium_bin2hex(out, hex_len + 1, hash, hex_len / 2);
}

uint64_t
digest_hash64(const uint8_t key[16], const void *data, size_t len)
{
	uint8_t out[crypto_shorthash_siphash24_BYTES];
	uint64_t v = 0;

	crypto_shorthash_siphash24(out, data, len, key);
	for (size_t i = sizeof(out); i-- > 0;)
		v = v << 8 | out[i];
	return v;
}

struct digest_stream *
digest_stream_new(void)
{
	struct digest_stream *s = aligned_alloc(_Alignof(struct digest_stream),
						sizeof(*s));

	if (s)
		crypto_generichash_init(&s->state, NULL, 0, HASH_BYTES);
	return s;
}

void
digest_stream_add(struct digest_stream *s, const void *data, size_t n)
{
	crypto_generichash_update(&s->state, data, n);
}

void
digest_stream_end(struct digest_stream *s, char out[DIGEST_HEX_SIZE])
{
	uint8_t hash[HASH_BYTES];

	crypto_generichash_final(&s->state, hash, sizeof(hash));
	sodium_bin2hex(out, DIGEST_HEX_SIZE, hash, sizeof(hash));
}

void
digest_stream_free(struct digest_stream **s)
{
	free(*s);
	*s = NULL;
}

bool
digest_same(struct span a, struct span b)
{
	return a.len == b.len &&
	       (a.len == 0 || sodium_memcmp(a.at, b.at, a.len) == 0);
}
