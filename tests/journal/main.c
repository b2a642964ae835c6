/* SPDX-License-Identifier: Apache-2.0 */
/* Runs the journal's tests. */
#include <stdlib.h>

#include "base/digest.h"
#include "tests/journal/fixture.h"

int
main(void)
{
	Suite *s = suite_create("journal");
	SRunner *runner;
	int failed;

	digest_start();
	suite_add_tcase(s, case_open());
	suite_add_tcase(s, case_append());
	suite_add_tcase(s, case_cache());
	suite_add_tcase(s, case_read());
	suite_add_tcase(s, case_lists());
	suite_add_tcase(s, case_queue());
	suite_add_tcase(s, case_writer());
	suite_add_tcase(s, case_crash());
	suite_add_tcase(s, case_faults());
	suite_add_tcase(s, case_flips());
	suite_add_tcase(s, case_retain());
	suite_add_tcase(s, case_verify());
	suite_add_tcase(s, case_versions());
	suite_add_tcase(s, case_recovery());
	runner = srunner_create(s);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
