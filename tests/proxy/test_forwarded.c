/* SPDX-License-Identifier: Apache-2.0 */
/* proxy/forwarded.c and forwarded_chain.c: what came, whom we trust, what the
 * upstream is told (promise H7, RFC 7239). */
#include "proxy/forwarded.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/attr.h"

#define NL "\n"

/* 10.0.0.0/8 and 2001:db8:f::/48 are trusted, the peer is 10.0.0.9 unless it
 * is said. */
struct row {
	const char *came;	/* "Name: value" lines */
	const char *client;
	const char *told;	/* the lines that are written */
	enum { FROM_X, FROM_FORWARDED, FROM_STRANGER } from;
};

#define OWN "for=10.0.0.9;host=\"shop.example\";proto=http" NL
#define XHOST "X-Forwarded-Host: shop.example" NL
#define XPORT "X-Forwarded-Port: 8080" NL
#define XHTTP "X-Forwarded-Proto: http" NL
#define STRANGER                                                              \
	"X-Forwarded-For: 192.0.2.1" NL XHTTP XHOST XPORT                     \
	"Forwarded: for=192.0.2.1;host=\"shop.example\";proto=http" NL
#define NOTHING                                                               \
	"X-Forwarded-For: 10.0.0.9" NL XHTTP XHOST "Forwarded: " OWN
#define CHAIN(x, rfc)                                                         \
	"X-Forwarded-For: " x ", 10.0.0.9" NL XHTTP XHOST                     \
	"Forwarded: " rfc ", " OWN

