/* SPDX-License-Identifier: Apache-2.0 */
/* Settings files: settings or an error with text, never a crash. */
#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/invariant.h"
#include "console/settings.h"
#include "tests/fuzz/fuzz.h"

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const char *const none[] = { NULL };
	static int file = -1;
	static char path[64];
	const char *argv[] = { "--settings", path };
	struct settings s = { 0 };
	struct error err = { 0 };

	if (file < 0)
		file = memfd_create("settings", MFD_CLOEXEC);
	INVARIANT(file >= 0 && ftruncate(file, 0) == 0);
	INVARIANT(pwrite(file, data, size, 0) == (ssize_t)size);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", file);
	INVARIANT(settings_load(&s, 2, argv, none, &err) == 0 ||
		  (err.set && err.text[0]));
	settings_fini(&s);
	return 0;
}
