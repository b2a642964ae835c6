/* SPDX-License-Identifier: Apache-2.0 */
/* proxy/tls.c: a peer that only talks about keys gets no more of a worker's
 * time and memory than it deserves. */
#include "proxy/tls.h"

#include <check.h>
#include <openssl/evp.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "proxy/worker.h"

#define UPDATES_MOST 20000

static struct worker w;
static struct io io;
static SSL_CTX *near_ctx, *far_ctx;
static SSL *peer;
static int pair[2];
static char room[CHUNK_SMALL_BYTES];

static void
use_new_certificate(SSL_CTX *ctx)
{
	EVP_PKEY *key = EVP_EC_gen("P-256");
	X509 *x = X509_new();

	ck_assert(key && x);
	X509_gmtime_adj(X509_getm_notBefore(x), 0);
	X509_gmtime_adj(X509_getm_notAfter(x), 3600);
	X509_set_pubkey(x, key);
	ck_assert_int_gt(X509_sign(x, key, EVP_sha256()), 0);
	ck_assert_int_eq(SSL_CTX_use_certificate(ctx, x), 1);
	ck_assert_int_eq(SSL_CTX_use_PrivateKey(ctx, key), 1);
	X509_free(x);
	EVP_PKEY_free(key);
}

static enum io_result
hear(char *data, size_t size, size_t *got)
{
	struct chunk *c = malloc(sizeof(*c) + size);
	enum io_result r;

	ck_assert_ptr_nonnull(c);
	c->at = c->end = 0;
	c->size = (uint32_t)size;
	io_event(&io, EPOLLIN | EPOLLOUT);
	r = io_recv(&io, c, 0);
	*got = c->end;
	memcpy(data, c->data, c->end);
	free(c);
	return r;
}

static void
connect_both(void)
{
	SSL *ssl;

	near_ctx = SSL_CTX_new(TLS_server_method());
	far_ctx = SSL_CTX_new(TLS_client_method());
	use_new_certificate(near_ctx);
	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0,
				    pair), 0);
	ssl = SSL_new(near_ctx);
	SSL_set_accept_state(ssl);
	io = (struct io){ .fd = pair[0], .readable = true, .writable = true };
	ck_assert_int_eq(tls_attach(&w, &io, ssl), 0);
	peer = SSL_new(far_ctx);
	SSL_set_fd(peer, pair[1]);
	SSL_set_connect_state(peer);
	for (int turn = 0; turn < 10; turn++) {
		(void)SSL_do_handshake(peer);
		io_event(&io, EPOLLIN | EPOLLOUT);
		(void)tls_handshake(&io);
	}
	ck_assert(SSL_is_init_finished(peer));
	ck_assert_int_eq(tls_handshake(&io), IO_OK);
}

static void
part_both(void)
{
	SSL_free(peer);
	tls_detach(&io);
	tls_buffers_free(&w.tls);
	SSL_CTX_free(near_ctx);
	SSL_CTX_free(far_ctx);
	close(pair[0]);
	close(pair[1]);
}

static void
update_keys(void)
{
	ck_assert_int_eq(SSL_key_update(peer, SSL_KEY_UPDATE_REQUESTED), 1);
	(void)SSL_do_handshake(peer);
}

/* Each asks for an answer that the peer never reads. */
START_TEST(endless_key_updates_end)
{
	enum io_result r = IO_WAIT;
	int n = 0;
	size_t got;

	while (r == IO_WAIT && n++ < UPDATES_MOST) {
		update_keys();
		r = hear(room, sizeof(room), &got);
	}
	ck_assert_int_eq(r, IO_BROKEN);
	ck_assert_int_lt(n, UPDATES_MOST / 2);
	ck_assert_str_eq(tls_reason(&io), "too many records without data");
}
END_TEST

/* With a byte now and then they are paid for, but not without end. */
START_TEST(unread_answers_end)
{
	enum io_result r = IO_OK;
	int n = 0;
	size_t got;

	while (r != IO_BROKEN && n++ < UPDATES_MOST) {
		update_keys();
		if (SSL_write(peer, "data", 4) == 4)
			r = hear(room, sizeof(room), &got);
	}
	ck_assert_int_eq(r, IO_BROKEN);
}
END_TEST

START_TEST(key_updates_in_moderation)
{
	char data[512], said[512];
	size_t got;

	memset(data, 'x', sizeof(data));
	for (int n = 0; n < 1000; n++) {
		update_keys();
		ck_assert_int_eq(SSL_write(peer, data, sizeof(data)),
				 sizeof(data));
		ck_assert_int_eq(hear(said, sizeof(said), &got), IO_OK);
		ck_assert_uint_eq(got, sizeof(data));
		(void)SSL_read(peer, said, sizeof(said));
	}
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("tls");
	TCase *t = tcase_create("key updates");
	SRunner *r;
	int failed;

	tcase_set_timeout(t, 60);
	tcase_add_checked_fixture(t, connect_both, part_both);
	tcase_add_test(t, endless_key_updates_end);
	tcase_add_test(t, unread_answers_end);
	tcase_add_test(t, key_updates_in_moderation);
	suite_add_tcase(s, t);
	r = srunner_create(s);
	srunner_run_all(r, CK_NORMAL);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
