/* SPDX-License-Identifier: Apache-2.0 */
/* The table of adapters. */
#include "adapters/adapter.h"

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
