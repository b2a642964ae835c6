/* SPDX-License-Identifier: Apache-2.0 */
/* The versions in a directory: "order.v1.json", "order.v2.json" ... */
#include "console/versions.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

/* Length of "order." in "order.v12.json", and the number; -1 for others. */
static int
parse_name(const char *name, unsigned long *number)
{
	size_t n = strlen(name), at = n < 5 ? 0 : n - 5;

	if (n < 7 || strcmp(name + at, ".json") != 0)
		return -1;
	while (at > 0 && strchr("0123456789", name[at - 1]))
		at--;
	if (at == 0 || at == n - 5 || name[at - 1] != 'v' ||
	    (at > 1 && name[at - 2] != '.'))
		return -1;
	*number = strtoul(name + at, NULL, 10);
	return (int)at - 1;
}

static int
add(struct versions *v, const char *path, unsigned long number)
{
	struct version *list = realloc(v->at, (v->count + 1) * sizeof(*list));
	char *copy = strdup(path);

	if (list)
		v->at = list;
	if (!list || !copy) {
		free(copy);
		return -1;
	}
	list[v->count++] = (struct version){ copy, number };
	return 0;
}

static int
by_number(const void *a, const void *b)
{
	const struct version *x = a, *y = b;

	return (x->number > y->number) - (x->number < y->number);
}

/* Versions of two things have no order. */
static int
check_names(const struct versions *v, struct error *err)
{
	unsigned long number;

	for (size_t i = 1; i < v->count; i++) {
		const char *a = strrchr(v->at[i - 1].path, '/') + 1;
		const char *b = strrchr(v->at[i].path, '/') + 1;
		int n = parse_name(a, &number);

		if (n != parse_name(b, &number) || strncmp(a, b, (size_t)n))
			return error_set(err, "%s and %s are not versions of "
					 "one: give each a directory", a, b);
		if (v->at[i - 1].number == v->at[i].number)
			return error_set(err, "%s and %s are the same "
					 "version", a, b);
	}
	return 0;
}

static int
read_all(struct versions *v, const char *path, DIR *dir, struct error *err)
{
	char full[4096];
	const struct dirent *entry;
	unsigned long number;

	while ((entry = readdir(dir)) != NULL) {
		size_t n = strlen(entry->d_name);

		if (n < 5 || strcmp(entry->d_name + n - 5, ".json") != 0)
			continue;
		if (parse_name(entry->d_name, &number) < 0)
			return error_set(err, "%s is no version: its name "
					 "must end in .vN.json",
					 entry->d_name);
		snprintf(full, sizeof(full), "%s/%s", path, entry->d_name);
		if (add(v, full, number) < 0)
			return error_set(err, "no memory");
	}
	if (v->count == 0)
		return error_set(err, "there is no .vN.json in it");
	qsort(v->at, v->count, sizeof(*v->at), by_number);
	return check_names(v, err);
}

int
versions_open(struct versions *v, const char *path, struct error *err)
{
	struct stat st;
	DIR *dir;
	int result;

	*v = (struct versions){ 0 };
	if (stat(path, &st) < 0 || !S_ISDIR(st.st_mode))
		return add(v, path, 0) < 0 ? error_set(err, "no memory") : 0;
	dir = opendir(path);
	if (!dir)
		return error_set(err, "cannot be opened: %s", strerror(errno));
	result = read_all(v, path, dir, err);
	closedir(dir);
	return result;
}

void
versions_fini(struct versions *v)
{
	for (size_t i = 0; i < v->count; i++)
		free(v->at[i].path);
	free(v->at);
	*v = (struct versions){ 0 };
}
