/* SPDX-License-Identifier: Apache-2.0 */
/* Rules' web hooks as adapters. Main's thread. */
#ifndef PROXY_HOOKS_H
#define PROXY_HOOKS_H

#include "adapters/adapter.h"
#include "rules/rules.h"

/* One for each rule, made of its hook; lends what the rules own. */
#define HOOKS_SETTINGS_MAX 7
struct hook_config {
	struct adapter_setting settings[HOOKS_SETTINGS_MAX];
	char name[160], timeout[16];
};

/* hooks_config fills both; false when the rule has no hook. */
bool hooks_config(const struct rules_rule *rule, struct hook_config *memory,
		  struct adapter_config *out);

#endif
