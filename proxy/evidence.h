/* SPDX-License-Identifier: Apache-2.0 */
/* What an exchange that ended says about its rule. */
#ifndef PROXY_EVIDENCE_H
#define PROXY_EVIDENCE_H

struct exchange;

/* evidence_count counts who answered, errors, and, of a canary, how the side
 * that was to answer did. The worker's thread. */
void evidence_count(const struct exchange *ex);

#endif