static const struct row rows[] = {
	/* a stranger's word is not repeated */
	{ "", "192.0.2.1", STRANGER, FROM_STRANGER },
	{ "X-Forwarded-For: 1.1.1.1" NL "X-Forwarded-Proto: https" NL
	  "Forwarded: for=1.1.1.1" NL "X-Forwarded-Host: evil" NL
	  "X-Forwarded-Port: 1" NL,
	  "192.0.2.1", STRANGER, FROM_STRANGER },
	{ "X-Real-IP: 1.1.1.1" NL, "192.0.2.1",
	  "X-Forwarded-For: 192.0.2.1" NL XHTTP XHOST XPORT
	  "X-Real-IP: 192.0.2.1" NL
	  "Forwarded: for=192.0.2.1;host=\"shop.example\";proto=http" NL,
	  FROM_STRANGER },
	/* a trusted peer without a chain is the client */
	{ "", "10.0.0.9", NOTHING, FROM_X },
	{ "X-Forwarded-For:" NL, "10.0.0.9", NOTHING, FROM_X },
	/* its chain is appended to */
	{ "X-Forwarded-For: 192.0.2.6" NL, "192.0.2.6",
	  CHAIN("192.0.2.6", "for=192.0.2.6"), FROM_X },
	{ "X-Forwarded-For: 2001:DB8::0:1" NL, "2001:db8::1",
	  CHAIN("2001:db8::1", "for=\"[2001:db8::1]\""), FROM_X },
	{ "X-Forwarded-For: [2001:db8::1]:4711" NL, "2001:db8::1",
	  CHAIN("2001:db8::1", "for=\"[2001:db8::1]:4711\""), FROM_X },
	{ "X-Forwarded-For: 192.0.2.6:80" NL, "192.0.2.6",
	  CHAIN("192.0.2.6", "for=\"192.0.2.6:80\""), FROM_X },
	{ "X-Forwarded-For: ::ffff:192.0.2.6" NL, "192.0.2.6",
	  CHAIN("192.0.2.6", "for=192.0.2.6"), FROM_X },
	{ "X-Forwarded-For: unKnown" NL, "unknown",
	  CHAIN("unknown", "for=unknown"), FROM_X },
	{ "X-Forwarded-For: _hidden" NL, "_hidden",
	  CHAIN("_hidden", "for=_hidden"), FROM_X },
	/* the right-most that is not trusted; what it says is cut away */
	{ "X-Forwarded-For: 6.6.6.6, 192.0.2.6" NL, "192.0.2.6",
	  CHAIN("192.0.2.6", "for=192.0.2.6"), FROM_X },
	{ "X-Forwarded-For: 6.6.6.6, 192.0.2.6, 10.1.1.1" NL, "192.0.2.6",
	  CHAIN("192.0.2.6, 10.1.1.1", "for=192.0.2.6, for=10.1.1.1"),
	  FROM_X },
	{ "X-Forwarded-For: 6.6.6.6, 192.0.2.6, 2001:db8:f:1::2" NL,
	  "192.0.2.6",
	  CHAIN("192.0.2.6, 2001:db8:f:1::2",
		"for=192.0.2.6, for=\"[2001:db8:f:1::2]\""), FROM_X },
	/* all are trusted: the left-most */
	{ "X-Forwarded-For: 10.3.3.3, 10.1.1.1" NL, "10.3.3.3",
	  CHAIN("10.3.3.3, 10.1.1.1", "for=10.3.3.3, for=10.1.1.1"), FROM_X },
	/* several lines are one list */
	{ "X-Forwarded-For: 6.6.6.6" NL "x-forwarded-for: 192.0.2.6" NL
	  "X-FORWARDED-FOR: 10.1.1.1" NL, "192.0.2.6",
	  CHAIN("192.0.2.6, 10.1.1.1", "for=192.0.2.6, for=10.1.1.1"),
	  FROM_X },
	/* what is malformed ends the chain at its right */
	{ "X-Forwarded-For: 192.0.2.6, x y, 10.1.1.1" NL, "10.1.1.1",
	  CHAIN("10.1.1.1", "for=10.1.1.1"), FROM_X },
	{ "X-Forwarded-For: 10.1.1.1, 1.2.3" NL, "10.0.0.9", NOTHING, FROM_X },
	{ "X-Forwarded-For: 256.1.1.1" NL, "10.0.0.9", NOTHING, FROM_X },
	{ "X-Forwarded-For: 1.1.1.1:" NL, "10.0.0.9", NOTHING, FROM_X },
	{ "X-Forwarded-For: 1.1.1.1:123456" NL, "10.0.0.9", NOTHING, FROM_X },
	{ "X-Forwarded-For: [1.1.1.1]" NL, "10.0.0.9", NOTHING, FROM_X },
	{ "X-Forwarded-For: [::1" NL, "10.0.0.9", NOTHING, FROM_X },
	{ "X-Forwarded-For: [" NL, "10.0.0.9", NOTHING, FROM_X },
	{ "X-Forwarded-For: _" NL, "10.0.0.9", NOTHING, FROM_X },
	/* the field that they do not write is a stranger's */
	{ "Forwarded: for=6.6.6.6" NL, "10.0.0.9", NOTHING, FROM_X },
	{ "X-Forwarded-For: 6.6.6.6" NL, "10.0.0.9", NOTHING,
	  FROM_FORWARDED },
	/* proto, host and port: the element of the client's own hop */
	{ "X-Forwarded-For: 192.0.2.6" NL "X-Forwarded-Proto: https" NL
	  "X-Forwarded-Host: a.example" NL "X-Forwarded-Port: 443" NL,
	  "192.0.2.6",
	  "X-Forwarded-For: 192.0.2.6, 10.0.0.9" NL
	  "X-Forwarded-Proto: https" NL "X-Forwarded-Host: a.example" NL
	  "X-Forwarded-Port: 443" NL
	  "Forwarded: for=192.0.2.6;host=\"a.example\";proto=https, " OWN,
	  FROM_X },
	{ "X-Forwarded-For: 192.0.2.6, 10.1.1.1" NL
	  "X-Forwarded-Proto: gopher, https, http" NL, "192.0.2.6",
	  "X-Forwarded-For: 192.0.2.6, 10.1.1.1, 10.0.0.9" NL
	  "X-Forwarded-Proto: https" NL XHOST
	  "Forwarded: for=192.0.2.6;proto=https, for=10.1.1.1, " OWN,
	  FROM_X },
	{ "X-Forwarded-For: 192.0.2.6" NL "X-Forwarded-Proto: h\"x" NL
	  "X-Forwarded-Host: a;b" NL "X-Forwarded-Port: 4x" NL, "192.0.2.6",
	  CHAIN("192.0.2.6", "for=192.0.2.6"), FROM_X },
	/* Forwarded, as RFC 7239 writes it */
	{ "Forwarded: For=\"[2001:db8:cafe::17]:4711\"" NL,
	  "2001:db8:cafe::17",
	  CHAIN("2001:db8:cafe::17", "For=\"[2001:db8:cafe::17]:4711\""),
	  FROM_FORWARDED },
	{ "Forwarded: for=192.0.2.60;proto=https;by=203.0.113.43;"
	  "host=\"a.example:8443\"" NL, "192.0.2.60",
	  "X-Forwarded-For: 192.0.2.60, 10.0.0.9" NL
	  "X-Forwarded-Proto: https" NL
	  "X-Forwarded-Host: a.example:8443" NL
	  "Forwarded: for=192.0.2.60;proto=https;by=203.0.113.43;"
	  "host=\"a.example:8443\", " OWN, FROM_FORWARDED },
	{ "Forwarded: for=6.6.6.6, for=192.0.2.43" NL
	  "Forwarded: for=\"10.1.1.1:_p\"" NL, "192.0.2.43",
	  CHAIN("192.0.2.43, 10.1.1.1",
		"for=192.0.2.43, for=\"10.1.1.1:_p\""), FROM_FORWARDED },
	{ "Forwarded: for=\"_gazonk\"" NL, "_gazonk",
	  CHAIN("_gazonk", "for=\"_gazonk\""), FROM_FORWARDED },
	{ "Forwarded: proto=http" NL, "unknown",
	  CHAIN("unknown", "proto=http"), FROM_FORWARDED },
	{ "Forwarded: for=192.0.2.6;ext=\"a, b\"" NL, "192.0.2.6",
	  CHAIN("192.0.2.6", "for=192.0.2.6;ext=\"a, b\""), FROM_FORWARDED },
	/* a stray quote does not swallow the trusted peer's element */
	{ "Forwarded: for=\"_a, for=192.0.2.6" NL, "192.0.2.6",
	  CHAIN("192.0.2.6", "for=192.0.2.6"), FROM_FORWARDED },
	{ "Forwarded: for=\"_a, for=\"[2001:db8::1]\"" NL, "2001:db8::1",
	  CHAIN("2001:db8::1", "for=\"[2001:db8::1]\""), FROM_FORWARDED },
	/* malformed */
	{ "Forwarded: for=1.1.1.1;for=1.1.1.2" NL, "10.0.0.9", NOTHING,
	  FROM_FORWARDED },
	{ "Forwarded: for=[::1]" NL, "10.0.0.9", NOTHING, FROM_FORWARDED },
	{ "Forwarded: for=\"::1\"" NL, "10.0.0.9", NOTHING, FROM_FORWARDED },
	{ "Forwarded: for =1.1.1.1" NL, "10.0.0.9", NOTHING,
	  FROM_FORWARDED },
	{ "Forwarded: for=1.1.1.1;" NL, "10.0.0.9", NOTHING,
	  FROM_FORWARDED },
	{ "Forwarded: for=" NL, "10.0.0.9", NOTHING, FROM_FORWARDED },
	{ "Forwarded: for=\"" NL, "10.0.0.9", NOTHING, FROM_FORWARDED },
	{ "Forwarded: ,, ,for=192.0.2.6 , " NL, "192.0.2.6",
	  CHAIN("192.0.2.6", "for=192.0.2.6"), FROM_FORWARDED },
};

