/* SPDX-License-Identifier: Apache-2.0 */
/* The suites of tests/base: one a source file of base. */
#ifndef TESTS_BASE_SUITES_H
#define TESTS_BASE_SUITES_H

#include <check.h>

TCase *arena_tests(void);
TCase *buf_tests(void);
TCase *clock_tests(void);
TCase *counter_tests(void);
TCase *digest_tests(void);
TCase *error_tests(void);
TCase *field_tests(void);
TCase *id_tests(void);
TCase *json_tests(void);
TCase *log_tests(void);
TCase *message_tests(void);
TCase *network_tests(void);
TCase *pattern_tests(void);
TCase *prefer_tests(void);
TCase *redact_tests(void);
TCase *seal_tests(void);
TCase *span_tests(void);
TCase *trace_tests(void);
TCase *attribute_tests(void);

#endif
