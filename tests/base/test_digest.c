/* SPDX-License-Identifier: Apache-2.0 */
/* Tests of base/digest.c. */
#include "tests/base/suites.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/digest.h"
#include "base/error.h"

static char dir[] = "/tmp/matapalo-digest-XXXXXX";
static char path[64];

static void
make_dir(void)
{
	ck_assert_ptr_nonnull(mkdtemp(dir));
	snprintf(path, sizeof(path), "%s/key", dir);
}

static void
remove_dir(void)
{
	unlink(path);
	ck_assert_int_eq(rmdir(dir), 0);
}

static void
write_file(const char *text)
{
	FILE *f = fopen(path, "w");

	ck_assert_ptr_nonnull(f);
	fputs(text, f);
	ck_assert_int_eq(fclose(f), 0);
}

START_TEST(makes_a_key_once)
{
	struct digest_key a, b;
	struct stat st;

	ck_assert_int_eq(digest_key_load(&a, path, NULL), 0);
	ck_assert_int_eq(stat(path, &st), 0);
	ck_assert_int_eq(st.st_mode & 0777, 0600);
	ck_assert_int_eq(st.st_size, 65);
	ck_assert_int_eq(digest_key_load(&b, path, NULL), 0);
	ck_assert_mem_eq(&a, &b, sizeof(a));
	/* rmdir in remove_dir proves that nothing else was left behind */
}
END_TEST

#define RACERS 8

static pthread_barrier_t start_line;

static void *
race(void *arg)
{
	pthread_barrier_wait(&start_line);
	return digest_key_load(arg, path, NULL) == 0 ? NULL : arg;
}

/* Whoever loses the race takes the winner's key. */
START_TEST(makes_one_key_for_all)
{
	struct digest_key keys[RACERS];
	pthread_t threads[RACERS];

	pthread_barrier_init(&start_line, NULL, RACERS);
	for (int i = 0; i < RACERS; i++)
		ck_assert_int_eq(pthread_create(&threads[i], NULL, race,
						&keys[i]), 0);
	for (int i = 0; i < RACERS; i++) {
		void *failed;

		pthread_join(threads[i], &failed);
		ck_assert_ptr_null(failed);
	}
	for (int i = 1; i < RACERS; i++)
		ck_assert_mem_eq(&keys[0], &keys[i], sizeof(keys[0]));
	pthread_barrier_destroy(&start_line);
}
END_TEST

START_TEST(reads_a_given_key)
{
	struct digest_key key;

	write_file("000102030405060708090a0b0c0d0e0f"
		   "101112131415161718191a1b1c1d1e1f");
	ck_assert_int_eq(digest_key_load(&key, path, NULL), 0);
	for (int i = 0; i < 32; i++)
		ck_assert_int_eq(key.bytes[i], i);
}
END_TEST

START_TEST(refuses_bad_keys)
{
	static const char *const bad[] = {
		"", "\n", "abcd\n",
		"000102030405060708090a0b0c0d0e0f"
		"101112131415161718191a1b1c1d1e1g\n",
		"000102030405060708090a0b0c0d0e0f"
		"101112131415161718191a1b1c1d1e1f00\n",
	};

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		struct error err = {0};
		struct digest_key key;

		write_file(bad[i]);
		ck_assert_int_eq(digest_key_load(&key, path, &err), -1);
		ck_assert_ptr_nonnull(strstr(err.text, path));
		ck_assert_ptr_nonnull(strstr(err.text, "64 hexadecimal"));
	}
}
END_TEST

START_TEST(says_where_it_cannot_write)
{
	struct error err = {0};
	struct digest_key key;

	ck_assert_int_eq(digest_key_load(&key, "/nonexistent/key", &err), -1);
	ck_assert_str_eq(err.text, "/nonexistent/key: cannot create the "
				   "digest key: No such file or directory");
}
END_TEST

START_TEST(keyed_digest)
{
	struct digest_key one = { { 1 } }, two = { { 2 } };
	char a[DIGEST_HEX_SIZE], b[DIGEST_HEX_SIZE];

	digest_keyed_hex(&one, SPAN_LITERAL("secret"), a, 64);
	ck_assert_uint_eq(strlen(a), 64);
	digest_keyed_hex(&one, SPAN_LITERAL("secret"), b, 16);
	ck_assert_uint_eq(strlen(b), 16);
	ck_assert_mem_eq(a, b, 16);
	digest_keyed_hex(&two, SPAN_LITERAL("secret"), b, 64);
	ck_assert_str_ne(a, b);
	digest_keyed_hex(&one, (struct span){ NULL, 0 }, b, 64);
	ck_assert_str_ne(a, b);
}
END_TEST

/* RFC 7693's algorithm at 32 bytes: `printf abc | b2sum -l 256`. */
START_TEST(stream_digest)
{
	struct digest_stream *s = digest_stream_new();
	char out[DIGEST_HEX_SIZE];

	ck_assert_ptr_nonnull(s);
	digest_stream_add(s, "a", 1);
	digest_stream_add(s, NULL, 0);
	digest_stream_add(s, "bc", 2);
	digest_stream_end(s, out);
	ck_assert_str_eq(out, "bddd813c634239723171ef3fee98579b"
			      "94964e3bb1cb3e427262c8c068d52319");
	digest_stream_free(&s);
	ck_assert_ptr_null(s);
	digest_stream_free(&s);
}
END_TEST

/* The vectors of the SipHash paper's appendix and reference code. */
START_TEST(siphash)
{
	uint8_t key[16], data[15];

	for (int i = 0; i < 16; i++)
		key[i] = (uint8_t)i;
	for (int i = 0; i < 15; i++)
		data[i] = (uint8_t)i;
	ck_assert_uint_eq(digest_hash64(key, data, 15),
			  UINT64_C(0xa129ca6149be45e5));
	ck_assert_uint_eq(digest_hash64(key, data, 0),
			  UINT64_C(0x726fdb47dd0e0e31));
}
END_TEST

START_TEST(compares_secrets)
{
	ck_assert(digest_same(SPAN_LITERAL("ab"), SPAN_LITERAL("ab")));
	ck_assert(!digest_same(SPAN_LITERAL("ab"), SPAN_LITERAL("aB")));
	ck_assert(!digest_same(SPAN_LITERAL("ab"), SPAN_LITERAL("abc")));
	ck_assert(digest_same((struct span){ NULL, 0 }, SPAN_LITERAL("")));
}
END_TEST

TCase *
digest_tests(void)
{
	TCase *tc = tcase_create("digest");

	tcase_add_checked_fixture(tc, make_dir, remove_dir);
	tcase_add_test(tc, makes_a_key_once);
	tcase_add_loop_test(tc, makes_one_key_for_all, 0, 20);
	tcase_add_test(tc, reads_a_given_key);
	tcase_add_test(tc, refuses_bad_keys);
	tcase_add_test(tc, says_where_it_cannot_write);
	tcase_add_test(tc, keyed_digest);
	tcase_add_test(tc, stream_digest);
	tcase_add_test(tc, siphash);
	tcase_add_test(tc, compares_secrets);
	return tc;
}
