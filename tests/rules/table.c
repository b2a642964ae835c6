/* SPDX-License-Identifier: Apache-2.0 */
/* Reads the data of the table tests: files, folders of cases, requests. */
#include "tests/rules/table.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/digest.h"

int
table_run(const char *suite, void (*fill)(TCase *t))
{
	Suite *s = suite_create(suite);
	TCase *t = tcase_create(suite);
	SRunner *run;
	int failed;

	digest_start();
	tcase_set_timeout(t, 120);
	fill(t);
	suite_add_tcase(s, t);
	run = srunner_create(s);
	srunner_run_all(run, CK_NORMAL);
	failed = srunner_ntests_failed(run);
	srunner_free(run);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}

const char *
table_path(char *out, size_t size, const char *rest)
{
	const char *top = getenv("TOP_SRCDIR");

	snprintf(out, size, "%s/%s", top ? top : ".", rest);
	return out;
}

void
table_read(const char *path, struct buf *out)
{
	FILE *f = fopen(path, "rb");
	char chunk[4096];
	size_t n;

	ck_assert_msg(f != NULL, "cannot open %s", path);
	buf_clear(out);
	while ((n = fread(chunk, 1, sizeof(chunk), f)) > 0)
		buf_add(out, chunk, n);
	fclose(f);
	ck_assert(!out->failed);
	buf_str(out);
}

static int
is_visible(const struct dirent *d)
{
	return d->d_name[0] != '.';
}

size_t
table_each_case(const char *dir, void (*fn)(const char *folder))
{
	char path[1024], folder[2048];
	struct dirent **names;
	int n = scandir(table_path(path, sizeof(path), dir), &names,
			is_visible, alphasort);

	ck_assert_msg(n >= 0, "cannot list %s", path);
	for (int i = 0; i < n; i++) {
		snprintf(folder, sizeof(folder), "%s/%s", path,
			 names[i]->d_name);
		fn(folder);
		free(names[i]);
	}
	free(names);
	return (size_t)n;
}

char *
table_word(char **line)
{
	char *word = *line + strspn(*line, " \t");
	size_t len = strcspn(word, " \t");

	*line = word + len;
	if (**line)
		*(*line)++ = '\0';
	return word;
}

static void
add_field(struct table_request *out, char *text, size_t *n)
{
	char *colon = strchr(text, ':');
	struct message_field f;

	ck_assert_msg(colon != NULL && *n < TABLE_FIELDS_MAX,
		      "not a header: %s", text);
	*colon = '\0';
	f.name = span_trim(span_of(text));
	f.value = span_trim(span_of(colon + 1));
	if (span_is(f.name, "client"))
		out->req.client = f.value;
	else
		out->fields[(*n)++] = f;
}

void
table_request(struct table_request *out, const char *line)
{
	struct message_request *req = &out->req;
	char *at = out->text, *fields, *query;
	size_t n = 0;

	memset(req, 0, sizeof(*req));
	ck_assert_uint_lt(strlen(line), sizeof(out->text));
	memcpy(out->text, line, strlen(line) + 1);
	fields = strchr(at, '|');
	if (fields)
		*fields++ = '\0';
	req->method = span_of(table_word(&at));
	req->host = span_of(table_word(&at));
	if (span_is(req->host, "-"))
		req->host.len = 0;
	req->target = req->path = span_of(table_word(&at));
	query = memchr(req->path.at, '?', req->path.len);
	if (query) {
		req->path.len = (size_t)(query - req->path.at);
		req->query = span_of(query + 1);
	}
	req->client = SPAN_LITERAL("127.0.0.1");
	while (fields) {
		char *next = strchr(fields, '|');

		if (next)
			*next++ = '\0';
		add_field(out, fields, &n);
		fields = next;
	}
	req->fields = (struct message_fields){ out->fields, n };
}

size_t
table_each_line(struct buf *table,
		void (*fn)(void *arg, char *line, int number), void *arg)
{
	char *line = table->data, *next;
	size_t count = 0;

	buf_str(table);
	for (int number = 1; line && *line; number++, line = next) {
		next = strchr(line, '\n');
		if (next)
			*next++ = '\0';
		if (*line && *line != '#') {
			fn(arg, line, number);
			count++;
		}
	}
	return count;
}
