/* SPDX-License-Identifier: Apache-2.0 */
/* One thread that asks the addresses of targets whether they are well. */
#ifndef PROXY_PROBER_H
#define PROXY_PROBER_H

#include "base/attr.h"
#include "base/error.h"

struct prober;
struct rules_holder;

/* prober_start begins; the holder must outlive prober_stop. */
MUST_CHECK struct prober *prober_start(struct rules_holder *h,
				       struct error *err);
/* prober_wake: there are new rules or addresses. Any thread. */
void prober_wake(struct prober *p);
void prober_stop(struct prober **p);

#endif
