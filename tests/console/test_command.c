/* SPDX-License-Identifier: Apache-2.0 */
/* Commands: wrong usage, help, manual, and those about a rules file. */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/digest.h"
#include "config.h"
#include "console/command.h"
#include "console/file.h"
#include "console/runfile.h"
#include "tests/console/capture.h"
#include "tests/console/scratch.h"

#define WORDS 8

struct usage {
	const char *words[WORDS];
	int status;
	const char *message; /* on stderr */
};

static const struct usage usages[] = {
	{ { "matapalo", "chekc" },
	  2,
	  "matapalo: command `chekc' is unknown: did you mean `check'?\n" },
	{ { "matapalo", "frobnicate" },
	  2,
	  "matapalo: command `frobnicate' is unknown: see `matapalo help'\n" },
	{ { "matapalo", "help", "statsu" },
	  2,
	  "matapalo: command `statsu' is unknown: did you mean `status'?\n" },
	{ { "matapalo", "check" },
	  2,
	  "matapalo: check: name a rules file, or a settings file by "
	  "--settings FILE\n" },
	{ { "matapalo", "check", "a", "b" },
	  2,
	  "matapalo: check: `b' is not expected: usage: matapalo check "
	  "FILE|--settings FILE\n" },
	{ { "matapalo", "check", "--rules", "x", "f" },
	  2,
	  "matapalo: check: option --rules is unknown: see `matapalo help "
	  "check'\n" },
	{ { "matapalo", "explain", "GET" },
	  2,
	  "matapalo: explain: usage: matapalo explain METHOD URL\n" },
	{ { "matapalo", "explain", "GET", "x", "--rules", "f" },
	  2,
	  "matapalo: explain: `x' is not a URL: write /PATH or "
	  "http://HOST/PATH\n" },
	{ { "matapalo", "explain", "GET", "/", "-H", "nocolon" },
	  2,
	  "matapalo: explain: -H `nocolon' is no header field: write 'Name: "
	  "value'\n" },
	{ { "matapalo", "explain", "GET", "/", "--rule", "f" },
	  2,
	  "matapalo: explain: option --rule is unknown: did you mean "
	  "--rules?\n" },
	{ { "matapalo", "explain", "GET", "/", "--data", "/nonexistent" },
	  2,
	  "matapalo: explain: give --rules FILE: no matapalo runs on "
	  "/nonexistent: there is no run.json; is --data right?\n" },
	{ { "matapalo", "status", "--data" },
	  2,
	  "matapalo: status: --data needs a value: DIR\n" },
	{ { "matapalo", "status", "--json=1" },
	  2,
	  "matapalo: status: --json takes no value\n" },
	{ { "matapalo", "status", "--data", "a", "--data=b" },
	  2,
	  "matapalo: status: --data is given twice\n" },
	{ { "matapalo", "status", "--data", "/nonexistent" },
	  1,
	  "matapalo: status: no matapalo runs on /nonexistent: there is no "
	  "run.json; is --data right?\n" },
	{ { "matapalo", "tail", "--from", "yesterday" },
	  2,
	  "matapalo: tail: --from: `yesterday' is neither a sequence nor "
	  "oldest nor now\n" },
	{ { "matapalo", "consume", "--group", "g" },
	  2,
	  "matapalo: consume: --group NAME and either --exec COMMAND or "
	  "--exec-persistent COMMAND are needed\n" },
	{ { "matapalo", "consume", "--group=g", "--exec=x",
	    "--exec-persistent=x" },
	  2,
	  "matapalo: consume: --group NAME and either --exec COMMAND or "
	  "--exec-persistent COMMAND are needed\n" },
	{ { "matapalo", "consume", "--group", "g", "--exec", "x", "--from=0" },
	  2,
	  "matapalo: consume: --from: `0' is neither a sequence nor oldest "
	  "nor now\n" },
	{ { "matapalo", "consume", "--group=g", "--exec=x", "--timeout=1" },
	  2,
	  "matapalo: consume: --timeout: `1' is not a time: write a number "
	  "and ms, s, m or h (250ms, 3s, 2m), at most 24h\n" },
	{ { "matapalo", "consume", "--group=g", "--exec=x", "--data=/none" },
	  1,
	  "matapalo: consume: no matapalo runs on /none: there is no "
	  "run.json; is --data right?\n" },
	{ { "matapalo", "dlq", "burn" },
	  2,
	  "matapalo: dlq: `burn' is unknown: list, show, redrive, purge, "
	  "redrives or cancel\n" },
	{ { "matapalo", "dlq", "redrive", "all" },
	  2,
	  "matapalo: dlq: whose? usage: matapalo dlq redrive ID|all --group "
	  "NAME\n" },
	{ { "matapalo", "dlq", "redrive", "--group=g" },
	  2,
	  "matapalo: dlq: which? usage: matapalo dlq redrive ID|all --group "
	  "NAME, or a filter: --type, --subject, --reason, --since, "
	  "--until\n" },
	{ { "matapalo", "dlq", "purge", "all" },
	  2,
	  "matapalo: dlq: purged dead letters are gone for good; look at "
	  "them with `matapalo dlq list' and say --yes\n" },
	{ { "matapalo", "dlq", "list", "--since=yesterday" },
	  2,
	  "matapalo: dlq: --since: `yesterday' is not a time: write "
	  "2026-01-05T10:00:00Z, or how long ago: 90s, 15m, 2h, 3d\n" },
	{ { "matapalo", "dlq", "cancel" },
	  2,
	  "matapalo: dlq: which job? `matapalo dlq redrives' has their "
	  "numbers\n" },
	{ { "matapalo", "replay" },
	  2,
	  "matapalo: replay: from where? --from SEQUENCE, --from TIME or "
	  "--from oldest\n" },
	{ { "matapalo", "replay", "--from=1", "--pace=fast" },
	  2,
	  "matapalo: replay: `fast' is not a pace: write full, original, 10x "
	  "(times the original) or 50/s\n" },
	{ { "matapalo", "run" },
	  2,
	  "matapalo: what shall stand behind matapalo? Give --legacy URL or "
	  "--rules FILE\n" },
	{ { "matapalo", "check", "/nonexistent" },
	  2,
	  "/nonexistent: cannot be opened: No such file or directory\n" },
};

