/* SPDX-License-Identifier: Apache-2.0 */
/* Settings: where they come from, what is refused and with which words. */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "console/file.h"
#include "console/settings.h"
#include "tests/console/scratch.h"

#define WORDS 8

/* One row: options, environment and file in, one member out. */
struct good {
	const char *options[WORDS];
	const char *env[WORDS];
	const char *file;
	const char *key, *want;
};

static const struct good goods[] = {
	/* defaults */
	{ { "--legacy", "u" }, { 0 }, NULL, "listen", "127.0.0.1:8080" },
	{ { "--legacy", "u" }, { 0 }, NULL, "data", "./matapalo-data" },
	{ { "--legacy", "u" }, { 0 }, NULL, "admin", "127.0.0.1:8081" },
	{ { "--legacy", "u" }, { 0 }, NULL, "workers", "0" },
	{ { "--legacy", "u" }, { 0 }, NULL, "drain", "10000" },
	{ { "--legacy", "u" }, { 0 }, NULL, "head", "10000" },
	{ { "--legacy", "u" }, { 0 }, NULL, "idle", "60000" },
	{ { "--legacy", "u" }, { 0 }, NULL, "commit_delay", "30" },
	{ { "--legacy", "u" }, { 0 }, NULL, "retain_age", "0" },
	{ { "--legacy", "u", "--retain-age", "30d" },
	  { 0 }, NULL, "retain_age", "2592000" },
	{ { "--legacy", "u", "--retain-age", "0" },
	  { 0 }, NULL, "retain_age", "0" },
	{ { "--legacy", "u", "--retain-age", "36500d" },
	  { 0 }, NULL, "retain_age", "3153600000" },
	{ { "--legacy", "u", "--retain-size", "512" },
	  { 0 }, NULL, "retain_size", "512" },
	{ { "--legacy", "u" }, { 0 }, NULL, "retain_full", "keep" },
	{ { "--legacy", "u" }, { 0 }, NULL, "log_level", "info" },
	{ { "--legacy", "u" }, { 0 }, NULL, "rules", "-" },
	/* made from the data directory */
	{ { "--legacy", "u", "--data", "/d" },
	  { 0 },
	  NULL,
	  "bus",
	  "ipc:///d/bus.ipc" },
	{ { "--legacy", "u", "--data=/d" },
	  { 0 },
	  NULL,
	  "admin_token_file",
	  "/d/admin.token" },
	/* each source, and which wins */
	{ { "--legacy=http://a:1" }, { 0 }, NULL, "legacy", "http://a:1" },
	{ { 0 }, { "MATAPALO_LEGACY=e" }, NULL, "legacy", "e" },
	{ { 0 }, { 0 }, "legacy = f\n", "legacy", "f" },
	{ { "--legacy", "o" },
	  { "MATAPALO_LEGACY=e" },
	  "legacy = f\n",
	  "legacy",
	  "o" },
	{ { 0 }, { "MATAPALO_LEGACY=e" }, "legacy = f\n", "legacy", "e" },
	{ { "--legacy", "u" },
	  { "MATAPALO_WORKERS=" },
	  "workers = 3\n",
	  "workers",
	  "3" },
	/* lists */
	{ { "--legacy", "u", "--listen", "1.2.3.4:1", "--listen", "unix:/s" },
	  { "MATAPALO_LISTEN=5.6.7.8:1" },
	  NULL,
	  "listen",
	  "1.2.3.4:1 unix:/s" },
	{ { "--legacy", "u" },
	  { "MATAPALO_LISTEN=a:1, b:2" },
	  NULL,
	  "listen",
	  "a:1 b:2" },
	{ { "--legacy", "u" },
	  { 0 },
	  "listen = a:1\nlisten = b:2, [::1]:3\n",
	  "listen",
	  "a:1 b:2 [::1]:3" },
	{ { "--legacy", "u", "--listen", "a:1,tls,proxy", "--tls-certificate",
	    "c" },
	  { 0 },
	  NULL,
	  "listen",
	  "a:1,tls,proxy" },
	{ { "--legacy", "u" },
	  { "MATAPALO_LISTEN=a:1, tls , proxy, unix:/s,mode=0660, b:2",
	    "MATAPALO_TLS_CERTIFICATE=c" },
	  NULL,
	  "listen",
	  "a:1, tls , proxy unix:/s,mode=0660 b:2" },
	{ { "--legacy", "u", "--bus", "tcp://127.0.0.1:0" },
	  { 0 },
	  NULL,
	  "bus",
	  "tcp://127.0.0.1:0" },
	{ { "--legacy", "u" },
	  { 0 },
	  "tls_certificate = a.pem, b.pem\ntls_certificate = c.pem\n",
	  "tls_certificate",
	  "a.pem b.pem c.pem" },
	{ { "--legacy", "u" }, { 0 }, NULL, "tls_min_version", "1.2" },
	/* the file's form */
	{ { "--legacy", "u" },
	  { 0 },
	  "# a comment\r\n\n  idle=2m \n drain  =  250ms",
	  "idle",
	  "120000" },
	{ { "--legacy", "u" },
	  { 0 },
	  "source = urn:a=b\n",
	  "source",
	  "urn:a=b" },
	{ { "--legacy", "u", "--idle", "1h" }, { 0 }, NULL, "idle", "3600000" },
};

