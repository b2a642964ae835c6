/* SPDX-License-Identifier: Apache-2.0 */
/* The closed set of answers that matapalo makes by itself. */
#ifndef PROXY_PROBLEM_H
#define PROXY_PROBLEM_H

enum problem {
	PROBLEM_NONE,
#define PROBLEM(sym, status, phrase, code, text) PROBLEM_##sym,
#include "proxy/problems.def"
#undef PROBLEM
	PROBLEM_COUNT
};

struct problem_row {
	int status;
	const char *phrase, *code, *text;
};

/* problem_row lends the table's row; never for PROBLEM_NONE. */
const struct problem_row *problem_row(enum problem p);

#endif
