/* SPDX-License-Identifier: Apache-2.0 */
/* Attributes of events: which there are, and what may stand in them
 * (CloudEvents 1.0.2, section 3). Any thread. */
#ifndef BASE_ATTRIBUTE_H
#define BASE_ATTRIBUTE_H

#include <stdbool.h>

#include "base/attr.h"
#include "base/error.h"
#include "base/span.h"

enum attribute {
#define ATTRIBUTE(sym, name, type, max, giver) ATTRIBUTE_##sym,
#include "base/attributes.def"
#undef ATTRIBUTE
	ATTRIBUTE_COUNT
};

enum attribute_type { ATTRIBUTE_STRING, ATTRIBUTE_UUID, ATTRIBUTE_URI,
		      ATTRIBUTE_URI_REFERENCE, ATTRIBUTE_TIMESTAMP,
		      ATTRIBUTE_MEDIA_TYPE, ATTRIBUTE_TRACE_PARENT,
		      ATTRIBUTE_TRACE_STATE, ATTRIBUTE_VERSION };
enum attribute_giver { ATTRIBUTE_PROGRAM, ATTRIBUTE_OWN };

struct attribute_row {
	const char *name;
	enum attribute_type type;
	size_t max;
	enum attribute_giver giver;
};

#define ATTRIBUTE_NAME_MAX 64	/* 20 are recommended */

const struct attribute_row *attribute_row(enum attribute a);
/* attribute_find: ATTRIBUTE_COUNT when no row has the name. */
enum attribute attribute_find(struct span name);
/* attribute_check: may it have this value? -1 with err, which names it. */
MUST_CHECK int attribute_check(enum attribute a, struct span value,
			       struct error *err);
/* attribute_check_name is for extensions: lower-case letters and digits. */
MUST_CHECK int attribute_check_name(struct span name, struct error *err);
/* attribute_check_text: may a string be this? No control characters, and no
 * code points that are not characters. name is for err. */
MUST_CHECK int attribute_check_text(const char *name, struct span value,
				    struct error *err);
/* attribute_mend puts "?" for each byte of what a string may not have; -1
 * when the text is not UTF-8, which is then as it was. */
MUST_CHECK int attribute_mend(char *text, size_t len);
/* attribute_is_json: does this (valid) media type say JSON? */
bool attribute_is_json(struct span media_type);

#endif
