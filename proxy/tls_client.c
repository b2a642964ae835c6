/* SPDX-License-Identifier: Apache-2.0 */
/* TLS towards upstreams: one context a target, verification by default. */
#include "proxy/tls_client.h"

#include <arpa/inet.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "proxy/tls.h"
#include "proxy/tls_pem.h"
#include "proxy/worker.h"

#define IDENTITY_BYTES 32

struct tls_client {
	atomic_uint refs;
	SSL_CTX *ctx;
	char *server_name;		/* NULL: the URL's host */
	unsigned char identity[IDENTITY_BYTES];
};

struct tls_clients {
	atomic_uint refs;
	size_t count;
	struct tls_client *at[];
};

/* ---- identity ---- */

static void
add_part(EVP_MD_CTX *md, struct span s)
{
	(void)EVP_DigestUpdate(md, &s.len, sizeof(s.len));
	if (s.len)
		(void)EVP_DigestUpdate(md, s.at, s.len);
}

/* Everything that decides whom a connection may be used for. */
static int
make_identity(const struct rules_tls *t, unsigned char *out)
{
	const unsigned char bits[] = { t->verify,
				       (unsigned char)t->min_version };
	EVP_MD_CTX *md = EVP_MD_CTX_new();
	int ok;

	if (!md || EVP_DigestInit_ex(md, EVP_sha256(), NULL) != 1) {
		EVP_MD_CTX_free(md);
		return -1;
	}
	add_part(md, (struct span){ (const char *)bits, sizeof(bits) });
	add_part(md, span_of(t->server_name ? t->server_name : ""));
	add_part(md, t->ca.text);
	add_part(md, t->crl.text);
	add_part(md, t->certificate.text);
	add_part(md, t->key.text);
	ok = EVP_DigestFinal_ex(md, out, NULL);
	EVP_MD_CTX_free(md);
	return ok == 1 ? 0 : -1;
}

static struct tls_client *
find_same(const struct tls_clients *list, const unsigned char *identity)
{
	size_t i;

	for (i = 0; list && i < list->count; i++)
		if (list->at[i] && !memcmp(list->at[i]->identity, identity,
					   IDENTITY_BYTES))
			return list->at[i];
	return NULL;
}

/* ---- one context ---- */

static int
blame(struct error *err, const char *what, const struct rules_file *f)
{
	if (err)
		err->line = f->line;
	return error_context(err, "%s %s", what, f->path);
}

/* One file, read now; the directory of hashed names that OpenSSL would use
 * is read at each handshake, on the worker. */
static int
trust_system(SSL_CTX *ctx, struct error *err)
{
	static const char *const bundles[] = {
		"/etc/ssl/certs/ca-certificates.crt",	/* Debian, Alpine */
		"/etc/pki/tls/certs/ca-bundle.crt",	/* Red Hat */
		"/etc/ssl/ca-bundle.pem",		/* SUSE */
	};
	const char *own = getenv("SSL_CERT_FILE");
	size_t i;

	if (own)
		return SSL_CTX_load_verify_locations(ctx, own, NULL) == 1 ? 0 :
			error_set(err, "SSL_CERT_FILE %s cannot be used: %s",
				  own, tls_pem_words());
	for (i = 0; i < ARRAY_SIZE(bundles); i++)
		if (!access(bundles[i], R_OK) &&
		    SSL_CTX_load_verify_locations(ctx, bundles[i], NULL) == 1)
			return 0;
	ERR_clear_error();
	return SSL_CTX_set_default_verify_paths(ctx) == 1 ? 0 :
		error_set(err, "the system's certificates: %s",
			  tls_pem_words());
}

static int
set_trust(SSL_CTX *ctx, const struct rules_tls *t, struct error *err)
{
	X509_VERIFY_PARAM *p = SSL_CTX_get0_param(ctx);

	if (!t->verify) {
		SSL_CTX_set_verify(ctx, SSL_VERIFY_NONE, NULL);
		return 0;
	}
	SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER, NULL);
	X509_VERIFY_PARAM_set_hostflags(p,
					X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
	if (!t->ca.path)
		return trust_system(ctx, err);
	/* What the file names is trusted, be it the server's own one. */
	(void)X509_VERIFY_PARAM_set_flags(p, X509_V_FLAG_PARTIAL_CHAIN);
	if (!tls_pem_trust(SSL_CTX_get_cert_store(ctx), t->ca.text, err))
		return 0;
	return blame(err, "ca", &t->ca);
}

