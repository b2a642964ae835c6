/* SPDX-License-Identifier: Apache-2.0 */
/* The recorder: a shim over SQLite's own file system. */
#include "tests/journal/disk.h"

#include <check.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <sqlite3.h>

#include "tests/journal/platter.h"

#define OPS_MAX (1 << 17)

/* The real file follows in the same allocation. */
struct disk_file {
	sqlite3_file base;
	sqlite3_file *real;
	int number;		/* -1: not recorded */
	bool sync_dir;		/* as unixSync of a file just created */
};

static sqlite3_vfs shim;
static sqlite3_vfs *real_vfs;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static char dir[256];
static struct op *ops;	/* does not move: platters point into it */
static size_t count;
static unsigned fail_one_in, skip_one_in;
static uint64_t random_state;
/* now: the whole record; past: up to the last cut; trial: a loss in it. */
static struct platter now, past, trial;

static const char *
base_name(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash ? slash + 1 : path;
}

static void
record_locked(struct op op)
{
	ck_assert_uint_lt(count, OPS_MAX);
	ops[count] = op;
	platter_apply(&now, &ops[count]);
	count++;
}

static void
record(struct op op)
{
	pthread_mutex_lock(&lock);
	record_locked(op);
	pthread_mutex_unlock(&lock);
}

static void
record_bytes(int file, sqlite3_int64 at, const void *from, size_t len)
{
	char *copy = malloc(len);

	ck_assert_ptr_nonnull(copy);
	memcpy(copy, from, len);
	record((struct op){ .kind = OP_WRITE, .file = file, .at = at,
			    .len = len, .bytes = copy });
}

static bool
strikes(unsigned one_in)
{
	return one_in && platter_random(&random_state) % one_in == 0;
}

/* ---- the files ---- */

static struct disk_file *
disk_file(sqlite3_file *f)
{
	return (struct disk_file *)f;
}

static sqlite3_file *
real_of(sqlite3_file *f)
{
	return disk_file(f)->real;
}

static int
d_close(sqlite3_file *f)
{
	return real_of(f)->pMethods->xClose(real_of(f));
}

static int
d_read(sqlite3_file *f, void *to, int n, sqlite3_int64 at)
{
	return real_of(f)->pMethods->xRead(real_of(f), to, n, at);
}

static int
d_write(sqlite3_file *f, const void *from, int n, sqlite3_int64 at)
{
	int rc = real_of(f)->pMethods->xWrite(real_of(f), from, n, at);

	if (rc == SQLITE_OK && disk_file(f)->number >= 0)
		record_bytes(disk_file(f)->number, at, from, (size_t)n);
	return rc;
}

static int
d_truncate(sqlite3_file *f, sqlite3_int64 size)
{
	int rc = real_of(f)->pMethods->xTruncate(real_of(f), size);

	if (rc == SQLITE_OK && disk_file(f)->number >= 0)
		record((struct op){ .kind = OP_TRUNCATE, .at = size,
				    .file = disk_file(f)->number });
	return rc;
}

static int
sync_lost(struct disk_file *f)
{
	uint64_t variant = platter_random(&random_state);

	record_locked((struct op){ .kind = OP_SYNC_LOST, .file = f->number,
				   .variant = variant });
	return SQLITE_IOERR_FSYNC;
}

static int
sync_locked(struct disk_file *f)
{
	if (strikes(fail_one_in))
		return sync_lost(f);
	if (strikes(skip_one_in))
		return SQLITE_OK;
	record_locked((struct op){ .kind = OP_SYNC, .file = f->number });
	if (f->sync_dir)
		record_locked((struct op){ .kind = OP_SYNC_DIR });
	f->sync_dir = false;
	return SQLITE_OK;
}

/* The real file is not synced: nobody will cut its power. */
static int
d_sync(sqlite3_file *f, int flags)
{
	int rc = SQLITE_OK;

	(void)flags;
	if (disk_file(f)->number < 0)
		return SQLITE_OK;
	pthread_mutex_lock(&lock);
	rc = sync_locked(disk_file(f));
	pthread_mutex_unlock(&lock);
	return rc;
}

static int
d_size(sqlite3_file *f, sqlite3_int64 *size)
{
	return real_of(f)->pMethods->xFileSize(real_of(f), size);
}

static int
d_lock(sqlite3_file *f, int level)
{
	return real_of(f)->pMethods->xLock(real_of(f), level);
}

static int
d_unlock(sqlite3_file *f, int level)
{
	return real_of(f)->pMethods->xUnlock(real_of(f), level);
}

static int
d_reserved(sqlite3_file *f, int *out)
{
	return real_of(f)->pMethods->xCheckReservedLock(real_of(f), out);
}

static int
d_control(sqlite3_file *f, int op, void *arg)
{
	return real_of(f)->pMethods->xFileControl(real_of(f), op, arg);
}

static int
d_sector(sqlite3_file *f)
{
	return real_of(f)->pMethods->xSectorSize(real_of(f));
}

static int
d_device(sqlite3_file *f)
{
	return real_of(f)->pMethods->xDeviceCharacteristics(real_of(f));
}

static int
d_shm_map(sqlite3_file *f, int page, int size, int extend,
	  void volatile **out)
{
	return real_of(f)->pMethods->xShmMap(real_of(f), page, size, extend,
					     out);
}

static int
d_shm_lock(sqlite3_file *f, int offset, int n, int flags)
{
	return real_of(f)->pMethods->xShmLock(real_of(f), offset, n, flags);
}

static void
d_shm_barrier(sqlite3_file *f)
{
	real_of(f)->pMethods->xShmBarrier(real_of(f));
}

