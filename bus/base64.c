/* SPDX-License-Identifier: Apache-2.0 */
/* Strict base64 (RFC 4648 section 4): padded, no line breaks. */
#include "bus/server.h"

static int
digit(char c)
{
	if (c >= 'A' && c <= 'Z')
		return c - 'A';
	if (c >= 'a' && c <= 'z')
		return c - 'a' + 26;
	if (c >= '0' && c <= '9')
		return c - '0' + 52;
	return c == '+' ? 62 : c == '/' ? 63 : -1;
}

static size_t
padding(struct span text)
{
	size_t n = 0;

	while (n < 2 && n < text.len && text.at[text.len - 1 - n] == '=')
		n++;
	return n;
}

long
base64_decode(struct span text, char *out)
{
	size_t pad = padding(text), digits = text.len - pad;
	char *to = out;
	unsigned bits = 0;

	if (text.len % 4 != 0)
		return -1;
	for (size_t i = 0; i < digits; i++) {
		int d = digit(text.at[i]);

		if (d < 0)
			return -1;
		bits = bits << 6 | (unsigned)d;
		if (i % 4 == 1)
			*to++ = (char)(bits >> 4);
		else if (i % 4 == 2)
			*to++ = (char)(bits >> 2);
		else if (i % 4 == 3)
			*to++ = (char)bits;
	}
	/* Bits behind the last byte must be zero (section 3.5). */
	if ((pad == 1 && (bits & 3)) || (pad == 2 && (bits & 15)))
		return -1;
	return to - out;
}
