/* SPDX-License-Identifier: Apache-2.0 */
/* What a shadow found, as one page that can be mailed around: no script, no
 * other resource; whatever comes from callers and candidates is text. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "console/diff.h"

#define LINES_MOST 200
#define VALUE_MOST 400
/* As many examples are shown with both answers. */
#define EXAMPLES_MOST 100

struct page {
	const struct diff_filter *filter;
	struct journal_reader *reader;
	size_t examples;
	struct buf *out;
};

static const char head[] =
	"<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n"
	"<meta charset=\"utf-8\">\n"
	"<meta http-equiv=\"Content-Security-Policy\" content=\""
	"default-src 'none'; style-src 'unsafe-inline'\">\n"
	"<meta name=\"viewport\" content=\"width=device-width\">\n"
	"<title>Shadow report</title>\n<style>\n"
	":root{color-scheme:light dark;--g:#f5f4f0;--c:#fff;--i:#22261f;"
	"--d:#666b61;--l:#dcdad2;--good:#2f7d4f;--bad:#b3372c;--mid:#a36a00;"
	"--badbg:#fbe9e6;--midbg:#faf1dc}\n"
	"@media(prefers-color-scheme:dark){:root{--g:#171915;--c:#21241e;"
	"--i:#e8e8e1;--d:#9da297;--l:#363a31;--good:#6cc48d;--bad:#ef8378;"
	"--mid:#e0ae4d;--badbg:#40221e;--midbg:#3a311c}}\n"
	"*{box-sizing:border-box}body{margin:0 auto;max-width:1200px;"
	"padding:16px 20px 40px;background:var(--g);color:var(--i);"
	"font:14px/1.45 system-ui,\"DejaVu Sans\",sans-serif}\n"
	"h1{font-size:20px;margin:0}h2{font-size:16px;margin:28px 0 8px}"
	"h3{font-size:14px;margin:16px 0 6px}.dim{color:var(--d)}"
	".good{color:var(--good)}.bad{color:var(--bad)}"
	".mid{color:var(--mid)}\n"
	"table{border-collapse:collapse;width:100%;background:var(--c)}"
	"th,td{text-align:left;vertical-align:top;padding:4px 9px;"
	"border:1px solid var(--l);overflow-wrap:anywhere}"
	"th{color:var(--d);font-weight:600}"
	".n{text-align:right;font-variant-numeric:tabular-nums;"
	"white-space:nowrap}\n"
	"details{margin:4px 0 10px;padding:6px 10px;background:var(--c);"
	"border:1px solid var(--l);border-radius:6px}"
	"summary{cursor:pointer;overflow-wrap:anywhere}"
	"details table{margin:8px 0;table-layout:fixed}"
	"td.v{font-family:ui-monospace,\"DejaVu Sans Mono\",monospace;"
	"font-size:12px;white-space:pre-wrap}"
	"tr.differs td{background:var(--badbg)}"
	"tr.unlike td{background:var(--midbg)}\n"
	"@media print{details{break-inside:avoid}}\n"
	"</style>\n</head>\n<body>\n";

/* ---- text ---- */

static void
add_escaped(struct buf *out, struct span s)
{
	for (size_t i = 0; i < s.len; i++) {
		unsigned char c = (unsigned char)s.at[i];

		if (c == '<')
			buf_adds(out, "&lt;");
		else if (c == '>')
			buf_adds(out, "&gt;");
		else if (c == '&')
			buf_adds(out, "&amp;");
		else if (c == '"')
			buf_adds(out, "&quot;");
		else if (c == '\'')
			buf_adds(out, "&#39;");
		else if ((c < ' ' && c != '\n' && c != '\t') || c == 0x7f)
			buf_adds(out, "\xef\xbf\xbd");
		else
			buf_addc(out, (char)c);
	}
}