static size_t
count_words(const char *const *words)
{
	size_t n = 0;

	while (n < WORDS && words[n])
		n++;
	return n;
}

/* Loads with the file, if any, as --settings; the path is left in `path`. */
static int
load(struct settings *s, const char *const *options, const char *const *env,
     const char *file, const char *path, struct error *err)
{
	const char *argv[WORDS + 2], *environment[WORDS + 1] = { NULL };
	size_t argc = count_words(options);

	memcpy(argv, options, argc * sizeof(*argv));
	memcpy(environment, env, count_words(env) * sizeof(*env));
	if (file) {
		scratch_write(path, file);
		argv[argc++] = "--settings";
		argv[argc++] = path;
	}
	return settings_load(s, (int)argc, argv, environment, err);
}

/* A member as text: lists by spaces, "-" when unset. */
static void
text_of(const struct console_settings *v, const struct settings_row *row,
	struct buf *out)
{
	const void *member = (const char *)v + row->offset;
	const char *const *list = member;

	if (row->type == SETTINGS_COUNT || row->type == SETTINGS_DURATION ||
	    row->type == SETTINGS_AGE || row->type == SETTINGS_NUMBER) {
		buf_printf(out, "%u", *(const unsigned *)member);
		return;
	}
	if (!list[0])
		buf_adds(out, "-");
	for (size_t i = 0; list[i]; i++) {
		buf_printf(out, "%s%s", i ? " " : "", list[i]);
		if (!settings_is_list(row))
			break;
	}
}

START_TEST(test_good)
{
	const struct good *g = &goods[_i];
	struct settings s CLEANUP(settings_fini) = { 0 };
	struct buf got CLEANUP(buf_fini) = { 0 };
	struct error err = { 0 };
	char dir[SCRATCH_PATH], path[SCRATCH_PATH];

	scratch_path(path, scratch_make(dir), "settings");
	ck_assert_msg(!load(&s, g->options, g->env, g->file, path, &err),
		      "row %d: %s", _i, err.text);
	text_of(&s.value, settings_find(g->key), &got);
	ck_assert_str_eq(buf_str(&got), g->want);
	scratch_remove(dir);
}
END_TEST

struct bad {
	const char *options[WORDS];
	const char *env[WORDS];
	const char *file;
	const char *message;
	int line;
};

