/* SPDX-License-Identifier: Apache-2.0 */
/* Whether a crash leaves a core dump, and what is in it. */
#ifndef BASE_CORE_DUMP_H
#define BASE_CORE_DUMP_H

/* core_dump_prevent: from now on a crash leaves no core, because keys, tokens
 * and bodies would be in it. Who raises the limit of the running process gets
 * one without memory. Children inherit both. */
void core_dump_prevent(void);

#endif
