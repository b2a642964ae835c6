/* SPDX-License-Identifier: Apache-2.0 */
/* Connects a client's socket, and does it again where nng would not. */
#include "bus/dial.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/clock.h"

#define PAUSE_US 50000

struct dial {
	nng_socket socket;
	const char *url;
	struct nng_tls_config *tls;	/* NULL: without */
	atomic_int connections;
	pthread_mutex_t lock;		/* of the dialer */
	nng_dialer dialer;
};

static int
failed(const struct dial *d, const char *what, int rc, struct error *err)
{
	return error_set(err, "bus %s: %s: %s", d->url, what,
			 nng_strerror(rc));
}

/* On nng's threads. */
static void
on_pipe(nng_pipe pipe, nng_pipe_ev event, void *arg)
{
	struct dial *d = arg;

	(void)pipe;
	atomic_fetch_add(&d->connections,
			 event == NNG_PIPE_EV_ADD_PRE ? 1 : -1);
}

static int
count_connections(struct dial *d, struct error *err)
{
	int rc = nng_pipe_notify(d->socket, NNG_PIPE_EV_ADD_PRE, on_pipe, d);

	if (!rc)
		rc = nng_pipe_notify(d->socket, NNG_PIPE_EV_REM_POST, on_pipe,
				     d);
	return rc ? failed(d, "cannot watch connections", rc, err) : 0;
}

static bool
may_come(int rc)
{
	return rc == NNG_ECONNREFUSED || rc == NNG_ENOENT ||
	       rc == NNG_ETIMEDOUT || rc == NNG_EUNREACHABLE ||
	       rc == NNG_ECLOSED;
}

static int
start(struct dial *d, unsigned timeout_ms, struct error *err)
{
	uint64_t until = clock_mono_ms() + timeout_ms;
	int rc;

	while ((rc = nng_dialer_start(d->dialer, 0)) != 0) {
		if (rc == NNG_ECRYPTO || rc == NNG_EPEERAUTH)
			return failed(d, "TLS: its certificate does not have "
				      "the name or the CA that was asked for, "
				      "or ours was refused", rc, err);
		if (!may_come(rc) || clock_mono_ms() >= until)
			return failed(d, "cannot connect (is matapalo "
				      "running there?)", rc, err);
		usleep(PAUSE_US);
	}
	return 0;
}

static int
create(struct dial *d)
{
	int rc = nng_dialer_create(&d->dialer, d->socket, d->url);

	if (!rc && d->tls)
		rc = nng_dialer_set_ptr(d->dialer, NNG_OPT_TLS_CONFIG,
					d->tls);
	return rc;
}

static int
connect_first(struct dial *d, const struct secure_files *files,
	      unsigned timeout_ms, struct error *err)
{
	int rc;

	if (secure_url(d->url) &&
	    !(d->tls = secure_client(files, d->url, err)))
		return error_context(err, "bus %s", d->url);
	if (count_connections(d, err))
		return -1;
	rc = create(d);
	return rc ? failed(d, "cannot use this address", rc, err)
		  : start(d, timeout_ms, err);
}

struct dial *
dial_open(nng_socket socket, const char *url, const struct secure_files *files,
	  unsigned timeout_ms, struct error *err)
{
	struct dial *d = calloc(1, sizeof(*d));

	if (!d) {
		error_set(err, "no memory for a bus client");
		return NULL;
	}
	d->socket = socket;
	d->url = url;
	pthread_mutex_init(&d->lock, NULL);
	if (connect_first(d, files, timeout_ms, err)) {
		/* Its connections may still tell us that they end. */
		(void)nng_pipe_notify(socket, NNG_PIPE_EV_ADD_PRE, NULL, NULL);
		(void)nng_pipe_notify(socket, NNG_PIPE_EV_REM_POST, NULL,
				      NULL);
		dial_free(&d);
	}
	return d;
}

void
dial_again(struct dial *d)
{
	pthread_mutex_lock(&d->lock);
	if (atomic_load(&d->connections) <= 0) {
		(void)nng_dialer_close(d->dialer);
		/* What fails here is tried again by the next who waits. */
		if (!create(d))
			(void)nng_dialer_start(d->dialer, NNG_FLAG_NONBLOCK);
	}
	pthread_mutex_unlock(&d->lock);
}

void
dial_free(struct dial **dp)
{
	struct dial *d = *dp;

	if (!d)
		return;
	*dp = NULL;
	secure_free(&d->tls);
	pthread_mutex_destroy(&d->lock);
	free(d);
}
