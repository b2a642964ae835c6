/* SPDX-License-Identifier: Apache-2.0 */
/* Inside rules/: other files that a rules file names. */
#ifndef RULES_FILE_H
#define RULES_FILE_H

#include "rules/load.h"

/* file_load reads a file that the value names; relative to the rules file,
 * wherever matapalo was started. Blocks. */
int file_load(struct rules_load *l, const struct rules_node *at,
	      struct rules_file *out);

#endif
