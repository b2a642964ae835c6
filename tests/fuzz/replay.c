/* SPDX-License-Identifier: Apache-2.0 */
/* Replays every seed of a folder, and simple mutations of each, so that a
 * fuzz target runs in every `make check` without a fuzzer. */
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/fuzz/fuzz.h"

#define INPUT_MAX 65536u
#ifndef MUTATIONS
#define MUTATIONS 2000u
#endif

static uint32_t state = 1;

static uint32_t
next_random(void)
{
	state ^= state << 13;
	state ^= state >> 17;
	state ^= state << 5;
	return state;
}

/* One to four bytes changed, doubled or cut away. */
static size_t
mutate(uint8_t *data, size_t size)
{
	unsigned n = 1 + next_random() % 4;

	while (n-- && size > 1) {
		size_t at = next_random() % size;

		switch (next_random() % 3) {
		case 0:
			data[at] = (uint8_t)next_random();
			break;
		case 1:
			memmove(data + at, data + at + 1, size - at - 1);
			size--;
			break;
		case 2:
			if (size == INPUT_MAX)
				break;
			memmove(data + at + 1, data + at, size - at);
			size++;
			break;
		}
	}
	return size;
}

/* Exactly as many bytes as the input has: a read beyond is seen. */
static void
run(const uint8_t *data, size_t size)
{
	uint8_t *copy = malloc(size ? size : 1);

	if (!copy)
		abort();
	memcpy(copy, data, size);
	(void)LLVMFuzzerTestOneInput(copy, size);
	free(copy);
}

static int
replay(const char *folder, const char *name)
{
	static uint8_t seed[INPUT_MAX], work[INPUT_MAX];
	char path[4096];
	size_t size;
	unsigned i;
	FILE *f;

	snprintf(path, sizeof(path), "%s/%s", folder, name);
	f = fopen(path, "rb");
	if (!f)
		return -1;
	size = fread(seed, 1, sizeof(seed), f);
	fclose(f);
	run(seed, size);
	for (i = 0; i < MUTATIONS; i++) {
		memcpy(work, seed, size);
		run(work, mutate(work, size));
	}
	return 0;
}

int
main(int argc, char **argv)
{
	const char *top = getenv("TOP_SRCDIR");
	char folder[2048];
	struct dirent *e;
	unsigned seeds = 0;
	DIR *d;

	snprintf(folder, sizeof(folder), "%s/tests/fuzz/seeds/%s",
		 top ? top : ".", SEEDS);
	d = opendir(argc > 1 ? argv[1] : folder);
	while (d && (e = readdir(d)) != NULL)
		if (e->d_name[0] != '.' &&
		    replay(argc > 1 ? argv[1] : folder, e->d_name) == 0)
			seeds++;
	if (d)
		closedir(d);
	printf("%s: %u seeds with %u mutations each\n", SEEDS, seeds,
	       MUTATIONS);
	return seeds ? EXIT_SUCCESS : EXIT_FAILURE;
}
