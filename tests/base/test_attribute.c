/* SPDX-License-Identifier: Apache-2.0 */
/* What may stand in the attributes of an event (CloudEvents 1.0.2, 3). */
#include "base/attribute.h"

#include <stdio.h>

#include "tests/base/suites.h"

#define TRACE "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"

static const struct {
	const char *name, *value, *expect;	/* NULL: it is good */
} table[] = {
	{ "type", "shop.order.v1", NULL },
	{ "type", "\xe5\x95\x86\xe5\xba\x97", NULL },
	{ "type", "", "type is empty" },
	{ "type", "a\nb", "control" },
	{ "type", "a\x7f", "control" },
	{ "type", "a\xc2\x85", "control" },
	{ "type", "a\xef\xbf\xbf", "no character" },
	{ "type", "a\xef\xb7\x90", "no character" },
	{ "type", "a\xed\xa0\x80", "UTF-8" },
	{ "type", "a\xff", "UTF-8" },
	{ "id", "018f0000-0000-7000-8000-000000000001", NULL },
	{ "id", "7", "id must be a UUID" },
	{ "source", "//shop/matapalo", NULL },
	{ "source", "urn:matapalo:host_1", NULL },
	{ "source", "/relative?q=a%20b#f", NULL },
	{ "source", "http://u:p@[2001:db8::1]:80/a;b=c", NULL },
	{ "source", "a/b:c", NULL },
	{ "source", "?q", NULL },
	{ "source", "", "source is empty" },
	{ "source", "1a:b", "URI-reference" },
	{ "source", "a b", "URI-reference" },
	{ "source", "a%2", "URI-reference" },
	{ "source", "a%zz", "URI-reference" },
	{ "source", "a#b#c", "URI-reference" },
	{ "source", "http://h:x/", "URI-reference" },
	{ "source", "http://[::1", "URI-reference" },
	{ "source", "http://h/[a]", "URI-reference" },
	{ "source", "\xc3\xa4", "URI-reference" },
	{ "source", "a{b}", "URI-reference" },
	{ "dataschema", "https://shop.example/order.json#v1", NULL },
	{ "dataschema", "urn:shop:order:v1", NULL },
	{ "dataschema", "order.json", "a URI" },
	{ "dataschema", "//shop/order", "a URI" },
	{ "dataschema", ":x", "a URI" },
	{ "time", "2026-01-05T10:00:00Z", NULL },
	{ "time", "2026-01-05t10:00:00.123456789+01:30", NULL },
	{ "time", "2026-02-30T10:00:00Z", "RFC 3339" },
	{ "time", "2026-01-05 10:00:00Z", "RFC 3339" },
	{ "time", "2026-01-05T10:00:00", "RFC 3339" },
	{ "time", "2026-01-05", "RFC 3339" },
	{ "datacontenttype", "application/json", NULL },
	{ "datacontenttype", "text/xml; charset=\"a;\\\"b\"", NULL },
	{ "datacontenttype", "text/plain;a=b;c=d", NULL },
	{ "datacontenttype", "json", "media type" },
	{ "datacontenttype", "a/b;", "media type" },
	{ "datacontenttype", "a/b; c", "media type" },
	{ "datacontenttype", "a/b; c=\"d", "media type" },
	{ "datacontenttype", "a/b, c/d", "media type" },
	{ "specversion", "1.0", NULL },
	{ "specversion", "0.3", "specversion must be" },
	{ "traceparent", TRACE, NULL },
	{ "traceparent", "00-1-1-1", "traceparent must be valid" },
	{ "tracestate", "a=b,c=d", NULL },
	{ "tracestate", "a=b,a=d", "tracestate must be valid" },
};

START_TEST(checks_values)
{
	for (size_t i = 0; i < ARRAY_SIZE(table); i++) {
		enum attribute a = attribute_find(span_of(table[i].name));
		struct error err = { 0 };
		int rc = attribute_check(a, span_of(table[i].value), &err);

		ck_assert_msg((rc == 0) == !table[i].expect, "%s %s: %s",
			      table[i].name, table[i].value, err.text);
		ck_assert_msg(!rc || strstr(err.text, table[i].expect), "%s",
			      err.text);
	}
}
END_TEST

START_TEST(checks_names)
{
	static const char *const good[] = { "a", "7", "comexampleext1" };
	static const char *const bad[] = { "", "A", "a_b", "a-b", "a.b",
					   "\xc3\xa4" };
	char longest[ATTRIBUTE_NAME_MAX + 2];

	for (size_t i = 0; i < ARRAY_SIZE(good); i++)
		ck_assert_int_eq(attribute_check_name(span_of(good[i]), NULL),
				 0);
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		ck_assert_int_eq(attribute_check_name(span_of(bad[i]), NULL),
				 -1);
	memset(longest, 'a', sizeof(longest));
	ck_assert_int_eq(attribute_check_name((struct span){ longest,
		ATTRIBUTE_NAME_MAX }, NULL), 0);
	ck_assert_int_eq(attribute_check_name((struct span){ longest,
		ATTRIBUTE_NAME_MAX + 1 }, NULL), -1);
}
END_TEST

START_TEST(mends)
{
	char text[] = "a\nb\xc2\x85" "c\xef\xbf\xbe\xc3\xa4", not[] = "a\xff\n";

	ck_assert_int_eq(attribute_mend(text, sizeof(text) - 1), 0);
	ck_assert_str_eq(text, "a?b??c???\xc3\xa4");
	ck_assert_int_eq(attribute_mend(not, sizeof(not) - 1), -1);
	ck_assert_str_eq(not, "a\xff\n");
}
END_TEST

START_TEST(knows_json)
{
	ck_assert(attribute_is_json(SPAN_LITERAL("application/json")));
	ck_assert(attribute_is_json(SPAN_LITERAL("text/JSON ; a=b")));
	ck_assert(attribute_is_json(SPAN_LITERAL("application/x+json;a=b")));
	ck_assert(!attribute_is_json(SPAN_LITERAL("application/jsonl")));
	ck_assert(!attribute_is_json(SPAN_LITERAL("text/xml;a=json")));
	ck_assert(!attribute_is_json(SPAN_LITERAL("text/+json")));
}
END_TEST

TCase *
attribute_tests(void)
{
	TCase *c = tcase_create("attribute");

	tcase_add_test(c, checks_values);
	tcase_add_test(c, checks_names);
	tcase_add_test(c, mends);
	tcase_add_test(c, knows_json);
	return c;
}
