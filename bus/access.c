/* SPDX-License-Identifier: Apache-2.0 */
/* Tokens: who may do what on the bus, and for which groups. */
#include "bus/access.h"

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"

#define FILE_BYTES_MAX 65536u
#define ROWS_MAX 256
#define NAME_SIZE 65
#define PATTERNS_SIZE 513
#define TOKEN_LEAST 16
#define TOKEN_MOST 512
#define MARK '='
#define HASH_PREFIX "blake2b-256:"
#define ALL_RIGHTS                                                            \
	(ACCESS_CONSUME | ACCESS_PUBLISH | ACCESS_READ | ACCESS_ADMIN)

struct row {
	char name[NAME_SIZE];
	char digest[DIGEST_HEX_SIZE];
	unsigned rights;		/* of enum access_right */
	char groups[PATTERNS_SIZE];	/* with commas between them; "": none */
};

struct access {
	size_t count;
	bool has_marks;
	struct row rows[ROWS_MAX];
};

void
access_digest(struct span token, char out[DIGEST_HEX_SIZE])
{
	struct digest_stream *s = digest_stream_new();

	memset(out, 0, DIGEST_HEX_SIZE);
	if (!s)
		return;
	digest_stream_add(s, token.at, token.len);
	digest_stream_end(s, out);
	digest_stream_free(&s);
}

/* ---- asking ---- */

/* `*` is any text, also none. Behind the last one that was met, the text may
 * be tried again one character later: never longer than their product. */
static bool
fits(struct span pattern, const char *text)
{
	size_t at = 0, star = SIZE_MAX;
	const char *again = text;

	while (*text) {
		if (at < pattern.len && pattern.at[at] == '*') {
			star = at++;
			again = text;
		} else if (at < pattern.len && pattern.at[at] == *text) {
			at++;
			text++;
		} else if (star != SIZE_MAX) {
			at = star + 1;
			text = ++again;
		} else {
			return false;
		}
	}
	while (at < pattern.len && pattern.at[at] == '*')
		at++;
	return at == pattern.len;
}

/* Takes the mark of a pattern away: such groups are nobody else's. */
static bool
take_mark(struct span *pattern)
{
	if (pattern->len == 0 || *pattern->at != MARK)
		return false;
	pattern->at++;
	pattern->len--;
	return true;
}

static bool
is_bound_to(const struct row *r, const char *group)
{
	struct span list = span_of(r->groups), pattern;

	while (span_next_token(&list, &pattern)) {
		(void)take_mark(&pattern);
		if (*group ? fits(pattern, group)
			   : pattern.len == 1 && *pattern.at == '*')
			return true;
	}
	return false;
}

static bool
has_marked(const struct row *r, const char *group)
{
	struct span list = span_of(r->groups), pattern;

	while (span_next_token(&list, &pattern))
		if (take_mark(&pattern) && fits(pattern, group))
			return true;
	return false;
}

static bool
has_mark(const struct row *r, struct span mark)
{
	struct span list = span_of(r->groups), pattern;

	while (span_next_token(&list, &pattern))
		if (take_mark(&pattern) && pattern.len == mark.len &&
		    memcmp(pattern.at, mark.at, mark.len) == 0)
			return true;
	return false;
}

static bool
has_marks_of(const struct row *r, const struct row *other)
{
	struct span list = span_of(other->groups), pattern;

	while (span_next_token(&list, &pattern))
		if (take_mark(&pattern) && !has_mark(r, pattern))
			return false;
	return true;
}

/* Who names no group asks for all of them, the marked ones too. */
static bool
is_others(const struct access *a, const struct row *r, const char *group)
{
	if (!a->has_marks || (*group && has_marked(r, group)))
		return false;
	for (size_t i = 0; i < a->count; i++)
		if (*group ? has_marked(&a->rows[i], group)
			   : !has_marks_of(r, &a->rows[i]))
			return true;
	return false;
}

static enum access_verdict
judge(const struct access *a, const struct row *r,
      const struct access_question *q)
{
	const char *group = q->scope == ACCESS_GROUP ? q->group : "";

	if ((r->rights & (unsigned)q->right) != (unsigned)q->right)
		return ACCESS_RIGHT;
	if (q->scope == ACCESS_NONE)
		return ACCESS_GRANTED;
	if (!is_bound_to(r, group))
		return ACCESS_BOUND;
	return q->scope == ACCESS_GROUP && is_others(a, r, group)
		       ? ACCESS_OTHERS
		       : ACCESS_GRANTED;
}

