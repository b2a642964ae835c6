/* SPDX-License-Identifier: Apache-2.0 */
/* A file, or a directory of files that are versions of one. */
#ifndef CONSOLE_VERSIONS_H
#define CONSOLE_VERSIONS_H

#include <stddef.h>

#include "base/attr.h"
#include "base/error.h"

struct versions {
	struct version {
		char *path;
		unsigned long number;
	} *at;		/* in the order of their numbers */
	size_t count;
};

/* versions_open: -1 with err when there is none, or no order. */
MUST_CHECK int versions_open(struct versions *v, const char *path,
			     struct error *err);
void versions_fini(struct versions *v);

#endif
