/* SPDX-License-Identifier: Apache-2.0 */
/* The files of the bus's TLS, before nng takes them. */
#include "proxy/bus_tls.h"

#include <string.h>

#include "base/buf.h"
#include "console/file.h"
#include "proxy/tls_pem.h"

#define FILE_LIMIT_BYTES (1u << 20)	/* as the bus has it */

static STACK_OF(X509) *
read_certificates(const char *path, struct error *err)
{
	STACK_OF(X509) *list = NULL;
	struct buf text = { 0 };
	struct error why = { 0 };

	if (file_read(path, FILE_LIMIT_BYTES, &text, err) == 0) {
		list = tls_pem_certificates(buf_span(&text), &why);
		if (!list)
			error_set(err, "%s: %s", path, why.text);
	}
	if (text.data)
		explicit_bzero(text.data, text.cap);
	buf_fini(&text);
	return list;
}

static EVP_PKEY *
read_key(const char *path, struct error *err)
{
	struct buf text = { 0 };
	struct error why = { 0 };
	EVP_PKEY *key = NULL;

	if (file_read(path, FILE_LIMIT_BYTES, &text, err) == 0) {
		key = tls_pem_key(buf_span(&text), &why);
		if (!key)
			error_set(err, "%s: %s", path, why.set ? why.text :
				  "there is no private key in it: give "
				  "--bus-tls-key FILE");
	}
	if (text.data)
		explicit_bzero(text.data, text.cap);
	buf_fini(&text);
	return key;
}

static int
check_pair(const char *path, const char *key_path, struct error *err)
{
	STACK_OF(X509) *list = read_certificates(path, err);
	EVP_PKEY *key = list ? read_key(key_path, err) : NULL;
	int failed = -1;

	if (key && X509_check_private_key(sk_X509_value(list, 0), key) == 1)
		failed = 0;
	else if (key)
		error_set(err, "the key in %s is not that of the first "
			  "certificate in %s: %s", key_path, path,
			  tls_pem_words());
	EVP_PKEY_free(key);
	tls_pem_certificates_free(list);
	return failed;
}

int
bus_tls_check(const struct console_settings *s, struct error *err)
{
	const char *path = s->bus_tls_certificate;
	STACK_OF(X509) *list;

	if (!path)
		return 0;
	if (check_pair(path, s->bus_tls_key ? s->bus_tls_key : path, err))
		return error_context(err, "TLS of the bus");
	if (!s->bus_tls_client_ca)
		return 0;
	list = read_certificates(s->bus_tls_client_ca, err);
	if (!list)
		return error_context(err, "TLS of the bus");
	tls_pem_certificates_free(list);
	return 0;
}

struct secure_files
bus_tls_files(const struct console_settings *s)
{
	return (struct secure_files){ .certificate = s->bus_tls_certificate,
				      .key = s->bus_tls_key,
				      .ca = s->bus_tls_client_ca };
}
