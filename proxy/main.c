/* SPDX-License-Identifier: Apache-2.0 */
/* The program: every command is the console's, but for `run`. */
#include "console/console.h"
#include "proxy/run.h"

int
main(int argc, char **argv)
{
	return console_main(argc, argv, proxy_run);
}
