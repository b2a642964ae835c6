/* SPDX-License-Identifier: Apache-2.0 */
/* TLS of tls+tcp:// addresses, by the engine that nng was built with. */
#include "bus/secure.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include <nng/nng.h>

#include "base/buf.h"
#include "config.h"

#define SCHEME "tls+tcp"

bool
secure_url(const char *url)
{
	return strncmp(url, SCHEME, sizeof(SCHEME) - 1) == 0;
}

#ifndef HAVE_NNG_TLS

static struct nng_tls_config *
without(struct error *err)
{
	error_set(err, "this matapalo was built with an nng that has no TLS: "
		  "build it with libnng 1.3 or newer, or use ipc:// or "
		  "tcp://");
	return NULL;
}

struct nng_tls_config *
secure_server(const struct secure_files *files, struct error *err)
{
	(void)files;
	return without(err);
}

struct nng_tls_config *
secure_client(const struct secure_files *files, const char *url,
	      struct error *err)
{
	(void)files;
	(void)url;
	return without(err);
}

void
secure_free(struct nng_tls_config **config)
{
	*config = NULL;
}

#else

#include <nng/supplemental/tls/tls.h>

#define FILE_BYTES_MAX (1u << 20)

/* ---- files ---- */

static int
read_all(int fd, struct buf *out)
{
	ssize_t n = 0;
	char *to;

	while ((to = buf_reserve(out, 4096)) != NULL &&
	       (n = read(fd, to, 4096)) > 0)
		out->len += (size_t)n;
	if (!to)
		errno = EFBIG;
	return to && n == 0 ? 0 : -1;
}

static int
read_file(const char *path, struct buf *out, struct error *err)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	int rc = -1;

	/* As much at once as there can be: what grows leaves copies behind. */
	out->limit_bytes = FILE_BYTES_MAX;
	if (fd >= 0 && buf_reserve(out, FILE_BYTES_MAX / 2))
		rc = read_all(fd, out);
	if (rc < 0)
		error_set(err, "cannot read %s: %s", path, strerror(errno));
	if (fd >= 0)
		close(fd);
	return rc;
}

/* A key does not stay in memory that is given back. */
static void
wipe(struct buf *b)
{
	if (b->data)
		explicit_bzero(b->data, b->cap);
	buf_fini(b);
}

static int
no_good(const char *path, const char *what, int rc, struct error *err)
{
	return error_set(err, "%s: %s: %s", path, what, nng_strerror(rc));
}

/* ---- configurations ---- */

static int
use_certificate(nng_tls_config *c, const struct secure_files *f,
		struct error *err)
{
	const char *key_path = f->key ? f->key : f->certificate;
	struct buf certificate = { 0 }, key = { 0 };
	int rc = -1;

	if (read_file(f->certificate, &certificate, err) == 0 &&
	    read_file(key_path, &key, err) == 0) {
		rc = nng_tls_config_own_cert(c, buf_str(&certificate),
					     buf_str(&key), NULL);
		if (rc != 0)
			rc = error_set(err, "%s and %s are no certificate and "
				       "its key without a passphrase, in PEM: "
				       "%s", f->certificate, key_path,
				       nng_strerror(rc));
	}
	wipe(&key);
	wipe(&certificate);
	return rc;
}

static int
use_ca(nng_tls_config *c, const char *path, struct error *err)
{
	struct buf text = { 0 };
	int rc = read_file(path, &text, err);

	if (rc == 0) {
		rc = nng_tls_config_ca_chain(c, buf_str(&text), NULL);
		if (rc != 0)
			rc = no_good(path, "no certificates in PEM", rc, err);
	}
	buf_fini(&text);
	return rc;
}

/* Older versions are never spoken; not every engine has 1.3. */
static int
use_version(nng_tls_config *c)
{
	int rc = nng_tls_config_version(c, NNG_TLS_1_2, NNG_TLS_1_3);

	return rc == NNG_ENOTSUP
		       ? nng_tls_config_version(c, NNG_TLS_1_2, NNG_TLS_1_2)
		       : rc;
}

static nng_tls_config *
config_new(nng_tls_mode mode, nng_tls_auth_mode auth, struct error *err)
{
	nng_tls_config *c = NULL;
	int rc = nng_tls_config_alloc(&c, mode);

	if (rc == 0)
		rc = use_version(c);
	if (rc == 0)
		rc = nng_tls_config_auth_mode(c, auth);
	if (rc == 0)
		return c;
	secure_free(&c);
	if (rc == NNG_ENOTSUP)
		error_set(err, "the nng on this machine has no TLS (its engine "
			  "is \"%s\"): install one that has, or use ipc:// or "
			  "tcp://", nng_tls_engine_name());
	else
		error_set(err, "TLS: %s", nng_strerror(rc));
	return NULL;
}

struct nng_tls_config *
secure_server(const struct secure_files *files, struct error *err)
{
	nng_tls_config *c;

	if (!files->certificate) {
		error_set(err, "TLS needs a certificate: give "
			  "--bus-tls-certificate FILE");
		return NULL;
	}
	c = config_new(NNG_TLS_MODE_SERVER,
		       files->ca ? NNG_TLS_AUTH_MODE_REQUIRED
				 : NNG_TLS_AUTH_MODE_NONE, err);
	if (c && (use_certificate(c, files, err) < 0 ||
		  (files->ca && use_ca(c, files->ca, err) < 0)))
		secure_free(&c);
	return c;
}

/* Without a name the engine would take anybody's certificate. */
static int
use_name(nng_tls_config *c, const char *name, const char *url,
	 struct error *err)
{
	nng_url *parsed = NULL;
	int rc = name ? 0 : nng_url_parse(&parsed, url);

	if (rc == 0)
		rc = nng_tls_config_server_name(c, name ? name
							: parsed->u_hostname);
	nng_url_free(parsed);
	return rc ? no_good(url, "no name to expect", rc, err) : 0;
}

struct nng_tls_config *
secure_client(const struct secure_files *files, const char *url,
	      struct error *err)
{
	nng_tls_config *c;

	if (!files || !files->ca) {
		error_set(err, "say whom to trust: the file of the CA that "
			  "signed the bus's certificate (--bus-ca FILE of the "
			  "commands, ca of the library)");
		return NULL;
	}
	c = config_new(NNG_TLS_MODE_CLIENT, NNG_TLS_AUTH_MODE_REQUIRED, err);
	if (c && (use_ca(c, files->ca, err) < 0 ||
		  use_name(c, files->name, url, err) < 0 ||
		  (files->certificate && use_certificate(c, files, err) < 0)))
		secure_free(&c);
	return c;
}

void
secure_free(struct nng_tls_config **config)
{
	if (*config)
		nng_tls_config_free(*config);
	*config = NULL;
}

#endif