/* Text of anybody: cut between characters, and valid UTF-8 in the end. */
static void
add_text(struct buf *out, const char *text)
{
	struct span s = span_of(text);

	if (s.len > VALUE_MOST) {
		s.len = VALUE_MOST;
		while (s.len > 0 &&
		       ((unsigned char)s.at[s.len] & 0xc0) == 0x80)
			s.len--;
	}
	if (!json_is_utf8(s)) {
		buf_adds(out, "(not UTF-8)");
		return;
	}
	add_escaped(out, s);
	if (text[s.len])
		buf_adds(out, "&hellip;");
}

static const char *
text(const struct cJSON *object, const char *name)
{
	return payload_string(payload_member(object, name), "");
}

static int64_t
number(const struct cJSON *object, const char *pointer)
{
	return payload_int(payload_at(object, pointer), 0);
}

static void
add_time(struct buf *out, int64_t us)
{
	char when[CLOCK_RFC3339_SIZE];

	buf_printf(out, "%.19sZ", clock_rfc3339(us, when));
}

/* ---- sums ---- */

static void
add_rate(struct buf *out, const struct cJSON *sums)
{
	double rate = payload_number(payload_member(sums, "match_rate"), -1);
	const char *cls = rate >= 0.999 ? "good" : rate >= 0.95 ? "mid"
								: "bad";

	if (rate < 0)
		buf_adds(out, "<td class=\"n dim\">-</td>");
	else
		buf_printf(out, "<td class=\"n %s\">%.2f&nbsp;%%</td>", cls,
			   100 * rate);
	buf_printf(out, "<td class=\"n\">%.2f&nbsp;%%</td>",
		   100 * payload_number(payload_member(sums, "lower_bound"),
					0));
}

static void
add_latency(struct buf *out, const struct cJSON *sums, const char *which)
{
	char legacy[64], candidate[64], ratio[64];

	snprintf(legacy, sizeof(legacy), "/latency/legacy/%s_us", which);
	snprintf(candidate, sizeof(candidate), "/latency/candidate/%s_us",
		 which);
	snprintf(ratio, sizeof(ratio), "/latency/ratio/%s", which);
	if (!number(sums, "/latency/pairs"))
		buf_adds(out, "<td class=\"n dim\">-</td>");
	else
		buf_printf(out, "<td class=\"n\">%.1f &rarr; %.1f "
			   "<span class=\"dim\">(&times;%.2f)</span></td>",
			   (double)number(sums, legacy) / 1000,
			   (double)number(sums, candidate) / 1000,
			   payload_number(payload_at(sums, ratio), 0));
}

static void
add_sums(struct buf *out, const char *name, const struct cJSON *sums)
{
	buf_adds(out, "<tr><td>");
	add_text(out, name);
	buf_printf(out, "</td><td class=\"n\">%" PRId64 "</td>",
		   number(sums, "/samples"));
	add_rate(out, sums);
	buf_printf(out, "<td class=\"n\">%" PRId64 "</td>"
		   "<td class=\"n\">%" PRId64 "</td>",
		   number(sums, "/differences"), number(sums, "/failures"));
	add_latency(out, sums, "mean");
	add_latency(out, sums, "p50");
	add_latency(out, sums, "p99");
	buf_adds(out, "</tr>\n");
}

/* ---- examples ---- */

static void
add_value(struct buf *out, const char *value)
{
	buf_adds(out, "<td class=\"v\">");
	if (value)
		add_text(out, value);
	else
		buf_adds(out, "<span class=\"dim\">not there</span>");
	buf_adds(out, "</td>");
}

static void
on_line(void *arg, const struct shadow_line *l)
{
	static const char *const classes[] = {
		[SHADOW_LINE_SAME] = "", [SHADOW_LINE_DIFFERENT] = "differs",
		[SHADOW_LINE_SUPPRESSED] = "unlike",
	};
	struct buf *out = arg;

	buf_printf(out, "<tr class=\"%s\"><td class=\"v\">", classes[l->kind]);
	add_text(out, *l->pointer ? l->pointer : "(whole body)");
	buf_adds(out, "</td>");
	add_value(out, l->legacy);
	add_value(out, l->candidate);
	buf_adds(out, "</tr>\n");
}

