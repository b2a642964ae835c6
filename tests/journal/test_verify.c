/* SPDX-License-Identifier: Apache-2.0 */
/* journal/verify.c, mark.c: whatever happens to the bytes, no altered event
 * is delivered, and what is damaged or lost is reported with its numbers. */
#include "journal/verify.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/digest.h"
#include "tests/journal/fixture.h"

#define EVENTS 160
#define FINDINGS 4096

struct findings {
	size_t count;
	struct journal_finding at[FINDINGS];
	struct journal_report report;
};

static struct findings got;

static void
note(void *arg, const struct journal_finding *f)
{
	struct findings *g = arg;

	ck_assert_uint_lt(g->count, FINDINGS);
	g->at[g->count] = *f;
	g->at[g->count++].text = "";
}

/* false: not to be opened at all, which is a report, too. */
static bool
verify(enum journal_depth depth)
{
	struct error err = {0};

	got.count = 0;
	return journal_verify(fixture_path, depth, note, &got, &got.report,
			      &err) == 0;
}

static void
expect_one(enum journal_fault fault, int64_t first, int64_t last)
{
	ck_assert(verify(JOURNAL_VERIFY_ALL));
	ck_assert_uint_eq(got.count, 1);
	ck_assert_str_eq(journal_fault_name(got.at[0].fault),
			 journal_fault_name(fault));
	ck_assert_int_eq(got.at[0].first, first);
	ck_assert_int_eq(got.at[0].last, last);
	ck_assert_uint_eq(got.report.faults, 1);
	ck_assert_str_ne(journal_fault_sentence(fault), "");
}

/* Events of all sizes, in the directory of the fixture. */
static void
fill(struct journal *j, int n)
{
	static char pad[60000];
	struct probe p;
	int i;

	memset(pad, 'p', sizeof(pad));
	for (i = 0; i < n; i++) {
		probe_init(&p, i % 3 ? "matapalo.exchange.v1" : "shop.v1");
		p.event.subject = SPAN_LITERAL("GET /a");
		p.event.correlation = SPAN_LITERAL("c");
		p.event.extensions = SPAN_LITERAL("\"x\":1");
		p.event.data = (struct span){
			pad, i % 20 == 19 ? sizeof(pad) : 100u + 37u * i };
		ck_assert_int_eq(probe_run(j, &p), JOURNAL_COMMITTED);
	}
}

START_TEST(finds_nothing_wrong)
{
	struct journal *j = fixture_open();

	fill(j, 50);
	ck_assert(journal_in_use(fixture_path));
	ck_assert(verify(JOURNAL_VERIFY_EVENTS));
	ck_assert_uint_eq(got.count, 0);
	ck_assert_int_eq(got.report.mark, 50);
	journal_close(&j);
	ck_assert(!journal_in_use(fixture_path));
	ck_assert(verify(JOURNAL_VERIFY_ALL));
	ck_assert_uint_eq(got.count, 0);
	ck_assert_int_eq(got.report.first, 1);
	ck_assert_int_eq(got.report.last, 50);
	ck_assert_int_eq(got.report.events, 50);
}
END_TEST

START_TEST(finds_each_kind)
{
	struct journal *j = fixture_open();

	fill(j, 30);
	journal_close(&j);
	sql_exec("UPDATE event SET subject = 'GET /b' WHERE seq = 7");
	expect_one(JOURNAL_FAULT_ALTERED, 7, 7);
	sql_exec("UPDATE event SET subject = 'GET /a' WHERE seq = 7;"
		 "DELETE FROM event WHERE seq BETWEEN 11 AND 13");
	expect_one(JOURNAL_FAULT_MISSING, 11, 13);
	sql_exec("INSERT INTO removed VALUES(11, 12, 'retention')");
	expect_one(JOURNAL_FAULT_MISSING, 13, 13);
	sql_exec("INSERT INTO removed VALUES(13, 14, 'forced')");
	expect_one(JOURNAL_FAULT_PRESENT, 14, 14);
	sql_exec("UPDATE removed SET last = 13 WHERE first = 13;"
		 "INSERT INTO consumer_group VALUES('g', 31, '{}', 0)");
	expect_one(JOURNAL_FAULT_CURSOR, 31, 31);
	sql_exec("DELETE FROM consumer_group; INSERT INTO"
		 " retry(group_name, seq, attempts, not_before, first, last)"
		 " VALUES('g', 12, 1, 0, 0, 0)");
	expect_one(JOURNAL_FAULT_REFERENCE, 12, 12);
	sql_exec("DELETE FROM retry");
	ck_assert(verify(JOURNAL_VERIFY_ALL));
	ck_assert_uint_eq(got.count, 0);
	ck_assert_int_eq(got.report.removed, 3);
}
END_TEST