/* All rows are compared, whole: how long it takes tells nothing. */
enum access_verdict
access_ask(const struct access *a, const struct access_question *q)
{
	const struct row *found = NULL;

	if (!q->has_token)
		return ACCESS_MISSING;
	for (size_t i = 0; i < a->count; i++)
		if (digest_same(span_of(a->rows[i].digest),
				span_of(q->digest)))
			found = &a->rows[i];
	return found ? judge(a, found, q) : ACCESS_WRONG;
}

/* ---- the text ---- */

static const struct right {
	const char *name;
	unsigned rights;
} rights[] = {
	{ "consume", ACCESS_CONSUME }, { "publish", ACCESS_PUBLISH },
	{ "read", ACCESS_READ },       { "admin", ACCESS_ADMIN },
	{ "all", ALL_RIGHTS },
};

static int
parse_rights(struct span list, struct row *r, struct error *err)
{
	struct span word;

	while (span_next_token(&list, &word)) {
		size_t i = 0;

		while (i < ARRAY_SIZE(rights) &&
		       !span_is(word, rights[i].name))
			i++;
		if (i == ARRAY_SIZE(rights))
			return error_set(err, "token %s: `%.*s' is none of "
					 "consume, publish, read, admin and "
					 "all", r->name, (int)word.len,
					 word.at);
		r->rights |= rights[i].rights;
	}
	return 0;
}

static bool
is_hex(struct span s)
{
	for (size_t i = 0; i < s.len; i++)
		if (!memchr("0123456789abcdef", s.at[i], 16))
			return false;
	return true;
}

/* Nothing of the token is ever in an error. */
static int
parse_token(struct span text, struct row *r, struct error *err)
{
	const size_t prefix = sizeof(HASH_PREFIX) - 1;
	struct span hash = { text.at + prefix, text.len - prefix };

	if (text.len < TOKEN_LEAST || text.len > TOKEN_MOST)
		return error_set(err, "token %s: a token has %d to %d "
				 "characters, this one %zu; `openssl rand "
				 "-hex 32' makes a good one", r->name,
				 TOKEN_LEAST, TOKEN_MOST, text.len);
	if (strncmp(text.at, HASH_PREFIX, prefix) != 0) {
		access_digest(text, r->digest);
		return 0;
	}
	if (hash.len != DIGEST_HEX_SIZE - 1 || !is_hex(hash))
		return error_set(err, "token %s: behind " HASH_PREFIX " stand "
				 "the 64 hexadecimal digits of `b2sum -l "
				 "256'", r->name);
	memcpy(r->digest, hash.at, hash.len);
	r->digest[hash.len] = '\0';
	return 0;
}

/* The next word of a line; empty at its end. */
static struct span
next_word(struct span *line)
{
	struct span word;

	while (line->len && strchr(" \t\r", *line->at)) {
		line->at++;
		line->len--;
	}
	word = (struct span){ line->at, 0 };
	while (line->len && !strchr(" \t\r", *line->at)) {
		line->at++;
		line->len--;
		word.len++;
	}
	return word;
}

static int
copy_word(struct span word, char *out, size_t size, const char *what,
	  struct error *err)
{
	if (word.len >= size)
		return error_set(err, "%s is longer than %zu characters", what,
				 size - 1);
	memcpy(out, word.at, word.len);
	out[word.len] = '\0';
	return 0;
}

static int
check_marks(struct row *r, bool *has_marks, struct error *err)
{
	struct span list = span_of(r->groups), pattern;

	while (span_next_token(&list, &pattern)) {
		if (!take_mark(&pattern))
			continue;
		*has_marks = true;
		if (pattern.len == 0)
			return error_set(err, "token %s: behind = stands the "
					 "group that is nobody else's",
					 r->name);
	}
	return 0;
}

static int
check_row(const struct access *a, const struct row *r, struct error *err)
{
	if ((r->rights & (ACCESS_CONSUME | ACCESS_ADMIN)) && !r->groups[0])
		return error_set(err, "token %s: say with which groups, * for "
				 "all", r->name);
	for (size_t i = 0; i < a->count; i++) {
		if (strcmp(a->rows[i].name, r->name) == 0)
			return error_set(err, "token %s is there twice",
					 r->name);
		if (strcmp(a->rows[i].digest, r->digest) == 0)
			return error_set(err, "tokens %s and %s are the same",
					 a->rows[i].name, r->name);
	}
	return 0;
}

