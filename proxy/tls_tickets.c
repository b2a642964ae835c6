/* SPDX-License-Identifier: Apache-2.0 */
/* Keys of session tickets (RFC 5077, RFC 8446 4.6.1).
 *
 * One key seals for as long as a ticket may live and opens for as long
 * again, so that every ticket can be used to its end and whoever steals the
 * keys can read no more than the last four hours. They are never stored; a
 * hand-over gives them to the next process. */
#include "proxy/tls_tickets.h"

#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/rand.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"

#define NAME_BYTES 16
#define KEY_BYTES 32

struct ticket_key {
	unsigned char name[NAME_BYTES], seal[KEY_BYTES], mac[KEY_BYTES];
	bool usable;
};

struct ticket_keys {
	struct ticket_key now, before;
	uint64_t since_ms;		/* the clock is the machine's */
};

struct tls_tickets {
	pthread_mutex_t lock;
	struct ticket_keys keys;
};

/* Another version of it has another size. */
_Static_assert(sizeof(struct ticket_keys) <= TLS_TICKETS_BYTES, "state");

static void
key_make(struct ticket_key *k)
{
	k->usable = RAND_bytes(k->name, sizeof(k->name)) == 1 &&
		    RAND_priv_bytes(k->seal, sizeof(k->seal)) == 1 &&
		    RAND_priv_bytes(k->mac, sizeof(k->mac)) == 1;
}

static void
rotate(struct ticket_keys *k, uint64_t now_ms)
{
	k->before = k->now;
	key_make(&k->now);
	k->since_ms = now_ms;
}

/* What is left of a silent night is too old for both. */
static void
rotate_old(struct ticket_keys *k, uint64_t now_ms)
{
	uint64_t age_ms = now_ms - k->since_ms;

	if (age_ms > 2000u * TLS_TICKET_LIFETIME_S)
		rotate(k, now_ms);
	if (age_ms > 1000u * TLS_TICKET_LIFETIME_S)
		rotate(k, now_ms);
}

/* Copies the key that seals, or the one of that name. */
static bool
key_get(struct tls_tickets *t, const unsigned char *name,
	struct ticket_key *out, bool *old)
{
	struct ticket_keys *k = &t->keys;
	bool found = true;

	pthread_mutex_lock(&t->lock);
	rotate_old(k, clock_mono_ms());
	*old = name && memcmp(name, k->now.name, NAME_BYTES) != 0;
	if (!*old)
		*out = k->now;
	else if (!memcmp(name, k->before.name, NAME_BYTES))
		*out = k->before;
	else
		found = false;
	pthread_mutex_unlock(&t->lock);
	return found && out->usable;
}

static bool
set_mac(EVP_MAC_CTX *mac, struct ticket_key *k)
{
	char digest[] = "SHA256";
	OSSL_PARAM params[] = {
		OSSL_PARAM_construct_octet_string(OSSL_MAC_PARAM_KEY, k->mac,
						  sizeof(k->mac)),
		OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST,
						 digest, 0),
		OSSL_PARAM_construct_end(),
	};

	return EVP_MAC_CTX_set_params(mac, params) == 1;
}

/* 0: a full handshake instead; 1; 2: opened, and worth a new ticket. */
static int
on_ticket(SSL *ssl, unsigned char *name, unsigned char *iv,
	  EVP_CIPHER_CTX *cipher, EVP_MAC_CTX *mac, int sealing)
{
	struct tls_tickets *t = SSL_CTX_get_app_data(SSL_get_SSL_CTX(ssl));
	const EVP_CIPHER *aes = EVP_aes_256_cbc();
	struct ticket_key k;
	bool old, ok;

	if (!key_get(t, sealing ? NULL : name, &k, &old))
		return 0;
	if (sealing) {
		memcpy(name, k.name, NAME_BYTES);
		ok = RAND_bytes(iv, EVP_CIPHER_get_iv_length(aes)) == 1 &&
		     EVP_EncryptInit_ex(cipher, aes, NULL, k.seal, iv) == 1;
	} else {
		ok = EVP_DecryptInit_ex(cipher, aes, NULL, k.seal, iv) == 1;
	}
	ok = ok && set_mac(mac, &k);
	OPENSSL_cleanse(&k, sizeof(k));
	if (!ok)
		return -1;
	/* Clients use a ticket of TLS 1.3 once (RFC 8446 C.4). */
	return old || SSL_version(ssl) == TLS1_3_VERSION ? 2 : 1;
}

struct tls_tickets *
tls_tickets_new(void)
{
	struct tls_tickets *t = calloc(1, sizeof(*t));

	if (!t)
		return NULL;
	pthread_mutex_init(&t->lock, NULL);
	tls_tickets_rotate(t);
	return t;
}

void
tls_tickets_free(struct tls_tickets **tp)
{
	struct tls_tickets *t = *tp;

	*tp = NULL;
	if (!t)
		return;
	pthread_mutex_destroy(&t->lock);
	OPENSSL_cleanse(t, sizeof(*t));
	free(t);
}

int
tls_tickets_use(struct tls_tickets *t, SSL_CTX *ctx)
{
	SSL_CTX_set_app_data(ctx, t);
	SSL_CTX_set_timeout(ctx, TLS_TICKET_LIFETIME_S);
	return SSL_CTX_set_tlsext_ticket_key_evp_cb(ctx, on_ticket) == 1 ?
		0 : -1;
}

void
tls_tickets_rotate(struct tls_tickets *t)
{
	pthread_mutex_lock(&t->lock);
	rotate(&t->keys, clock_mono_ms());
	pthread_mutex_unlock(&t->lock);
}

void
tls_tickets_age(struct tls_tickets *t, uint64_t by_ms)
{
	pthread_mutex_lock(&t->lock);
	t->keys.since_ms -= by_ms;
	pthread_mutex_unlock(&t->lock);
}

size_t
tls_tickets_save(struct tls_tickets *t, char to[TLS_TICKETS_BYTES])
{
	pthread_mutex_lock(&t->lock);
	memcpy(to, &t->keys, sizeof(t->keys));
	pthread_mutex_unlock(&t->lock);
	return sizeof(t->keys);
}

int
tls_tickets_restore(struct tls_tickets *t, struct span from)
{
	if (from.len != sizeof(t->keys))
		return -1;
	pthread_mutex_lock(&t->lock);
	memcpy(&t->keys, from.at, from.len);
	pthread_mutex_unlock(&t->lock);
	return 0;
}
