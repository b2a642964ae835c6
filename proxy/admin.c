/* SPDX-License-Identifier: Apache-2.0 */
/* The admin listener's part in a start and in a hand-over: an address that
 * cannot be had ends the start before anybody is served. */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "console/runfile.h"
#include "proxy/run.h"

/* What two addresses of one socket have in common: the file, else the port,
 * which any other host part would claim as well. */
static const char *
place_of(const char *address)
{
	const char *colon = strrchr(address, ':');

	return strncmp(address, "unix:", 5) && colon ? colon : address;
}

/* The process that hands over lets go of it when it says GO. */
static bool
predecessor_has(const struct run *r, const char *address)
{
	struct runfile f = { 0 };
	bool has;

	if (r->inherit.parent < 0)
		return false;
	has = runfile_read(&f, r->data, NULL) == 0 && f.pid == getppid() &&
	      f.admin && !strcmp(place_of(f.admin), place_of(address));
	runfile_fini(&f);
	return has;
}

static int
open_address(struct run *r, struct error *err)
{
	char path[sizeof(r->data) + 32];
	const char *token = r->settings->admin_token_file;

	if (!token) {
		snprintf(path, sizeof(path), "%s/admin.token", r->data);
		token = path;
	}
	r->admin = console_admin_open(r->settings->admin, token, err);
	return r->admin ? 0 : -1;
}

int
admin_bind(struct run *r, struct error *err)
{
	return predecessor_has(r, r->settings->admin) ? 0 :
							open_address(r, err);
}

int
admin_rebind(struct run *r, struct error *err)
{
	return r->admin ? 0 : open_address(r, err);
}

int
admin_serve(struct run *r, struct error *err)
{
	const struct console_source source = run_source(r);

	return console_admin_serve(r->admin, &source, err);
}
