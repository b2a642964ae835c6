/* SPDX-License-Identifier: Apache-2.0 */
/* Between the settings' table (settings.c) and their sources
 * (settings_load.c). */
#ifndef CONSOLE_SETTINGS_INTERNAL_H
#define CONSOLE_SETTINGS_INTERNAL_H

#include "console/settings.h"

/* Sets one member from the texts of one source; a list takes all of them,
 * anything else the only one. -1 with err about the value alone. */
MUST_CHECK int settings_convert(struct console_settings *out,
				const struct settings_row *row,
				const char *const *texts, size_t count,
				struct error *err);

#endif
