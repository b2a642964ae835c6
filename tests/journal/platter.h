/* SPDX-License-Identifier: Apache-2.0 */
/* What disk.c has recorded, carried out again up to some moment. */
#ifndef TESTS_JOURNAL_PLATTER_H
#define TESTS_JOURNAL_PLATTER_H

#include <stdbool.h>

#include "base/buf.h"
#include "tests/journal/disk.h"

#define PLATTER_FILES 4096
#define SECTOR 512

enum op_kind {
	OP_CREATE,
	OP_DELETE,
	OP_WRITE,
	OP_TRUNCATE,
	OP_SYNC,
	OP_SYNC_LOST,	/* failed, and what was to be written is forgotten */
	OP_SYNC_DIR,
	OP_POWER	/* a loss in the past of this record */
};

struct op {
	enum op_kind kind;
	int file;
	int64_t at;		/* offset or size */
	size_t len;
	char *bytes;
	const char *name;	/* OP_CREATE */
	uint64_t variant;	/* OP_SYNC_LOST, OP_POWER */
};

struct pending {
	const struct op **at;
	size_t count, room;
};

/* cache: what programs see. stable: what is on disk for certain. */
struct platter_file {
	const char *name;
	bool cached, stable;	/* has an entry in the directory */
	struct buf cache, disk;
	struct pending writes;
};

struct platter {
	struct platter_file files[PLATTER_FILES];
	int count;
	struct pending entries;
	size_t position;
};

/* Deterministic numbers: the seed is all that is needed to repeat. */
uint64_t platter_random(uint64_t *state);

void platter_reset(struct platter *p);
void platter_apply(struct platter *p, const struct op *op);
/* platter_lose is a power cut: afterwards disk and cache agree. */
void platter_lose(struct platter *p, uint64_t variant);
/* platter_copy, for a loss that is only tried out. */
void platter_copy(struct platter *to, const struct platter *from);
/* platter_store writes the files as programs see them into `dir`. */
void platter_store(const struct platter *p, const char *dir,
		   uint64_t variant);

#endif
