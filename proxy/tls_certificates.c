/* SPDX-License-Identifier: Apache-2.0 */
/* The certificates of the listeners: the first is the default, the others are
 * chosen by server name (RFC 6066 3). Those of the same names and of different
 * kinds of key are a pair: they share a context, and OpenSSL takes the one
 * that the client can verify. */
#include "proxy/tls_certificates.h"

#include <errno.h>
#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/buf.h"
#include "base/log.h"
#include "base/counter.h"
#include "console/file.h"
#include "proxy/tls_pem.h"
#include "proxy/tls_review.h"
#include "proxy/tls_staple.h"

#define FILE_LIMIT_BYTES (2u << 20)
#define DIGEST_BYTES 32
#define STAPLE_ENDING ".ocsp"

struct certificate {
	const char *path;		/* lent by the settings */
	X509 *x509;
	SSL_CTX *ctx;			/* a pair's both have the same */
	struct tls_staple staple;
	char *staple_why;		/* why it has none, or NULL */
};

struct tls_certificates {
	atomic_uint refs;
	size_t count;
	const struct console_settings *settings;
	struct certificate at[CONSOLE_LIST_MAX];
	X509_STORE *trust;		/* of clients' certificates */
	STACK_OF(X509_NAME) *names;	/* that are asked for */
	unsigned char digest[DIGEST_BYTES];
};

/* One load, on the main thread. */
struct loading {
	struct tls_certificates *c;
	struct tls_tickets *tickets;
	EVP_MD_CTX *digest;
	struct error *err;
	const char *stranger;		/* file of a key that did not fit */
};

/* ---- files ---- */

static int
read_file(struct loading *l, const char *path, struct buf *out)
{
	if (file_read(path, FILE_LIMIT_BYTES, out, l->err))
		return -1;
	(void)EVP_DigestUpdate(l->digest, out->data, out->len);
	(void)EVP_DigestUpdate(l->digest, path, strlen(path) + 1);
	return 0;
}

/* 1: it is the certificate's; 0: it is another's, or none. */
static int
try_key(struct loading *l, const char *path, const struct buf *text,
	X509 *x509, EVP_PKEY **out)
{
	struct error why = { 0 };
	EVP_PKEY *key = tls_pem_key(buf_span(text), &why);

	if (!key)
		return why.set ? error_set(l->err, "%s: %s", path, why.text) :
				 0;
	if (X509_check_private_key(x509, key) == 1) {
		*out = key;
		return 1;
	}
	ERR_clear_error();
	EVP_PKEY_free(key);
	l->stranger = path;
	return 0;
}

/* Its own file first, then those of --tls-key; which belongs to which is
 * found out, so that no order has to be kept. */
static int
find_key(struct loading *l, const char *path, const struct buf *own,
	 X509 *x509, EVP_PKEY **out)
{
	const char *const *keys = l->c->settings->tls_key;
	int found;

	l->stranger = NULL;
	found = try_key(l, path, own, x509, out);
	for (size_t i = 0; !found && keys[i]; i++) {
		struct buf text CLEANUP(buf_fini) = { 0 };

		if (read_file(l, keys[i], &text))
			return -1;
		found = try_key(l, keys[i], &text, x509, out);
	}
	if (found == 0 && l->stranger)
		return error_set(l->err, "%s: no private key fits this "
				 "certificate; the one in %s is of another: "
				 "give the right one by --tls-key", path,
				 l->stranger);
	if (found == 0)
		return error_set(l->err, "%s: its private key is neither in "
				 "the same file nor in one of --tls-key",
				 path);
	return found < 0 ? -1 : 0;
}

/* ---- contexts ---- */

/* HTTP/1.1 is all that is served: a client that offers only others is told
 * so (RFC 7301 3.2); one that offers nothing is taken at its word. */
