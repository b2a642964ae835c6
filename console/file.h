/* SPDX-License-Identifier: Apache-2.0 */
/* Small files: read whole, replaced whole; and directories. */
#ifndef CONSOLE_FILE_H
#define CONSOLE_FILE_H

#include <stddef.h>

#include "base/attr.h"
#include "base/buf.h"
#include "base/error.h"
#include "base/span.h"

/* file_read appends the file's bytes; -1 with err ("PATH: why") when it
 * cannot be read or has more than limit_bytes. Blocks. */
MUST_CHECK int file_read(const char *path, size_t limit_bytes, struct buf *out,
			 struct error *err);
/* file_replace writes a new file of mode 0600 beside path and renames it
 * over path: a reader sees the old or the new, never a part. */
MUST_CHECK int file_replace(const char *path, struct span text,
			    struct error *err);
/* directory_make makes path (mode 0700) unless it is there. What is synced
 * in it later survives a power cut only if its own name does: the parent is
 * synced, too. */
MUST_CHECK int directory_make(const char *path, struct error *err);

#endif
