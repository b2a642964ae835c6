/* SPDX-License-Identifier: Apache-2.0 */
/* Preloaded into a process, it strikes at a named point: kills the process,
 * lets the call fail, or lets it hang until it is to strike elsewhere. A test
 * says where through the file named by STRIKE_FILE: 32-bit numbers {point,
 * action, errno, countdown, more, struck} and then how often each point was
 * passed. Points are in strike.py. And it moves the wall clock: the last two
 * are seconds to add and whether time stands still. The monotonic clock is
 * left alone, as in life. */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <time.h>
#include <unistd.h>

enum point {
	NOWHERE,
	LOG_WRITE,		/* journal.db-wal: before pwrite */
	LOG_WRITTEN,		/* after it */
	LOG_SYNC,
	LOG_SYNCED,
	DB_WRITE,		/* journal.db: a checkpoint's */
	DB_WRITTEN,
	DB_SYNC,
	DB_SYNCED,
	OPEN,			/* any of the journal's files */
	TRUNCATE,
	UNLINK,
	RENAME,			/* in the directory of data */
	DELETE,			/* retention's statement */
	RULES,			/* the rules file is opened again */
	RULES_READ,		/* and was read */
	POINTS
};
enum action { KILL = 1, FAIL, SHORT, HANG };
enum file { OTHER, DB, LOG, RULES_FILE };

struct shared {
	_Atomic int32_t point, action, number, countdown, more, struck;
	_Atomic int32_t passed[POINTS];
	_Atomic int32_t jump, frozen_at;
};

#define FDS 65536
static struct shared *shared;
static _Atomic uint8_t kind_of[FDS];

#define REAL(name) ((__typeof__(name) *)dlsym(RTLD_NEXT, #name))

__attribute__((constructor)) static void
strike_open(void)
{
	const char *path = getenv("STRIKE_FILE");
	int fd = path ? REAL(open)(path, O_RDWR | O_CLOEXEC) : -1;
	void *at;

	if (fd < 0)
		return;
	at = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED,
		  fd, 0);
	close(fd);
	if (at != MAP_FAILED)
		shared = at;
}

/* The action that is due now, 0 for none. */
static int
passes(enum point p)
{
	if (!shared || p == NOWHERE)
		return 0;
	atomic_fetch_add(&shared->passed[p], 1);
	if (atomic_load(&shared->point) != (int)p)
		return 0;
	if (atomic_fetch_sub(&shared->countdown, 1) > 1)
		return 0;
	if (atomic_fetch_sub(&shared->more, 1) < 0)
		return 0;
	atomic_fetch_add(&shared->struck, 1);
	if (atomic_load(&shared->action) == KILL)
		kill(getpid(), SIGKILL);
	while (atomic_load(&shared->action) == HANG &&
	       atomic_load(&shared->point) == (int)p)
		usleep(1000);
	return atomic_load(&shared->action);
}

static bool
fails(enum point p)
{
	if (passes(p) != FAIL)
		return false;
	errno = atomic_load(&shared->number);
	return true;
}

static bool
ends(const char *path, const char *end)
{
	size_t n = strlen(path), m = strlen(end);

	return n >= m && !strcmp(path + n - m, end);
}

static enum file
file_kind(const char *path)
{
	if (ends(path, "/journal.db"))
		return DB;
	if (ends(path, "/journal.db-wal"))
		return LOG;
	return ends(path, "/rules.json") ? RULES_FILE : OTHER;
}

static enum file
fd_kind(int fd)
{
	return fd >= 0 && fd < FDS ? (enum file)kind_of[fd] : OTHER;
}

static int
note_fd(int fd, const char *path)
{
	if (fd >= 0 && fd < FDS)
		kind_of[fd] = (uint8_t)file_kind(path);
	return fd;
}

static bool
open_fails(const char *path)
{
	switch (file_kind(path)) {
	case DB:
	case LOG:
		return fails(OPEN);
	case RULES_FILE:
		return fails(RULES);
	case OTHER:
		return false;
	}
	return false;
}

