/* SPDX-License-Identifier: Apache-2.0 */
/* What `matapalo check` can only ask of the data plane. */
#ifndef PROXY_PREFLIGHT_H
#define PROXY_PREFLIGHT_H

#include "base/attr.h"
#include "base/buf.h"
#include "base/error.h"
#include "console/console.h"

struct rules;

/* As struct console_program has them: nothing is opened but files. */
MUST_CHECK int preflight_settings(const struct console_settings *s,
				  struct buf *warnings, struct error *err);
MUST_CHECK int preflight_rules(const struct rules *rules,
			       struct buf *warnings, struct error *err);

#endif
