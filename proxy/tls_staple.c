/* SPDX-License-Identifier: Apache-2.0 */
/* OCSP responses: which are worth showing, and until when. A bad one is worse
 * than none, since clients give up on it. */
#include "proxy/tls_staple.h"

#include <openssl/ocsp.h>
#include <openssl/x509.h>
#include <string.h>

#include "base/counter.h"
#include "proxy/tls_pem.h"

#define CLOCKS_DIFFER_S 300

/* Whose it is, by serial number; by the issuer's name and key, too, where the
 * chain has the issuer. */
static bool
is_about(OCSP_SINGLERESP *one, X509 *x509, X509 *issuer)
{
	const OCSP_CERTID *id = OCSP_SINGLERESP_get0_id(one);
	const EVP_MD *md;
	ASN1_OBJECT *hash;
	ASN1_INTEGER *serial;
	OCSP_CERTID *ours;
	bool same;

	OCSP_id_get0_info(NULL, &hash, NULL, &serial, (OCSP_CERTID *)id);
	if (ASN1_INTEGER_cmp(serial, X509_get0_serialNumber(x509)))
		return false;
	md = EVP_get_digestbyobj(hash);
	if (!issuer || !md)
		return true;
	ours = OCSP_cert_to_id(md, x509, issuer);
	same = ours && OCSP_id_cmp(ours, id) == 0;
	OCSP_CERTID_free(ours);
	return same;
}

static OCSP_SINGLERESP *
find_single(OCSP_BASICRESP *basic, X509 *x509, X509 *issuer)
{
	for (int i = 0; i < OCSP_resp_count(basic); i++)
		if (is_about(OCSP_resp_get0(basic, i), x509, issuer))
			return OCSP_resp_get0(basic, i);
	return NULL;
}

/* By the issuer, or by one whom it has appointed (RFC 6960 4.2.2.2). Whether
 * the issuer is to be trusted is for clients to say. */
static int
check_signature(OCSP_BASICRESP *basic, STACK_OF(X509) *chain,
		struct error *err)
{
	X509_STORE *store = X509_STORE_new();
	int ok = store && X509_STORE_add_cert(store, sk_X509_value(chain, 1))
			 == 1;

	if (ok) {
		X509_STORE_set_flags(store, X509_V_FLAG_PARTIAL_CHAIN);
		ok = OCSP_basic_verify(basic, chain, store, 0) == 1;
	}
	X509_STORE_free(store);
	return ok ? 0 : error_set(err, "its signature is not the issuer's: "
				  "%s", tls_pem_words());
}

static time_t
seconds_of(const ASN1_GENERALIZEDTIME *t)
{
	struct tm tm;

	return ASN1_TIME_to_tm(t, &tm) == 1 ? timegm(&tm) : 0;
}

/* A response without an end (RFC 6960 2.4) may be replaced at any time, so
 * there is nothing to tell a fresh one by. */
static int
check_single(struct tls_staple *s, OCSP_SINGLERESP *one, struct error *err)
{
	ASN1_GENERALIZEDTIME *from, *until;
	int reason, status = OCSP_single_get0_status(one, &reason, NULL, &from,
						     &until);

	if (status != V_OCSP_CERTSTATUS_GOOD)
		return error_set(err, "it says that the certificate is %s",
				 OCSP_cert_status_str(status));
	if (!until)
		return error_set(err, "it does not say until when it holds");
	if (OCSP_check_validity(from, until, CLOCKS_DIFFER_S, -1) != 1)
		return error_set(err, "it does not hold now: %s",
				 tls_pem_words());
	s->until = seconds_of(until);
	return 0;
}

static int
check_basic(struct tls_staple *s, OCSP_BASICRESP *basic,
	    STACK_OF(X509) *chain, struct error *err)
{
	X509 *issuer = sk_X509_num(chain) > 1 ? sk_X509_value(chain, 1) : NULL;
	OCSP_SINGLERESP *one = find_single(basic, sk_X509_value(chain, 0),
					   issuer);

	if (!one)
		return error_set(err, "it is about another certificate");
	if (issuer && check_signature(basic, chain, err))
		return -1;
	return check_single(s, one, err);
}

static int
check(struct tls_staple *s, OCSP_RESPONSE *response, STACK_OF(X509) *chain,
      struct error *err)
{
	int status = OCSP_response_status(response), failed;
	OCSP_BASICRESP *basic;

	if (status != OCSP_RESPONSE_STATUS_SUCCESSFUL)
		return error_set(err, "the responder said `%s'",
				 OCSP_response_status_str(status));
	basic = OCSP_response_get1_basic(response);
	if (!basic)
		return error_set(err, "it cannot be read: %s",
				 tls_pem_words());
	failed = check_basic(s, basic, chain, err);
	OCSP_BASICRESP_free(basic);
	return failed;
}

int
tls_staple_read(struct tls_staple *s, struct span der, STACK_OF(X509) *chain,
		struct error *err)
{
	const unsigned char *at = (const unsigned char *)der.at;
	OCSP_RESPONSE *response = d2i_OCSP_RESPONSE(NULL, &at, (long)der.len);
	int failed;

	memset(s, 0, sizeof(*s));
	if (!response)
		return error_set(err, "it is no OCSP response in DER: %s",
				 tls_pem_words());
	failed = check(s, response, chain, err);
	if (!failed) {
		s->len = i2d_OCSP_RESPONSE(response, &s->data);
		if (s->len <= 0)
			failed = error_set(err, "no memory for it");
	}
	OCSP_RESPONSE_free(response);
	return failed;
}

void
tls_staple_fini(struct tls_staple *s)
{
	OPENSSL_free(s->data);
	memset(s, 0, sizeof(*s));
}

int
tls_staple_show(const struct tls_staple *s, SSL *ssl)
{
	unsigned char *copy;

	if (!s->data)
		return SSL_TLSEXT_ERR_NOACK;
	if (time(NULL) >= s->until) {
		counter_inc(COUNTER_TLS_STAPLE_OLD);
		return SSL_TLSEXT_ERR_NOACK;
	}
	copy = OPENSSL_memdup(s->data, (size_t)s->len);
	if (!copy)
		return SSL_TLSEXT_ERR_NOACK;
	SSL_set_tlsext_status_ocsp_resp(ssl, copy, s->len);
	counter_inc(COUNTER_TLS_STAPLED);
	return SSL_TLSEXT_ERR_OK;
}
