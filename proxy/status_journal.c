/* SPDX-License-Identifier: Apache-2.0 */
/* What the journal holds, how full it is and what holds events back. */
#include "base/clock.h"
#include "proxy/run.h"

static void
put_i64(struct json *j, int64_t value, const char *name)
{
	json_key(j, name);
	json_i64(j, value);
}

static void
write_usage(const struct journal_usage *u, struct json *j)
{
	char text[CLOCK_RFC3339_SIZE];

	put_i64(j, u->first_sequence, "first_sequence");
	json_key(j, "oldest");
	json_str(j, u->first_us ? clock_rfc3339(u->first_us, text) : NULL);
	put_i64(j, u->file_bytes, "file_bytes");
	put_i64(j, u->used_bytes, "used_bytes");
	put_i64(j, u->wal_bytes, "wal_bytes");
	put_i64(j, u->limit_bytes, "limit_bytes");
	json_key(j, "over_limit");
	json_bool(j, u->over_limit);
	json_key(j, "held_by");
	json_str(j, u->held_by[0] ? u->held_by : NULL);
}

void
run_status_journal(struct run *r, struct json *j)
{
	struct journal_usage u;

	journal_usage_get(r->proxy.journal, &u);
	json_key(j, "journal");
	json_object_begin(j);
	json_key(j, "path");
	json_str(j, journal_path(r->proxy.journal));
	put_i64(j, journal_last_sequence(r->proxy.journal), "last_sequence");
	json_key(j, "writable");
	json_bool(j, journal_is_writable(r->proxy.journal));
	write_usage(&u, j);
	json_object_end(j);
}

static void
put_metric(struct buf *out, const char *name, const char *help, int64_t value)
{
	buf_printf(out, "# HELP matapalo_%s %s\n# TYPE matapalo_%s gauge\n"
		   "matapalo_%s %lld\n", name, help, name, name,
		   (long long)value);
}

void
run_metrics_journal(struct run *r, struct buf *out)
{
	struct journal_usage u;
	int64_t age = 0;

	journal_usage_get(r->proxy.journal, &u);
	if (u.first_us)
		age = (clock_wall_us() - u.first_us) / 1000000;
	put_metric(out, "journal_oldest_seconds", "Age of the oldest event.",
		   age);
	put_metric(out, "journal_file_bytes", "Size of journal.db.",
		   u.file_bytes);
	put_metric(out, "journal_used_bytes",
		   "Bytes of it in use; the rest is reused.", u.used_bytes);
	put_metric(out, "journal_wal_bytes", "Size of the log, journal.db-wal.",
		   u.wal_bytes);
	put_metric(out, "journal_limit_bytes", "retain_size; 0: no limit.",
		   u.limit_bytes);
}
