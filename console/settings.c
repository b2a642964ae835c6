/* SPDX-License-Identifier: Apache-2.0 */
/* The settings' table: its rows, their types, the help made from them. */
#include "console/settings.h"

#include <stddef.h>
#include <string.h>

#include "base/attribute.h"
#include "base/log.h"
#include "base/network.h"
#include "console/settings_internal.h"
#include "console/value.h"

#define WORKERS_MAX 1024
#define NUMBER_MAX 1000000

static const struct settings_row rows[] = {
#define SETTING(member, key, option, environment, type, metavar, fallback,     \
		unit, help)                                                    \
	{ key,                                                                 \
	  option,                                                              \
	  environment,                                                         \
	  SETTINGS_##type,                                                     \
	  metavar,                                                             \
	  fallback,                                                            \
	  unit,                                                                \
	  help,                                                                \
	  offsetof(struct console_settings, member) },
#include "console/settings.def"
#undef SETTING
};

size_t
settings_count(void)
{
	return ARRAY_SIZE(rows);
}

const struct settings_row *
settings_row(size_t i)
{
	return &rows[i];
}

const struct settings_row *
settings_find(const char *key)
{
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		if (!strcmp(rows[i].key, key))
			return &rows[i];
	return NULL;
}

bool
settings_is_list(const struct settings_row *row)
{
	return row->type == SETTINGS_LISTEN_LIST ||
	       row->type == SETTINGS_BUS_LIST ||
	       row->type == SETTINGS_NETWORK_LIST ||
	       row->type == SETTINGS_TEXT_LIST;
}

static int
check_level(const char *text, struct error *err)
{
	if (log_level_parse(text) >= 0)
		return 0;
	return error_set(err,
			 "`%s' is not a log level: use error, warn, info or "
			 "debug",
			 text);
}

static int
check_client_field(const char *text, struct error *err)
{
	if (!strcmp(text, "x-forwarded-for") || !strcmp(text, "forwarded"))
		return 0;
	return error_set(err,
			 "`%s' is not a field that names a client: use "
			 "x-forwarded-for or forwarded",
			 text);
}

static int
check_tls_version(const char *text, struct error *err)
{
	if (!strcmp(text, "1.2") || !strcmp(text, "1.3"))
		return 0;
	return error_set(err,
			 "`%s' is not a version of TLS to begin with: use 1.2 "
			 "or 1.3",
			 text);
}

static int
check_tls_clients(const char *text, struct error *err)
{
	if (!strcmp(text, "none") || !strcmp(text, "request") ||
	    !strcmp(text, "require"))
		return 0;
	return error_set(err, "`%s' is none of none, request and require",
			 text);
}

static int
check_retain_full(const char *text, struct error *err)
{
	if (!strcmp(text, "keep") || !strcmp(text, "drop"))
		return 0;
	return error_set(err, "`%s' is neither keep nor drop", text);
}

static int
check_trace(const char *text, struct error *err)
{
	if (!strcmp(text, "off") || !strcmp(text, "sampled") ||
	    !strcmp(text, "unsampled"))
		return 0;
	return error_set(err, "`%s' is none of off, sampled and unsampled",
			 text);
}

/* A token of RFC 9110 5.6.2. */
static int
check_field_name(const char *text, struct error *err)
{
	if (*text && strspn(text, "abcdefghijklmnopqrstuvwxyz"
				  "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
				  "0123456789!#$%&'*+-.^_`|~") == strlen(text))
		return 0;
	return error_set(err,
			 "`%s' is not the name of a header field, such as "
			 "X-Forwarded-Client-Cert",
			 text);
}

/* What every text of this type must look like. */
static int
check_text(enum settings_type type, const char *text, struct error *err)
{
	struct value_listen listen;
	struct network network;

	switch (type) {
	case SETTINGS_TEXT:
	case SETTINGS_TEXT_LIST:
		return *text ? 0 : error_set(err, "the value is empty");
	case SETTINGS_LEVEL:
		return check_level(text, err);
	case SETTINGS_ADDRESS:
		return value_address(text, err);
	case SETTINGS_LISTEN_LIST:
		return value_listen(text, &listen, err);
	case SETTINGS_BUS_LIST:
		return value_bus_url(text, err);
	case SETTINGS_NETWORK_LIST:
		return network_parse(text, &network, err);
	case SETTINGS_CLIENT_FIELD:
		return check_client_field(text, err);
	case SETTINGS_TLS_VERSION:
		return check_tls_version(text, err);
	case SETTINGS_TLS_CLIENTS:
		return check_tls_clients(text, err);
	case SETTINGS_FIELD_NAME:
		return check_field_name(text, err);
	case SETTINGS_RETAIN_FULL:
		return check_retain_full(text, err);
	case SETTINGS_TRACE:
		return check_trace(text, err);
	case SETTINGS_SOURCE:
		return attribute_check(ATTRIBUTE_SOURCE, span_of(text), err);
	case SETTINGS_COUNT:
	case SETTINGS_NUMBER:
	case SETTINGS_DURATION:
	case SETTINGS_AGE:
		return 0;
	}
	return 0;
}

int
settings_convert(struct console_settings *out, const struct settings_row *row,
		 const char *const *texts, size_t count, struct error *err)
{
	void *member = (char *)out + row->offset;
	const char **list = member;

	for (size_t i = 0; i < count; i++)
		if (check_text(row->type, texts[i], err))
			return -1;
	switch (row->type) {
	case SETTINGS_COUNT:
		return value_count(texts[0], WORKERS_MAX, member, err);
	case SETTINGS_NUMBER:
		return value_count(texts[0], NUMBER_MAX, member, err);
	case SETTINGS_DURATION:
		return value_duration(texts[0], member, err);
	case SETTINGS_AGE:
		return value_age(texts[0], member, err);
	case SETTINGS_TEXT:
	case SETTINGS_LEVEL:
	case SETTINGS_ADDRESS:
	case SETTINGS_CLIENT_FIELD:
	case SETTINGS_TLS_VERSION:
	case SETTINGS_TLS_CLIENTS:
	case SETTINGS_FIELD_NAME:
	case SETTINGS_RETAIN_FULL:
	case SETTINGS_TRACE:
	case SETTINGS_SOURCE:
		list[0] = texts[0];
		return 0;
	case SETTINGS_LISTEN_LIST:
	case SETTINGS_BUS_LIST:
	case SETTINGS_NETWORK_LIST:
	case SETTINGS_TEXT_LIST:
		memcpy(list, texts, count * sizeof(*texts));
		list[count] = NULL;
		return 0;
	}
	return 0;
}

void
settings_help(struct buf *out)
{
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		buf_printf(out, "  %s %s\n      %s\n      [%s%s%s]\n",
			   rows[i].option, rows[i].metavar, rows[i].help,
			   rows[i].environment,
			   rows[i].fallback ? ", default " : "",
			   rows[i].fallback ? rows[i].fallback : "");
	}
}
