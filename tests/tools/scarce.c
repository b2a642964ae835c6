/* SPDX-License-Identifier: Apache-2.0 */
/* Preloaded into a process, it lets one allocation fail: the N-th from the
 * moment when a test writes N into the file named by SCARCE_FILE.
 * The file is {countdown, failures, allocations, failures in nng's start},
 * four 64-bit numbers. */
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <unistd.h>

struct shared {
	_Atomic int64_t countdown, failures, allocations, in_nng_open;
};

void *__libc_malloc(size_t size);
void *__libc_calloc(size_t count, size_t size);
void *__libc_realloc(void *p, size_t size);
void *__libc_memalign(size_t alignment, size_t size);
void *memalign(size_t alignment, size_t size);

static struct shared *shared;

__attribute__((constructor)) static void
scarce_open(void)
{
	const char *path = getenv("SCARCE_FILE");
	int fd = path ? open(path, O_RDWR | O_CLOEXEC) : -1;
	void *at;

	if (fd < 0)
		return;
	at = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED,
		  fd, 0);
	close(fd);
	if (at != MAP_FAILED)
		shared = at;
}

/* The thread that bus/patience.c starts. */
static bool
is_nng_open(void)
{
	char name[16] = "";

	prctl(PR_GET_NAME, name);
	return strcmp(name, "nng-open") == 0;
}

static bool
must_fail(void)
{
	if (!shared)
		return false;
	atomic_fetch_add(&shared->allocations, 1);
	if (atomic_load(&shared->countdown) <= 0 ||
	    atomic_fetch_sub(&shared->countdown, 1) != 1)
		return false;
	atomic_fetch_add(&shared->failures, 1);
	if (is_nng_open())
		atomic_fetch_add(&shared->in_nng_open, 1);
	errno = ENOMEM;
	return true;
}

void *
malloc(size_t size)
{
	return must_fail() ? NULL : __libc_malloc(size);
}

void *
calloc(size_t count, size_t size)
{
	return must_fail() ? NULL : __libc_calloc(count, size);
}

void *
realloc(void *p, size_t size)
{
	return must_fail() ? NULL : __libc_realloc(p, size);
}

void *
memalign(size_t alignment, size_t size)
{
	return must_fail() ? NULL : __libc_memalign(alignment, size);
}

void *
aligned_alloc(size_t alignment, size_t size)
{
	return memalign(alignment, size);
}

int
posix_memalign(void **out, size_t alignment, size_t size)
{
	*out = memalign(alignment, size);
	return *out ? 0 : ENOMEM;
}