static int
d_shm_unmap(sqlite3_file *f, int delete)
{
	return real_of(f)->pMethods->xShmUnmap(real_of(f), delete);
}

static const sqlite3_io_methods methods = {
	.iVersion = 2,		/* no mmap */
	.xClose = d_close,
	.xRead = d_read,
	.xWrite = d_write,
	.xTruncate = d_truncate,
	.xSync = d_sync,
	.xFileSize = d_size,
	.xLock = d_lock,
	.xUnlock = d_unlock,
	.xCheckReservedLock = d_reserved,
	.xFileControl = d_control,
	.xSectorSize = d_sector,
	.xDeviceCharacteristics = d_device,
	.xShmMap = d_shm_map,
	.xShmLock = d_shm_lock,
	.xShmBarrier = d_shm_barrier,
	.xShmUnmap = d_shm_unmap,
};

/* ---- the directory ---- */

static int
find_locked(const char *name)
{
	int i;

	for (i = now.count - 1; i >= 0; i--)
		if (now.files[i].cached && !strcmp(now.files[i].name, name))
			return i;
	return -1;
}

static int
find_or_create(const char *path)
{
	const char *name = base_name(path);
	int i;

	pthread_mutex_lock(&lock);
	i = find_locked(name);
	if (i < 0) {
		i = now.count;
		ck_assert_int_lt(i, PLATTER_FILES);
		record_locked((struct op){ .kind = OP_CREATE, .file = i,
					   .name = strdup(name) });
	}
	pthread_mutex_unlock(&lock);
	return i;
}

static int
shim_open(sqlite3_vfs *vfs, const char *name, sqlite3_file *f, int flags,
	  int *out)
{
	const int logs = SQLITE_OPEN_WAL | SQLITE_OPEN_MAIN_JOURNAL;
	struct disk_file *df = disk_file(f);
	int rc;

	(void)vfs;
	df->real = (sqlite3_file *)(df + 1);
	df->number = -1;
	rc = real_vfs->xOpen(real_vfs, name, df->real, flags, out);
	f->pMethods = df->real->pMethods ? &methods : NULL;
	if (rc == SQLITE_OK && flags & (SQLITE_OPEN_MAIN_DB | logs)) {
		df->number = find_or_create(name);
		df->sync_dir = flags & SQLITE_OPEN_CREATE && flags & logs;
	}
	return rc;
}

static int
shim_delete(sqlite3_vfs *vfs, const char *name, int sync_dir)
{
	int i, rc = real_vfs->xDelete(real_vfs, name, 0);

	(void)vfs;
	if (rc != SQLITE_OK)
		return rc;
	pthread_mutex_lock(&lock);
	i = find_locked(base_name(name));
	if (i >= 0)
		record_locked((struct op){ .kind = OP_DELETE, .file = i });
	if (sync_dir)
		record_locked((struct op){ .kind = OP_SYNC_DIR });
	pthread_mutex_unlock(&lock);
	return SQLITE_OK;
}

/* ---- for the tests ---- */

static void
shim_make(void)
{
	if (real_vfs)
		return;
	real_vfs = sqlite3_vfs_find(NULL);
	shim = *real_vfs;
	shim.zName = "disk";
	shim.szOsFile = (int)sizeof(struct disk_file) + real_vfs->szOsFile;
	shim.xOpen = shim_open;
	shim.xDelete = shim_delete;
}

void
disk_resume(void)
{
	sqlite3_vfs_register(&shim, 1);
}

void
disk_pause(void)
{
	sqlite3_vfs_register(real_vfs, 1);
}

void
disk_begin(const char *in, uint64_t seed)
{
	shim_make();
	snprintf(dir, sizeof(dir), "%s", in);
	random_state = seed;
	fail_one_in = skip_one_in = 0;
	ops = calloc(OPS_MAX, sizeof(*ops));
	ck_assert_ptr_nonnull(ops);
	platter_store(&now, dir, seed);
	disk_resume();
}

static void
forget_from(size_t position)
{
	size_t i;

	for (i = position; i < count; i++) {
		free(ops[i].bytes);
		if (ops[i].kind == OP_CREATE)
			free((char *)(uintptr_t)ops[i].name);
	}
	count = position;
}

void
disk_end(void)
{
	disk_pause();
	platter_reset(&now);
	platter_reset(&past);
	platter_reset(&trial);
	forget_from(0);
	free(ops);
	ops = NULL;
}

size_t
disk_position(void)
{
	size_t n;

	pthread_mutex_lock(&lock);
	n = count;
	pthread_mutex_unlock(&lock);
	return n;
}

void
disk_fail_syncs(unsigned one_in)
{
	pthread_mutex_lock(&lock);
	fail_one_in = one_in;
	pthread_mutex_unlock(&lock);
}

void
disk_skip_syncs(unsigned one_in)
{
	pthread_mutex_lock(&lock);
	skip_one_in = one_in;
	pthread_mutex_unlock(&lock);
}

static void
replay(struct platter *p, size_t position)
{
	if (p->position > position)
		platter_reset(p);
	while (p->position < position)
		platter_apply(p, &ops[p->position]);
}

void
disk_cut(size_t position, enum disk_loss loss, uint64_t variant,
	 const char *to)
{
	replay(&past, position);
	if (loss == DISK_KILL) {
		platter_store(&past, to, variant);
		return;
	}
	platter_copy(&trial, &past);
	platter_lose(&trial, variant);
	platter_store(&trial, to, variant);
}

void
disk_restart(size_t position, enum disk_loss loss, uint64_t variant)
{
	replay(&now, position);
	platter_reset(&past);
	forget_from(position);
	if (loss == DISK_POWER)
		record((struct op){ .kind = OP_POWER, .variant = variant });
	platter_store(&now, dir, variant);
}