static int
on_alpn(SSL *ssl, const unsigned char **out, unsigned char *out_len,
	const unsigned char *in, unsigned in_len, void *arg)
{
	static const unsigned char ours[] = "\x08http/1.1\x08http/1.0";
	unsigned char *chosen;

	(void)ssl;
	(void)arg;
	if (SSL_select_next_proto(&chosen, out_len, ours, sizeof(ours) - 1, in,
				  in_len) != OPENSSL_NPN_NEGOTIATED)
		return SSL_TLSEXT_ERR_ALERT_FATAL;
	*out = chosen;
	return SSL_TLSEXT_ERR_OK;
}

static SSL_CTX *
find_name(const struct tls_certificates *c, const char *name)
{
	static const unsigned passes[] = {
		X509_CHECK_FLAG_NO_WILDCARDS,
		X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS,
	};

	for (size_t p = 0; p < ARRAY_SIZE(passes); p++)
		for (size_t i = 0; i < c->count; i++)
			if (X509_check_host(c->at[i].x509, name, 0, passes[p],
					    NULL) == 1)
				return c->at[i].ctx;
	return NULL;
}

static int
on_name(SSL *ssl, int *alert, void *arg)
{
	const struct tls_certificates *c = arg;
	const char *name = SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name);
	SSL_CTX *ctx = name ? find_name(c, name) : NULL;

	(void)alert;
	if (!ctx)
		return SSL_TLSEXT_ERR_NOACK;
	if (ctx != c->at[0].ctx)
		SSL_set_SSL_CTX(ssl, ctx);
	return SSL_TLSEXT_ERR_OK;
}

static int
set_clients(struct loading *l, SSL_CTX *ctx)
{
	const struct tls_certificates *c = l->c;
	bool must = !strcmp(c->settings->tls_client_certificates, "require");
	STACK_OF(X509_NAME) *names;

	if (!c->trust)
		return 0;
	names = SSL_dup_CA_list(c->names);
	if (!names || SSL_CTX_set1_verify_cert_store(ctx, c->trust) != 1)
		return error_set(l->err, "OpenSSL: %s", tls_pem_words());
	SSL_CTX_set_client_CA_list(ctx, names);
	SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER |
		(must ? SSL_VERIFY_FAIL_IF_NO_PEER_CERT : 0), NULL);
	return 0;
}

static int
on_status(SSL *ssl, void *arg)
{
	const struct tls_certificates *c = arg;
	const X509 *chosen = SSL_get_certificate(ssl);

	for (size_t i = 0; i < c->count; i++)
		if (c->at[i].x509 == chosen)
			return tls_staple_show(&c->at[i].staple, ssl);
	return SSL_TLSEXT_ERR_NOACK;
}

static int
set_up(struct loading *l, SSL_CTX *ctx)
{
	int oldest = !strcmp(l->c->settings->tls_min_version, "1.3") ?
			     TLS1_3_VERSION : TLS1_2_VERSION;

	SSL_CTX_set_mode(ctx, SSL_MODE_RELEASE_BUFFERS);
	/* A request says itself where it ends: a client that closes without
	 * a close_notify behind one gets its answer. */
	SSL_CTX_set_options(ctx, SSL_OP_NO_RENEGOTIATION |
				 SSL_OP_NO_COMPRESSION |
				 SSL_OP_IGNORE_UNEXPECTED_EOF);
	if (SSL_CTX_get_security_level(ctx) < 2)
		SSL_CTX_set_security_level(ctx, 2);
	SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF);
	SSL_CTX_set_num_tickets(ctx, 1);
	SSL_CTX_set_alpn_select_cb(ctx, on_alpn, NULL);
	SSL_CTX_set_tlsext_servername_callback(ctx, on_name);
	SSL_CTX_set_tlsext_servername_arg(ctx, l->c);
	SSL_CTX_set_tlsext_status_cb(ctx, on_status);
	SSL_CTX_set_tlsext_status_arg(ctx, l->c);
	if (SSL_CTX_set_min_proto_version(ctx, oldest) != 1 ||
	    tls_tickets_use(l->tickets, ctx))
		return error_set(l->err, "OpenSSL: %s", tls_pem_words());
	return set_clients(l, ctx);
}

