/* SPDX-License-Identifier: Apache-2.0 */
/* Base64 by libsodium. */
#include "base/base64.h"

#include <sodium.h>

long
base64_decode(struct span text, char *out)
{
	const char *end = text.at;
	size_t n = 0;

	if (text.len == 0)
		return 0;
	if (sodium_base642bin((unsigned char *)out, text.len / 4 * 3, text.at,
			      text.len, NULL, &n, &end,
			      sodium_base64_VARIANT_ORIGINAL) != 0 ||
	    end != text.at + text.len)
		return -1;
	return (long)n;
}
