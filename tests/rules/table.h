/* SPDX-License-Identifier: Apache-2.0 */
/* Reads the data of the table tests: files, folders of cases, requests. */
#ifndef TESTS_RULES_TABLE_H
#define TESTS_RULES_TABLE_H

#include <check.h>

#include "base/buf.h"
#include "base/message.h"
#include "rules/rules.h"

#define TABLE_FIELDS_MAX 64
#define TABLE_LINE_MAX 32768

/* table_path writes "$TOP_SRCDIR/<rest>" and returns out. */
const char *table_path(char *out, size_t size, const char *rest);
/* table_read replaces the buf's content by the file's; fails the test when
 * it cannot be read. */
void table_read(const char *path, struct buf *out);
/* table_each_case calls fn for every folder in "$TOP_SRCDIR/<dir>" in the
 * order of their names and returns their number. */
size_t table_each_case(const char *dir, void (*fn)(const char *folder));

/* A request written as "METHOD host target | Name: value | ...". A host of
 * "-" is none; "client: ADDRESS" is the caller and no header. */
struct table_request {
	struct message_request req;
	struct message_field fields[TABLE_FIELDS_MAX];
	char text[TABLE_LINE_MAX];
};
void table_request(struct table_request *out, const char *line);
/* table_each_line calls fn for every line that is neither empty nor a
 * comment (#), with its number, and returns how many there were. */
size_t table_each_line(struct buf *table,
		       void (*fn)(void *arg, char *line, int number),
		       void *arg);
/* table_run runs one suite and returns the program's exit status. */
int table_run(const char *suite, void (*fill)(TCase *t));
/* table_word cuts the next word off. */
char *table_word(char **line);

#endif
