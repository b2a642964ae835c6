/* SPDX-License-Identifier: Apache-2.0 */
/* What an operator should know of files that work: dates and modes. */
#ifndef PROXY_TLS_REVIEW_H
#define PROXY_TLS_REVIEW_H

#include <openssl/ssl.h>

#include "base/attr.h"
#include "rules/rules.h"

/* Where findings go: the id of a log line and a sentence, both lent. */
struct tls_review {
	void (*tell)(void *arg, const char *id, const char *words);
	void *arg;
};

void tls_review_say(const struct tls_review *r, const char *id,
		    const char *fmt, ...) PRINTF_LIKE(3, 4);
/* All that follows says whose setting (`who`) names the file. Files are read
 * anew, so not on a worker; a path of NULL has nothing wrong with it. */
void tls_review_dates(const struct tls_review *r, const char *who,
		      const char *path, const X509 *x509);
void tls_review_mode(const struct tls_review *r, const char *who,
		     const char *path);
/* tls_review_file looks at all certificates and revocation lists in it. */
void tls_review_file(const struct tls_review *r, const char *who,
		     const char *path);
/* tls_review_text does so with what was read of it. */
void tls_review_text(const struct tls_review *r, const char *who,
		     const char *path, struct span text);

#endif