static int
parse_row(struct access *a, struct span line, struct error *err)
{
	struct span name = next_word(&line), token = next_word(&line);
	struct span may = next_word(&line), groups = next_word(&line);
	struct row r = { .rights = 0 };

	if (name.len == 0 || *name.at == '#')
		return 0;
	if (may.len == 0 || next_word(&line).len)
		return error_set(err, "write NAME TOKEN RIGHTS [GROUPS], with "
				 "blanks between them");
	if (a->count == ROWS_MAX)
		return error_set(err, "more than %d tokens", ROWS_MAX);
	if (copy_word(name, r.name, sizeof(r.name), "the name", err) < 0 ||
	    copy_word(groups, r.groups, sizeof(r.groups), "the list of groups",
		      err) < 0 ||
	    parse_token(token, &r, err) < 0 || parse_rights(may, &r, err) < 0 ||
	    check_marks(&r, &a->has_marks, err) < 0 ||
	    check_row(a, &r, err) < 0)
		return -1;
	a->rows[a->count++] = r;
	return 0;
}

static int
parse_lines(struct access *a, struct span text, struct error *err)
{
	int number = 1;

	for (; text.len; number++) {
		const char *end = memchr(text.at, '\n', text.len);
		size_t len = end ? (size_t)(end - text.at) : text.len;

		if (memchr(text.at, '\0', len))
			return error_at(err, number, 0, "a NUL byte is in "
					"the file");
		if (parse_row(a, (struct span){ text.at, len }, err) < 0) {
			if (err)
				err->line = number;
			return -1;
		}
		text.at += len + (end != NULL);
		text.len -= len + (end != NULL);
	}
	if (a->count == 0)
		return error_set(err, "there is no token in it: nobody could "
				 "do anything");
	return 0;
}

struct access *
access_parse(struct span text, struct error *err)
{
	struct access *a = calloc(1, sizeof(*a));

	if (!a) {
		error_set(err, "no memory for the tokens");
		return NULL;
	}
	if (parse_lines(a, text, err) < 0)
		access_free(&a);
	return a;
}

/* ---- the file ---- */

static int
check_file(int fd, struct error *err)
{
	struct stat st;

	if (fstat(fd, &st) < 0)
		return error_set(err, "%s", strerror(errno));
	if (!S_ISREG(st.st_mode))
		return error_set(err, "it is no file");
	if (st.st_mode & 077)
		return error_set(err, "others may read or write it: chmod 600 "
				 "it");
	if (st.st_uid != 0 && st.st_uid != geteuid())
		return error_set(err, "it belongs to somebody else");
	return st.st_size <= FILE_BYTES_MAX
		       ? 0
		       : error_set(err, "it has more than %u bytes",
				   FILE_BYTES_MAX);
}

static ssize_t
read_file(const char *path, char *text, struct error *err)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	ssize_t n = -1, got = 0;

	if (fd < 0)
		return error_set(err, "%s", strerror(errno));
	if (check_file(fd, err) == 0)
		for (n = 0; (got = read(fd, text + n,
					FILE_BYTES_MAX - (size_t)n)) > 0;)
			n += got;
	close(fd);
	return got < 0 ? error_set(err, "%s", strerror(errno)) : n;
}

struct access *
access_load(const char *path, struct error *err)
{
	char *text = calloc(1, FILE_BYTES_MAX);
	struct access *a = NULL;
	ssize_t n;

	if (!text) {
		error_set(err, "no memory for the tokens");
		return NULL;
	}
	n = read_file(path, text, err);
	if (n >= 0)
		a = access_parse((struct span){ text, (size_t)n }, err);
	explicit_bzero(text, FILE_BYTES_MAX);
	free(text);
	if (!a)
		error_context(err, "tokens %s", path);
	return a;
}

void
access_free(struct access **a)
{
	if (!*a)
		return;
	explicit_bzero(*a, sizeof(**a));
	free(*a);
	*a = NULL;
}

size_t
access_count(const struct access *a)
{
	return a->count;
}
