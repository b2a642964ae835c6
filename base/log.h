/* SPDX-License-Identifier: Apache-2.0 */
/* Operator's log: one JSON object a line on stderr. */
#ifndef BASE_LOG_H
#define BASE_LOG_H

#include "base/attr.h"

enum log_level { LOG_LEVEL_ERROR, LOG_LEVEL_WARN, LOG_LEVEL_INFO,
		 LOG_LEVEL_DEBUG };

/* Line: {"time","level","id","exchange"?,"msg"}; control characters are
 * escaped, a line is at most 16 KiB. `id` is stable (grep, alerting) and
 * written "area.what", for example "rules.reload-failed". Any thread. */
void log_set_level(enum log_level level);
/* log_level_parse knows error, warn, info, debug; -1 otherwise. */
int log_level_parse(const char *s);
void log_line(enum log_level level, const char *id, const char *exchange,
	      const char *fmt, ...) PRINTF_LIKE(4, 5);

#define log_error(id, ...) log_line(LOG_LEVEL_ERROR, id, NULL, __VA_ARGS__)
#define log_warn(id, ...) log_line(LOG_LEVEL_WARN, id, NULL, __VA_ARGS__)
#define log_info(id, ...) log_line(LOG_LEVEL_INFO, id, NULL, __VA_ARGS__)
#define log_debug(id, ...) log_line(LOG_LEVEL_DEBUG, id, NULL, __VA_ARGS__)

#endif