START_TEST(test_usage)
{
	const struct usage *u = &usages[_i];
	struct capture_output o CLEANUP(capture_output_fini) = { 0 };

	capture_run(&o, u->words);
	ck_assert_str_eq(buf_str(&o.err), u->message);
	ck_assert_int_eq(o.status, u->status);
	ck_assert_str_eq(buf_str(&o.out), "");
}
END_TEST

START_TEST(test_no_command)
{
	static const char *const words[] = { "matapalo", NULL };
	struct capture_output o CLEANUP(capture_output_fini) = { 0 };

	capture_run(&o, words);
	ck_assert_int_eq(o.status, 2);
	ck_assert_ptr_nonnull(strstr(buf_str(&o.err), "usage: matapalo "));
}
END_TEST

START_TEST(test_version)
{
	static const char *const ways[] = { "version", "--version", "-V" };

	for (size_t i = 0; i < ARRAY_SIZE(ways); i++) {
		const char *const words[] = { "matapalo", ways[i], NULL };
		struct capture_output o CLEANUP(capture_output_fini) = { 0 };

		capture_run(&o, words);
		ck_assert_int_eq(o.status, 0);
		ck_assert_str_eq(buf_str(&o.out),
				 "matapalo " PACKAGE_VERSION "\n");
	}
}
END_TEST

START_TEST(test_run_gets_its_settings)
{
	static const char *const words[] = { "matapalo", "run", "--legacy", "u",
					     "--data",	 "/d",	NULL };
	struct capture_output o CLEANUP(capture_output_fini) = { 0 };

	capture_run(&o, words);
	ck_assert_int_eq(o.status, 0);
	ck_assert_str_eq(buf_str(&o.out), "run data=/d\n");
}
END_TEST

START_TEST(test_settings_file_position)
{
	struct capture_output o CLEANUP(capture_output_fini) = { 0 };
	char dir[SCRATCH_PATH], path[SCRATCH_PATH], want[SCRATCH_PATH + 80];
	const char *const words[] = { "matapalo", "run", "--settings", path,
				      NULL };

	scratch_write(scratch_path(path, scratch_make(dir), "s"),
		      "idle = 1s\nlisten = x\n");
	capture_run(&o, words);
	ck_assert_int_eq(o.status, 2);
	snprintf(want, sizeof(want), "matapalo: %s:2: listen: `x' is not an",
		 path);
	ck_assert_msg(!strncmp(buf_str(&o.err), want, strlen(want)), "%s",
		      buf_str(&o.err));
	scratch_remove(dir);
}
END_TEST

/* ---- help and the manual, for every row ---- */

static void
escape(const char *text, char out[256])
{
	size_t at = 0;

	for (; *text; text++) {
		if (*text == '-')
			out[at++] = '\\';
		out[at++] = *text;
	}
	out[at] = '\0';
}