/* ---- pairs ---- */

static bool
has_name(const GENERAL_NAMES *names, GENERAL_NAME *name)
{
	for (int i = 0; i < sk_GENERAL_NAME_num(names); i++)
		if (!GENERAL_NAME_cmp(sk_GENERAL_NAME_value(names, i), name))
			return true;
	return false;
}

static bool
has_names(const GENERAL_NAMES *all, const GENERAL_NAMES *wanted)
{
	for (int i = 0; i < sk_GENERAL_NAME_num(wanted); i++)
		if (!has_name(all, sk_GENERAL_NAME_value(wanted, i)))
			return false;
	return true;
}

/* Without a subjectAltName the subject has the name. */
static bool
have_same_names(X509 *a, X509 *b)
{
	GENERAL_NAMES *x = X509_get_ext_d2i(a, NID_subject_alt_name, NULL,
					    NULL);
	GENERAL_NAMES *y = X509_get_ext_d2i(b, NID_subject_alt_name, NULL,
					    NULL);
	bool same = x && y ? has_names(x, y) && has_names(y, x) :
			     !x && !y &&
			     X509_NAME_cmp(X509_get_subject_name(a),
					   X509_get_subject_name(b)) == 0;

	GENERAL_NAMES_free(x);
	GENERAL_NAMES_free(y);
	return same;
}

static int
kind_of(const X509 *x)
{
	return EVP_PKEY_get_base_id(X509_get0_pubkey(x));
}

/* A context has room for one certificate of a kind. */
static bool
has_kind(const struct tls_certificates *c, const SSL_CTX *ctx, int kind)
{
	for (size_t i = 0; i < c->count; i++)
		if (c->at[i].ctx == ctx && kind_of(c->at[i].x509) == kind)
			return true;
	return false;
}

static SSL_CTX *
find_partner(const struct tls_certificates *c, X509 *x)
{
	for (size_t i = 0; i < c->count; i++)
		if (have_same_names(c->at[i].x509, x) &&
		    !has_kind(c, c->at[i].ctx, kind_of(x)))
			return c->at[i].ctx;
	return NULL;
}

static SSL_CTX *
make_context(struct loading *l, X509 *x)
{
	SSL_CTX *ctx = find_partner(l->c, x);

	if (ctx) {
		SSL_CTX_up_ref(ctx);
		return ctx;
	}
	ctx = SSL_CTX_new(TLS_server_method());
	if (!ctx || !set_up(l, ctx))
		return ctx;
	SSL_CTX_free(ctx);
	return NULL;
}

/* ---- one certificate ---- */

static bool
is_there(const char *path)
{
	struct stat st;

	return stat(path, &st) == 0 || errno != ENOENT;
}

/* Stands beside the certificate. Serving goes on without one: nothing here
 * fails. */
static void
add_staple(struct loading *l, struct certificate *to, STACK_OF(X509) *chain)
{
	struct buf name CLEANUP(buf_fini) = { 0 };
	struct buf der CLEANUP(buf_fini) = { 0 };
	struct error why = { 0 };

	buf_printf(&name, "%s" STAPLE_ENDING, to->path);
	if (name.failed || !is_there(buf_str(&name)))
		return;
	if (file_read(buf_str(&name), FILE_LIMIT_BYTES, &der, &why) == 0) {
		(void)EVP_DigestUpdate(l->digest, der.data, der.len);
		if (tls_staple_read(&to->staple, buf_span(&der), chain, &why))
			error_context(&why, "%s", buf_str(&name));
	}
	if (why.set)
		to->staple_why = strdup(why.text);
	ERR_clear_error();
}

