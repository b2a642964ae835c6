/* SPDX-License-Identifier: Apache-2.0 */
/* proxy/tls_tickets.c: a ticket outlives one change of the keys, not two, and
 * is worth nothing to another process. */
#include "proxy/tls_tickets.h"

#include <check.h>
#include <openssl/evp.h>
#include <openssl/x509.h>
#include <stdlib.h>

static SSL_SESSION *newest;

static int
keep_session(SSL *ssl, SSL_SESSION *session)
{
	(void)ssl;
	SSL_SESSION_free(newest);
	newest = session;
	return 1;
}

static void
use_new_certificate(SSL_CTX *ctx)
{
	EVP_PKEY *key = EVP_EC_gen("P-256");
	X509 *x = X509_new();

	ck_assert(key && x);
	ASN1_INTEGER_set(X509_get_serialNumber(x), 1);
	X509_gmtime_adj(X509_getm_notBefore(x), 0);
	X509_gmtime_adj(X509_getm_notAfter(x), 3600);
	X509_set_pubkey(x, key);
	ck_assert_int_gt(X509_sign(x, key, EVP_sha256()), 0);
	ck_assert_int_eq(SSL_CTX_use_certificate(ctx, x), 1);
	ck_assert_int_eq(SSL_CTX_use_PrivateKey(ctx, key), 1);
	X509_free(x);
	EVP_PKEY_free(key);
}

static SSL_CTX *
make_server(struct tls_tickets *tickets)
{
	SSL_CTX *ctx = SSL_CTX_new(TLS_server_method());

	ck_assert(ctx && tickets);
	SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF);
	ck_assert_int_eq(tls_tickets_use(tickets, ctx), 0);
	use_new_certificate(ctx);
	return ctx;
}

static SSL_CTX *
make_client(int version)
{
	SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());

	ck_assert_ptr_nonnull(ctx);
	SSL_CTX_set_max_proto_version(ctx, version);
	SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_CLIENT |
					    SSL_SESS_CACHE_NO_INTERNAL);
	SSL_CTX_sess_set_new_cb(ctx, keep_session);
	return ctx;
}

/* One connection with the newest session; whether it was resumed. */
static int
connect_once(SSL_CTX *client_ctx, SSL_CTX *server_ctx)
{
	SSL *client = SSL_new(client_ctx), *server = SSL_new(server_ctx);
	BIO *near, *far;
	int turn, resumed;
	char c;

	ck_assert_int_eq(BIO_new_bio_pair(&near, 0, &far, 0), 1);
	SSL_set_bio(client, near, near);
	SSL_set_bio(server, far, far);
	SSL_set_connect_state(client);
	SSL_set_accept_state(server);
	if (newest)
		SSL_set_session(client, newest);
	for (turn = 0; turn < 20; turn++) {
		(void)SSL_do_handshake(client);
		(void)SSL_do_handshake(server);
	}
	(void)SSL_read(client, &c, 1);	/* the ticket of TLS 1.3 */
	if (SSL_version(client) == TLS1_2_VERSION)
		keep_session(client, SSL_get1_session(client));
	ck_assert(SSL_is_init_finished(client) &&
		  SSL_is_init_finished(server));
	resumed = SSL_session_reused(server);
	SSL_set_shutdown(client, SSL_SENT_SHUTDOWN | SSL_RECEIVED_SHUTDOWN);
	SSL_free(client);
	SSL_free(server);
	return resumed;
}

static void
forget_session(void)
{
	SSL_SESSION_free(newest);
	newest = NULL;
}

static const int versions[] = { TLS1_2_VERSION, TLS1_3_VERSION };