static void
add_case(struct buf *out, const struct shadow_case *c)
{
	size_t n;

	buf_adds(out, "<details><summary>");
	add_text(out, c->correlation);
	buf_adds(out, " <span class=\"dim\">");
	add_time(out, c->v.time_us);
	buf_adds(out, "</span> ");
	add_text(out, c->x->method);
	buf_addc(out, ' ');
	add_text(out, c->x->target);
	buf_adds(out, "</summary><table><tr><th>at</th><th>legacy</th>"
		 "<th>candidate</th></tr>\n");
	n = shadow_case_lines(c, LINES_MOST, on_line, out);
	buf_adds(out, "</table>");
	if (n > LINES_MOST)
		buf_printf(out, "<p class=\"dim\">%zu more lines</p>",
			   n - LINES_MOST);
	buf_adds(out, "</details>\n");
}

/* The newest example with both answers, if there is one. */
static void
add_example(struct page *p, const struct cJSON *cluster)
{
	const struct cJSON *list = payload_member(cluster, "examples");
	struct shadow_case c CLEANUP(shadow_case_fini) = { 0 };
	int64_t sequence = 0;

	for (const struct cJSON *x = payload_first(list); x;
	     x = payload_next(x))
		sequence = number(x, "/verdict_sequence");
	if (!p->reader || !sequence || p->examples >= EXAMPLES_MOST ||
	    shadow_case_at(p->reader, sequence, &c, NULL) || !c.x ||
	    !c.has_answer)
		return;
	p->examples++;
	add_case(p->out, &c);
}

/* ---- clusters ---- */

static void
add_cluster(struct page *p, const struct cJSON *c)
{
	struct buf *out = p->out;

	buf_adds(out, "<p><b>");
	add_text(out, *text(c, "pointer") ? text(c, "pointer")
					  : "(whole body)");
	buf_adds(out, "</b> <span class=\"bad\">");
	add_text(out, text(c, "kind"));
	buf_printf(out, "</span> in %" PRId64 " verdicts "
		   "<span class=\"dim\">", number(c, "/count"));
	add_time(out, number(c, "/first_us"));
	buf_adds(out, " to ");
	add_time(out, number(c, "/last_us"));
	buf_adds(out, "</span></p>\n");
	add_example(p, c);
}

static void
add_clusters(struct page *p, const struct cJSON *endpoint)
{
	const struct cJSON *list = payload_member(endpoint, "clusters");
	int64_t other = number(endpoint, "/other_clusters");

	if (!payload_first(list))
		return;
	buf_adds(p->out, "<h3>");
	add_text(p->out, text(endpoint, "endpoint"));
	buf_adds(p->out, "</h3>\n");
	for (const struct cJSON *c = payload_first(list); c;
	     c = payload_next(c))
		add_cluster(p, c);
	if (other)
		buf_printf(p->out, "<p class=\"dim\">and %" PRId64
			   " of other places</p>\n", other);
}

static void
add_rule(struct page *p, const struct cJSON *rule)
{
	const struct cJSON *list = payload_member(rule, "endpoints");
	struct buf *out = p->out;

	buf_adds(out, "<h2>");
	add_text(out, text(rule, "rule"));
	buf_adds(out, " <span class=\"dim\">to ");
	add_text(out, text(rule, "candidate"));
	buf_adds(out, "</span></h2>\n<table><tr><th>endpoint</th>"
		 "<th class=\"n\">samples</th><th class=\"n\">match</th>"
		 "<th class=\"n\">at least</th><th class=\"n\">differ</th>"
		 "<th class=\"n\">failed</th><th class=\"n\">mean ms</th>"
		 "<th class=\"n\">p50 ms</th><th class=\"n\">p99 ms</th>"
		 "</tr>\n");
	add_sums(out, "all", rule);
	for (const struct cJSON *e = payload_first(list); e;
	     e = payload_next(e))
		if (diff_takes_endpoint(p->filter, e))
			add_sums(out, text(e, "endpoint"), e);
	buf_adds(out, "</table>\n");
	for (const struct cJSON *e = payload_first(list); e;
	     e = payload_next(e))
		if (diff_takes_endpoint(p->filter, e))
			add_clusters(p, e);
}

