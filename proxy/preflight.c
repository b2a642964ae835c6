/* SPDX-License-Identifier: Apache-2.0 */
/* Certificates, keys and lists are loaded as a start would load them. */
#include "proxy/preflight.h"

#include "proxy/bus_tls.h"
#include "proxy/tls_certificates.h"
#include "proxy/tls_client.h"

static void
add_line(void *arg, const char *id, const char *words)
{
	struct buf *out = arg;

	(void)id;
	buf_adds(out, words);
	buf_addc(out, '\n');
}

int
preflight_settings(const struct console_settings *s, struct buf *warnings,
		   struct error *err)
{
	const struct tls_review review = { add_line, warnings };
	struct tls_certificates *c = NULL;
	struct tls_tickets *tickets;
	int failed;

	if (bus_tls_check(s, err))
		return -1;
	if (!s->tls_certificate[0])
		return 0;
	tickets = tls_tickets_new();
	if (tickets)
		c = tls_certificates_load(s, tickets, err);
	else
		error_set(err, "out of memory");
	if (c)
		tls_certificates_review(c, &review);
	failed = c ? 0 : -1;
	tls_certificates_unref(&c);
	tls_tickets_free(&tickets);
	return failed;
}

int
preflight_rules(const struct rules *rules, struct buf *warnings,
		struct error *err)
{
	const struct tls_review review = { add_line, warnings };
	struct tls_clients *c = tls_clients_new(rules, NULL, err);

	if (!c)
		return -1;
	tls_clients_review(rules, &review);
	tls_clients_unref(&c);
	return 0;
}