START_TEST(a_swap_of_two_events_is_found)
{
	struct journal *j = fixture_open();

	fill(j, 9);
	journal_close(&j);
	sql_exec("UPDATE event SET seq = -1 WHERE seq = 4;"
		 "UPDATE event SET seq = 4 WHERE seq = 5;"
		 "UPDATE event SET seq = 5 WHERE seq = -1");
	ck_assert(verify(JOURNAL_VERIFY_EVENTS));
	ck_assert_uint_eq(got.count, 2);
	ck_assert_int_eq(got.at[0].first, 4);
	ck_assert_int_eq(got.at[1].last, 5);
}
END_TEST

/* ---- bytes that change behind everybody's back ---- */

static struct file {
	char *at;
	size_t len;
} files[2], lock_file;
static const char *const ends[] = { "", "-wal" };
static char originals[EVENTS + 1][DIGEST_HEX_SIZE];

static void
path_of(const char *end, char *out, size_t size)
{
	snprintf(out, size, "%s%s", fixture_path, end);
}

static struct file
slurp(const char *end)
{
	struct file f = {0};
	struct stat st;
	char path[128];
	int fd;

	path_of(end, path, sizeof(path));
	fd = open(path, O_RDONLY);
	if (fd < 0)
		return f;
	ck_assert_int_eq(fstat(fd, &st), 0);
	f.len = (size_t)st.st_size;
	f.at = malloc(f.len + 1);
	ck_assert_int_eq(read(fd, f.at, f.len), (ssize_t)f.len);
	close(fd);
	return f;
}

static void
spill(const char *end, const struct file *f)
{
	char path[128];
	int fd;

	path_of(end, path, sizeof(path));
	fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(write(fd, f->at, f->len), (ssize_t)f->len);
	close(fd);
}

/* A journal whose process was killed: a database and a log. */
static void
build(void)
{
	int status;
	pid_t child = fork();

	if (child == 0) {
		struct journal *j = fixture_open();

		fill(j, EVENTS / 2);
		journal_close(&j);
		j = fixture_open();
		fill(j, EVENTS / 2);
		kill(getpid(), SIGKILL);
	}
	ck_assert_int_eq(waitpid(child, &status, 0), child);
	ck_assert(WIFSIGNALED(status));
	files[0] = slurp(ends[0]);
	files[1] = slurp(ends[1]);
	lock_file = slurp(".lock");
	ck_assert_uint_gt(files[0].len, 100000);
	ck_assert_uint_gt(files[1].len, 100000);
}

static void
restore_files(void)
{
	char path[128];

	spill(ends[0], &files[0]);
	spill(ends[1], &files[1]);
	spill(".lock", &lock_file);
	path_of("-shm", path, sizeof(path));
	unlink(path);
}

static void
digest_row(const struct journal_row *row, char *out)
{
	static const struct digest_key key;
	char id[ID_TEXT_SIZE];
	struct buf all = {0};

	buf_printf(&all, "%lld %s %lld %d", (long long)row->sequence,
		   id_text(&row->id, id), (long long)row->time_us,
		   row->shadow);
	buf_add(&all, row->type.at, row->type.len);
	buf_add(&all, row->source.at, row->source.len);
	buf_add(&all, row->subject.at, row->subject.len);
	buf_add(&all, row->correlation.at, row->correlation.len);
	buf_add(&all, row->extensions.at, row->extensions.len);
	buf_add(&all, row->data.at, row->data.len);
	digest_keyed_hex(&key, buf_span(&all), out, DIGEST_HEX_SIZE - 1);
	buf_fini(&all);
}

struct delivery {
	bool first;		/* the originals are being learned */
	bool seen[EVENTS + 1];
};

static bool
deliver(void *arg, const struct journal_row *row)
{
	struct delivery *d = arg;
	char digest[DIGEST_HEX_SIZE];

	ck_assert_int_ge(row->sequence, 1);
	ck_assert_int_le(row->sequence, EVENTS);
	digest_row(row, digest);
	if (d->first)
		memcpy(originals[row->sequence], digest, sizeof(digest));
	ck_assert_msg(!strcmp(originals[row->sequence], digest),
		      "event %lld was altered and delivered",
		      (long long)row->sequence);
	d->seen[row->sequence] = true;
	return true;
}

static void
deliver_all(struct delivery *d)
{
	struct error err = {0};
	struct journal_reader *r = journal_reader_open(fixture_path, &err);
	int64_t at = 0, before;

	if (!r)
		return;
	do {
		before = at;
		if (journal_read(r, at, NULL, 1000, 1000, deliver, d,
				 &at) < 0)
			break;
	} while (at > before);
	/* What a walk cannot reach may still be asked for by number. */
	for (at = 1; at <= EVENTS; at++)
		(void)journal_read_one(r, at, deliver, d);
	journal_reader_close(&r);
}

static bool
is_reported(int64_t sequence)
{
	size_t i;

	for (i = 0; i < got.count; i++)
		if (got.at[i].first <= sequence && sequence <= got.at[i].last)
			return true;
	return false;
}

