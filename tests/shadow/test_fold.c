/* SPDX-License-Identifier: Apache-2.0 */
/* What counts as one endpoint, one pointer, one reason. */
#include "shadow/fold.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/attr.h"
#include "base/json.h"
#include "tests/shadow/cases.h"

static const struct {
	const char *method, *template, *target;
	int status;
	const char *expected;
} endpoints[] = {
	{ "GET", "/products/{id}", "/products/7", 200, "GET /products/{id}" },
	{ "GET", "/products/{id}", "/products/7", 404, "GET /products/{id}" },
	{ "GET", "/api/{rest...}", "/api/users/7", 200, "GET /api/users/{id}" },
	{ "GET", "", "/", 200, "GET /" },
	{ "GET", "", "/api/v2/oauth2/http2", 200, "GET /api/v2/oauth2/http2" },
	{ "GET", "", "/orders/1234?x=/a/b", 200, "GET /orders/{id}" },
	{ "GET", "", "/orders/;sid=1/x", 200, "GET /orders//x" },
	{ "GET", "", "/d/2026-11-24", 200, "GET /d/{id}" },
	{ "GET", "", "/u/01890a5d-ac96-774b-bcce-b302099a8057/a", 200,
	  "GET /u/{id}/a" },
	{ "GET", "", "/sha/deadbeef00", 200, "GET /sha/{id}" },
	{ "GET", "", "/s/AbCdEfGhIjKlMnOp1q", 200, "GET /s/{id}" },
	{ "GET", "", "/sku/abc-12345", 200, "GET /sku/{id}" },
	{ "GET", "", "/mail/a@b.example", 200, "GET /mail/{id}" },
	{ "GET", "", "/name/J%C3%BCrgen", 200, "GET /name/{id}" },
	{ "GET", "", "/raw/J\xc3\xbcrgen", 200, "GET /raw/{id}" },
	{ "GET", "", "/a/very-long-slug-of-an-article-about-nothing-at-all",
	  200, "GET /a/{id}" },
	{ "GET", "", "/1/2/3/4/5/6/7/8/9/10", 200,
	  "GET /{id}/{id}/{id}/{id}/{id}/{id}/{id}/{id}/**" },
	{ "GET", "", "/wp-admin/setup.php", 404, "GET (not found)" },
	{ "GET", "", "http://shop.example/a/7", 200, "GET /a/{id}" },
	{ "GET", "", "http://shop.example", 200, "GET /" },
	{ "OPTIONS", "", "*", 200, "OPTIONS *" },
	{ "BREW", "", "/pot", 200, "OTHER /pot" },
};

START_TEST(endpoint)
{
	char out[SHADOW_ENDPOINT_MAX];

	shadow_fold_endpoint(endpoints[_i].method, endpoints[_i].template,
			     endpoints[_i].target, endpoints[_i].status, out);
	ck_assert_str_eq(out, endpoints[_i].expected);
}
END_TEST

static const struct {
	const char *pointer, *expected;
} pointers[] = {
	{ "", "" },
	{ "status", "status" },
	{ "header:x-1234567", "header:x-1234567" },
	{ "/items/12/price", "/items/*/price" },
	{ "/0", "/*" },
	{ "/by/01890a5d-ac96-774b-bcce-b302099a8057", "/by/*" },
	{ "/line1/utf8/a~1b", "/line1/utf8/a~1b" },
	{ "/x//y", "/x//y" },
};

START_TEST(pointer)
{
	char out[64];

	shadow_fold_pointer(pointers[_i].pointer, out, sizeof(out));
	ck_assert_str_eq(out, pointers[_i].expected);
}
END_TEST

START_TEST(reason)
{
	char out[64];

	shadow_fold_reason("no reply within 50 ms", out, sizeof(out));
	ck_assert_str_eq(out, "no reply within # ms");
	shadow_fold_reason("12.5", out, sizeof(out));
	ck_assert_str_eq(out, "#.#");
}
END_TEST

/* Whatever a caller sends: bounded, and text that JSON keeps as it is. */
START_TEST(any_bytes)
{
	char target[64], out[SHADOW_ENDPOINT_MAX];

	srand(7);
	for (int i = 0; i < 20000; i++) {
		size_t len = 1 + (size_t)rand() % (sizeof(target) - 1);

		for (size_t at = 0; at < len; at++)
			target[at] = (char)(1 + rand() % 255);
		target[len - 1] = '\0';
		if (i % 2)
			target[0] = '/';
		shadow_fold_endpoint("GET", "", target, 200, out);
		ck_assert_uint_lt(strlen(out), SHADOW_ENDPOINT_MAX);
		ck_assert(json_is_utf8(span_of(out)));
	}
}
END_TEST

START_TEST(is_cut_where_there_is_no_room)
{
	char out[8];

	shadow_fold_pointer("/abcdefghijkl/7", out, sizeof(out));
	ck_assert_str_eq(out, "/abcdef");
}
END_TEST

TCase *
case_fold(void)
{
	TCase *t = tcase_create("fold");

	tcase_add_loop_test(t, endpoint, 0, ARRAY_SIZE(endpoints));
	tcase_add_loop_test(t, pointer, 0, ARRAY_SIZE(pointers));
	tcase_add_test(t, reason);
	tcase_add_test(t, any_bytes);
	tcase_add_test(t, is_cut_where_there_is_no_room);
	return t;
}