#define OPENS(name)							\
	int								\
	name(const char *path, int flags, ...)				\
	{								\
		va_list ap;						\
		mode_t mode;						\
									\
		va_start(ap, flags);					\
		mode = flags & O_CREAT ? va_arg(ap, mode_t) : 0;	\
		va_end(ap);						\
		if (open_fails(path))					\
			return -1;					\
		return note_fd(REAL(name)(path, flags, mode), path);	\
	}
OPENS(open)
OPENS(open64)

int
close(int fd)
{
	enum file kind = fd_kind(fd);

	if (fd >= 0 && fd < FDS)
		kind_of[fd] = OTHER;
	if (kind == RULES_FILE)
		passes(RULES_READ);
	return REAL(close)(fd);
}

static enum point
write_point(int fd)
{
	switch (fd_kind(fd)) {
	case DB:
		return DB_WRITE;
	case LOG:
		return LOG_WRITE;
	case OTHER:
	case RULES_FILE:
		return NOWHERE;
	}
	return NOWHERE;
}

/* A short write is followed by a full disk, as in life. */
#define WRITES(name, offset)						\
	ssize_t								\
	name(int fd, const void *from, size_t n, offset at)		\
	{								\
		enum point p = write_point(fd);				\
		ssize_t done;						\
									\
		switch (passes(p)) {					\
		case FAIL:						\
			errno = atomic_load(&shared->number);		\
			return -1;					\
		case SHORT:						\
			n /= 2;						\
			break;						\
		}							\
		done = REAL(name)(fd, from, n, at);			\
		if (p != NOWHERE)					\
			passes(p + 1);					\
		return done;						\
	}
WRITES(pwrite, off_t)
WRITES(pwrite64, off64_t)

static enum point
sync_point(int fd)
{
	switch (fd_kind(fd)) {
	case DB:
		return DB_SYNC;
	case LOG:
		return LOG_SYNC;
	case OTHER:
	case RULES_FILE:
		return NOWHERE;
	}
	return NOWHERE;
}

#define SYNCS(name)							\
	int								\
	name(int fd)							\
	{								\
		enum point p = sync_point(fd);				\
		int rc;							\
									\
		if (fails(p))						\
			return -1;					\
		rc = REAL(name)(fd);					\
		if (p != NOWHERE)					\
			passes(p + 1);					\
		return rc;						\
	}
SYNCS(fsync)
SYNCS(fdatasync)

#define TRUNCATES(name, offset)						\
	int								\
	name(int fd, offset size)					\
	{								\
		if (write_point(fd) != NOWHERE && fails(TRUNCATE))	\
			return -1;					\
		return REAL(name)(fd, size);				\
	}
TRUNCATES(ftruncate, off_t)
TRUNCATES(ftruncate64, off64_t)

int
unlink(const char *path)
{
	if (file_kind(path) != OTHER && fails(UNLINK))
		return -1;
	return REAL(unlink)(path);
}

int
rename(const char *from, const char *to)
{
	return fails(RENAME) ? -1 : REAL(rename)(from, to);
}

/* ---- the wall clock ---- */

int
clock_gettime(clockid_t clock, struct timespec *ts)
{
	int rc = (int)syscall(SYS_clock_gettime, clock, ts);
	int32_t frozen = shared ? atomic_load(&shared->frozen_at) : 0;

	if (rc || !shared || clock != CLOCK_REALTIME)
		return rc;
	ts->tv_sec += atomic_load(&shared->jump);
	if (frozen)
		*ts = (struct timespec){ .tv_sec = frozen };
	return 0;
}

/* ---- what only SQLite knows ---- */

struct sqlite3_stmt;
const char *sqlite3_sql(struct sqlite3_stmt *s);
int sqlite3_step(struct sqlite3_stmt *s);

int
sqlite3_step(struct sqlite3_stmt *s)
{
	const char *sql = REAL(sqlite3_sql)(s);
	int rc = REAL(sqlite3_step)(s);

	if (sql && !strncmp(sql, "DELETE FROM event", 17))
		passes(DELETE);
	return rc;
}