/* Whatever was done to the files: what is delivered is as it was, and what is
 * not is reported by its number. 1 when damage was found. */
static int
judge(const char *what)
{
	struct delivery d = {0};
	bool opened = verify(JOURNAL_VERIFY_ALL);
	int64_t i;

	deliver_all(&d);
	for (i = 1; opened && i <= EVENTS; i++)
		ck_assert_msg(d.seen[i] || is_reported(i), "%s: event %lld is "
			      "gone and not reported", what, (long long)i);
	return !opened || got.count > 0;
}

static int
many(const char *variable, int fallback)
{
	const char *text = getenv(variable);

	return text ? atoi(text) : fallback;
}

static void
learn(void)
{
	struct delivery d = { .first = true };

	build();
	restore_files();
	deliver_all(&d);
	restore_files();
	ck_assert_int_eq(judge("untouched"), 0);
}

START_TEST(flipped_bits_are_found)
{
	int i, which, damaged = 0, flips = many("ROT_FLIPS", 100);
	char what[64];
	size_t bit;

	learn();
	srand((unsigned)many("ROT_SEED", (int)getpid()));
	for (i = 0; i < flips; i++) {
		which = i % 2;
		bit = (size_t)rand() % (files[which].len * 8);
		snprintf(what, sizeof(what), "bit %zu of journal.db%s", bit,
			 ends[which]);
		files[which].at[bit / 8] ^= (char)(1 << bit % 8);
		restore_files();
		damaged += judge(what);
		files[which].at[bit / 8] ^= (char)(1 << bit % 8);
	}
	ck_assert_int_gt(damaged, flips / 4);
	printf("flips: %d, of which %d damaged something\n", flips, damaged);
}
END_TEST

START_TEST(cut_files_are_found)
{
	int i, which, damaged = 0, cuts = many("ROT_CUTS", 20);
	char what[64];
	size_t len;

	learn();
	srand((unsigned)many("ROT_SEED", (int)getpid()));
	for (i = 0; i < cuts; i++) {
		which = i % 4 == 0 ? 0 : 1;
		len = files[which].len;
		files[which].len = (size_t)rand() % len;
		snprintf(what, sizeof(what), "journal.db%s cut at %zu",
			 ends[which], files[which].len);
		restore_files();
		damaged += judge(what);
		files[which].len = len;
	}
	ck_assert_int_ge(damaged, cuts * 3 / 4);
	printf("cuts: %d, of which %d lost something\n", cuts, damaged);
}
END_TEST

/* A log without its end is noticed by the next process, too, and says so to
 * everybody; the numbers are not given again. */
START_TEST(a_lost_tail_is_noted)
{
	struct journal *j;

	learn();
	files[1].len = 32 + 10 * (24 + 16384);
	restore_files();
	ck_assert(verify(JOURNAL_VERIFY_ALL));
	ck_assert_int_eq(got.at[got.count - 1].fault,
			 JOURNAL_FAULT_LOST_TAIL);
	ck_assert_int_eq(got.at[got.count - 1].last, EVENTS);
	j = fixture_open();
	ck_assert_int_eq(journal_last_sequence(j), EVENTS + 1);
	ck_assert_int_eq(append_event(j, "a.v1", "", NULL), EVENTS + 2);
	journal_close(&j);
	ck_assert_str_eq(sql_text("SELECT last FROM gaps WHERE kind = 'lost'"),
			 "160");
	ck_assert_str_eq(sql_text("SELECT reason LIKE '%to 160' FROM gaps"
				  " WHERE kind = 'unrecorded'"), "1");
	ck_assert(verify(JOURNAL_VERIFY_ALL));
	ck_assert_uint_eq(got.count, 0);
}
END_TEST

START_TEST(a_damaged_mark_is_no_mark)
{
	struct journal *j = fixture_open();
	struct file f;

	fill(j, 5);
	journal_close(&j);
	f = slurp(".lock");
	f.at[40] = '7';
	spill(".lock", &f);
	free(f.at);
	ck_assert(verify(JOURNAL_VERIFY_ALL));
	ck_assert_int_eq(got.report.mark, 0);
	j = fixture_open();
	ck_assert_int_eq(append_event(j, "a.v1", "", NULL), 6);
	journal_close(&j);
}
END_TEST

TCase *
case_verify(void)
{
	TCase *t = tcase_create("verify");

	tcase_add_checked_fixture(t, fixture_setup, fixture_teardown);
	tcase_set_timeout(t, 3600);
	tcase_add_test(t, finds_nothing_wrong);
	tcase_add_test(t, finds_each_kind);
	tcase_add_test(t, a_swap_of_two_events_is_found);
	tcase_add_test(t, flipped_bits_are_found);
	tcase_add_test(t, cut_files_are_found);
	tcase_add_test(t, a_lost_tail_is_noted);
	tcase_add_test(t, a_damaged_mark_is_no_mark);
	return t;
}
