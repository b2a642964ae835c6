/* SPDX-License-Identifier: Apache-2.0 */
/* TLS of the listeners: handshakes, who the client is, and reloading. */
#include "proxy/tls_server.h"

#include <libgen.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/counter.h"
#include "base/log.h"
#include "proxy/tls.h"
#include "proxy/tls_certificates.h"
#include "proxy/tls_tickets.h"
#include "proxy/worker.h"

struct tls_server {
	const struct console_settings *settings;
	struct tls_tickets *tickets;
	pthread_mutex_t lock;		/* guards what follows */
	struct tls_certificates *now;
};

/* ---- lifecycle ---- */

static void
warn(void *arg, const char *id, const char *words)
{
	(void)arg;
	log_warn(id, "%s", words);
}

static const struct tls_review in_log = { .tell = warn };

struct tls_server *
tls_server_new(const struct console_settings *settings, struct error *err)
{
	struct tls_server *s = calloc(1, sizeof(*s));

	if (!s) {
		error_set(err, "out of memory");
		return NULL;
	}
	s->settings = settings;
	pthread_mutex_init(&s->lock, NULL);
	s->tickets = tls_tickets_new();
	if (s->tickets)
		s->now = tls_certificates_load(settings, s->tickets, err);
	else
		error_set(err, "out of memory");
	if (!s->now) {
		tls_server_free(&s);
		return NULL;
	}
	tls_certificates_review(s->now, &in_log);
	return s;
}

void
tls_server_free(struct tls_server **sp)
{
	struct tls_server *s = *sp;

	*sp = NULL;
	if (!s)
		return;
	tls_certificates_unref(&s->now);
	tls_tickets_free(&s->tickets);
	pthread_mutex_destroy(&s->lock);
	free(s);
}

static struct tls_certificates *
swap(struct tls_server *s, struct tls_certificates *fresh)
{
	struct tls_certificates *old;

	pthread_mutex_lock(&s->lock);
	old = s->now;
	s->now = fresh;
	pthread_mutex_unlock(&s->lock);
	return old;
}

void
tls_server_reload(struct tls_server *s)
{
	struct error err = { 0 };
	struct tls_certificates *fresh =
		tls_certificates_load(s->settings, s->tickets, &err);

	if (!fresh) {
		counter_inc(COUNTER_TLS_RELOAD_REFUSED);
		log_error("tls.reload-failed", "the old certificates go on; "
			  "%s", err.text);
		return;
	}
	if (!tls_certificates_same(fresh, s->now)) {
		fresh = swap(s, fresh);
		counter_inc(COUNTER_TLS_RELOADED);
		log_info("tls.reloaded", "new connections get the new "
			 "certificates");
		tls_certificates_review(s->now, &in_log);
	}
	tls_certificates_unref(&fresh);
}

/* ---- watching the files ---- */

static void
watch_folder(int fd, const char *path)
{
	char copy[4096];

	snprintf(copy, sizeof(copy), "%s", path);
	if (inotify_add_watch(fd, dirname(copy),
			      IN_CLOSE_WRITE | IN_MOVED_TO) < 0)
		log_warn("tls.not-watched", "changes of %s need a SIGHUP",
			 path);
}

int
tls_server_watch(const struct tls_server *s)
{
	const char *const *certificates = s->settings->tls_certificate;
	const char *const *keys = s->settings->tls_key;
	int fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
	size_t i;

	for (i = 0; fd >= 0 && certificates[i]; i++)
		watch_folder(fd, certificates[i]);
	for (i = 0; fd >= 0 && keys[i]; i++)
		watch_folder(fd, keys[i]);
	if (fd >= 0 && s->settings->tls_client_ca)
		watch_folder(fd, s->settings->tls_client_ca);
	if (fd >= 0 && s->settings->tls_client_crl)
		watch_folder(fd, s->settings->tls_client_crl);
	return fd;
}

void
tls_server_drain(int fd)
{
	_Alignas(struct inotify_event) char events[4096];

	while (read(fd, events, sizeof(events)) > 0)
		;
}

/* ---- hand-over ---- */

size_t
tls_server_save_tickets(struct tls_server *s, char *to)
{
	return tls_tickets_save(s->tickets, to);
}

/* They came in one message with the word that this process waited for. */
void
tls_server_take_tickets(struct tls_server *s, int socket)
{
	char keys[TLS_TICKETS_BYTES + 1];
	ssize_t n = recv(socket, keys, sizeof(keys), MSG_DONTWAIT);

	if (n > 0 && tls_tickets_restore(s->tickets,
					 (struct span){ keys, (size_t)n }))
		log_info("tls.tickets", "the old process has other session "
			 "tickets: clients make new sessions");
	OPENSSL_cleanse(keys, sizeof(keys));
}