static int
add_chain(struct loading *l, struct certificate *to, STACK_OF(X509) *chain,
	  const struct buf *text)
{
	struct error why = { 0 };
	EVP_PKEY *key = NULL;
	int failed;

	to->ctx = make_context(l, sk_X509_value(chain, 0));
	to->x509 = sk_X509_value(chain, 0);
	X509_up_ref(to->x509);
	l->c->count++;
	failed = !to->ctx || find_key(l, to->path, text, to->x509, &key);
	if (!failed && tls_pem_use(to->ctx, chain, key, &why))
		failed = error_set(l->err, "%s: %s", to->path, why.text);
	EVP_PKEY_free(key);
	if (!failed)
		add_staple(l, to, chain);
	return failed ? -1 : 0;
}

static int
add_certificate(struct loading *l, const char *path)
{
	struct certificate *to = &l->c->at[l->c->count];
	struct buf text CLEANUP(buf_fini) = { 0 };
	struct error why = { 0 };
	STACK_OF(X509) *chain;
	int failed;

	to->path = path;
	if (read_file(l, path, &text))
		return -1;
	chain = tls_pem_certificates(buf_span(&text), &why);
	if (!chain)
		return error_set(l->err, "%s: %s", path, why.text);
	failed = add_chain(l, to, chain, &text);
	tls_pem_certificates_free(chain);
	return failed;
}

/* ---- clients' certificates ---- */

static int
add_names(struct tls_certificates *c, const struct buf *text)
{
	struct error why = { 0 };
	STACK_OF(X509) *list = tls_pem_certificates(buf_span(text), &why);
	int i, failed = !list;

	for (i = 0; i < sk_X509_num(list) && !failed; i++) {
		X509_NAME *name = X509_NAME_dup(X509_get_subject_name(
			sk_X509_value(list, i)));

		failed = !name || !sk_X509_NAME_push(c->names, name);
	}
	tls_pem_certificates_free(list);
	return failed ? -1 : 0;
}

/* A ticket is not verified again: the digest, of which this is a part, lets
 * nobody come back with one from before he was revoked. */
static int
load_crl(struct loading *l)
{
	const char *path = l->c->settings->tls_client_crl;
	struct buf text CLEANUP(buf_fini) = { 0 };
	struct error why = { 0 };

	if (!path)
		return 0;
	if (read_file(l, path, &text))
		return error_context(l->err, "tls_client_crl");
	if (tls_pem_revoke(l->c->trust, buf_span(&text), &why))
		return error_set(l->err, "tls_client_crl: %s: %s", path,
				 why.text);
	return 0;
}

static int
load_trust(struct loading *l)
{
	const struct console_settings *s = l->c->settings;
	struct buf text CLEANUP(buf_fini) = { 0 };
	struct error why = { 0 };

	if (!strcmp(s->tls_client_certificates, "none"))
		return 0;
	if (read_file(l, s->tls_client_ca, &text))
		return error_context(l->err, "tls_client_ca");
	l->c->trust = X509_STORE_new();
	l->c->names = sk_X509_NAME_new_null();
	if (!l->c->trust || !l->c->names)
		return error_set(l->err, "out of memory");
	if (tls_pem_trust(l->c->trust, buf_span(&text), &why) ||
	    add_names(l->c, &text))
		return error_set(l->err, "tls_client_ca: %s: %s",
				 s->tls_client_ca, why.text);
	return load_crl(l);
}

/* ---- the set ---- */

/* A ticket of clients who were judged by other rules is not taken. */
static int
seal_sessions(struct loading *l)
{
	struct tls_certificates *c = l->c;
	const char *mode = c->settings->tls_client_certificates;
	unsigned char id[DIGEST_BYTES];

	(void)EVP_DigestUpdate(l->digest, mode, strlen(mode));
	if (EVP_DigestFinal_ex(l->digest, c->digest, NULL) != 1)
		return error_set(l->err, "OpenSSL: %s", tls_pem_words());
	memcpy(id, c->digest, sizeof(id));
	if (!c->trust)		/* nobody is judged: any ticket will do */
		memset(id, 0, sizeof(id));
	for (size_t i = 0; i < c->count; i++)
		if (SSL_CTX_set_session_id_context(c->at[i].ctx, id,
						   sizeof(id)) != 1)
			return error_set(l->err, "OpenSSL: %s",
					 tls_pem_words());
	return 0;
}

