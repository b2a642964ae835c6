/* SPDX-License-Identifier: Apache-2.0 */
/* Promise D2: the power fails at any moment, and again after the restart.
 *
 * POWER_CUTS losses (500), chosen by POWER_SEED, from journal POWER_FIRST on;
 * all are printed. A journal
 * lives several lives, each ended by a stop, a kill or a loss of power, with
 * failing fsyncs in some; every life is cut at random moments. With
 * POWER_SKIP_SYNCS=n one fsync of n is a lie: the test must fail. Every other
 * journal deletes what is old; that depends on the clock as well. */
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/digest.h"
#include "base/log.h"
#include "tests/journal/disk.h"
#include "tests/journal/load.h"
#include "tests/journal/platter.h"

#define CUTS 500
#define LIVES 5
#define CUTS_A_LIFE 10
#define STEPS_A_LIFE 24
#define CHECKPOINT_BYTES (256 << 10)
#define RETAIN_BYTES (256 << 10)

static char top[64], victim[80], image[80], victim_path[96], image_path[96];
static struct load load;
static uint64_t seed, chance;
static long cuts_left;
static unsigned slowest_ms;
static unsigned skip_one_in;
static int64_t retain_bytes;

static struct journal *
open_at(const char *path, int64_t retain)
{
	struct journal_options o = { .path = path,
				     .retention = { .bytes = retain },
				     .checkpoint_bytes = CHECKPOINT_BYTES };
	struct error err = {0};
	struct journal *j = journal_open(&o, &err);

	ck_assert_msg(j != NULL, "start-up: %s", err.text);
	return j;
}

/* What the recorder left is opened with SQLite's own files; sometimes by a
 * reader first. Then it goes on where it was. */
static void
verify_image(size_t position)
{
	uint64_t began = clock_mono_ms();
	struct journal *j = open_at(image_path, 0);
	struct probe p;
	unsigned ms = (unsigned)(clock_mono_ms() - began);

	if (ms > slowest_ms)
		slowest_ms = ms;
	load_verify(&load, image_path, position);
	probe_init(&p, "after.v1");
	ck_assert_int_eq(probe_run(j, &p), JOURNAL_COMMITTED);
	journal_close(&j);
}

static int
by_value(const void *a, const void *b)
{
	const size_t *x = a, *y = b;

	return *x < *y ? -1 : *x > *y;
}

static size_t
random_position(size_t from, size_t to)
{
	return from + platter_random(&chance) % (to - from + 1);
}

static void
cut_life(size_t from, size_t to)
{
	size_t at[CUTS_A_LIFE];
	int i;

	for (i = 0; i < CUTS_A_LIFE; i++)
		at[i] = random_position(from, to);
	qsort(at, CUTS_A_LIFE, sizeof(*at), by_value);
	for (i = 0; i < CUTS_A_LIFE && cuts_left > 0; i++, cuts_left--) {
		disk_cut(at[i], DISK_POWER, platter_random(&chance), image);
		verify_image(at[i]);
	}
}

/* Syncs fail in some lives; then everyone waits until writing works, so that
 * the order of the writes does not depend on the clock. */
static void
run_life(struct journal *j, bool faulty)
{
	int i;

	if (faulty)
		disk_fail_syncs(6);
	for (i = 0; i < STEPS_A_LIFE; i++) {
		load_step(&load, j);
		while (!journal_is_writable(j))
			usleep(500);
	}
}

/* The next life begins with what this one left. */
static void
end_life(size_t from, size_t to)
{
	enum disk_loss loss = platter_random(&chance) % 2 ? DISK_POWER
							  : DISK_KILL;
	size_t position = random_position(from, to);
	uint64_t variant = platter_random(&chance);

	if (platter_random(&chance) % 3 == 0)
		return;		/* stopped in order */
	disk_cut(position, loss, variant, image);
	verify_image(position);
	disk_restart(position, loss, variant);
	load_keep_found(&load, position);
}

/* What a start finds, it makes durable before anyone sees it. */
static void
one_life(void)
{
	size_t from = disk_position(), to;
	bool faulty = platter_random(&chance) % 2;
	struct journal *j;

	disk_resume();
	j = open_at(victim_path, retain_bytes);
	load_settle(&load, disk_position());
	run_life(j, faulty);
	journal_close(&j);
	disk_fail_syncs(0);
	disk_pause();
	to = disk_position();
	cut_life(from, to);
	end_life(from, to);
}

static void
one_journal(uint64_t number)
{
	int life;

	chance = seed + number * 7919;
	(void)platter_random(&chance);
	retain_bytes = number % 2 ? RETAIN_BYTES : 0;
	load_init(&load, chance);
	disk_begin(victim, chance);
	disk_skip_syncs(skip_one_in);
	disk_pause();
	for (life = 0; life < LIVES && cuts_left > 0; life++)
		one_life();
	disk_end();
	load_fini(&load);
}

static void
remove_all(void)
{
	char command[128];

	snprintf(command, sizeof(command), "rm -r '%s'", top);
	ck_assert_int_eq(system(command), 0);
}

/* In memory if possible: nobody will cut its power. */
static void
power_setup(void)
{
	bool memory = access("/dev/shm", W_OK) == 0;

	snprintf(top, sizeof(top), "%spower-test-XXXXXX",
		 memory ? "/dev/shm/" : "");
	ck_assert_ptr_nonnull(mkdtemp(top));
	snprintf(victim, sizeof(victim), "%s/victim", top);
	snprintf(image, sizeof(image), "%s/image", top);
	snprintf(victim_path, sizeof(victim_path), "%s/journal.db", victim);
	snprintf(image_path, sizeof(image_path), "%s/journal.db", image);
	ck_assert_int_eq(mkdir(victim, 0700) | mkdir(image, 0700), 0);
	log_set_level(LOG_LEVEL_ERROR);
}

static long
from_environment(const char *name, long otherwise)
{
	const char *value = getenv(name);

	return value ? atol(value) : otherwise;
}

START_TEST(power_is_lost_at_any_moment)
{
	uint64_t number;
	long cuts;

	seed = (uint64_t)from_environment("POWER_SEED", (long)getpid());
	cuts = cuts_left = from_environment("POWER_CUTS", CUTS);
	skip_one_in = (unsigned)from_environment("POWER_SKIP_SYNCS", 0);
	printf("power: POWER_SEED=%llu POWER_CUTS=%ld\n",
	       (unsigned long long)seed, cuts);
	fflush(stdout);
	number = (uint64_t)from_environment("POWER_FIRST", 0);
	for (; cuts_left > 0; number++) {
		if (cuts > CUTS)
			printf("power: POWER_FIRST=%llu\n",
			       (unsigned long long)number);
		fflush(stdout);
		one_journal(number);
	}
	printf("power: %ld losses, slowest start %u ms\n", cuts, slowest_ms);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("power");
	TCase *t = tcase_create("power");
	SRunner *runner;
	int failed;

	digest_start();
	tcase_set_timeout(t, 3600);
	tcase_add_checked_fixture(t, power_setup, remove_all);
	tcase_add_test(t, power_is_lost_at_any_moment);
	suite_add_tcase(s, t);
	runner = srunner_create(s);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