/* ---- noise ---- */

static void
add_noise_place(struct buf *out, const struct cJSON *row,
		const struct cJSON *place)
{
	buf_adds(out, "<tr><td>");
	add_text(out, text(row, "endpoint"));
	buf_adds(out, "</td><td>");
	add_text(out, text(place, "pointer"));
	buf_adds(out, "</td><td>");
	add_text(out, text(place, "kind"));
	buf_printf(out, "</td><td class=\"n\">%" PRId64 " of %" PRId64
		   "</td><td class=\"n\">%" PRId64 "</td><td>",
		   number(place, "/disagreed") + number(place, "/permuted"),
		   number(row, "/pairs"), number(place, "/suppressed"));
	add_text(out, text(place, "state"));
	buf_adds(out, "</td></tr>\n");
}

static void
add_noise_rows(struct page *p, const struct cJSON *rows)
{
	for (const struct cJSON *r = payload_first(rows); r;
	     r = payload_next(r)) {
		const struct cJSON *at = payload_first(
			payload_member(r, "places"));

		for (; at && diff_takes_rule(p->filter, r) &&
		       diff_takes_endpoint(p->filter, r);
		     at = payload_next(at))
			add_noise_place(p->out, r, at);
	}
}

static void
add_noise(struct page *p)
{
	struct shadow_noise *n = p->reader ? shadow_noise_new() : NULL;
	struct cJSON *rows CLEANUP(payload_free) = NULL;

	if (n && shadow_report_noise(p->reader, n, NULL) == 0)
		rows = diff_noise_rows(n);
	shadow_noise_free(&n);
	if (!payload_first(rows))
		return;
	buf_adds(p->out, "<h2>Noise</h2>\n<p class=\"dim\">What the legacy, "
		 "asked twice, disagrees with itself about.</p>\n<table><tr>"
		 "<th>endpoint</th><th>at</th><th>kind</th>"
		 "<th class=\"n\">pairs</th><th class=\"n\">suppressed</th>"
		 "<th>state</th></tr>\n");
	add_noise_rows(p, rows);
	buf_adds(p->out, "</table>\n");
}

void
diff_write_html(const struct cJSON *report, const struct diff_filter *f,
		struct journal_reader *r, struct buf *out)
{
	const struct cJSON *rules = payload_member(report, "rules");
	struct page p = { f, r, 0, out };

	buf_adds(out, head);
	buf_adds(out, "<h1>Shadow report</h1>\n<p class=\"dim\">Made ");
	add_time(out, clock_wall_us());
	buf_printf(out, " of all verdicts up to event %" PRId64
		   ". Legacy on the left, candidate on the right; `at least' "
		   "is the lower end of the 95&nbsp;%% Wilson interval. "
		   "<span class=\"bad\">Red</span> differs, "
		   "<span class=\"mid\">yellow</span> is unlike but not "
		   "compared or allowed; secrets are digests.</p>\n",
		   number(report, "/sequence"));
	if (!payload_first(rules))
		buf_adds(out, "<p>Nothing was compared yet.</p>\n");
	for (const struct cJSON *rule = payload_first(rules); rule;
	     rule = payload_next(rule))
		if (diff_takes_rule(f, rule))
			add_rule(&p, rule);
	add_noise(&p);
	buf_adds(out, "</body>\n</html>\n");
}