struct message {
	struct message_field fields[1100];
	size_t count;
};

static void
message_read(struct message *m, const char *text)
{
	m->count = 0;
	while (*text) {
		size_t line = strcspn(text, "\n");
		size_t colon = strcspn(text, ":");
		struct message_field *f = &m->fields[m->count++];

		f->name = (struct span){ text, colon };
		f->value = span_trim((struct span){ text + colon + 1,
						    line - colon - 1 });
		text += line + 1;
	}
}

static struct forwarded_trust
trust(enum forwarded_field field)
{
	struct forwarded_trust t = { .count = 2, .field = field };

	ck_assert(!network_parse("10.0.0.0/8", &t.networks[0], NULL));
	ck_assert(!network_parse("2001:db8:f::/48", &t.networks[1], NULL));
	return t;
}

/* Writes the lines with bare LF, for the eye. */
static void
tell(const struct message *m, const struct row *row, struct arena *a,
     char *client, char *told)
{
	struct forwarded_trust t = trust(
		row->from == FROM_FORWARDED ? FORWARDED_RFC7239 : FORWARDED_X);
	struct forwarded f = {
		.fields = { m->fields, m->count },
		.field = t.field,
		.peer = SPAN_LITERAL("192.0.2.1"),
		.host = SPAN_LITERAL("shop.example"),
		.proto = SPAN_LITERAL("http"),
		.port = 8080,
	};
	char block[65536];
	struct writer w;
	struct span who;
	const char *at;

	if (row->from != FROM_STRANGER) {
		f.peer = SPAN_LITERAL("10.0.0.9");
		f.chain = forwarded_read(&t, f.fields, a);
		ck_assert_ptr_nonnull(f.chain);
	}
	w = (struct writer){ block, block + forwarded_size(&f) };
	forwarded_put(&f, &w);
	for (at = block; at < w.at; at++)
		if (*at != '\r')
			*told++ = *at;
	*told = '\0';
	who = forwarded_client(f.chain, f.peer);
	memcpy(client, who.at, who.len);
	client[who.len] = '\0';
}

START_TEST(tells_the_upstream)
{
	static char first[4096];
	const struct row *row = &rows[_i];
	struct message m;
	struct arena arena;
	char client[128], told[65536];

	arena_init(&arena, first, sizeof(first), 262144);
	message_read(&m, row->came);
	tell(&m, row, &arena, client, told);
	ck_assert_msg(!strcmp(client, row->client) && !strcmp(told, row->told),
		      "row %d, came:\n%sclient %s, want %s; told:\n%swant:\n%s",
		      _i, row->came, client, row->client, told, row->told);
	arena_fini(&arena);
}
END_TEST