/* ---- who the client is ---- */

static void
add_hash(struct buf *out, X509 *x)
{
	unsigned char md[EVP_MAX_MD_SIZE];
	unsigned len = 0, i;

	if (X509_digest(x, EVP_sha256(), md, &len) != 1)
		return;
	for (i = 0; i < len; i++)
		buf_printf(out, "%02x", md[i]);
}

/* RFC 4514 escapes quotes, backslashes and all that is not visible ASCII:
 * nothing in a name can end the quoted string or the line. */
static void
add_subject(struct buf *out, X509 *x)
{
	BIO *text = BIO_new(BIO_s_mem());
	char *at;
	long n;

	if (text && X509_NAME_print_ex(text, X509_get_subject_name(x), 0,
				       XN_FLAG_RFC2253) >= 0) {
		n = BIO_get_mem_data(text, &at);
		if (n > 0)
			buf_add(out, at, (size_t)n);
	}
	BIO_free(text);
}

#define PEER_HASH "Hash="
#define PEER_SUBJECT ";Subject=\""

static void
name_peer(struct io *io)
{
	X509 *x = SSL_get0_peer_certificate(tls_ssl(io));
	struct buf out = { 0 };

	if (!x)
		return;
	buf_adds(&out, PEER_HASH);
	add_hash(&out, x);
	buf_adds(&out, PEER_SUBJECT);
	add_subject(&out, x);
	buf_addc(&out, '"');
	(void)buf_str(&out);
	tls_set_peer(io, out.failed ? NULL : buf_steal(&out, NULL));
	buf_fini(&out);
	ERR_clear_error();	/* whatever failed above: tls.c relies on it */
}

void
tls_server_peer_parts(const struct io *io, struct span *hash,
		      struct span *subject)
{
	const char *text = tls_peer(io), *mark;

	*hash = *subject = (struct span){ "", 0 };
	mark = text ? strstr(text, PEER_SUBJECT) : NULL;
	if (!mark)
		return;
	hash->at = text + strlen(PEER_HASH);
	hash->len = (size_t)(mark - hash->at);
	subject->at = mark + strlen(PEER_SUBJECT);
	subject->len = strlen(subject->at) - 1;
}

/* ---- handshakes ---- */

static void
release(void *arg)
{
	struct tls_certificates *c = arg;

	tls_certificates_unref(&c);
}

static int
begin(struct tls_server *s, struct worker *w, struct io *io)
{
	struct tls_certificates *c;

	pthread_mutex_lock(&s->lock);
	c = tls_certificates_ref(s->now);
	pthread_mutex_unlock(&s->lock);
	if (tls_attach(w, io, tls_certificates_accept(c))) {
		tls_certificates_unref(&c);
		return -1;
	}
	tls_hold(io, c, release);
	return 0;
}

static const char plain_answer[] =
	"HTTP/1.1 400 Bad Request\r\n"
	"Content-Type: text/plain\r\n"
	"Content-Length: 47\r\n"
	"Connection: close\r\n\r\n"
	"This port speaks TLS: write https:// in its URL";

static void
explain(struct worker *w, struct io *io, const char *address)
{
	bool plain = tls_met_plain_http(io);

	if (plain) {
		counter_inc(COUNTER_TLS_CLIENT_PLAIN_HTTP);
		(void)send(io->fd, plain_answer, sizeof(plain_answer) - 1,
			   MSG_NOSIGNAL);
	} else {
		counter_inc(COUNTER_TLS_CLIENT_FAILED);
	}
	/* Balancers look whether the port is open, all day long. */
	if (io->peer_done && !io->broken)
		return;
	if (worker_may_log(w))
		log_info(plain ? "client.plain-http" : "client.tls", "%s: %s",
			 address, plain ? "a plain HTTP request on a TLS "
			 "listener" : tls_reason(io));
}

enum io_result
tls_server_handshake(struct tls_server *s, struct worker *w, struct io *io,
		     const char *address)
{
	enum io_result r;

	if (!io_is_tls(io) && begin(s, w, io))
		return IO_BROKEN;
	r = tls_handshake(io);
	if (r == IO_OK)
		name_peer(io);
	else if (r != IO_WAIT)
		explain(w, io, address);
	return r;
}
