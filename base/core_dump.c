/* SPDX-License-Identifier: Apache-2.0 */
/* Whether a crash leaves a core dump, and what is in it. */
#include "base/core_dump.h"

#include <fcntl.h>
#include <stdbool.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

/* core(5): the first pages of programs, by which a debugger knows them. */
#define ELF_HEADERS "0x10"
/* Less than a core has, and what a kernel that pipes cores to a program takes
 * for a no; it takes 0 for a yes. */
#define NO_CORE_BYTES 1

static bool
leave_out_memory(void)
{
	int fd = open("/proc/self/coredump_filter", O_WRONLY | O_CLOEXEC);
	bool done = fd >= 0 &&
		    write(fd, ELF_HEADERS, sizeof(ELF_HEADERS) - 1) > 0;

	if (fd >= 0)
		close(fd);
	return done;
}

static bool
limit_size(void)
{
	struct rlimit r;

	if (getrlimit(RLIMIT_CORE, &r) || r.rlim_max < NO_CORE_BYTES)
		return false;
	r.rlim_cur = NO_CORE_BYTES;
	return setrlimit(RLIMIT_CORE, &r) == 0;
}

void
core_dump_prevent(void)
{
	bool limited = limit_size();

	if (!leave_out_memory() || !limited)
		(void)prctl(PR_SET_DUMPABLE, 0);
}
