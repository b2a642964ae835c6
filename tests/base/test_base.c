/* SPDX-License-Identifier: Apache-2.0 */
/* Runs every suite of tests/base. */
#include "tests/base/suites.h"

#include <stdlib.h>

#include "base/attr.h"
#include "base/digest.h"

int
main(void)
{
	TCase *(*const cases[])(void) = {
		span_tests,  arena_tests,   buf_tests,	   error_tests,
		clock_tests, counter_tests, digest_tests,  id_tests,
		json_tests,  log_tests,	    message_tests, network_tests,
		redact_tests, field_tests, prefer_tests, seal_tests,
		trace_tests, attribute_tests, pattern_tests,
	};
	Suite *suite = suite_create("base");
	SRunner *runner;
	int failed;

	digest_start();
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
		suite_add_tcase(suite, cases[i]());
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
