/* SPDX-License-Identifier: Apache-2.0 */
/* An adapter's config of one's own: copied, compared, freed. */
#include "adapters/config.h"

#include <stdlib.h>
#include <string.h>

static bool
same_text(const char *a, const char *b)
{
	return a == b || (a && b && strcmp(a, b) == 0);
}

bool
adapter_config_equal(const struct adapter_config *a,
		     const struct adapter_config *b)
{
	if (!same_text(a->name, b->name) || !same_text(a->kind, b->kind) ||
	    !same_text(a->type_filter, b->type_filter) ||
	    !same_text(a->subject_filter, b->subject_filter) ||
	    a->setting_count != b->setting_count)
		return false;
	for (size_t i = 0; i < a->setting_count; i++)
		if (!same_text(a->settings[i].key, b->settings[i].key) ||
		    !same_text(a->settings[i].value, b->settings[i].value))
			return false;
	return true;
}

/* False without memory. */
static bool
copy_text(const char **to, const char *from)
{
	*to = from ? strdup(from) : NULL;
	return *to || !from;
}

static bool
copy_settings(struct adapter_config *to, const struct adapter_config *from)
{
	size_t n = from->setting_count;
	struct adapter_setting *copy = calloc(n + 1, sizeof(*copy));
	bool ok = true;

	if (!copy)
		return false;
	to->settings = copy;
	to->setting_count = n;
	for (size_t i = 0; ok && i < n; i++)
		ok = copy_text(&copy[i].key, from->settings[i].key) &&
		     copy_text(&copy[i].value, from->settings[i].value);
	return ok;
}

int
adapter_config_copy(struct adapter_config *to,
		    const struct adapter_config *from)
{
	memset(to, 0, sizeof(*to));
	if (copy_text(&to->name, from->name) &&
	    copy_text(&to->kind, from->kind) &&
	    copy_text(&to->type_filter, from->type_filter) &&
	    copy_text(&to->subject_filter, from->subject_filter) &&
	    copy_settings(to, from))
		return 0;
	return -1;
}

void
adapter_config_fini(struct adapter_config *c)
{
	for (size_t i = 0; i < c->setting_count; i++) {
		free((char *)c->settings[i].key);
		free((char *)c->settings[i].value);
	}
	free((struct adapter_setting *)c->settings);
	free((char *)c->name);
	free((char *)c->kind);
	free((char *)c->type_filter);
	free((char *)c->subject_filter);
	memset(c, 0, sizeof(*c));
}
