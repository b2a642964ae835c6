/* SPDX-License-Identifier: Apache-2.0 */
/* An adapter's config of one's own: copied, compared, freed. */
#ifndef ADAPTERS_CONFIG_H
#define ADAPTERS_CONFIG_H

#include <stdbool.h>

#include "adapters/adapter.h"

/* adapter_config_copy: 0, or -1 without memory; adapter_config_fini frees
 * what it copied either way. */
MUST_CHECK int adapter_config_copy(struct adapter_config *to,
				   const struct adapter_config *from);
bool adapter_config_equal(const struct adapter_config *a,
			  const struct adapter_config *b);
void adapter_config_fini(struct adapter_config *c);

#endif