static int
set_revoked(SSL_CTX *ctx, const struct rules_tls *t, struct error *err)
{
	if (!t->crl.path || !t->verify ||
	    !tls_pem_revoke(SSL_CTX_get_cert_store(ctx), t->crl.text, err))
		return 0;
	return blame(err, "crl", &t->crl);
}

static int
set_own(SSL_CTX *ctx, const struct rules_tls *t, struct error *err)
{
	STACK_OF(X509) *list;
	EVP_PKEY *key;
	int failed;

	if (!t->certificate.path)
		return 0;
	list = tls_pem_certificates(t->certificate.text, err);
	if (!list)
		return blame(err, "certificate", &t->certificate);
	key = tls_pem_key(t->key.text, err);
	failed = key ? tls_pem_use(ctx, list, key, err) :
		       error_set(err, "there is no private key in it");
	EVP_PKEY_free(key);
	tls_pem_certificates_free(list);
	return failed ? blame(err, "key", &t->key) : 0;
}

static int
set_up(SSL_CTX *ctx, const struct rules_tls *t, struct error *err)
{
	static const unsigned char alpn[] = "\x08http/1.1";
	int oldest = t->min_version == RULES_TLS_1_3 ? TLS1_3_VERSION :
						       TLS1_2_VERSION;

	SSL_CTX_set_mode(ctx, SSL_MODE_RELEASE_BUFFERS);
	SSL_CTX_set_options(ctx, SSL_OP_NO_RENEGOTIATION |
				 SSL_OP_NO_COMPRESSION);
	SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_CLIENT |
					    SSL_SESS_CACHE_NO_INTERNAL);
	SSL_CTX_sess_set_new_cb(ctx, tls_on_session);
	if (SSL_CTX_set_min_proto_version(ctx, oldest) != 1 ||
	    SSL_CTX_set_alpn_protos(ctx, alpn, sizeof(alpn) - 1) != 0)
		return error_set(err, "OpenSSL: %s", tls_pem_words());
	return set_trust(ctx, t, err) || set_revoked(ctx, t, err) ||
	       set_own(ctx, t, err) ? -1 : 0;
}

static struct tls_client *
client_new(const struct rules_tls *t, const unsigned char *identity,
	   struct error *err)
{
	struct tls_client *c = calloc(1, sizeof(*c));

	if (!c) {
		error_set(err, "out of memory");
		return NULL;
	}
	atomic_init(&c->refs, 1);
	memcpy(c->identity, identity, IDENTITY_BYTES);
	c->ctx = SSL_CTX_new(TLS_client_method());
	if (t->server_name)
		c->server_name = strdup(t->server_name);
	if (!c->ctx || (t->server_name && !c->server_name))
		error_set(err, "out of memory");
	else if (!set_up(c->ctx, t, err))
		return c;
	tls_client_unref(&c);
	return NULL;
}

struct tls_client *
tls_client_ref(struct tls_client *c)
{
	if (c)
		atomic_fetch_add_explicit(&c->refs, 1, memory_order_relaxed);
	return c;
}

void
tls_client_unref(struct tls_client **cp)
{
	struct tls_client *c = *cp;

	*cp = NULL;
	if (!c || atomic_fetch_sub_explicit(&c->refs, 1,
					    memory_order_acq_rel) != 1)
		return;
	SSL_CTX_free(c->ctx);
	free(c->server_name);
	free(c);
}

/* ---- all of a rule set ---- */

