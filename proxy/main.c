/* SPDX-License-Identifier: Apache-2.0 */
/* The program: every command is the console's, but for `run`. */
#include "base/core_dump.h"
#include "console/console.h"
#include "proxy/preflight.h"
#include "proxy/run.h"

static int
run(const struct console_settings *settings)
{
	core_dump_prevent();
	return proxy_run(settings);
}

int
main(int argc, char **argv)
{
	static const struct console_program program = {
		.run = run,
		.check_settings = preflight_settings,
		.check_rules = preflight_rules,
	};

	return console_main(argc, argv, &program);
}
