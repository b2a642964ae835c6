/* SPDX-License-Identifier: Apache-2.0 */
/* XChaCha20-Poly1305 of libsodium: a random nonce, then the text and its
 * tag. */
#include "base/seal.h"

#include <sodium.h>

#include "base/invariant.h"

#define NONCE crypto_aead_xchacha20poly1305_ietf_NPUBBYTES
#define TAG crypto_aead_xchacha20poly1305_ietf_ABYTES
#define KEY crypto_aead_xchacha20poly1305_ietf_KEYBYTES

/* The digest key has other uses: this one gets a key of its own. */
static void
derive(const struct digest_key *key, unsigned char out[KEY])
{
	static const char purpose[] = "matapalo seal 1";

	INVARIANT(crypto_generichash(out, KEY, (const unsigned char *)purpose,
				     sizeof(purpose) - 1, key->bytes,
				     sizeof(key->bytes)) == 0);
}

int
seal_close(const struct digest_key *key, struct span about, struct span plain,
	   struct buf *out)
{
	unsigned char own[KEY];
	unsigned char *to = (unsigned char *)buf_reserve(
		out, NONCE + plain.len + TAG);
	unsigned long long n = 0;

	if (!to)
		return -1;
	derive(key, own);
	randombytes_buf(to, NONCE);
	(void)crypto_aead_xchacha20poly1305_ietf_encrypt(
		to + NONCE, &n, (const unsigned char *)plain.at, plain.len,
		(const unsigned char *)about.at, about.len, NULL, to, own);
	sodium_memzero(own, sizeof(own));
	out->len += NONCE + (size_t)n;
	return 0;
}

int
seal_open(const struct digest_key *key, struct span about, struct span sealed,
	  struct buf *out)
{
	const unsigned char *from = (const unsigned char *)sealed.at;
	unsigned char own[KEY], *to;
	unsigned long long n = 0;
	int rc;

	if (sealed.len < NONCE + TAG)
		return -1;
	to = (unsigned char *)buf_reserve(out, sealed.len);
	if (!to)
		return -1;
	derive(key, own);
	rc = crypto_aead_xchacha20poly1305_ietf_decrypt(
		to, &n, NULL, from + NONCE, sealed.len - NONCE,
		(const unsigned char *)about.at, about.len, from, own);
	sodium_memzero(own, sizeof(own));
	if (rc == 0)
		out->len += (size_t)n;
	return rc;
}
