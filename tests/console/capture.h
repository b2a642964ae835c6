/* SPDX-License-Identifier: Apache-2.0 */
/* A command run inside the test, its output caught. */
#ifndef TESTS_CONSOLE_CAPTURE_H
#define TESTS_CONSOLE_CAPTURE_H

#include "base/buf.h"

/* console_main with its two outputs caught. The words are parted by NULL. */
struct capture_output {
	int status;
	struct buf out, err;
};
void capture_run(struct capture_output *o, const char *const *words);
void capture_output_fini(struct capture_output *o);

#endif