/* Only the last 32 hops can be of ours; a stranger cuts it anyway. */
START_TEST(a_thousand_entries)
{
	static char first[4096], text[65536], client[128], told[65536];
	struct row row = { .from = FROM_X };
	struct arena arena;
	struct message m;
	size_t len = 0;
	int i;

	len += (size_t)snprintf(text, sizeof(text), "X-Forwarded-For: ");
	for (i = 0; i < 1000; i++)
		len += (size_t)snprintf(text + len, sizeof(text) - len,
					"10.1.%d.%d, ", i / 250, i % 250);
	memcpy(text + len - 2, "\n", 2);
	arena_init(&arena, first, sizeof(first), 262144);
	message_read(&m, text);
	tell(&m, &row, &arena, client, told);
	ck_assert_str_eq(client, "10.1.3.218");
	for (i = 0; i < 1000; i++)
		m.fields[i] = (struct message_field){
			SPAN_LITERAL("X-Forwarded-For"),
			SPAN_LITERAL("192.0.2.77") };
	m.count = 1000;
	tell(&m, &row, &arena, client, told);
	ck_assert_str_eq(client, "192.0.2.77");
	ck_assert(strlen(told) < 300);
	arena_fini(&arena);
}
END_TEST

/* One connection's requests: what was kept shows in none of them. */
START_TEST(kept_lines)
{
	static const char *const hosts[] = { "a.example", "a.example",
		"b.example", "", "", "a.exampl", "a.example", "A.example" };
	static const char *const came[] = { "", "X-Real-IP: 6.6.6.6" NL };
	struct forwarded_trust t = trust(FORWARDED_X);
	struct forwarded_chain empty = { .count = 0 };
	struct forwarded_kept *kept = NULL;
	char fresh[1024], again[1024];
	struct message m;
	size_t i;

	for (i = 0; i < 4 * ARRAY_SIZE(hosts); i++) {
		struct forwarded f = {
			.field = t.field,
			.chain = i % 5 == 4 ? &empty : NULL,
			.peer = SPAN_LITERAL("192.0.2.1"),
			.host = span_of(hosts[i % ARRAY_SIZE(hosts)]),
			.proto = SPAN_LITERAL("https"),
			.port = 443,
		};
		struct writer a = { fresh, fresh + sizeof(fresh) };
		struct writer b = { again, again + sizeof(again) };

		message_read(&m, came[i % 7 == 6]);
		f.fields = (struct message_fields){ m.fields, m.count };
		forwarded_put(&f, &a);
		forwarded_put_kept(&f, &kept, &b);
		ck_assert_int_eq(b.at - again, a.at - fresh);
		ck_assert_mem_eq(again, fresh, (size_t)(a.at - fresh));
	}
	free(kept);
}
END_TEST

START_TEST(names_that_are_ours)
{
	static const struct {
		const char *name;
		bool from_stranger, from_trusted;
	} table[] = {
		{ "Forwarded", true, true },
		{ "forwarded", true, true },
		{ "X-Forwarded-For", true, true },
		{ "X_Forwarded_For", true, true },
		{ "x-forwarded_for", true, true },
		{ "X-Forwarded", true, true },
		{ "X-Forwarded-Proto", true, true },
		{ "X_FORWARDED_HOST", true, true },
		{ "X-Forwarded-Port", true, true },
		{ "X-Forwarded-Prefix", true, false },
		{ "X_Forwarded_Prefix", true, true },
		{ "X-Real-IP", true, true },
		{ "X_Real_IP", true, true },
		{ "X-Request-Id", false, false },
		{ "Forwardet", false, false },
		{ "Forwarded-X", false, false },
		{ "X-Forward", false, false },
		{ "X", false, false },
	};
	struct forwarded_chain *chain = calloc(1, sizeof(*chain));
	size_t i;

	for (i = 0; i < ARRAY_SIZE(table); i++) {
		struct span name = span_of(table[i].name);

		ck_assert_msg(forwarded_is_ours(name, NULL) ==
				      table[i].from_stranger,
			      "%s from a stranger", table[i].name);
		if (strcmp(table[i].name, "X-Forwarded"))
			ck_assert_msg(forwarded_is_ours(name, chain) ==
					      table[i].from_trusted,
				      "%s from a trusted peer",
				      table[i].name);
	}
	free(chain);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("forwarded");
	TCase *c = tcase_create("all");
	SRunner *r;
	int failed;

	tcase_add_loop_test(c, tells_the_upstream, 0, ARRAY_SIZE(rows));
	tcase_add_test(c, a_thousand_entries);
	tcase_add_test(c, kept_lines);
	tcase_add_test(c, names_that_are_ours);
	suite_add_tcase(s, c);
	r = srunner_create(s);
	srunner_run_all(r, CK_NORMAL);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
