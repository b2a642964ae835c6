/* SPDX-License-Identifier: Apache-2.0 */
/* Runs the test cases of shadow/; basics first. */
#include <stdlib.h>
#include <string.h>

#include "base/digest.h"
#include "tests/shadow/cases.h"

int
main(int argc, char **argv)
{
	Suite *s;
	SRunner *r;
	int failed;

	digest_start();
	s = suite_create("shadow");
	if (argc == 4 && strcmp(argv[1], "crash-child") == 0) {
		suite_add_tcase(s, case_crash_child(argv[2], argv[3]));
		r = srunner_create(s);
		srunner_set_fork_status(r, CK_NOFORK);
		unsetenv("CK_RUN_CASE");	/* the parent's filter */
		unsetenv("CK_RUN_SUITE");
		srunner_run_all(r, CK_SILENT);
		return EXIT_FAILURE;
	}
	suite_add_tcase(s, case_wilson());
	suite_add_tcase(s, case_fold());
	suite_add_tcase(s, case_latency());
	suite_add_tcase(s, case_lane());
	suite_add_tcase(s, case_endpoint());
	suite_add_tcase(s, case_trace());
	suite_add_tcase(s, case_side());
	suite_add_tcase(s, case_exchange());
	suite_add_tcase(s, case_cases());
	suite_add_tcase(s, case_compare());
	suite_add_tcase(s, case_why());
	suite_add_tcase(s, case_noise());
	suite_add_tcase(s, case_verdict());
	suite_add_tcase(s, case_tally());
	suite_add_tcase(s, case_pending());
	suite_add_tcase(s, case_copy());
	suite_add_tcase(s, case_http());
	suite_add_tcase(s, case_again());
	suite_add_tcase(s, case_report());
	suite_add_tcase(s, case_replies());
	suite_add_tcase(s, case_joining());
	suite_add_tcase(s, case_crash());
	r = srunner_create(s);
	srunner_run_all(r, CK_ENV);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
