/* SPDX-License-Identifier: Apache-2.0 */
/* The table of adapters. */
#include "adapters/adapter.h"

#include <stdio.h>
#include <string.h>

#define ADAPTER(kind, symbol) extern const struct adapter_ops symbol;
#include "adapters/adapters.def"
#undef ADAPTER

static const struct adapter_ops *const table[] = {
#define ADAPTER(kind, symbol) &symbol,
#include "adapters/adapters.def"
#undef ADAPTER
};

const struct adapter_ops *
adapter_find(const char *kind)
{
	for (size_t i = 0; i < ARRAY_SIZE(table); i++)
		if (kind && strcmp(table[i]->kind, kind) == 0)
			return table[i];
	return NULL;
}

/* "stdout, webhook" */
static const char *
known_kinds(char *out, size_t size)
{
	size_t at = 0;

	out[0] = '\0';
	for (size_t i = 0; i < ARRAY_SIZE(table) && at < size; i++)
		at += (size_t)snprintf(out + at, size - at, "%s%s",
				       i ? ", " : "", table[i]->kind);
	return out;
}

int
adapter_check(const struct adapter_ops *ops, const struct adapter_config *c,
	      struct error *err)
{
	char known[256];

	if (!ops)
		return error_set(err, "there is no adapter of kind \"%s\"; "
				 "there is %s", c->kind ? c->kind : "",
				 known_kinds(known, sizeof(known)));
	return ops->check(c, err);
}
