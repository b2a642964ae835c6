/* SPDX-License-Identifier: Apache-2.0 */
/* The test cases of shadow/, one a source file. */
#ifndef TESTS_SHADOW_CASES_H
#define TESTS_SHADOW_CASES_H

#include <check.h>

TCase *case_wilson(void);
TCase *case_fold(void);
TCase *case_latency(void);
TCase *case_lane(void);
TCase *case_endpoint(void);
TCase *case_trace(void);
TCase *case_side(void);
TCase *case_exchange(void);
TCase *case_cases(void);
TCase *case_compare(void);
TCase *case_why(void);
TCase *case_noise(void);
TCase *case_verdict(void);
TCase *case_tally(void);
TCase *case_pending(void);
TCase *case_copy(void);
TCase *case_http(void);
TCase *case_again(void);
TCase *case_report(void);
TCase *case_replies(void);
TCase *case_joining(void);
TCase *case_crash(void);
TCase *case_crash_child(const char *journal, const char *url);

#endif