static const struct bad bads[] = {
	{ { "--legacy", "u", "--retain-age", "30" },
	  { 0 },
	  NULL,
	  "--retain-age: `30' is not an age: write a number and s, m, h or d "
	  "(12h, 30d), or 0",
	  0 },
	{ { "--legacy", "u", "--retain-age", "36501d" },
	  { 0 },
	  NULL,
	  "--retain-age: `36501d' is not an age: write a number and s, m, h or "
	  "d (12h, 30d), or 0",
	  0 },
	{ { "--legacy", "u", "--retain-full", "maybe" },
	  { 0 },
	  NULL,
	  "--retain-full: `maybe' is neither keep nor drop",
	  0 },
	{ { 0 },
	  { 0 },
	  NULL,
	  "what shall stand behind matapalo? Give --legacy URL or --rules "
	  "FILE",
	  0 },
	{ { "--legacy", "u", "--rules", "f" },
	  { 0 },
	  NULL,
	  "--legacy and --rules exclude each other: a rules file names the "
	  "legacy itself, as target \"legacy\"",
	  0 },
	{ { "--lagacy", "u" },
	  { 0 },
	  NULL,
	  "option --lagacy is unknown: did you mean --legacy?",
	  0 },
	{ { "--lisen=x:1" },
	  { 0 },
	  NULL,
	  "option --lisen is unknown: did you mean --listen?",
	  0 },
	{ { "--frobnicate" },
	  { 0 },
	  NULL,
	  "option --frobnicate is unknown: see `matapalo help run'",
	  0 },
	{ { "http://x" },
	  { 0 },
	  NULL,
	  "`http://x' is not expected: `run' takes options only",
	  0 },
	{ { "--legacy" }, { 0 }, NULL, "--legacy needs a value: URL", 0 },
	{ { "--legacy", "a", "--legacy", "b" },
	  { 0 },
	  NULL,
	  "--legacy is given twice",
	  0 },
	{ { "--legacy", "" }, { 0 }, NULL, "--legacy: the value is empty", 0 },
	{ { "--workers", "x" },
	  { 0 },
	  NULL,
	  "--workers: `x' is not a number from 0 to 1024",
	  0 },
	{ { "--workers", "-1" },
	  { 0 },
	  NULL,
	  "--workers: `-1' is not a number from 0 to 1024",
	  0 },
	{ { "--workers", "1025" },
	  { 0 },
	  NULL,
	  "--workers: `1025' is not a number from 0 to 1024",
	  0 },
	{ { "--idle", "5" },
	  { 0 },
	  NULL,
	  "--idle: `5' is not a time: write a number and ms, s, m or h "
	  "(250ms, 3s, 2m), at most 24h",
	  0 },
	{ { "--idle", "25h" },
	  { 0 },
	  NULL,
	  "--idle: `25h' is not a time: write a number and ms, s, m or h "
	  "(250ms, 3s, 2m), at most 24h",
	  0 },
	{ { "--log-level", "loud" },
	  { 0 },
	  NULL,
	  "--log-level: `loud' is not a log level: use error, warn, info or "
	  "debug",
	  0 },
	{ { "--listen", "8080" },
	  { 0 },
	  NULL,
	  "--listen: `8080' is not an address: write ADDR:PORT "
	  "(127.0.0.1:8080, [::1]:8080) or unix:PATH",
	  0 },
	{ { "--listen", "127.0.0.1:65536" },
	  { 0 },
	  NULL,
	  "--listen: `127.0.0.1:65536' is not an address: write ADDR:PORT "
	  "(127.0.0.1:8080, [::1]:8080) or unix:PATH",
	  0 },
	{ { "--listen", "::1:80" },
	  { 0 },
	  NULL,
	  "--listen: `::1:80' is not an address: put the IPv6 address in "
	  "brackets, [::1]:8080",
	  0 },
	{ { "--listen", "a:1,tsl" },
	  { 0 },
	  NULL,
	  "--listen: `tsl' is not an option of a listen address: there are "
	  "tls, proxy and mode=0660",
	  0 },
	{ { "--legacy", "u", "--listen", "a:1,tls" },
	  { 0 },
	  NULL,
	  "--listen a:1,tls needs a certificate: give --tls-certificate FILE",
	  0 },
	{ { "--legacy", "u", "--tls-client-certificates", "request" },
	  { 0 },
	  NULL,
	  "--tls-client-certificates request: say with --tls-client-ca FILE "
	  "who signs them",
	  0 },
	{ { "--listen", "a:1,mode=0660" },
	  { 0 },
	  NULL,
	  "--listen: mode= is for unix:PATH only",
	  0 },
	{ { "--listen", "unix:/s,mode=rw" },
	  { 0 },
	  NULL,
	  "--listen: `rw' is not a mode: write three or four octal digits, "
	  "mode=0660",
	  0 },
	{ { "--trusted-proxy", "10.0.0.1/8" },
	  { 0 },
	  NULL,
	  "--trusted-proxy: `10.0.0.1/8' is not a network: the address has "
	  "bits behind its prefix of 8",
	  0 },
	{ { "--trusted-field", "x-real-ip" },
	  { 0 },
	  NULL,
	  "--trusted-field: `x-real-ip' is not a field that names a client: "
	  "use x-forwarded-for or forwarded",
	  0 },
	{ { "--admin", "unix:" },
	  { 0 },
	  NULL,
	  "--admin: the socket's path is missing",
	  0 },
	{ { "--legacy", "u", "--bus", "tcp://0.0.0.0:7070" },
	  { 0 },
	  NULL,
	  "--bus tcp://0.0.0.0:7070 can be reached from other machines: say "
	  "with --bus-tokens FILE who may do what there, or use a loopback "
	  "address",
	  0 },
	{ { "--legacy", "u", "--bus", "tcp://127.0.0.1.example:7070" },
	  { 0 },
	  NULL,
	  "--bus tcp://127.0.0.1.example:7070 can be reached from other "
	  "machines: say with --bus-tokens FILE who may do what there, or use "
	  "a loopback address",
	  0 },
	{ { "--bus", "http://x" },
	  { 0 },
	  NULL,
	  "--bus: `http://x' is not a bus address: write ipc://PATH, "
	  "tcp://ADDR:PORT or tls+tcp://ADDR:PORT",
	  0 },
	{ { "--legacy", "u" },
	  { "MATAPALO_DRAIN=soon" },
	  NULL,
	  "MATAPALO_DRAIN: `soon' is not a time: write a number and ms, s, m "
	  "or h (250ms, 3s, 2m), at most 24h",
	  0 },
	{ { "--legacy", "u" },
	  { 0 },
	  "idle = 1s\n\nworker = 2\n",
	  "key worker is unknown: did you mean workers?",
	  3 },
	{ { "--legacy", "u" },
	  { 0 },
	  "idle\n",
	  "`idle' is no setting: write key = value",
	  1 },
	{ { "--legacy", "u" }, { 0 }, "\nidle =\n", "idle has no value", 2 },
	{ { "--legacy", "u" },
	  { 0 },
	  "idle = 1s\nidle = 2s\n",
	  "idle is already set on line 1",
	  2 },
	{ { "--legacy", "u" },
	  { 0 },
	  "\n\nworkers = many\n",
	  "workers: `many' is not a number from 0 to 1024",
	  3 },
	{ { "--legacy", "u" },
	  { 0 },
	  "settings = other\n",
	  "a settings file cannot name another",
	  1 },
};

