/* SPDX-License-Identifier: Apache-2.0 */
/* Certificates and keys from PEM texts. */
#include "proxy/tls_pem.h"

#include <openssl/err.h>
#include <openssl/pem.h>
#include <string.h>

const char *
tls_pem_words(void)
{
	const char *words = ERR_reason_error_string(ERR_peek_error());

	ERR_clear_error();
	return words ? words : "no reason given";
}

/* A daemon has nobody to ask: an empty passphrase fails with an error. */
static int
no_passphrase(char *to, int size, int writing, void *arg)
{
	(void)writing;
	(void)arg;
	if (size > 0)
		*to = '\0';
	return -1;
}

static bool
is_end(void)
{
	unsigned long e = ERR_peek_last_error();
	bool end = ERR_GET_LIB(e) == ERR_LIB_PEM &&
		   ERR_GET_REASON(e) == PEM_R_NO_START_LINE;

	if (end)
		ERR_clear_error();
	return end;
}

EVP_PKEY *
tls_pem_key(struct span text, struct error *err)
{
	static const char mark[] = "PRIVATE KEY-----";
	EVP_PKEY *key;
	BIO *in;

	if (!memmem(text.at, text.len, mark, sizeof(mark) - 1))
		return NULL;
	in = BIO_new_mem_buf(text.at, (int)text.len);
	key = in ? PEM_read_bio_PrivateKey(in, NULL, no_passphrase, NULL) :
		   NULL;
	BIO_free(in);
	ERR_clear_error();
	if (!key)
		error_set(err, "the private key cannot be read; one with a "
			  "passphrase cannot be used");
	return key;
}

void
tls_pem_certificates_free(STACK_OF(X509) *list)
{
	sk_X509_pop_free(list, X509_free);
}

static int
read_all(BIO *in, STACK_OF(X509) *list, struct error *err)
{
	X509 *x;

	while ((x = PEM_read_bio_X509(in, NULL, no_passphrase, NULL))) {
		if (!sk_X509_push(list, x)) {
			X509_free(x);
			return error_set(err, "no memory for certificates");
		}
	}
	if (!is_end())
		return error_set(err, "certificate %d cannot be read: %s",
				 sk_X509_num(list) + 1, tls_pem_words());
	return sk_X509_num(list) ? 0 : error_set(err, "there is no "
						 "certificate in it");
}

STACK_OF(X509) *
tls_pem_certificates(struct span text, struct error *err)
{
	BIO *in = BIO_new_mem_buf(text.at, (int)text.len);
	STACK_OF(X509) *list = sk_X509_new_null();
	int failed = -1;

	if (in && list)
		failed = read_all(in, list, err);
	else
		error_set(err, "no memory for certificates");
	BIO_free(in);
	if (!failed)
		return list;
	tls_pem_certificates_free(list);
	return NULL;
}

int
tls_pem_use(SSL_CTX *ctx, STACK_OF(X509) *list, EVP_PKEY *key,
	    struct error *err)
{
	int i;

	if (SSL_CTX_use_certificate(ctx, sk_X509_value(list, 0)) != 1)
		return error_set(err, "the certificate cannot be used: %s",
				 tls_pem_words());
	for (i = 1; i < sk_X509_num(list); i++)
		if (SSL_CTX_add1_chain_cert(ctx, sk_X509_value(list, i)) != 1)
			return error_set(err, "certificate %d of the chain "
					 "cannot be used: %s", i + 1,
					 tls_pem_words());
	if (SSL_CTX_use_PrivateKey(ctx, key) != 1 ||
	    SSL_CTX_check_private_key(ctx) != 1)
		return error_set(err, "the key is not the certificate's: %s",
				 tls_pem_words());
	return 0;
}

int
tls_pem_trust(X509_STORE *store, struct span text, struct error *err)
{
	STACK_OF(X509) *list = tls_pem_certificates(text, err);
	int i, failed = 0;

	if (!list)
		return -1;
	for (i = 0; i < sk_X509_num(list) && !failed; i++)
		if (X509_STORE_add_cert(store, sk_X509_value(list, i)) != 1)
			failed = error_set(err, "certificate %d cannot be "
					   "trusted: %s", i + 1,
					   tls_pem_words());
	tls_pem_certificates_free(list);
	return failed;
}

static int
add_lists(X509_STORE *store, BIO *in, struct error *err)
{
	int count = 0, failed = 0;
	X509_CRL *crl;

	while (!failed &&
	       (crl = PEM_read_bio_X509_CRL(in, NULL, no_passphrase, NULL))) {
		count++;
		failed = X509_STORE_add_crl(store, crl) != 1;
		X509_CRL_free(crl);
	}
	if (failed || !is_end())
		return error_set(err, "revocation list %d cannot be read: %s",
				 count + !failed, tls_pem_words());
	return count ? 0 : error_set(err, "there is no revocation list "
				     "(X509 CRL) in it");
}

/* The whole chain: a list that is missing refuses, since nobody can tell
 * whom it would have named. */
int
tls_pem_revoke(X509_STORE *store, struct span text, struct error *err)
{
	BIO *in = BIO_new_mem_buf(text.at, (int)text.len);
	int failed = in ? add_lists(store, in, err) :
			  error_set(err, "no memory for revocation lists");

	BIO_free(in);
	if (!failed)
		X509_STORE_set_flags(store, X509_V_FLAG_CRL_CHECK |
					    X509_V_FLAG_CRL_CHECK_ALL);
	return failed;
}