START_TEST(ticket_outlives_one_rotation)
{
	struct tls_tickets *tickets = tls_tickets_new();
	SSL_CTX *server = make_server(tickets);
	SSL_CTX *client = make_client(versions[_i]);
	SSL_SESSION *first;

	ck_assert(!connect_once(client, server));
	ck_assert_ptr_nonnull(newest);
	ck_assert(connect_once(client, server));
	ck_assert(connect_once(client, server));
	tls_tickets_rotate(tickets);
	first = newest;
	SSL_SESSION_up_ref(first);
	ck_assert(connect_once(client, server));
	/* It was renewed under the new key, the old one dies with the next. */
	tls_tickets_rotate(tickets);
	ck_assert(connect_once(client, server));
	forget_session();
	newest = first;
	ck_assert(!connect_once(client, server));
	forget_session();
	SSL_CTX_free(client);
	SSL_CTX_free(server);
	tls_tickets_free(&tickets);
}
END_TEST

/* As a reload does, and as two processes would. */
START_TEST(keys_belong_to_the_set_not_to_the_context)
{
	struct tls_tickets *ours = tls_tickets_new();
	struct tls_tickets *theirs = tls_tickets_new();
	SSL_CTX *before = make_server(ours), *after = make_server(ours);
	SSL_CTX *stranger = make_server(theirs);
	SSL_CTX *client = make_client(versions[_i]);

	ck_assert(!connect_once(client, before));
	ck_assert(connect_once(client, after));
	ck_assert(!connect_once(client, stranger));
	forget_session();
	SSL_CTX_free(client);
	SSL_CTX_free(before);
	SSL_CTX_free(after);
	SSL_CTX_free(stranger);
	tls_tickets_free(&ours);
	tls_tickets_free(&theirs);
	ck_assert_ptr_null(theirs);
}
END_TEST

/* What was sealed before a silent night is as dead as after two changes. */
START_TEST(a_long_silence_changes_both_keys)
{
	struct tls_tickets *tickets = tls_tickets_new();
	SSL_CTX *server = make_server(tickets);
	SSL_CTX *client = make_client(versions[_i]);

	ck_assert(!connect_once(client, server));
	tls_tickets_age(tickets, 1500u * TLS_TICKET_LIFETIME_S);
	ck_assert(connect_once(client, server));
	tls_tickets_age(tickets, 2500u * TLS_TICKET_LIFETIME_S);
	ck_assert(!connect_once(client, server));
	forget_session();
	SSL_CTX_free(client);
	SSL_CTX_free(server);
	tls_tickets_free(&tickets);
}
END_TEST

START_TEST(another_process_takes_the_keys)
{
	struct tls_tickets *ours = tls_tickets_new();
	struct tls_tickets *theirs = tls_tickets_new();
	SSL_CTX *before = make_server(ours), *after = make_server(theirs);
	SSL_CTX *client = make_client(versions[_i]);
	char keys[TLS_TICKETS_BYTES];
	size_t n;

	ck_assert(!connect_once(client, before));
	tls_tickets_rotate(ours);
	n = tls_tickets_save(ours, keys);
	ck_assert_int_eq(tls_tickets_restore(theirs, (struct span){ keys,
								n - 1 }), -1);
	ck_assert_int_eq(tls_tickets_restore(theirs,
					     (struct span){ keys, n }), 0);
	ck_assert(connect_once(client, after));
	ck_assert(connect_once(client, before));
	forget_session();
	SSL_CTX_free(client);
	SSL_CTX_free(before);
	SSL_CTX_free(after);
	tls_tickets_free(&ours);
	tls_tickets_free(&theirs);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("tls_tickets");
	TCase *t = tcase_create("keys");
	SRunner *r;
	int failed;

	tcase_add_loop_test(t, ticket_outlives_one_rotation, 0, 2);
	tcase_add_loop_test(t, keys_belong_to_the_set_not_to_the_context, 0,
			    2);
	tcase_add_loop_test(t, a_long_silence_changes_both_keys, 0, 2);
	tcase_add_loop_test(t, another_process_takes_the_keys, 0, 2);
	suite_add_tcase(s, t);
	r = srunner_create(s);
	srunner_run_all(r, CK_NORMAL);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