START_TEST(test_help_and_manual)
{
	const struct command_row *row = command_row((size_t)_i);
	const char *const asked[] = { "matapalo", "help", row->name, NULL };
	const char *const option[] = { "matapalo", row->name, "--help", NULL };
	struct capture_output a CLEANUP(capture_output_fini) = { 0 };
	struct capture_output b CLEANUP(capture_output_fini) = { 0 };
	struct buf page CLEANUP(buf_fini) = { 0 };
	const char *top = getenv("TOP_SRCDIR");
	char path[SCRATCH_PATH], name[256], head[300];

	capture_run(&a, asked);
	capture_run(&b, option);
	ck_assert_int_eq(a.status, 0);
	ck_assert_int_eq(b.status, 0);
	ck_assert_str_eq(buf_str(&a.out), buf_str(&b.out));
	ck_assert_ptr_nonnull(strstr(buf_str(&a.out), row->help));
	scratch_path(path, top ? top : ".", "docs/matapalo.1");
	ck_assert_int_eq(file_read(path, 1 << 20, &page, NULL), 0);
	escape(row->name, name);
	snprintf(head, sizeof(head), ".SS matapalo %s", name);
	ck_assert_msg(strstr(buf_str(&page), head) != NULL, "%s", head);
	for (enum command_option o = 0; o < OPTION_COUNT; o++) {
		if (!command_has_option(row, o))
			continue;
		escape(command_option_row(o)->name, name);
		ck_assert_msg(strstr(buf_str(&page), name) != NULL, "%s", name);
		ck_assert_ptr_nonnull(
			strstr(buf_str(&a.out), command_option_row(o)->help));
	}
}
END_TEST

/* The words of an option's row are commands that exist. */
START_TEST(test_options_name_commands)
{
	for (enum command_option o = 0; o < OPTION_COUNT; o++) {
		char words[256], *save = NULL;

		snprintf(words, sizeof(words), "%s",
			 command_option_row(o)->commands);
		for (char *w = strtok_r(words, " ", &save); w;
		     w = strtok_r(NULL, " ", &save))
			ck_assert_msg(command_find(w) != NULL, "%s: %s",
				      command_option_row(o)->name, w);
	}
}
END_TEST

/* ---- rules ---- */

#define HEAD                                                                   \
	"{ \"version\": 1,\n"                                                  \
	"  \"targets\": { \"legacy\": { \"url\": \"http://127.0.0.1:1\" },\n"  \
	"    \"catalog\": { \"url\": \"http://127.0.0.1:2\" } },\n"            \
	"  \"rules\": [ { \"name\": \"product\", \"match\": { "                \
	"\"path\": \"/products/{id}\" },\n"                                    \
	"    \"stage\": \"migrated\", \"target\": \"catalog\" } ]"

struct checked {
	const char *text;
	int status;
	const char *out, *err; /* after the file's name, or NULL: nothing */
};

static const struct checked checks[] = {
	{ HEAD " }", 0, ": 1 rules, 2 targets, 0 of 0 tests passed\n", NULL },
	{ HEAD ",\n  \"expect\": [ { \"request\": \"GET /products/1\", "
	       "\"rule\": \"product\" } ] }",
	  0, ": 1 rules, 2 targets, 1 of 1 tests passed\n", NULL },
	{ HEAD ",\n  \"expect\": [\n { \"request\": \"GET /\", "
	       "\"rule\": \"product\" } ] }",
	  1, ":7: failed: ", NULL },
	{ HEAD ",\n  \"adapters\": {\n  \"audit\": { \"kind\": "
	       "\"stdout\" } } }",
	  0, ": 1 rules, ", NULL },
	{ HEAD ",\n  \"adapters\": {\n  \"audit\": { \"kind\": "
	       "\"carrier-pigeon\" } } }",
	  2, NULL,
	  ":7: refused: adapters.audit: there is no adapter of kind "
	  "\"carrier-pigeon\"; there is stdout" },
	{ HEAD ",\n  \"adapters\": { \"audit\": { \"kind\": \"stdout\",\n"
	       " \"settings\": { \"fiel\": \"x\" } } } }",
	  2, NULL, ":6: refused: adapters.audit: " },
	{ "{ \"version\": 1,\n \"rules\": 3 }", 2, NULL, ":2:11: rules: " },
	{ "{ \"version\": 1,\n", 2, NULL, ":" },
};

START_TEST(test_check)
{
	const struct checked *c = &checks[_i];
	struct capture_output o CLEANUP(capture_output_fini) = { 0 };
	char dir[SCRATCH_PATH], path[SCRATCH_PATH], want[SCRATCH_PATH + 80];
	const char *const words[] = { "matapalo", "check", path, NULL };
	struct buf *there = c->out ? &o.out : &o.err;
	struct buf *empty = c->out ? &o.err : &o.out;

	scratch_write(scratch_path(path, scratch_make(dir), "r.json"), c->text);
	capture_run(&o, words);
	snprintf(want, sizeof(want), "%s%s", path, c->out ? c->out : c->err);
	ck_assert_int_eq(o.status, c->status);
	ck_assert_msg(!strncmp(buf_str(there), want, strlen(want)), "%s",
		      buf_str(there));
	ck_assert_str_eq(buf_str(empty), "");
	scratch_remove(dir);
}
END_TEST

