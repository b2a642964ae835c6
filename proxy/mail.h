/* SPDX-License-Identifier: Apache-2.0 */
/* A message to a worker from another thread; embedded in what it is about. */
#ifndef PROXY_MAIL_H
#define PROXY_MAIL_H

struct worker;

struct mail {
	struct mail *next;
	void (*handle)(struct worker *w, struct mail *m);
};

#endif
