/* SPDX-License-Identifier: Apache-2.0 */
/* Buffers of answers, passed on from call to call: nng gives requests to its
 * contexts in turn, so that each of 256 would grow one of its own, for the
 * largest answer it ever had. */
#include "bus/server.h"

#include <string.h>

void
server_lend_buffer(struct call *c)
{
	struct server *s = c->server;

	if (c->out.data)
		return;
	pthread_mutex_lock(&s->spare_lock);
	if (s->spare_count > 0)
		c->out = s->spares[--s->spare_count];
	pthread_mutex_unlock(&s->spare_lock);
}

void
server_return_buffer(struct call *c)
{
	struct server *s = c->server;
	bool kept = false;

	if (!c->out.data)
		return;
	pthread_mutex_lock(&s->spare_lock);
	if (s->spare_count < SERVER_SPARES &&
	    c->out.cap <= SERVER_SPARE_MAX) {
		s->spares[s->spare_count++] = c->out;
		kept = true;
	}
	pthread_mutex_unlock(&s->spare_lock);
	if (kept)
		c->out = (struct buf){ 0 };
	else
		buf_fini(&c->out);
}

void
server_free_buffers(struct server *s)
{
	while (s->spare_count > 0)
		buf_fini(&s->spares[--s->spare_count]);
}
