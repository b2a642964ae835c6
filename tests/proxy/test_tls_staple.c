/* SPDX-License-Identifier: Apache-2.0 */
/* OCSP responses of chosen times: which are taken, and which are shown. */
#include "proxy/tls_staple.h"

#include <check.h>
#include <openssl/evp.h>
#include <openssl/ocsp.h>
#include <openssl/x509v3.h>
#include <stdlib.h>
#include <string.h>

#define HOUR 3600

static EVP_PKEY *key;
static STACK_OF(X509) *chain;

static X509 *
certificate(long serial, const char *name, X509 *issuer)
{
	X509 *x = X509_new();
	X509_NAME *n = X509_get_subject_name(x);

	ASN1_INTEGER_set(X509_get_serialNumber(x), serial);
	X509_set_version(x, X509_VERSION_3);
	X509_NAME_add_entry_by_txt(n, "CN", MBSTRING_ASC,
				   (const unsigned char *)name, -1, -1, 0);
	X509_set_issuer_name(x, issuer ? X509_get_subject_name(issuer) : n);
	X509_gmtime_adj(X509_getm_notBefore(x), -HOUR);
	X509_gmtime_adj(X509_getm_notAfter(x), HOUR);
	X509_set_pubkey(x, key);
	ck_assert_int_gt(X509_sign(x, key, EVP_sha256()), 0);
	return x;
}

static void
setup(void)
{
	X509 *issuer;

	key = EVP_EC_gen("P-256");
	chain = sk_X509_new_null();
	issuer = certificate(1, "issuer", NULL);
	sk_X509_push(chain, certificate(2, "leaf", issuer));
	sk_X509_push(chain, issuer);
}

static void
teardown(void)
{
	sk_X509_pop_free(chain, X509_free);
	EVP_PKEY_free(key);
}

#define NEVER 0x7fffffff	/* no such time in the response */

/* In seconds from now. */
static ASN1_TIME *
at(int seconds)
{
	return seconds == NEVER ? NULL :
				  ASN1_GENERALIZEDTIME_adj(
					  NULL, time(NULL), 0, seconds);
}

/* DER of a good response for the leaf; the caller frees. */
static struct span
response(int from, int until)
{
	X509 *leaf = sk_X509_value(chain, 0), *issuer = sk_X509_value(chain, 1);
	OCSP_BASICRESP *basic = OCSP_BASICRESP_new();
	OCSP_CERTID *id = OCSP_cert_to_id(NULL, leaf, issuer);
	ASN1_TIME *this_update = at(from), *next_update = at(until);
	OCSP_RESPONSE *whole;
	unsigned char *der = NULL;
	int len;

	OCSP_basic_add1_status(basic, id, V_OCSP_CERTSTATUS_GOOD, 0, NULL,
			       this_update, next_update);
	ck_assert_int_eq(OCSP_basic_sign(basic, issuer, key, EVP_sha256(),
					 NULL, 0), 1);
	whole = OCSP_response_create(OCSP_RESPONSE_STATUS_SUCCESSFUL, basic);
	len = i2d_OCSP_RESPONSE(whole, &der);
	ck_assert_int_gt(len, 0);
	OCSP_RESPONSE_free(whole);
	OCSP_BASICRESP_free(basic);
	OCSP_CERTID_free(id);
	ASN1_TIME_free(this_update);
	ASN1_TIME_free(next_update);
	return (struct span){ (char *)der, (size_t)len };
}

/* complaint NULL: it is taken. Clocks may differ by five minutes. */
static const struct {
	int from, until;
	const char *complaint;
} times[] = {
	{ -HOUR, HOUR, NULL },
	{ -10 * 24 * HOUR, 10, NULL },
	{ 200, HOUR, NULL },
	{ 400, HOUR, "does not hold now" },
	{ -2 * HOUR, -HOUR, "does not hold now" },
	{ -2 * HOUR, -400, "does not hold now" },
	{ -2 * HOUR, -200, NULL },
	{ HOUR, -HOUR, "does not hold now" },
	{ -HOUR, NEVER, "until when" },
};

START_TEST(takes_what_holds)
{
	struct span der = response(times[_i].from, times[_i].until);
	struct error err = { 0 };
	struct tls_staple s;
	int failed = tls_staple_read(&s, der, chain, &err);

	if (times[_i].complaint) {
		ck_assert_int_eq(failed, -1);
		ck_assert_ptr_nonnull(strstr(err.text, times[_i].complaint));
		ck_assert_ptr_null(s.data);
	} else {
		ck_assert_msg(failed == 0, "%s", err.text);
		ck_assert_int_ge(s.until, time(NULL) + times[_i].until - 2);
		ck_assert_int_le(s.until, time(NULL) + times[_i].until);
	}
	tls_staple_fini(&s);
	OPENSSL_free((char *)der.at);
}
END_TEST

static int
shown(const struct tls_staple *s)
{
	SSL_CTX *ctx = SSL_CTX_new(TLS_server_method());
	SSL *ssl = SSL_new(ctx);
	int answer = tls_staple_show(s, ssl);

	SSL_free(ssl);
	SSL_CTX_free(ctx);
	return answer;
}

START_TEST(none_is_no_answer)
{
	struct tls_staple s = { NULL, 0, 0 };

	ck_assert_int_eq(shown(&s), SSL_TLSEXT_ERR_NOACK);
}
END_TEST

/* Taken while it held, and never read again: its end is looked at each time
 * that it is shown. */
START_TEST(grows_old_while_running)
{
	struct span der = response(-HOUR, HOUR);
	struct tls_staple s;

	ck_assert_int_eq(tls_staple_read(&s, der, chain, NULL), 0);
	ck_assert_int_eq(shown(&s), SSL_TLSEXT_ERR_OK);
	s.until -= HOUR - 60;
	ck_assert_int_eq(shown(&s), SSL_TLSEXT_ERR_OK);
	s.until -= 60;
	ck_assert_int_eq(shown(&s), SSL_TLSEXT_ERR_NOACK);
	tls_staple_fini(&s);
	OPENSSL_free((char *)der.at);
}
END_TEST

/* What clocks forgive when it is read is not shown all the same. */
START_TEST(just_over_is_not_shown)
{
	struct span der = response(-HOUR, -200);
	struct tls_staple s;

	ck_assert_int_eq(tls_staple_read(&s, der, chain, NULL), 0);
	ck_assert_int_eq(shown(&s), SSL_TLSEXT_ERR_NOACK);
	tls_staple_fini(&s);
	OPENSSL_free((char *)der.at);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("proxy/tls_staple");
	TCase *t = tcase_create("staple");
	SRunner *r = srunner_create(s);
	int failed;

	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_loop_test(t, takes_what_holds, 0, (int)ARRAY_SIZE(times));
	tcase_add_test(t, none_is_no_answer);
	tcase_add_test(t, grows_old_while_running);
	tcase_add_test(t, just_over_is_not_shown);
	suite_add_tcase(s, t);
	srunner_run_all(r, CK_NORMAL);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
