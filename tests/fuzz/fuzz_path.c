/* SPDX-License-Identifier: Apache-2.0 */
/* Paths: the normal form is its own normal form, no reading leaves its
 * buffer, and what is called plain is read alike by all of them. */
#include <string.h>

#include "base/invariant.h"
#include "rules/reading.h"
#include "router/router.h"
#include "tests/fuzz/fuzz.h"

static const char text[] =
	"{\"version\":1,\"targets\":{"
	"\"legacy\":{\"url\":\"http://127.0.0.1:1\"},"
	"\"new\":{\"url\":\"http://127.0.0.1:2\"}},\"rules\":["
	"{\"name\":\"a\",\"match\":{\"path\":\"/a/{x}\"},"
	"\"stage\":\"migrated\",\"target\":\"new\"},"
	"{\"name\":\"b\",\"match\":{\"path\":\"/b/{rest...}\"},"
	"\"stage\":\"retired\"},"
	"{\"name\":\"c\",\"match\":{\"path\":\"/a/b/c\"},"
	"\"stage\":\"mirror\"}]}";

static const struct rules *
rules_once(void)
{
	static struct rules *rules;

	if (!rules)
		rules = rules_load_text("fuzz", text, sizeof(text) - 1, NULL);
	INVARIANT(rules);
	return rules;
}

static void
check_readings(struct span path)
{
	static char normal[16384], again[16384], out[16384];
	long n = message_normal_path(path, normal, sizeof(normal)), m;
	bool plain = reading_is_plain(path), climbs = false;
	size_t k;

	if (n > 0) {
		m = message_normal_path((struct span){ normal, (size_t)n },
					again, sizeof(again));
		INVARIANT(m == n && memcmp(normal, again, (size_t)n) == 0);
	}
	for (k = 0; k < reading_count(); k++) {
		m = reading_write(k, path, out, sizeof(out), &climbs);
		INVARIANT(m <= (long)sizeof(out));
		if (plain && n > 0 && path.at[0] == '/')
			INVARIANT(m == n && !memcmp(out, normal, (size_t)n));
	}
	INVARIANT(!(plain && climbs));
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct span path = { (const char *)data, size };
	struct message_request req = {
		.method = SPAN_LITERAL("GET"), .target = path, .path = path,
		.host = SPAN_LITERAL("a"), .client = SPAN_LITERAL("::1"),
	};
	struct router_decision d;

	if (size == 0 || size > 4096)
		return 0;
	check_readings(path);
	router_decide(rules_once(), &req, 0, &d);
	INVARIANT(d.rule && (d.action != ROUTER_AMBIGUOUS || !d.target));
	return 0;
}