static int
load_all(struct loading *l)
{
	const char *const *paths = l->c->settings->tls_certificate;

	if (EVP_DigestInit_ex(l->digest, EVP_sha256(), NULL) != 1)
		return error_set(l->err, "OpenSSL: %s", tls_pem_words());
	if (load_trust(l))
		return -1;
	for (size_t i = 0; paths[i]; i++)
		if (add_certificate(l, paths[i]))
			return error_context(l->err, "tls_certificate");
	return seal_sessions(l);
}

struct tls_certificates *
tls_certificates_load(const struct console_settings *s,
		      struct tls_tickets *tickets, struct error *err)
{
	struct loading l = { calloc(1, sizeof(*l.c)), tickets,
			     EVP_MD_CTX_new(), err, NULL };
	int failed = -1;

	if (l.c && l.digest) {
		atomic_init(&l.c->refs, 1);
		l.c->settings = s;
		failed = load_all(&l);
	} else {
		free(l.c);
		l.c = NULL;
		error_set(err, "out of memory");
	}
	EVP_MD_CTX_free(l.digest);
	if (failed && err)
		error_set(err, "out of memory");
	if (failed)
		tls_certificates_unref(&l.c);
	return l.c;
}

struct tls_certificates *
tls_certificates_ref(struct tls_certificates *c)
{
	atomic_fetch_add_explicit(&c->refs, 1, memory_order_relaxed);
	return c;
}

void
tls_certificates_unref(struct tls_certificates **cp)
{
	struct tls_certificates *c = *cp;

	*cp = NULL;
	if (!c || atomic_fetch_sub_explicit(&c->refs, 1,
					    memory_order_acq_rel) != 1)
		return;
	for (size_t i = 0; i < c->count; i++) {
		SSL_CTX_free(c->at[i].ctx);
		X509_free(c->at[i].x509);
		tls_staple_fini(&c->at[i].staple);
		free(c->at[i].staple_why);
	}
	X509_STORE_free(c->trust);
	sk_X509_NAME_pop_free(c->names, X509_NAME_free);
	free(c);
}

bool
tls_certificates_same(const struct tls_certificates *a,
		      const struct tls_certificates *b)
{
	return !memcmp(a->digest, b->digest, sizeof(a->digest));
}

static bool
holds_key(const char *path)
{
	struct buf text CLEANUP(buf_fini) = { 0 };
	struct error err = { 0 };

	return !file_read(path, FILE_LIMIT_BYTES, &text, &err) &&
	       strstr(buf_str(&text), "PRIVATE KEY");
}

void
tls_certificates_review(const struct tls_certificates *c,
			const struct tls_review *r)
{
	const char *const *keys = c->settings->tls_key;

	for (size_t i = 0; i < c->count; i++) {
		const struct certificate *at = &c->at[i];

		tls_review_dates(r, "tls_certificate", at->path, at->x509);
		if (holds_key(at->path))
			tls_review_mode(r, "tls_certificate", at->path);
		if (at->staple_why) {
			counter_inc(COUNTER_TLS_STAPLE_REFUSED);
			tls_review_say(r, "tls.staple", "%s: it is left out",
				       at->staple_why);
		}
	}
	for (size_t i = 0; keys[i]; i++)
		tls_review_mode(r, "tls_key", keys[i]);
	tls_review_file(r, "tls_client_ca", c->settings->tls_client_ca);
	tls_review_file(r, "tls_client_crl", c->settings->tls_client_crl);
}

SSL *
tls_certificates_accept(const struct tls_certificates *c)
{
	SSL *ssl = SSL_new(c->at[0].ctx);

	if (ssl)
		SSL_set_accept_state(ssl);
	return ssl;
}