START_TEST(test_explain)
{
	struct capture_output o CLEANUP(capture_output_fini) = { 0 };
	char dir[SCRATCH_PATH], path[SCRATCH_PATH];
	const char *const words[] = {
		"matapalo", "explain", "GET", "http://shop:80/products/7?x=1",
		"--rules",  path,      "-H",  "Cookie: a=b",
		NULL
	};

	scratch_write(scratch_path(path, scratch_make(dir), "r.json"),
		      HEAD " }");
	capture_run(&o, words);
	ck_assert_int_eq(o.status, 0);
	ck_assert_ptr_nonnull(strstr(buf_str(&o.out), "product"));
	ck_assert_ptr_nonnull(strstr(buf_str(&o.out), "catalog"));
	scratch_remove(dir);
}
END_TEST

START_TEST(test_schema)
{
	static const char *const words[] = { "matapalo", "schema", NULL };
	struct capture_output o CLEANUP(capture_output_fini) = { 0 };

	capture_run(&o, words);
	ck_assert_int_eq(o.status, 0);
	ck_assert_int_eq(buf_str(&o.out)[0], '{');
}
END_TEST

/* ---- run.json ---- */

static const char *const listens[] = { "127.0.0.1:80", "unix:front", NULL };
static const char *const buses[] = { "ipc://bus.ipc", "tcp://a:1", NULL };
static const struct console_run_info info = {
	.listen = listens,
	.admin = "unix:/tmp/a",
	.bus = buses,
	.rules = "r.json",
};

START_TEST(test_run_file)
{
	struct runfile run = { 0 };
	char dir[SCRATCH_PATH], want[2 * SCRATCH_PATH], here[SCRATCH_PATH];
	struct error err = { 0 };

	scratch_make(dir);
	ck_assert_ptr_nonnull(getcwd(here, sizeof(here)));
	ck_assert_int_eq(console_write_run_file(dir, &info, &err), 0);
	ck_assert_msg(!runfile_read(&run, dir, &err), "%s", err.text);
	ck_assert_int_eq(run.pid, getpid());
	ck_assert_str_eq(run.admin, "unix:/tmp/a");
	/* Found from any directory. */
	snprintf(want, sizeof(want), "ipc://%s/bus.ipc", here);
	ck_assert_str_eq(run.bus, want);
	snprintf(want, sizeof(want), "%s/r.json", here);
	ck_assert_str_eq(run.rules, want);
	runfile_fini(&run);
	console_remove_run_file(dir);
	ck_assert_int_eq(runfile_read(&run, dir, &err), -1);
	ck_assert_ptr_nonnull(strstr(err.text, "there is no run.json"));
	scratch_remove(dir);
}
END_TEST

/* A crash leaves the file; its process is gone. */
START_TEST(test_run_file_of_the_dead)
{
	struct runfile run CLEANUP(runfile_fini) = { 0 };
	char dir[SCRATCH_PATH], path[SCRATCH_PATH];
	struct error err = { 0 };

	scratch_path(path, scratch_make(dir), "run.json");
	scratch_write(path, "{\"pid\":999999999,\"admin\":\"x:1\"}");
	ck_assert_int_eq(runfile_read(&run, dir, &err), -1);
	ck_assert_ptr_nonnull(
		strstr(err.text, "process 999999999 of its run.json is gone"));
	scratch_remove(dir);
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("command");
	TCase *tc = tcase_create("command");
	SRunner *runner;
	int failed;

	digest_start();
	tcase_add_loop_test(tc, test_usage, 0, ARRAY_SIZE(usages));
	tcase_add_test(tc, test_no_command);
	tcase_add_test(tc, test_version);
	tcase_add_test(tc, test_run_gets_its_settings);
	tcase_add_test(tc, test_settings_file_position);
	tcase_add_loop_test(tc, test_help_and_manual, 0, (int)command_count());
	tcase_add_test(tc, test_options_name_commands);
	tcase_add_loop_test(tc, test_check, 0, ARRAY_SIZE(checks));
	tcase_add_test(tc, test_explain);
	tcase_add_test(tc, test_schema);
	tcase_add_test(tc, test_run_file);
	tcase_add_test(tc, test_run_file_of_the_dead);
	suite_add_tcase(suite, tc);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
