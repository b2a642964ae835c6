/* SPDX-License-Identifier: Apache-2.0 */
/* The commands `backup` and `restore`: copies of the journal, each checked
 * event by event. */
#include "journal/backup.h"

#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "console/command.h"
#include "console/file.h"
#include "console/verify.h"

#define PACE_MAX 100000

/* Prints what is wrong with the file; the exit status of the command. */
static int
check(const char *path)
{
	struct verify_output o CLEANUP(verify_output_fini) = {
		.path = path, .depth = JOURNAL_VERIFY_ALL,
	};
	struct journal_report report;
	struct error err = { 0 };

	if (journal_verify(path, o.depth, verify_finding, &o, &report,
			   &err) < 0)
		return command_fail(COMMAND_FAILED, NULL, &err);
	verify_end(&o, &report);
	if (command_print(&o.out))
		return COMMAND_FAILED;
	return report.faults ? COMMAND_FAILED : COMMAND_OK;
}

/* ---- backup ---- */

static int
backup(const struct command_call *call, const char *from, struct error *err)
{
	struct journal_backup b = { .from = from,
				    .to = call->values[OPTION_TO_FILE] };
	struct journal_copied copied;
	unsigned pace;

	if (!b.to)
		return error_set(err, "where to? usage: matapalo backup --to "
				      "FILE");
	if (command_number(call, OPTION_MIB_PACE, PACE_MAX, 0, &pace, err))
		return -1;
	b.bytes_per_s = (int64_t)pace << 20;
	if (journal_backup(&b, &copied, err) < 0)
		return command_fail(COMMAND_FAILED, NULL, err);
	printf("%s: %" PRId64 " events copied, exact up to event %" PRId64
	       "\n", b.to, copied.events, copied.marked);
	if (copied.resumed)
		printf("an earlier copy was gone on with behind event %" PRId64
		       "\n", copied.resumed);
	return check(b.to);
}

int
command_backup(const struct command_call *call)
{
	struct buf path CLEANUP(buf_fini) = { 0 };
	struct error err = { 0 };
	int status;

	buf_printf(&path, "%s/journal.db", command_data(call));
	status = backup(call, buf_str(&path), &err);
	if (status >= 0)
		return status;
	error_context(&err, "backup");
	return command_fail(COMMAND_USAGE, NULL, &err);
}

/* ---- restore ---- */

static int
make_directory(const char *path, struct error *err)
{
	DIR *dir;
	struct dirent *entry;
	int rc = 0;

	if (directory_make(path, err) < 0)
		return -1;
	dir = opendir(path);
	if (!dir)
		return error_set(err, "%s: %s", path, strerror(errno));
	while (rc == 0 && (entry = readdir(dir)))
		if (strcmp(entry->d_name, ".") && strcmp(entry->d_name, ".."))
			rc = error_set(err, "%s: holds %s; name an empty "
				       "directory", path, entry->d_name);
	closedir(dir);
	return rc;
}

static int
restore(const struct command_call *call, const char *to, struct error *err)
{
	const char *from = call->values[OPTION_FROM_FILE];
	int status;

	if (!from)
		return error_set(err, "from what? usage: matapalo restore "
				      "--from FILE --data DIR");
	if (make_directory(command_data(call), err) < 0)
		return -1;
	status = check(from);
	if (status != COMMAND_OK)
		return status;
	if (journal_restore(from, to, err) < 0)
		return command_fail(COMMAND_FAILED, NULL, err);
	return check(to);
}

int
command_restore(const struct command_call *call)
{
	struct buf path CLEANUP(buf_fini) = { 0 };
	struct error err = { 0 };
	int status;

	buf_printf(&path, "%s/journal.db", command_data(call));
	status = restore(call, buf_str(&path), &err);
	if (status >= 0)
		return status;
	error_context(&err, "restore");
	return command_fail(COMMAND_USAGE, NULL, &err);
}
