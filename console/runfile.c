/* SPDX-License-Identifier: Apache-2.0 */
/* DATA/run.json: how one command finds the running process. */
#include "console/runfile.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/json.h"
#include "console/console.h"
#include "console/file.h"
#include "payload/payload.h"

#define PATH_ROOM 4096
#define FILE_LIMIT_BYTES (64u * 1024)

static int
path_of(char *out, const char *data, struct error *err)
{
	if (snprintf(out, PATH_ROOM, "%s/run.json", data) < PATH_ROOM)
		return 0;
	return error_set(err, "the path of the data directory is too long");
}

/* Whoever reads the file may stand in another directory. */
static void
write_absolute(struct json *j, const char *scheme, const char *text)
{
	struct buf full CLEANUP(buf_fini) = { 0 };
	size_t len = strlen(scheme);
	char here[PATH_ROOM];

	if (!text || strncmp(text, scheme, len) || text[len] == '/' ||
	    !getcwd(here, sizeof(here))) {
		json_str(j, text);
		return;
	}
	buf_printf(&full, "%s%s/%s", scheme, here, text + len);
	json_span(j, buf_span(&full));
}

static void
write_list(struct json *j, const char *key, const char *scheme,
	   const char *const *list)
{
	json_key(j, key);
	json_array_begin(j);
	for (; list && *list; list++)
		write_absolute(j, scheme, *list);
	json_array_end(j);
}

int
console_write_run_file(const char *data, const struct console_run_info *info,
		       struct error *err)
{
	struct buf text CLEANUP(buf_fini) = { 0 };
	char path[PATH_ROOM];
	struct json j;

	if (path_of(path, data, err))
		return -1;
	json_init(&j, &text);
	json_object_begin(&j);
	json_key(&j, "pid");
	json_i64(&j, getpid());
	write_list(&j, "listen", "unix:", info->listen);
	json_key(&j, "admin");
	write_absolute(&j, "unix:", info->admin);
	write_list(&j, "bus", "ipc://", info->bus);
	json_key(&j, "rules");
	write_absolute(&j, "", info->rules);
	json_object_end(&j);
	buf_addc(&text, '\n');
	if (text.failed)
		return error_set(err, "%s: no memory to write it", path);
	return file_replace(path, buf_span(&text), err);
}

void
console_remove_run_file(const char *data)
{
	char path[PATH_ROOM];

	if (!path_of(path, data, NULL))
		unlink(path);
}

static bool
is_alive(int pid)
{
	return pid > 0 && (!kill(pid, 0) || errno == EPERM);
}

static int
take_members(struct runfile *r, const char *data, struct error *err)
{
	r->pid = (int)payload_int(payload_member(r->tree, "pid"), 0);
	r->admin = payload_string(payload_member(r->tree, "admin"), NULL);
	r->bus = payload_string(payload_at(r->tree, "/bus/0"), NULL);
	r->rules = payload_string(payload_member(r->tree, "rules"), NULL);
	if (is_alive(r->pid))
		return 0;
	return error_set(err,
			 "no matapalo runs on %s: process %d of its run.json "
			 "is gone",
			 data, r->pid);
}

int
runfile_read(struct runfile *r, const char *data, struct error *err)
{
	struct buf text CLEANUP(buf_fini) = { 0 };
	char path[PATH_ROOM];

	if (path_of(path, data, err))
		return -1;
	if (access(path, F_OK) && errno == ENOENT)
		return error_set(err,
				 "no matapalo runs on %s: there is no "
				 "run.json; is --data right?",
				 data);
	if (file_read(path, FILE_LIMIT_BYTES, &text, err))
		return -1;
	r->tree = payload_parse(buf_span(&text), err);
	if (!r->tree)
		return error_context(err, "%s", path);
	return take_members(r, data, err);
}

void
runfile_fini(struct runfile *r)
{
	payload_free(&r->tree);
	r->admin = r->bus = r->rules = NULL;
}
