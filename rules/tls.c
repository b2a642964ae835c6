/* SPDX-License-Identifier: Apache-2.0 */
/* Loads "tls" of a target: its files are read here, once, so that no worker
 * ever waits for a disk. What is in them is judged where OpenSSL is at home,
 * in proxy/; that they are there and are PEM is known now. */
#include "rules/tls.h"

#include <string.h>

#include "rules/file.h"
#include "rules/keys.h"

/* A text that is no PEM at all is a slip that `matapalo check` can see. */
static int
check_pem(struct rules_load *l, const struct rules_node *at,
	  const struct rules_file *f, const char *what)
{
	if (strstr(f->text.at, "-----BEGIN ") && strstr(f->text.at, what))
		return 0;
	return load_fail(l, at, "%s holds no PEM block of a %s", f->path,
			 !strcmp(what, "CERTIFICATE") ? "certificate" :
			 !strcmp(what, "X509 CRL") ? "revocation list" :
						     "private key");
}

static int
load_file(struct rules_load *l, const struct rules_node *node, enum key k,
	  const char *what, struct rules_file *out)
{
	struct rules_node at;

	if (!keys_get(node, k, &at))
		return 0;
	if (file_load(l, &at, out) < 0)
		return -1;
	return check_pem(l, &at, out, what);
}

/* The key may stand in the certificate's own file. */
static int
load_key(struct rules_load *l, const struct rules_node *node,
	 struct rules_tls *tls)
{
	struct rules_node at;

	if (keys_get(node, KEY_TLS_KEY, &at) && !tls->certificate.path)
		return load_fail_key(l, &at, "is the key of a \"certificate\", "
				     "which is missing");
	if (load_file(l, node, KEY_TLS_KEY, "PRIVATE KEY", &tls->key) < 0)
		return -1;
	if (tls->key.path || !tls->certificate.path)
		return 0;
	tls->key = tls->certificate;
	if (strstr(tls->key.text.at, "PRIVATE KEY"))
		return 0;
	keys_get(node, KEY_TLS_CERTIFICATE, &at);
	return load_fail(l, &at, "%s holds no private key: name its file "
			 "as \"key\"", tls->key.path);
}

static int
load_name(struct rules_load *l, const struct rules_node *node,
	  struct rules_tls *tls)
{
	struct rules_node at;
	const char *s;

	if (!keys_get(node, KEY_TLS_SERVER_NAME, &at))
		return 0;
	s = json_string_value(at.value);
	if (!*s || strlen(s) > 253 ||
	    strspn(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
		      "0123456789.-_:") < strlen(s))
		return load_fail(l, &at, "\"%s\" is neither a host name nor "
				 "an address", s);
	tls->server_name = load_copy(l, s);
	return tls->server_name ? 0 : -1;
}

static int
load_members(struct rules_load *l, const struct rules_node *node,
	     struct rules_tls *tls)
{
	static const char *const versions[] = { "1.2", "1.3" };
	struct rules_node at;
	size_t version;

	if (keys_get(node, KEY_TLS_VERIFY, &at))
		tls->verify = json_is_true(at.value);
	if (keys_choice(l, node, KEY_TLS_MIN_VERSION, versions,
			ARRAY_SIZE(versions), &version) < 0)
		return -1;
	tls->min_version = (enum rules_tls_version)version;
	if (load_name(l, node, tls) < 0 ||
	    load_file(l, node, KEY_TLS_CA, "CERTIFICATE", &tls->ca) < 0 ||
	    load_file(l, node, KEY_TLS_CRL, "X509 CRL", &tls->crl) < 0 ||
	    load_file(l, node, KEY_TLS_CERTIFICATE, "CERTIFICATE",
		      &tls->certificate) < 0)
		return -1;
	return load_key(l, node, tls);
}

int
tls_load(struct rules_load *l, const struct rules_node *target,
	 enum url_scheme scheme, const struct rules_tls **out)
{
	struct rules_node at = { .value = NULL };
	bool given = keys_get(target, KEY_TARGET_TLS, &at);
	struct rules_tls *tls;

	*out = NULL;
	if (scheme == URL_PLAIN)
		return given ? load_fail_key(l, &at, "has no meaning without "
					     "TLS: write \"https://\" in "
					     "\"url\", or remove it") : 0;
	tls = load_alloc(l, 1, sizeof(*tls));
	if (!tls)
		return -1;
	tls->verify = true;
	*out = tls;
	return load_members(l, &at, tls);
}