START_TEST(test_bad)
{
	const struct bad *b = &bads[_i];
	struct settings s CLEANUP(settings_fini) = { 0 };
	struct error err = { 0 };
	char dir[SCRATCH_PATH], path[SCRATCH_PATH];

	scratch_path(path, scratch_make(dir), "settings");
	ck_assert_int_eq(load(&s, b->options, b->env, b->file, path, &err), -1);
	ck_assert_str_eq(err.text, b->message);
	ck_assert_int_eq(err.line, b->line);
	scratch_remove(dir);
}
END_TEST

START_TEST(test_missing_file)
{
	static const char *const argv[] = { "--settings", "/nonexistent/x" };
	static const char *const env[] = { NULL };
	struct settings s CLEANUP(settings_fini) = { 0 };
	struct error err = { 0 };

	ck_assert_int_eq(settings_load(&s, 2, argv, env, &err), -1);
	ck_assert_str_eq(err.text, "/nonexistent/x: No such file or directory");
}
END_TEST

START_TEST(test_list_too_long)
{
	const char *argv[2 * CONSOLE_LIST_MAX + 2];
	static const char *const env[] = { NULL };
	struct settings s CLEANUP(settings_fini) = { 0 };
	struct error err = { 0 };

	for (size_t i = 0; i < ARRAY_SIZE(argv); i += 2) {
		argv[i] = "--listen";
		argv[i + 1] = "a:1";
	}
	ck_assert_int_eq(settings_load(&s, ARRAY_SIZE(argv), argv, env, &err),
			 -1);
	ck_assert_str_eq(err.text, "--listen is given more than 64 times");
}
END_TEST

START_TEST(test_source_names_the_host)
{
	static const char *const argv[] = { "--legacy", "u" };
	static const char *const env[] = { NULL };
	struct settings s CLEANUP(settings_fini) = { 0 };
	char host[256] = "", want[300];

	ck_assert_int_eq(settings_load(&s, 2, argv, env, NULL), 0);
	gethostname(host, sizeof(host) - 1);
	snprintf(want, sizeof(want), "urn:matapalo:%s", host);
	ck_assert_str_eq(s.value.source, want);
}
END_TEST

/* Key, option and variable are one name in three spellings. */
START_TEST(test_names_follow_from_the_key)
{
	for (size_t i = 0; i < settings_count(); i++) {
		const struct settings_row *row = settings_row(i);
		char option[64] = "--", env[64] = "MATAPALO_";

		for (const char *k = row->key; *k; k++) {
			size_t len = strlen(option), at = strlen(env);

			option[len] = *k == '_' ? '-' : *k;
			env[at] = *k == '_' ? '_' : (char)(*k - 'a' + 'A');
		}
		ck_assert_str_eq(row->option, option);
		ck_assert_str_eq(row->environment, env);
		ck_assert_str_ne(row->help, "");
	}
}
END_TEST

