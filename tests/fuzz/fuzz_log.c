/* SPDX-License-Identifier: Apache-2.0 */
/* The log: one line, one JSON object, no control byte, at most 16 KiB,
 * whatever was logged. */
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/invariant.h"
#include "base/log.h"
#include "payload/payload.h"
#include "tests/fuzz/fuzz.h"

#define LINE_MAX_BYTES (16 * 1024)

/* What log_line writes meanwhile goes to a file in memory. */
static size_t
log_to(char *out, size_t size, const uint8_t *data, size_t n)
{
	static int file = -1;
	int saved = dup(STDERR_FILENO);
	ssize_t got;

	if (file < 0)
		file = memfd_create("log", MFD_CLOEXEC);
	INVARIANT(saved >= 0 && file >= 0 && ftruncate(file, 0) == 0);
	INVARIANT(lseek(file, 0, SEEK_SET) == 0);
	INVARIANT(dup2(file, STDERR_FILENO) >= 0);
	log_error("fuzz.line", "in \"%.*s\", and more", (int)n,
		  (const char *)data);
	INVARIANT(dup2(saved, STDERR_FILENO) >= 0);
	close(saved);
	got = pread(file, out, size, 0);
	INVARIANT(got > 0);
	return (size_t)got;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static char line[4 * LINE_MAX_BYTES];
	size_t n = log_to(line, sizeof(line), data, size), i;

	INVARIANT(n <= LINE_MAX_BYTES && line[n - 1] == '\n');
	for (i = 0; i < n - 1; i++)
		INVARIANT((unsigned char)line[i] >= 0x20 && line[i] != 0x7f);
	INVARIANT(payload_check((struct span){ line, n - 1 }, 4, NULL) == 0);
	return 0;
}
