/* SPDX-License-Identifier: Apache-2.0 */
/* The table of matapalo's own answers. */
#include "proxy/problem.h"

#include "base/invariant.h"

static const struct problem_row rows[PROBLEM_COUNT] = {
#define PROBLEM(sym, status, phrase, code, text) \
	[PROBLEM_##sym] = { status, phrase, code, text },
#include "proxy/problems.def"
#undef PROBLEM
};

const struct problem_row *
problem_row(enum problem p)
{
	INVARIANT(p > PROBLEM_NONE && p < PROBLEM_COUNT);
	return &rows[p];
}
