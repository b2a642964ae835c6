/* SPDX-License-Identifier: Apache-2.0 */
/* The version of the library. */
#include "config.h"

#include "lib/matapalo.h"

const char *
matapalo_version(void)
{
	return PACKAGE_VERSION;
}