static int
add_client(struct tls_clients *list, const struct tls_clients *old,
	   const struct rules_target *t, struct error *err)
{
	unsigned char identity[IDENTITY_BYTES];
	struct tls_client *same;

	if (make_identity(t->tls, identity))
		return error_set(err, "OpenSSL: %s", tls_pem_words());
	same = find_same(list, identity);
	if (!same)
		same = find_same(old, identity);
	list->at[t->index] = same ? tls_client_ref(same) :
				    client_new(t->tls, identity, err);
	return list->at[t->index] ? 0 :
		error_context(err, "target \"%s\", tls", t->name);
}

struct tls_clients *
tls_clients_new(const struct rules *rules, const struct tls_clients *old,
		struct error *err)
{
	struct tls_clients *list = calloc(1, sizeof(*list) +
			rules->target_count * sizeof(list->at[0]));
	size_t i;

	if (!list) {
		error_set(err, "out of memory");
		return NULL;
	}
	atomic_init(&list->refs, 1);
	list->count = rules->target_count;
	for (i = 0; i < list->count; i++) {
		if (!rules->targets[i].tls)
			continue;
		if (add_client(list, old, &rules->targets[i], err)) {
			tls_clients_unref(&list);
			return NULL;
		}
	}
	return list;
}

static void
review_file(const struct rules_target *t, const char *key,
	    const struct rules_file *f, const struct tls_review *r)
{
	char who[300];

	if (!f->path)
		return;
	snprintf(who, sizeof(who), "line %d: target \"%s\", %s", f->line,
		 t->name, key);
	tls_review_text(r, who, f->path, f->text);
}

void
tls_clients_review(const struct rules *rules, const struct tls_review *r)
{
	for (size_t i = 0; i < rules->target_count; i++) {
		const struct rules_target *t = &rules->targets[i];

		if (!t->tls)
			continue;
		review_file(t, "ca", &t->tls->ca, r);
		review_file(t, "crl", &t->tls->crl, r);
		review_file(t, "certificate", &t->tls->certificate, r);
	}
}

struct tls_clients *
tls_clients_ref(struct tls_clients *c)
{
	atomic_fetch_add_explicit(&c->refs, 1, memory_order_relaxed);
	return c;
}

void
tls_clients_unref(struct tls_clients **cp)
{
	struct tls_clients *c = *cp;
	size_t i;

	*cp = NULL;
	if (!c || atomic_fetch_sub_explicit(&c->refs, 1,
					    memory_order_acq_rel) != 1)
		return;
	for (i = 0; i < c->count; i++)
		tls_client_unref(&c->at[i]);
	free(c);
}

struct tls_client *
tls_clients_at(const struct tls_clients *c, size_t target)
{
	return c->at[target];
}

/* ---- one connection ---- */

static bool
is_address(const char *name)
{
	unsigned char bytes[16];

	return inet_pton(AF_INET, name, bytes) == 1 ||
	       inet_pton(AF_INET6, name, bytes) == 1;
}

/* An address is looked for among the certificate's addresses and is not
 * sent: a server name is a DNS name (RFC 6066 3). */
static int
set_name(SSL *ssl, const char *name)
{
	X509_VERIFY_PARAM *p = SSL_get0_param(ssl);

	if (is_address(name))
		return X509_VERIFY_PARAM_set1_ip_asc(p, name) == 1 ? 0 : -1;
	return SSL_set1_host(ssl, name) == 1 &&
	       SSL_set_tlsext_host_name(ssl, name) == 1 ? 0 : -1;
}

int
tls_client_attach(struct tls_client *c, struct worker *w, struct io *io,
		  const char *host, SSL_SESSION **session)
{
	SSL *ssl = SSL_new(c->ctx);

	if (!ssl || set_name(ssl, c->server_name ? c->server_name : host)) {
		SSL_free(ssl);
		ERR_clear_error();
		return -1;
	}
	SSL_set_connect_state(ssl);
	if (*session && SSL_SESSION_is_resumable(*session))
		(void)SSL_set_session(ssl, *session);
	if (tls_attach(w, io, ssl))
		return -1;
	tls_keep_session(io, session);
	return 0;
}

void
tls_client_session_free(SSL_SESSION **session)
{
	SSL_SESSION_free(*session);
	*session = NULL;
}
