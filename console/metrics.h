/* SPDX-License-Identifier: Apache-2.0 */
/* Metrics of rules and groups, made from a /status object. */
#ifndef CONSOLE_METRICS_H
#define CONSOLE_METRICS_H

#include "base/buf.h"

struct cJSON;

/* Rules are the operator's, but a consumer may name any group: beyond so
 * many series in all, the last ones are left out and counted. */
#define METRICS_SERIES_MAX 10000

/* metrics_write appends Prometheus' text format (0.0.4). status NULL, or of
 * another shape: what is there. */
void metrics_write(const struct cJSON *status, struct buf *out);

#endif
