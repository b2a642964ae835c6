/* SPDX-License-Identifier: Apache-2.0 */
/* From a file or a text to an immutable set of rules, and its end. */
#include "rules/load.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/digest.h"
#include "base/invariant.h"
#include "base/json.h"
#include "rules/index.h"
#include "rules/keys.h"
#include "rules/later.h"

#define RULES_MAGIC 0x52554c45u

/* Without "share_key" two proxies agree as well, so it is a constant. */
static const uint8_t share_key_default[16] = "matapalo share 1";
static const uint8_t hash_key[16] = "matapalo rules 1";

/* Messages quote the file, and end on a terminal. */
static void
hide_controls(char *s)
{
	for (; *s; s++)
		if ((unsigned char)*s < ' ' || *s == 0x7f)
			*s = '?';
}

static int
fail_at(struct rules_load *l, const struct rules_node *at,
	struct rules_position where, const char *fmt, va_list ap)
{
	char text[ERROR_TEXT_MAX], path[256];

	vsnprintf(text, sizeof(text), fmt, ap);
	rules_position_path(at, path, sizeof(path));
	hide_controls(text);
	hide_controls(path);
	return error_at(l->err, where.line, where.column, "%s%s%s", path,
			*path ? ": " : "", text);
}

int
load_fail(struct rules_load *l, const struct rules_node *at, const char *fmt,
	  ...)
{
	va_list ap;

	va_start(ap, fmt);
	fail_at(l, at, rules_position_of(l->text, at), fmt, ap);
	va_end(ap);
	return -1;
}

int
load_fail_key(struct rules_load *l, const struct rules_node *at,
	      const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	fail_at(l, at, rules_position_of_key(l->text, at), fmt, ap);
	va_end(ap);
	return -1;
}

void *
load_alloc(struct rules_load *l, size_t count, size_t size)
{
	void *p = NULL;

	if (count <= LOAD_MEMORY_MAX / size)
		p = arena_alloc(&l->rules->memory->arena, count * size + 1);
	if (!p) {
		error_set(l->err, "the rules need more than %zu MiB of memory",
			  LOAD_MEMORY_MAX >> 20);
		return NULL;
	}
	memset(p, 0, count * size);
	return p;
}

const char *
load_copy_n(struct rules_load *l, const char *s, size_t n)
{
	char *copy = load_alloc(l, n + 1, 1);

	if (copy && n > 0)
		memcpy(copy, s, n);
	return copy;
}

const char *
load_copy(struct rules_load *l, const char *s)
{
	return load_copy_n(l, s, strlen(s));
}

static void
rules_free(struct rules *r)
{
	struct rules_memory *memory = r->memory;

	for (size_t i = 0; i < r->pattern_count; i++)
		pattern_free(&r->patterns[i]);
	MAGIC_CLEAR(r);
	free(r);
	arena_fini(&memory->arena);
	free(memory);
}

static struct rules *
rules_new(struct error *err)
{
	struct rules *r = calloc(1, sizeof(*r));
	struct rules_memory *memory = malloc(sizeof(*memory));

	if (!r || !memory) {
		free(r);
		free(memory);
		error_set(err, "no memory for the rules");
		return NULL;
	}
	arena_init(&memory->arena, memory->first, sizeof(memory->first),
		   LOAD_MEMORY_MAX);
	MAGIC_SET(r, RULES_MAGIC);
	atomic_init(&r->refs, 1);
	r->memory = memory;
	return r;
}

static int
check_version(struct rules_load *l, const struct rules_node *root)
{
	struct rules_node at;

	if (!keys_get(root, KEY_ROOT_VERSION, &at) ||
	    !json_is_integer(at.value) || json_integer_value(at.value) == 1)
		return 0;
	return load_fail(l, &at, "this matapalo reads version 1 of the rules "
			 "language, not %" JSON_INTEGER_FORMAT,
			 json_integer_value(at.value));
}

/* Two halves of 64 bits, so that any text makes a full key. */
static void
load_share_key(struct rules_load *l, const struct rules_node *root)
{
	uint8_t *out = l->rules->share_key;
	struct rules_node at;
	const char *text;
	uint64_t half;

	memcpy(out, share_key_default, sizeof(share_key_default));
	if (!keys_get(root, KEY_ROOT_SHARE_KEY, &at))
		return;
	text = json_string_value(at.value);
	half = digest_hash64(share_key_default, text, strlen(text));
	for (int i = 0; i < 8; i++)
		out[i] = (uint8_t)(half >> (8 * i));
	half = digest_hash64(hash_key, text, strlen(text));
	for (int i = 0; i < 8; i++)
		out[8 + i] = (uint8_t)(half >> (8 * i));
}

static int
load_tree(struct rules_load *l, json_t *tree)
{
	const struct rules_node root = { .value = tree };

	if (!json_is_object(tree))
		return load_fail(l, &root, "a rules file is one JSON object");
	l->rules->index = load_alloc(l, 1, sizeof(*l->rules->index));
	if (!l->rules->index)
		return -1;
	if (check_version(l, &root) < 0 ||
	    keys_check(l, &root, KEYS_OBJECT_ROOT) < 0)
		return -1;
	load_share_key(l, &root);
	if (load_targets(l, &root) < 0 || load_rules(l, &root) < 0 ||
	    load_events(l, &root) < 0 ||
	    later_load_path(l, &root) < 0 || load_redact(l, &root) < 0 ||
	    load_adapters(l, &root) < 0 || load_index(l, &root) < 0)
		return -1;
	return load_expects(l, &root);
}