START_TEST(test_environment_slips)
{
	static const char *const env[] = {
		"MATAPALO_WORKRES=3",
		"MATAPALO_PORT_8080_TCP=tcp://x",
		"MATAPALO_LEGACY=x",
		"OTHER=1",
		NULL,
	};
	struct buf out CLEANUP(buf_fini) = { 0 };

	settings_warn_environment(env, &out);
	ck_assert_str_eq(buf_str(&out), "MATAPALO_WORKRES is not a setting: "
					"did you mean MATAPALO_WORKERS?\n");
}
END_TEST

/* ---- the manual ---- */

/* docs/settings.md holds exactly the table that the rows make. */
static void
markdown(struct buf *out)
{
	buf_adds(out, "| key | option | environment | value | default | "
		      "what it does |\n|---|---|---|---|---|---|\n");
	for (size_t i = 0; i < settings_count(); i++) {
		const struct settings_row *row = settings_row(i);

		buf_printf(out, "| `%s` | `%s` | `%s` | ", row->key,
			   row->option, row->environment);
		for (const char *c = row->metavar; *c; c++)
			if (*c == '|')
				buf_adds(out, " or ");
			else
				buf_addc(out, *c);
		buf_printf(out, "%s%s%s | %s%s%s | %s |\n",
			   *row->unit ? " (" : "", row->unit,
			   *row->unit ? ")" : "", row->fallback ? "`" : "",
			   row->fallback ? row->fallback : "none",
			   row->fallback ? "`" : "", row->help);
	}
}

static void
read_document(const char *name, struct buf *out)
{
	const char *top = getenv("TOP_SRCDIR");
	char path[SCRATCH_PATH];
	struct error err = { 0 };

	scratch_path(path, top ? top : ".", name);
	ck_assert_msg(!file_read(path, 1 << 20, out, &err), "%s", err.text);
}

START_TEST(test_documented_in_markdown)
{
	struct buf want CLEANUP(buf_fini) = { 0 };
	struct buf page CLEANUP(buf_fini) = { 0 };

	markdown(&want);
	read_document("docs/settings.md", &page);
	ck_assert_msg(strstr(buf_str(&page), buf_str(&want)),
		      "docs/settings.md must hold this table:\n%s",
		      buf_str(&want));
}
END_TEST

/* groff wants each `-' of an option escaped. */
START_TEST(test_documented_in_manual)
{
	struct buf page CLEANUP(buf_fini) = { 0 };

	read_document("docs/matapalo.1", &page);
	for (size_t i = 0; i < settings_count(); i++) {
		const struct settings_row *row = settings_row(i);
		char option[128] = ".BR ";

		for (const char *c = row->option; *c; c++) {
			size_t at = strlen(option);

			if (*c == '-')
				option[at++] = '\\';
			option[at] = *c;
		}
		ck_assert_msg(strstr(buf_str(&page), option),
			      "docs/matapalo.1 lacks %s", row->option);
		ck_assert_msg(strstr(buf_str(&page), row->environment),
			      "docs/matapalo.1 lacks %s", row->environment);
	}
}
END_TEST

START_TEST(test_help_has_every_row)
{
	struct buf help CLEANUP(buf_fini) = { 0 };

	settings_help(&help);
	for (size_t i = 0; i < settings_count(); i++) {
		const struct settings_row *row = settings_row(i);

		ck_assert_ptr_nonnull(strstr(buf_str(&help), row->option));
		ck_assert_ptr_nonnull(strstr(buf_str(&help), row->help));
	}
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("settings");
	TCase *tc = tcase_create("settings");
	SRunner *runner;
	int failed;

	tcase_add_loop_test(tc, test_good, 0, ARRAY_SIZE(goods));
	tcase_add_loop_test(tc, test_bad, 0, ARRAY_SIZE(bads));
	tcase_add_test(tc, test_missing_file);
	tcase_add_test(tc, test_list_too_long);
	tcase_add_test(tc, test_source_names_the_host);
	tcase_add_test(tc, test_names_follow_from_the_key);
	tcase_add_test(tc, test_environment_slips);
	tcase_add_test(tc, test_documented_in_markdown);
	tcase_add_test(tc, test_documented_in_manual);
	tcase_add_test(tc, test_help_has_every_row);
	suite_add_tcase(suite, tc);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
