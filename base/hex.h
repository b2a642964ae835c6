/* SPDX-License-Identifier: Apache-2.0 */
/* The value of a hexadecimal digit; base's own. */
#ifndef BASE_HEX_H
#define BASE_HEX_H

static inline int
hex_value(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return -1;
}

#endif