static const char *
syntax_words(const json_error_t *bad)
{
	if (json_error_code(bad) == json_error_null_character)
		return "\\u0000 cannot stand in a string";
	return *bad->text ? bad->text : "no memory to read it";
}

static json_t *
parse_text(struct rules_load *l)
{
	struct rules_position where;
	json_error_t bad;
	json_t *tree;

	if (l->text.len > LOAD_TEXT_MAX) {
		error_set(l->err, "a rules file has at most %zu MiB",
			  LOAD_TEXT_MAX >> 20);
		return NULL;
	}
	if (rules_position_deepest(l->text, LOAD_DEPTH_MAX, &where) < 0) {
		error_at(l->err, where.line, where.column, "nested more than "
			 "%d deep", LOAD_DEPTH_MAX);
		return NULL;
	}
	tree = json_loadb(l->text.at, l->text.len,
			  JSON_REJECT_DUPLICATES | JSON_DECODE_ANY, &bad);
	if (!tree)
		error_at(l->err, bad.line > 0 ? bad.line : 1,
			 bad.column > 0 ? bad.column : 1, "not JSON: %s",
			 syntax_words(&bad));
	return tree;
}

struct rules *
rules_load_text(const char *name, const char *text, size_t len,
		struct error *err)
{
	struct error local = { 0 };
	struct rules_load l = { .text = { text, len },
				.err = err ? err : &local };
	int failed = -1;
	json_t *tree;

	l.rules = rules_new(l.err);
	if (!l.rules)
		return NULL;
	tree = parse_text(&l);
	if (tree && name)
		l.rules->path = load_copy(&l, name);
	if (tree && (!name || l.rules->path))
		failed = load_tree(&l, tree);
	json_decref(tree);
	if (failed) {
		rules_free(l.rules);
		return NULL;
	}
	l.rules->hash = digest_hash64(hash_key, text, len);
	return l.rules;
}

/* Who may write this file decides where requests go. */
static int
check_file(int fd, struct error *err)
{
	struct stat st;

	if (fstat(fd, &st) < 0)
		return error_set(err, "cannot be looked at: %s",
				 strerror(errno));
	if (!S_ISREG(st.st_mode))
		return error_set(err, "not a regular file");
	if (st.st_mode & S_IWOTH)
		return error_set(err, "everyone may write this file, so "
				 "everyone could redirect requests: run "
				 "`chmod o-w` on it");
	return 0;
}

static int
read_all(int fd, struct buf *out, struct error *err)
{
	char chunk[16384];
	ssize_t n;

	for (;;) {
		n = read(fd, chunk, sizeof(chunk));
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			break;
		buf_add(out, chunk, (size_t)n);
		if (out->len > LOAD_TEXT_MAX)
			return error_set(err, "a rules file has at most %zu "
					 "MiB", LOAD_TEXT_MAX >> 20);
	}
	if (n < 0)
		return error_set(err, "cannot be read: %s", strerror(errno));
	if (out->failed)
		return error_set(err, "no memory for the rules file");
	return 0;
}

static int
read_file(const char *path, struct buf *out, struct error *err)
{
	/* Nonblocking: a FIFO must not hang a reload. */
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	int result;

	if (fd < 0)
		return error_set(err, "cannot be opened: %s", strerror(errno));
	result = check_file(fd, err);
	if (result == 0)
		result = read_all(fd, out, err);
	close(fd);
	return result;
}

struct rules *
rules_load_file(const char *path, struct error *err)
{
	struct rules *r = NULL;
	struct buf text = { 0 };

	if (read_file(path, &text, err) == 0)
		r = rules_load_text(path, buf_str(&text), text.len, err);
	buf_fini(&text);
	return r;
}

struct rules *
rules_from_legacy(const char *url, struct error *err)
{
	struct error local = { 0 };
	struct buf text = { 0 };
	struct rules *r;
	struct json j;

	json_init(&j, &text);
	json_object_begin(&j);
	json_key(&j, "version");
	json_u64(&j, 1);
	json_key(&j, "targets");
	json_object_begin(&j);
	json_key(&j, "legacy");
	json_object_begin(&j);
	json_key(&j, "url");
	json_str(&j, url);
	json_object_end(&j);
	json_object_end(&j);
	json_object_end(&j);
	r = rules_load_text(NULL, buf_str(&text), text.len, &local);
	/* The text is ours: its lines mean nothing to the operator. */
	if (!r)
		error_set(err, "%s", local.text);
	buf_fini(&text);
	return r;
}

struct rules *
rules_ref(const struct rules *r)
{
	struct rules *own = (struct rules *)(uintptr_t)r;

	MAGIC_CHECK(own, RULES_MAGIC);
	atomic_fetch_add_explicit(&own->refs, 1, memory_order_relaxed);
	return own;
}

void
rules_unref(struct rules **r)
{
	struct rules *own = *r;

	*r = NULL;
	if (!own)
		return;
	MAGIC_CHECK(own, RULES_MAGIC);
	if (atomic_fetch_sub_explicit(&own->refs, 1, memory_order_acq_rel) == 1)
		rules_free(own);
}
