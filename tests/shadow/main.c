/* SPDX-License-Identifier: Apache-2.0 */
/* Runs the test cases of shadow/; basics first. */
#include <stdlib.h>

#include "base/digest.h"
#include "tests/shadow/cases.h"

int
main(void)
{
	Suite *s = suite_create("shadow");
	SRunner *r;
	int failed;

	digest_start();
	suite_add_tcase(s, case_wilson());
	suite_add_tcase(s, case_trace());
	suite_add_tcase(s, case_side());
	suite_add_tcase(s, case_exchange());
	suite_add_tcase(s, case_compare());
	suite_add_tcase(s, case_verdict());
	suite_add_tcase(s, case_tally());
	suite_add_tcase(s, case_pending());
	suite_add_tcase(s, case_copy());
	r = srunner_create(s);
	srunner_run_all(r, CK_ENV);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
