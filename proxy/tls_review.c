/* SPDX-License-Identifier: Apache-2.0 */
/* Certificates and revocation lists that end, keys that others can read. */
#include "proxy/tls_review.h"

#include <openssl/err.h>
#include <openssl/pem.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/stat.h>

#include "base/error.h"
#include "console/file.h"
#include "proxy/tls_pem.h"

#define FILE_LIMIT_BYTES (2u << 20)
#define EXPIRES_SOON_DAYS 14

void
tls_review_say(const struct tls_review *r, const char *id, const char *fmt,
	       ...)
{
	char words[ERROR_TEXT_MAX];
	va_list args;

	va_start(args, fmt);
	vsnprintf(words, sizeof(words), fmt, args);
	va_end(args);
	r->tell(r->arg, id, words);
}

static bool
is_past(const ASN1_TIME *t, int *days)
{
	int seconds = 0;

	*days = 0;
	return ASN1_TIME_diff(days, &seconds, NULL, t) == 1 &&
	       (*days < 0 || seconds < 0);
}

void
tls_review_dates(const struct tls_review *r, const char *who,
		 const char *path, const X509 *x509)
{
	int days;

	if (is_past(X509_get0_notAfter(x509), &days))
		tls_review_say(r, "tls.expired", "%s: %s: the certificate has "
			       "expired", who, path);
	else if (days < EXPIRES_SOON_DAYS)
		tls_review_say(r, "tls.expires-soon", "%s: %s: the "
			       "certificate expires in %d days", who, path,
			       days);
	if (!is_past(X509_get0_notBefore(x509), &days))
		tls_review_say(r, "tls.not-yet", "%s: %s: the certificate "
			       "does not hold yet", who, path);
}

void
tls_review_mode(const struct tls_review *r, const char *who,
		const char *path)
{
	struct stat st;

	if (!stat(path, &st) && (st.st_mode & (S_IROTH | S_IWOTH)))
		tls_review_say(r, "tls.key-readable", "%s: %s: everyone on "
			       "this machine may read this private key: run "
			       "`chmod o-rw` on it", who, path);
}

/* From then on everybody is refused. */
static void
review_lists(const struct tls_review *r, const char *who, const char *path,
	     struct span text)
{
	BIO *in = BIO_new_mem_buf(text.at, (int)text.len);
	X509_CRL *crl;
	int days;

	while (in && (crl = PEM_read_bio_X509_CRL(in, NULL, NULL, NULL))) {
		const ASN1_TIME *next = X509_CRL_get0_nextUpdate(crl);

		if (next && is_past(next, &days))
			tls_review_say(r, "tls.crl-expired", "%s: %s: a "
				       "revocation list has expired: "
				       "certificates of its authority are "
				       "refused", who, path);
		X509_CRL_free(crl);
	}
	BIO_free(in);
}

void
tls_review_text(const struct tls_review *r, const char *who,
		const char *path, struct span text)
{
	STACK_OF(X509) *list = tls_pem_certificates(text, NULL);

	for (int i = 0; i < sk_X509_num(list); i++)
		tls_review_dates(r, who, path, sk_X509_value(list, i));
	tls_pem_certificates_free(list);
	review_lists(r, who, path, text);
	ERR_clear_error();
}

void
tls_review_file(const struct tls_review *r, const char *who,
		const char *path)
{
	struct buf text CLEANUP(buf_fini) = { 0 };
	struct error err = { 0 };

	if (path && !file_read(path, FILE_LIMIT_BYTES, &text, &err))
		tls_review_text(r, who, path, buf_span(&text));
}
